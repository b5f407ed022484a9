"""Bases of several architectures as folders, adapters for them, and task files of lm-eval."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lm_eval")

SMALL = {"vocab_size": 320, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
COMMON = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
}
BLOOM = {"hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.2}
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", COMMON),
    "bloom": ("Bloom", BLOOM),
    "qwen": ("Qwen3", COMMON),
    "gemma": ("Gemma2", {**COMMON, "sliding_window": 16, "final_logit_softcapping": 5.0}),
    "mistral": ("Mistral", {**COMMON, "sliding_window": 16}),
}

MakeBase = Callable[[str], Path]


@pytest.fixture(scope="session")
def shape(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> MakeBase:
    """Return a maker of base folders by the name of an architecture."""
    import transformers

    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            family, own = SHAPES[name]
            config = getattr(transformers, f"{family}Config")(**{**SMALL, **own})
            made[name] = tmp_path_factory.mktemp("shapes") / name
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(7)
                model = getattr(transformers, f"{family}ForCausalLM")(config)
            model.save_pretrained(made[name])
            for path in (*tiny_base.glob("*token*"), *tiny_base.glob("*.jinja")):
                shutil.copy(path, made[name])
        return made[name]

    return make


@pytest.fixture(scope="session")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path, int], Path]:
    """Return a maker of adapters that change much, by base and seed."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    made: dict[tuple[Path, int], Path] = {}

    def make(base: Path, seed: int = 1) -> Path:
        if (base, seed) not in made:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
                model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
                folder = tmp_path_factory.mktemp("adapters") / f"{base.name}-{seed}"
                model.save_pretrained(folder)
            made[base, seed] = folder
        return made[base, seed]

    return make


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, str], list[Any]]:
    """Return what has the calls of a function noted: their first arguments."""

    def count(owner: Any, name: str) -> list[Any]:
        calls: list[Any] = []
        function = getattr(owner, name)

        def noted(*some: Any, **told: Any) -> Any:
            calls.append(some[0])
            return function(*some, **told)

        monkeypatch.setattr(owner, name, noted)
        return calls

    return count


@pytest.fixture
def no_thousands(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Have lm-eval know no tasks of its own, which take seconds; return the folders it reads."""
    from lm_eval.tasks._index import TaskIndex

    read: list[Path] = []
    walk = TaskIndex._iter_yaml_files

    def walked(folder: Path) -> Any:
        read.append(folder)
        return [] if folder.parent.name == "lm_eval" else walk(folder)

    monkeypatch.setattr(TaskIndex, "_iter_yaml_files", staticmethod(walked))
    return read


@pytest.fixture
def requests() -> Callable[[Sequence[Any]], list[Any]]:
    """Return what lm-eval hands to a model, of tuples of arguments."""
    return lambda several: [SimpleNamespace(args=one, task_name="test") for one in several]


@pytest.fixture
def task_files(tmp_path: Path, sentences: Mapping[str, Sequence[str]]) -> Path:
    """Return a folder with lm-eval's tasks of every kind on local data, in Thai and Estonian."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    for code in ("th", "et"):
        texts = sentences[code]
        records = [
            {
                "stem": texts[place][:30],
                "choices": [texts[(place + step) % 5][:12] for step in (1, 2, 3)],
                "label": place % 3,
                "text": texts[place][:60],
            }
            for place in range(5)
        ]
        lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        (folder / f"{code}.jsonl").write_text(lines, encoding="utf-8")
        for kind, body in KINDS.items():
            (folder / f"{kind}_{code}.yaml").write_text(
                f"task: toy_{kind}_{code}\ndataset_path: json\ndataset_kwargs:\n"
                f"  cache_dir: {tmp_path / 'cache'}\n"
                f"  data_files:\n    test: {folder / f'{code}.jsonl'}\ntest_split: test\n"
                f"{body}metadata:\n  version: 1.0\n",
                encoding="utf-8",
            )
    (folder / "group.yaml").write_text(
        "group: toy_choice\ntask:\n  - toy_choice_th\n  - toy_choice_et\n"
        "aggregate_metric_list:\n  - metric: acc\n    weight_by_size: true\n",
        encoding="utf-8",
    )
    return folder


KINDS = {
    "choice": (
        'output_type: multiple_choice\ndoc_to_text: "{{stem}}"\ndoc_to_target: label\n'
        "doc_to_choice: choices\nmetric_list:\n  - metric: acc\n  - metric: acc_norm\n"
    ),
    "scores": (
        'output_type: multiple_choice\ndoc_to_text: "{{stem}}"\ndoc_to_target: label\n'
        "doc_to_choice: choices\nmetric_list:\n  - metric: acc\n  - metric: brier_score\n"
        "    higher_is_better: false\n"
    ),
    "several": (
        'output_type: multiple_choice\ndoc_to_text: "{{stem}}"\ndoc_to_target: "[0, 1]"\n'
        "doc_to_choice: choices\nmetric_list:\n  - metric: acc\n"
    ),
    "rolling": (
        'output_type: loglikelihood_rolling\ndoc_to_text: ""\ndoc_to_target: text\n'
        "metric_list:\n  - metric: bits_per_byte\n"
    ),
    "writing": (
        'output_type: generate_until\ndoc_to_text: "{{stem}}"\ndoc_to_target: text\n'
        'generation_kwargs:\n  until: ["\\n"]\n  max_gen_toks: 6\n'
        "metric_list:\n  - metric: exact_match\n    aggregation: mean\n"
        "    higher_is_better: true\n"
    ),
}

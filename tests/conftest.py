"""A tiny base model, a workspace with rows in real languages, and fake providers, to share."""

from __future__ import annotations

import csv
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from bactrian import registry, table
from bactrian.schema import Example
from bactrian.table import Row
from bactrian.workspace import Workspace, open_workspace

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

SAMPLES = Path(__file__).parent / "samples" / "flores_52.tsv"
FAKES = Path(__file__).parent / "data" / "fake_providers.py"
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}[{{ message['role'] }}]\n{{ message['content'] }}"
    "\n{% endfor %}{% if add_generation_prompt %}[assistant]\n{% endif %}"
)

MakeWorkspace = Callable[..., Workspace]


def byte_level_tokenizer(sentences: Sequence[str]) -> Any:
    """Byte-level BPE of 320 tokens with BOS, EOS and a chat template; it writes every script."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.train_from_iterator(
        sentences,
        trainers.BpeTrainer(
            vocab_size=320,
            special_tokens=["<s>", "</s>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", model_max_length=1024
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Register the fake providers; return what they do and have done."""
    spec = spec_from_file_location("fake_providers", FAKES)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "fake_providers", module)
    spec.loader.exec_module(module)
    monkeypatch.setitem(registry.BUILT_IN["translators"], "fake", "fake_providers:Translator")
    monkeypatch.setitem(registry.BUILT_IN["chats"], "fake", "fake_providers:Chat")
    return module.SCRIPT


@pytest.fixture(scope="session")
def sentences() -> dict[str, list[str]]:
    """Five sentences in each of 52 languages; the same position says the same thing."""
    found: dict[str, list[str]] = defaultdict(list)
    with SAMPLES.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            found[row["language"]].append(row["text"])
    return dict(found)


@pytest.fixture(scope="session")
def tiny_base(
    tmp_path_factory: pytest.TempPathFactory, sentences: Mapping[str, Sequence[str]]
) -> Path:
    """A random Llama of two layers of width 32 in transformers' format; do not change it."""
    torch = pytest.importorskip("torch")
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("bases") / "tiny"
    tokenizer = byte_level_tokenizer([*sentences["en"], *sentences["zh"], *sentences["vi"]])
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        bos_token_id=0,
        eos_token_id=1,
        initializer_range=0.2,  # far from uniform, so that differences show
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def make_workspace(
    tmp_path: Path, tiny_base: Path, sentences: Mapping[str, Sequence[str]]
) -> MakeWorkspace:
    """Return a maker of workspaces: a built dataset in some languages, a recipe, the tiny base.

    ``overrides`` are those of ``--set``; ``rows`` are (instruction, input, output) by language.
    """

    def make(
        languages: str = "zh,vi",
        *overrides: str,
        rows: Mapping[str, Sequence[tuple[str, str, str]]] | None = None,
        root: Path = tmp_path / "toy",
    ) -> Workspace:
        root.mkdir(parents=True, exist_ok=True)
        (root / "recipe.toml").write_text(
            f"""
name = "toy"
languages = "{languages}"
[build]
validation = 3
[train]
base = "{tiny_base}"
epochs = 2
batch_tokens = 1600
micro_batch_tokens = 800
learning_rate = 0.01
save_steps = 2
log_steps = 1
[train.lora]
rank = 4
alpha = 8
dropout = 0.1
[eval]
batch_tokens = 1024
draws = 100
sample_tokens = 4
""",
            encoding="utf-8",
        )
        workspace = open_workspace(root, overrides)
        for language in workspace.languages:
            told = (rows or {}).get(language.code, _rows(sentences[language.code]))
            for split, part in (("train", told[3:]), ("validation", told[:3])):
                path = workspace.split(language.code, split)
                table.write(path, _written(language.code, split, part), f"{split} of a test")
        return workspace

    return make


def _rows(texts: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return 15 rows: each sentence asked about three times, answered by the one after it."""
    return [
        (texts[place], texts[(place + 2) % 5][:20] if turn else "", texts[(place + 1) % 5][:60])
        for turn in range(3)
        for place in range(5)
    ]


def _written(code: str, split: str, rows: Sequence[tuple[str, str, str]]) -> list[Row]:
    return [
        Row(Example(f"{split}-{number}", code, *row)) for number, row in enumerate(rows, start=1)
    ]

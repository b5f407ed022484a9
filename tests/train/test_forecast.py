"""What is told before a training: counted on toys, computed for known shapes, measured."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import ConfigError, RunError
from bactrian.recipe import Lora, Train
from bactrian.workspace import Workspace

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bactrian.models import base as bases  # noqa: E402
from bactrian.train.forecast import forecast, forecasts, probe, steps  # noqa: E402
from bactrian.train.forecast.activations import Extents, activations  # noqa: E402
from bactrian.train.forecast.memory import Memory, fitting, memory_of  # noqa: E402
from bactrian.train.forecast.peak import cost  # noqa: E402
from bactrian.train.forecast.probe import Probe, with_hours  # noqa: E402
from bactrian.train.forecast.shapes import Model, model_of  # noqa: E402
from bactrian.train.plan import Counts, Extent  # noqa: E402

MakeWorkspace = Callable[..., Workspace]
ALL = dict.fromkeys(["zh", "vi"])
LONG = 600
"""Letters of a long answer."""


def llama(**other: Any) -> Any:
    """The configuration of LLaMA-7B, or of another size."""
    from transformers import LlamaConfig

    shape = {"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008}
    return LlamaConfig(**{**shape, "num_hidden_layers": 32, "num_attention_heads": 32, **other})


def bloom(**other: Any) -> Any:
    """The configuration of BLOOM-7B1, or of another size."""
    from transformers import BloomConfig

    return BloomConfig(
        **{"vocab_size": 250880, "hidden_size": 4096, "n_layer": 30, "n_head": 32, **other}
    )


def of(config: Any, **told: Any) -> Model:
    """Return the numbers of a causal base on a GPU."""
    return model_of(config, "causal", Train(**told), "bfloat16", "cuda")


R64 = Lora(rank=64)


@pytest.mark.parametrize(
    ("config", "told", "base", "trained", "weight_bytes"),
    [
        # the Bactrian-X adapters: q, k, v, o of LLaMA, query_key_value of BLOOM, rank 64
        (llama, {"lora": R64}, 6_738_415_616, 67_108_864, 13_476_831_232),
        (bloom, {"lora": R64}, 7_069_016_064, 31_457_280, 14_138_032_128),
        (llama, {"adapter": "none"}, 6_738_415_616, 6_738_415_616, 26_953_662_464),
        (llama, {"quantize": "int8"}, 6_738_415_616, 16_777_216, 7_000_825_856),
    ],
)
def test_parameters_of_known_models_are_counted_without_a_weight(
    config: Any, told: Any, base: int, trained: int, weight_bytes: int
) -> None:
    found = of(config(), **told)
    assert (found.base_parameters, found.trained_parameters) == (base, trained)
    assert found.weight_bytes == weight_bytes


def test_seven_billion_parameters_on_a_card_of_forty_gigabytes() -> None:
    """A monolingual 7B adapter was trained on an A100 of 40 GB (Li et al. 2023)."""
    train, largest = Train(lora=R64, micro_batch_tokens=4096), Extents(8, 0, 512, 4096, 3000)
    found = memory_of(of(llama(), lora=R64), largest, train, "cpu", 1)
    assert found.learning_bytes == 16 * 67_108_864
    assert 30e9 < found.total_bytes < 40e9
    lean = train.model_copy(update={"checkpointing": True})
    less = memory_of(of(llama(), lora=R64), largest, lean, "cpu", 1)
    assert 16e9 < less.total_bytes < 20e9
    assert found.activations_with_checkpointing_bytes == less.activations_bytes


def test_the_formula_follows_its_terms() -> None:
    """32 layers of (2 H + H + 3 H + H + 3 inner) and ranks in bfloat16, sums of scores aside."""
    model = of(llama(), lora=R64)
    tokens = 4096
    found = activations(model, Extents(8, 0, 512, tokens, 3000), "cuda", checkpointing=False)
    layer = 2 * 4096 + (4096 + 4 * 4096 + 3 * 11008 + 4 * 64)
    ends = tokens * 4096 * 2
    assert found.layers_bytes == tokens * 32 * (2 * layer + 32 * 4) + ends
    assert found.total_bytes == found.layers_bytes + max(found.head_bytes, found.back_bytes)
    # the logits of 3,000 tokens of BLOOM would be 1.5 GB; a piece is never more than 512 MiB
    head = activations(of(bloom()), Extents(8, 0, 512, tokens, 3000), "cuda", checkpointing=True)
    assert head.head_bytes < (512 << 20) + 3000 * 4096 * 8


def counts(**told: Any) -> Counts:
    """A training of 10 steps of 4 micro-batches."""
    one = Extent(0, 0, 1, 10, 100)
    given = {"steps": 10, "micro_batches": 40, "rows": {"zh": 40}, "tokens": {"zh": 36_000}}
    return Counts(**{**given, "padded_tokens": 40_000, "largest": one, "smallest": one, **told})


MEASURED = Probe(100, 0.2, 1000, 1.1, 0.5, 0.5, 2000, 10**9)


def test_hours_are_a_line_through_both_micro_batches() -> None:
    """0.1 s each and 0.001 s a token; half a second an update; held-out rows three times."""
    found = with_hours(MEASURED, counts(), Train(eval_steps=5))
    steps_seconds = 40 * 0.1 + 40_000 * 0.001 + 10 * 0.5
    assert found.hours * 3600 == pytest.approx(steps_seconds + 3 * 2000 * 0.5 / 1000)
    assert found.tokens_per_second == pytest.approx(36_000 / steps_seconds)
    dear = dataclasses.replace(MEASURED, largest_seconds=4.0)
    assert dear.seconds(40, 40_000) == pytest.approx(40_000 * 0.004)
    same = dataclasses.replace(MEASURED, smallest_tokens=1000, smallest_seconds=1.3)
    assert same.seconds(40, 40_000) == pytest.approx(40_000 * 0.0011)


def test_the_gentlest_setting_that_fits_is_told() -> None:
    """24 GB: neither smaller micro-batches nor checkpoints alone would do it, 16 GB: nf4."""
    train, largest = Train(lora=R64, micro_batch_tokens=4096), Extents(8, 0, 512, 4096, 3000)

    def on(size: int, told: Train) -> Memory:
        tokens = min(4096, told.micro_batch_tokens)
        extents = dataclasses.replace(largest, tokens=tokens, rows=tokens // 512, scored=tokens)
        model = of(llama(), lora=R64, quantize=told.quantize)
        return dataclasses.replace(memory_of(model, extents, told, "cpu", 1), device_bytes=size)

    def told(size: int) -> list[str]:
        found = fitting(on(size, train), train, lambda other: on(size, other))
        return [setting for setting, _ in found]

    assert told(40 * 10**9) == []
    assert told(20 * 10**9) == ["--set train.micro_batch_tokens=1024"]
    assert told(17 * 10**9) == ["--set train.checkpointing=true"]
    assert "train.quantize=nf4" in told(10 * 10**9)[0]
    assert told(10**9) == []


def wide(folder: Path, tiny_base: Path, config: Any) -> Path:
    """Save a random base with the tiny one's tokenizer, large enough to be measured."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    config.vocab_size = len(tokenizer)
    config.bos_token_id, config.eos_token_id = 0, 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def rows(sentences: Mapping[str, Sequence[str]], code: str) -> list[tuple[str, str, str]]:
    """Return 20 rows of very unlike lengths."""
    text = " ".join([*sentences[code]] * 5)
    return [(text[:30], "", text[turn : turn + 20 + turn * LONG // 20]) for turn in range(20)]


SIZE = {"hidden_size": 192, "num_attention_heads": 6}


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("family", ["llama", "bloom"])
def test_the_formula_is_near_what_a_step_takes(
    family: str,
    checkpointing: bool,
    make_workspace: MakeWorkspace,
    tiny_base: Path,
    tmp_path: Path,
    sentences: Mapping[str, Sequence[str]],
) -> None:
    """Of what was allocated it was 2 % off, of what is resident up to a third."""
    if family == "llama":
        config = llama(
            intermediate_size=512, num_hidden_layers=8, max_position_embeddings=2048, **SIZE
        )
    else:
        config = bloom(hidden_size=192, n_layer=8, n_head=6)
    base = wide(tmp_path / "wide", tiny_base, config)
    workspace = make_workspace(
        "zh,vi",
        f'train.base="{base}"',
        "train.dtype=float32",
        *("train.batch_tokens=3000", "train.micro_batch_tokens=3000"),
        f"train.checkpointing={str(checkpointing).lower()}",
        rows={code: rows(sentences, code) for code in ALL},
    )
    told = forecast(workspace, "toy").memory
    (found,) = steps.measured(workspace, [["toy"]])
    if found["largest"]["peak_bytes"] is None:
        pytest.skip("this system does not tell the peak of a process")
    ratio = told.activations_bytes / found["largest"]["peak_bytes"]
    print(f"{family} {checkpointing} {told.activations_bytes / 1e6:.0f} MB, ratio {ratio:.2f}")
    assert 0.5 < ratio < 2.0


def test_a_peak_is_that_of_the_call_alone() -> None:
    kept = torch.zeros(40 << 18)  # in use before
    found = cost(lambda: torch.ones(30 << 18).add_(1).sum(), "cpu")
    if found.peak_bytes is None:
        pytest.skip("this system does not tell the peak of a process")
    assert 30 << 20 <= found.peak_bytes < 38 << 20
    assert not kept.any()


def test_a_dry_run_counts_rows_steps_and_disk(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace("zh,vi", "train.max_tokens=230", "train.overlong=refuse")
    found = forecast(workspace, "toy")
    assert found.languages == ("zh", "vi")
    assert found.rows == sum(found.rows_by_language.values())
    assert found.rows + sum(found.too_long.values()) == 24
    assert found.too_long
    assert found.padded_tokens >= found.tokens
    assert found.trained_parameters == 2 * 4 * ((32 + 32) * 2 + (32 + 16) * 2)
    assert found.disk.adapter_bytes == 4 * found.trained_parameters
    assert found.disk.checkpoints_bytes % (12 * found.trained_parameters) == 0
    assert found.disk.tokens_bytes > 0
    assert found.probe is None
    assert found.memory.fits


def test_adapters_of_one_pass_share_its_memory(make_workspace: MakeWorkspace) -> None:
    both = 'train.adapters={zh = "zh", vi = "vi"}'
    alone = forecasts(make_workspace("zh,vi", both), ["zh", "vi"])
    beside = forecasts(make_workspace("zh,vi", both, "train.together=true"), ["zh", "vi"])
    assert [one.name for one in beside] == ["zh", "vi"]
    assert [one.memory.adapters for one in (*alone, *beside)] == [1, 1, 2, 2]
    assert beside[0].memory.learning_bytes == 2 * alone[0].memory.learning_bytes
    assert [one.steps for one in alone] == [one.steps for one in beside]


def test_two_steps_of_each_adapter_are_measured(make_workspace: MakeWorkspace) -> None:
    both = 'train.adapters={zh = "zh", vi = "vi"}'
    workspace = make_workspace("zh,vi", both, "train.micro_batch_tokens=200")
    for found in forecasts(workspace, ["zh", "vi"], probed=True):
        assert found.probe is not None
        assert 0 < found.probe.smallest_tokens <= found.probe.largest_tokens
        assert found.probe.largest_tokens == found.largest.tokens
        assert found.probe.hours > 0
        measured = found.memory.measured_activations_bytes
        assert measured is None or measured == found.probe.peak_bytes
    left = [path.name for path in workspace.root.glob("adapters/*")]
    assert left == [".tokens"], "a forecast leaves the tokens only"


def test_what_stops_a_training_stops_its_probe(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = make_workspace("zh")
    says = 'import sys; print(\'{"error": "ConfigError", "problem": "p", "hint": "h"}\')'
    monkeypatch.setattr(probe, "COMMAND", (sys.executable, "-c", says))
    with pytest.raises(ConfigError, match="p"):
        probe.probe(workspace, [["toy"]])
    monkeypatch.setattr(probe, "COMMAND", (sys.executable, "-c", "raise ValueError('odd')"))
    with pytest.raises(RunError, match="odd"):
        probe.probe(workspace, [["toy"]])


def test_a_probe_that_the_system_kills_is_an_answer(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    dies = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    monkeypatch.setattr(probe, "COMMAND", (sys.executable, "-c", dies))
    assert probe.probe(make_workspace("zh"), [["toy"]]) == [None]


def test_shapes_read_no_weight(make_workspace: MakeWorkspace, monkeypatch: Any) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the weights were read")

    monkeypatch.setattr(bases, "_model", refuse)
    monkeypatch.setattr(subprocess, "run", refuse)
    assert forecast(make_workspace("zh"), "toy").base_parameters > 0

"""The recipes that are shipped: each parses, has the numbers of its source, and can be foretold."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from bactrian.languages import parse
from bactrian.recipe import Train, load
from bactrian.workspace import Workspace

ROOT = Path(__file__).parents[1]
RECIPES = {path.stem: path for path in sorted((ROOT / "recipes").glob("*.toml"))}
FACTS = ROOT.parent / "shared" / "facts" / "original.md"
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
QV, QKV = ("q_proj", "v_proj"), ("query_key_value",)

# rank, targets, tokens, batch, epochs, steps, warm-up, held out, loss on prompts
Numbers = tuple[int, tuple[str, ...], int, int, float, int, int, int, bool]
LORA: dict[str, Numbers] = {
    # Li et al. 2023, Table 7
    "paper-multi-llama": (64, ATTENTION, 768, 128, 4, 100_000, 200, 2000, False),
    "paper-multi-bloom": (64, QKV, 768, 128, 4, 100_000, 200, 2000, False),
    "paper-mono-llama": (16, QV, 1024, 128, 10, 5_000, 200, 2000, False),
    "paper-mono-bloom": (16, QKV, 1024, 128, 10, 5_000, 200, 2000, False),
    # the README of Bactrian-X, 2 May 2023
    "readme-mono": (16, ATTENTION, 512, 128, 10, 0, 200, 2000, True),
    "readme-multi": (64, ATTENTION, 512, 256, 10, 0, 200, 2000, True),
    # the card of MBZUAI/bactrian-x-llama-7b-lora
    "model-card": (64, ATTENTION, 512, 128, 10, 100_000, 200, 2000, False),
    # scripts/finetune_*.sh of Bactrian-X, 28 May 2023
    "script-llama": (64, QV, 768, 128, 4, 0, 0, 5000, False),
    "script-bloom": (64, QKV, 768, 128, 4, 0, 0, 5000, False),
    "script-mt5": (64, ("q", "v"), 768, 128, 4, 0, 0, 5000, False),
}
FULL = {  # the README of "Instruction tuning": base, rows of a micro-batch
    "full-galactica": ("facebook/galactica-6.7b", 4),
    "full-bloomz": ("bigscience/bloomz-7b1-mt", 4),
    "full-llama": ("huggyllama/llama-7b", 4),
    "full-flan-t5": ("google/flan-t5-xxl", 2),
}
ROWS = 67_017
"""Rows of each language of Bactrian-X."""
IN_THE_FACTS = {  # the row of the table of published versions, and which of its alternatives
    "paper-multi-llama": ("[v2] Table 7", 0),
    "paper-multi-bloom": ("[v2] Table 7", 0),
    "paper-mono-llama": ("[v2] Table 7", 1),
    "paper-mono-bloom": ("[v2] Table 7", 1),
    "readme-mono": ("the README (b31b751)", 0),
    "readme-multi": ("the README (b31b751)", 1),
    "model-card": ("the model card", 0),
    "script-llama": ("scripts/finetune_llama.sh", 0),
    "script-bloom": ("scripts/finetune_llama.sh", 1),
    "script-mt5": ("scripts/finetune_llama.sh", 2),
}


def test_every_recipe_is_looked_at_here() -> None:
    assert RECIPES.keys() == {*LORA, *FULL, "demo", "paper-data"}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_parses_and_says_where_it_comes_from(name: str) -> None:
    text = RECIPES[name].read_text(encoding="utf-8")
    assert text.startswith("# "), "its source stands at its head"
    assert max(map(len, text.splitlines())) <= 120
    recipe = load(RECIPES[name])
    for told in (recipe.languages, *recipe.train.adapters.values()):
        assert parse(told)
    named = {key for key in tomllib.loads(text).get("train", {}) if key in Train.model_fields}
    assert named or name == "paper-data"


@pytest.mark.parametrize("name", LORA)
def test_the_original_numbers(name: str) -> None:
    recipe = load(RECIPES[name])
    train, lora = recipe.train, recipe.train.lora
    found = (
        *(lora.rank, lora.targets, train.max_tokens, train.batch_rows, train.epochs),
        *(train.max_steps, train.warmup_steps, recipe.build.validation, train.train_on_inputs),
    )
    assert found == LORA[name]
    assert (lora.alpha, lora.dropout, lora.variant) == (16, 0.05, "lora")
    assert (train.learning_rate, train.schedule, train.weight_decay) == (3e-4, "linear", 0.0)
    assert train.warmup == 0.0 or train.warmup_steps, "no warm-up is said as a share of 0"
    wanted = 256 if name == "script-mt5" else 0
    assert train.max_source_tokens == wanted


@pytest.mark.parametrize("name", [name for name in LORA if LORA[name][5]])
def test_the_steps_are_reached_before_the_epochs_are_over(name: str) -> None:
    recipe = load(RECIPES[name])
    train = recipe.train
    one = next(iter(train.adapters.values()))
    rows = (ROWS - recipe.build.validation) * len(parse(one))
    assert train.epochs * rows / train.batch_rows >= train.max_steps


def test_one_adapter_for_each_language_that_the_base_saw() -> None:
    llama = load(RECIPES["paper-mono-llama"])
    assert ",".join(llama.train.adapters.values()) == llama.languages
    assert {one.code for one in parse("seen:llama")} == set(llama.train.adapters.values())
    bloom = load(RECIPES["paper-mono-bloom"])
    # docs/decisions/0002: BLOOM saw Bengali, for which no adapter was published
    seen = {one.code for one in parse("seen:bloom")} - {"bn"}
    assert seen == set(bloom.train.adapters.values())
    assert (len(llama.train.adapters), len(bloom.train.adapters)) == (15, 18)


@pytest.mark.parametrize("name", FULL)
def test_full_fine_tunings_are_those_of_the_second_project(name: str) -> None:
    train = load(RECIPES[name]).train
    base, rows = FULL[name]
    assert (train.base, train.adapter, train.fsdp, train.dtype) == (base, "none", True, "bfloat16")
    assert (train.epochs, train.batch_rows, train.learning_rate) == (3, 128, 2e-5)
    assert (train.schedule, train.warmup, train.save_steps) == ("cosine", 0.03, 2000)
    assert train.micro_batch_tokens == rows * train.max_tokens


@pytest.mark.parametrize("name", LORA)
def test_the_numbers_are_those_of_the_facts(name: str) -> None:
    if not FACTS.is_file():
        pytest.skip("no ../shared/facts here: the numbers above are held against the recipes only")
    begins, which = IN_THE_FACTS[name]
    table = [line for line in FACTS.read_text("utf-8").splitlines() if line.startswith("| ")]
    (row,) = [line for line in table if line.startswith(f"| {begins}")]
    cells = [cell.strip(" *") for cell in row.strip("|").split("|")]
    train = load(RECIPES[name]).train
    assert train.lora.rank == of(cells[1], which)
    assert train.lora.alpha == of(cells[2], which)
    assert train.lora.dropout == of(cells[3], which)
    assert train.learning_rate == of(cells[5], which)
    assert train.batch_rows == of(cells[6].rpartition("=")[2], which)
    assert train.max_tokens == of(cells[8], which)


def of(cell: str, which: int) -> float:
    """Return the number of a cell; of alternatives, joined by slashes, the one asked for."""
    parts = re.findall(r"\.?\d[\de.-]*(?:k\b)?", cell.partition("(micro")[0].partition("(mt5")[0])
    told = parts[min(which, len(parts) - 1)]
    return float(told.removesuffix("k")) * (1000 if told.endswith("k") else 1)


@pytest.mark.parametrize("name", [*LORA, *FULL])
def test_a_recipe_is_foretold_on_a_toy_base(
    name: str, make_workspace: Callable[..., Workspace], tiny_base: Path
) -> None:
    from bactrian.train.forecast import forecast

    there = make_workspace("zh,vi")
    overrides = [
        *("name=toy", "languages=zh,vi", "network=false"),
        *(f'train.base="{tiny_base}"', 'train.adapters={toy="zh,vi"}'),
    ]
    if load(RECIPES[name]).train.lora.targets:  # they are of another architecture than the toy
        overrides.append("train.lora.targets=[]")
    workspace = Workspace(there.root, load(RECIPES[name], overrides), there.root)
    found = forecast(workspace, "toy")
    assert found.rows == 24
    assert found.steps > 0

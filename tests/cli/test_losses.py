"""Losses of two and of 52 languages in 80 and 120 columns."""

from __future__ import annotations

import pytest

from bactrian.cli.losses import columns, in_a_line, lines
from bactrian.languages import parse

CODES = [language.code for language in parse("all")]
MANY = {code: 1 + place / 100 for place, code in enumerate(CODES)}


def test_a_few_languages_are_all_told_in_their_order() -> None:
    facts = {"step": 5, "loss": 2.0, "loss_zh": 2.5, "loss_vi": 1.5, "learning_rate": 0.1}
    assert lines(facts) == ["step 5  loss 2.000  zh 2.500  vi 1.500"]
    assert lines({"step": 5, "loss": 2.0, "loss_zh": 2.0}) == ["step 5  loss 2.000"]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_of_52_the_mean_and_both_ends_are_told(width: int) -> None:
    assert len(CODES) == 52
    (line,) = lines(
        {"step": 12000, "loss": 1.2, **{f"loss_{c}": x for c, x in MANY.items()}}, width
    )
    assert columns(line) <= width
    assert line.startswith("step 12000  loss 1.200")
    if width >= 80:
        assert f"best {CODES[0]} 1.000  {CODES[1]} 1.010" in line
        assert f"worst {CODES[-1]} 1.510" in line
        assert line.index("best") < line.index("worst")


def test_held_out_losses_have_their_mean() -> None:
    (line,) = lines({"step": 0, "validation_zh": 1.0, "validation_vi": 2.0})
    assert line == "step 0  validation 1.500  zh 1.000  vi 2.000"


def test_of_several_adapters_each_is_told_and_not_each_language() -> None:
    facts = {
        "step": 1,
        "loss": 2.0,
        "loss_a": 1.0,
        "loss_b": 3.0,
        "loss_a/zh": 1.0,
        "loss_b/vi": 3.0,
    }
    assert lines(facts) == ["step 1  loss 2.000  a 1.000  b 3.000"]
    held_out = {"step": 1, "validation_a/zh": 1.0, "validation_a/vi": 3.0}
    assert lines(held_out) == ["step 1  validation 2.000  a/zh 1.000  a/vi 3.000"]


def test_columns_are_what_a_terminal_needs() -> None:
    assert columns("中文 1.0") == 8
    assert columns("เล่น") == 3


def test_a_finished_adapter_tells_all_or_the_mean() -> None:
    assert in_a_line({"zh": 1.0, "vi": 2.0}) == "zh 1.000  vi 2.000"
    told = in_a_line(MANY)
    assert told.startswith(f"{sum(MANY.values()) / 52:.3f}  best ")
    assert columns(told) <= 60

"""Gates: how they are written, when they break, and what is said."""

from __future__ import annotations

import math

import pytest

from bactrian.errors import ConfigError
from bactrian.evaluate.gate import judge, parse
from bactrian.schema import Difference


def found(
    low: float, high: float, task: str = "xcopa", language: str = "macro", *, bits: bool = False,
    group: str = "",
) -> Difference:  # fmt: skip
    metric = "bits_per_byte" if bits else "acc"
    return Difference(
        "new", "old", task, language, metric, (low + high) / 2, low, high, 500, "paired", not bits,
        group, detectable=0.021,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("told", "task", "part", "language", "limit"),
    [
        ("xcopa:macro >= -1.0", "xcopa", "", "macro", -1.0),
        ("xcopa:th>=-2", "xcopa", "", "th", -2.0),
        ("  exams:letter:micro >= +.5 @95% ", "exams:letter", "", "micro", 0.5),
        ("xcopa@lm-eval:et >= 0", "xcopa@lm-eval", "", "et", 0.0),
        ("lm_eval:belebele_tam_Taml:ta >= −1", "lm_eval:belebele_tam_Taml", "", "ta", -1.0),
        ("exams[natural]:macro >= -2", "exams", "natural", "macro", -2.0),
        ("sentimentx[f1_weighted]:ja >= -3", "sentimentx", "f1_weighted", "ja", -3.0),
    ],
)
def test_gates_are_read(told: str, task: str, part: str, language: str, limit: float) -> None:
    gate = parse(told)
    assert (gate.task, gate.part, gate.language, gate.limit) == (task, part, language, limit)
    assert gate.at_least


@pytest.mark.parametrize(
    "told",
    ["", "xcopa", "xcopa >= -1", "xcopa:macro > -1", "xcopa:macro >= one", ":macro >= 1",
     "xcopa:macro >=", "xcopa:macro >= -1 points", "xcopa:macro = -1"],
)  # fmt: skip
def test_what_is_no_gate_is_refused_with_an_example(told: str) -> None:
    with pytest.raises(ConfigError, match="is no gate") as caught:
        parse(told)
    assert "xcopa:macro >= -1.0" in caught.value.hint


def test_unknown_languages_are_refused_with_what_is_near() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("xcopa:marco >= -1")
    assert caught.value.hint == "did you mean macro?"
    with pytest.raises(ConfigError, match='unknown language "qq"'):
        parse("xcopa:qq >= -1")


def test_a_language_may_be_spelt_as_elsewhere() -> None:
    assert parse("xcopa:Thai >= -1").language == "th"


@pytest.mark.parametrize(
    ("low", "high", "outcome", "says"),
    [
        (-0.030, -0.012, "worse", "worse than -1 points allows, and not by chance"),
        (-0.009, 0.020, "holds", "wholly within -1 points"),
        (-0.010, 0.020, "holds", "wholly within"),
        (-0.030, 0.010, "cannot be told", "500 questions show differences from 2.1 points"),
        (-math.inf, math.inf, "cannot be told", "too small to tell"),
    ],
)
def test_a_gate_breaks_where_the_whole_interval_lies_below(
    low: float, high: float, outcome: str, says: str
) -> None:
    one = found(low, high) if math.isfinite(low) else Difference(
        "new", "old", "xcopa", "macro", "acc", 0.1, low, high, 1, "one item"
    )  # fmt: skip
    verdict = judge(parse("xcopa:macro >= -1.0"), [one])
    assert verdict.outcome == outcome
    assert says in verdict.words
    assert verdict.words.startswith("new less old is ")
    assert verdict.difference is one


def test_bits_break_when_they_rise() -> None:
    gate = parse("held-out:macro <= 0.02")
    for low, high, outcome in (
        (0.021, 0.05, "worse"), (-0.1, 0.02, "holds"), (0.0, 0.04, "cannot be told")
    ):  # fmt: skip
        verdict = judge(gate, [found(low, high, "held-out", bits=True)])
        assert verdict.outcome == outcome
        assert "bits a byte" in verdict.words


def test_a_gate_that_asks_for_the_contrary_is_refused() -> None:
    with pytest.raises(ConfigError, match="of acc more is better") as caught:
        judge(parse("xcopa:macro <= 1"), [found(-0.1, 0.1)])
    assert caught.value.hint == "write it with >="
    with pytest.raises(ConfigError, match="of bits_per_byte less is better"):
        judge(parse("held-out:macro >= 1"), [found(-0.1, 0.1, "held-out", bits=True)])


def test_gates_on_what_is_not_there_are_refused() -> None:
    have = [found(-0.1, 0.1), found(-0.1, 0.1, language="th"), found(-0.1, 0.1, "exams")]
    for told, hint in (
        ("xcopq:macro >= -1", "did you mean xcopa?"),
        ("xcopa:vi >= -1", "known are: macro, th"),
        ("xcopa[acd]:th >= -1", "did you mean acc?"),
    ):
        with pytest.raises(ConfigError) as caught:
            judge(parse(told), have)
        assert caught.value.hint == hint


def test_a_group_and_the_whole_are_not_mistaken_for_each_other() -> None:
    whole, part = found(-0.009, 0.02, "exams"), found(-0.05, -0.03, "exams", group="natural")
    for order in ([whole, part], [part, whole]):
        assert judge(parse("exams:macro >= -1"), order).difference is whole
        assert judge(parse("exams[acc]:macro >= -1"), order).difference is whole
        assert judge(parse("exams[natural]:macro >= -1"), order).difference is part

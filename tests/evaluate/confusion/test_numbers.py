"""Shares of judged answers: which way is better, what n is, and what is paired."""

from __future__ import annotations

import pytest

from bactrian.evaluate.compare import MACRO, Draws
from bactrian.evaluate.confusion.judging import Judged
from bactrian.evaluate.confusion.numbers import BETTER_HIGH, METRICS, Spoken, numbers

DRAWS = Draws(200, 0)


def judged(lines: bool | None = True, words: bool | None = True, refused: bool = False) -> Judged:
    return Judged(lines, words if lines else None, refused, empty=False, cut=False, loops=False)


def spoken(code: str, base: list[Judged], adapter: list[Judged]) -> Spoken:
    named = {"base": base, "mine": adapter}
    return Spoken(code, "s", {m: {str(n): j for n, j in enumerate(a)} for m, a in named.items()})


ARABIC = spoken("ar", [judged(lines=False)] * 6 + [judged()] * 4, [judged()] * 10)


def test_shares_carry_n_interval_and_direction() -> None:
    found = {(one.model, one.metric): one for one in numbers("confusion", [ARABIC], DRAWS).scores}
    assert {metric for _, metric in found} == METRICS.keys()
    base = found["base", "line_language"]
    assert (base.value, base.n, base.language, base.signature) == (0.4, 10, "ar", "s")
    assert (base.low, base.high) == pytest.approx((0.168, 0.687), abs=1e-3), "Wilson's, of 4 in 10"
    assert found["base", "word_language"].n == 4, "only answers whose lines pass, as in the paper"
    assert all(one.higher_is_better == (one.metric in BETTER_HIGH) for one in found.values())


def test_differences_are_paired_and_tested_exactly() -> None:
    found = {one.metric: one for one in numbers("confusion", [ARABIC], DRAWS).differences}
    lines = found["line_language"]
    assert (lines.value, lines.n, lines.model, lines.against) == (0.6, 10, "mine", "base")
    assert lines.p == pytest.approx(2 / 2**6), "McNemar's, of six gained and none lost"
    assert lines.better
    assert found["word_language"].n == 4, "only prompts whose both answers count"
    assert found["refusal_rate"].value == 0


def test_fewer_refusals_are_better() -> None:
    one = spoken("th", [judged(refused=True)] * 8 + [judged()], [judged()] * 9)
    found = {one.metric: one for one in numbers("confusion", [one], DRAWS).differences}
    assert found["refusal_rate"].value == pytest.approx(-8 / 9)
    assert found["refusal_rate"].better


def test_averages_leave_no_language_out() -> None:
    mute = spoken("de", [judged(lines=None)] * 3, [judged(lines=None)] * 3)
    whole = numbers("confusion", [ARABIC, mute], DRAWS)
    assert {one.metric for one in whole.averages} == METRICS.keys() - set(BETTER_HIGH)
    macro = {one.metric for one in whole.differences if one.language == MACRO}
    assert macro == METRICS.keys() - set(BETTER_HIGH)
    assert "confusion de, base: 3 of 3 answers tell no language" in whole.notes
    both = numbers("confusion", [ARABIC, spoken("th", [judged()] * 4, [judged()] * 4)], DRAWS)
    told = {(s.model, s.language, s.metric): s.value for s in both.averages}
    assert told["base", MACRO, "line_language"] == pytest.approx(0.7)
    assert told["base", "micro", "line_language"] == pytest.approx(8 / 14)


def test_the_base_alone_has_no_differences() -> None:
    alone = Spoken("ar", "s", {"base": ARABIC.judged["base"]})
    found = numbers("confusion", [alone], DRAWS)
    assert found.scores
    assert found.differences == ()
    assert numbers("confusion", [], DRAWS).scores == ()

"""Scores, baselines, histograms, groups and averages of a whole evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from bactrian.errors import DataError
from bactrian.evaluate.answered import Answered, Measured, answered
from bactrian.evaluate.compare import Draws
from bactrian.evaluate.counted import answers, measure_of, ties
from bactrian.evaluate.metrics import Options, Rule, mark, pick
from bactrian.evaluate.results import results_of
from bactrian.evaluate.statistics import LONGEST, MAJORITY, baselines_of, histograms_of, scores_of
from bactrian.evaluate.store import Scored
from bactrian.evaluate.tasks import Item, Rules

DRAWS = Draws(300)
LABELS = ("negative", "neutral", "positive")


def labelled(
    language: str, gold: Sequence[int], answers: dict[str, Sequence[int]], **more: object
) -> Answered:
    """Return a label task that each model answered as told."""
    items = tuple(
        Item(str(n), f"text {n}", tuple(f" {label}" for label in LABELS), right)
        for n, right in enumerate(gold)
    )
    found = {
        model: {
            (str(n), option): Scored(str(n), option, 0.0 - abs(option - given), 1, 0)
            for n, given in enumerate(told)
            for option in range(3)
        }
        for model, told in answers.items()
    }
    rules = Rules("f1", "together", ())
    return answered(Measured("sentiment", language, rules, "s", items, found, False, **more))  # type: ignore[arg-type]


def chosen(
    language: str,
    answers: dict[str, Sequence[bool]],
    groups: Sequence[str] = ("",),
    clusters: Sequence[str] = ("",),
) -> Measured:
    """Return multiple choice with a model that is right, or takes the longer wrong option."""
    count = len(next(iter(answers.values())))
    items = tuple(
        Item(str(n), "c", ("ab", "longer", "cd"), 0 if n % 3 else 2,
             group=groups[n % len(groups)], cluster=clusters[n % len(clusters)])
        for n in range(count)
    )  # fmt: skip
    found = {
        model: {
            (item.id, option): Scored(item.id, option, float(-(option != place)), 1, 0)
            for item, good in zip(items, marks, strict=True)
            for place in [item.gold if good else 1]
            for option in range(3)
        }
        for model, marks in answers.items()
    }
    return Measured("exams", language, Rules("acc", "together", ()), f"lang:{language}|shots:0",
                    items, found, parallel=False)  # fmt: skip


def test_label_tasks_have_both_f1_and_accuracy() -> None:
    one = labelled("ja", [0, 1, 2, 2] * 10, {"base": [2] * 40, "toy": [0, 1, 2, 1] * 10})
    found = {(score.model, score.metric): score for score in scores_of(one, DRAWS)}
    assert {metric for _, metric in found} == {"f1_macro", "f1_weighted", "acc"}
    assert found["base", "acc"].value == 0.5
    assert found["base", "f1_macro"].value == pytest.approx((2 / 3) / 3)
    assert found["base", "f1_weighted"].value == pytest.approx((2 / 3) / 2)
    assert found["toy", "f1_macro"].low < found["toy", "f1_macro"].value
    assert found["toy", "f1_macro"].n == 40


def test_a_histogram_says_which_constant_answer_a_number_equals() -> None:
    gold = [0] * 78 + [1] * 139 + [2] * 336  # SentimentX Japanese
    mixed = [n % 3 for n in range(553)]
    one = labelled("ja", gold, {"base": [0] * 553, "toy": mixed})
    scores, baselines = scores_of(one, DRAWS), baselines_of(one, DRAWS)
    values = {(s.model, s.metric): s.value for s in baselines}
    assert values["always negative", "f1_weighted"] == pytest.approx(0.0349, abs=5e-5)
    assert values["always positive", "acc"] == 336 / 553
    base, toy = histograms_of(one, scores, baselines)
    assert (base.labels, base.gold) == (LABELS, (78, 139, 336))
    assert (base.answers, base.equals) == ((553, 0, 0), "negative")
    assert toy.equals == ""
    assert toy.answers == tuple(Counter(mixed)[place] for place in range(3))


def test_calibrated_answers_leave_the_prior_of_a_label_out() -> None:
    # both texts prefer "negative" by 1, but an empty input prefers it by 1.5 as well
    blank = {"base": (0.0, -2.5, -1.5)}
    one = labelled("ja", [2] * 20 + [0] * 20, {"base": [0] * 40}, blank=blank)
    nats = tuple((0.0, -9.0, -1.0 if n < 20 else -3.0) for n in range(40))
    one = Answered(**{**{f: getattr(one, f) for f in one.__slots__}, "nats": {"base": nats}})
    found = {score.metric: score.value for score in scores_of(one, DRAWS)}
    assert found["acc"] == 0.5
    assert found["acc_calibrated"] == 1.0
    assert found["f1_macro_calibrated"] == 1.0
    assert measure_of("f1_macro_calibrated").metric == "f1_macro_calibrated"


def test_baselines_know_nothing_of_the_question() -> None:
    one = answered(chosen("et", {"base": [True] * 30}))
    found = {score.model: score.value for score in baselines_of(one, DRAWS)}
    assert found == {MAJORITY: 20 / 30, LONGEST: 0.0}


def test_results_have_averages_groups_and_their_differences() -> None:
    measured = [
        chosen("et", {"base": [False] * 60, "toy": [True] * 60}, ("natural", "social")),
        chosen("vi", {"base": [True] * 20, "toy": [True] * 20}, ("natural",)),
    ]
    found = results_of("some/base", measured, DRAWS, ["a note"])
    assert found.models == ("base", "toy")
    averages = {(s.model, s.language, s.group): s for s in found.averages if s.metric == "acc"}
    assert averages["base", "macro", ""].value == 0.5
    assert averages["base", "micro", ""].value == 20 / 80
    assert averages["base", "micro", ""].n == 80
    assert averages["base", "macro", "natural"].value == 0.5
    assert ("base", "macro", "social") not in averages  # one language: no average
    assert averages["base", "macro", ""].signature == "shots:0|over:et,vi"
    groups = {(s.model, s.language, s.group): s.value for s in found.groups}
    assert groups["base", "et", "natural"] == 0.0
    assert groups["toy", "et", "social"] == 1.0
    differences = {(d.language, d.group): d.value for d in found.group_differences}
    assert differences == {("macro", "natural"): 0.5, ("et", "social"): 1.0}
    assert [d.language for d in found.differences] == ["et", "vi", "macro"]
    assert all(d.adjusted is not None for d in found.differences if d.language != "macro")
    assert found.notes == ("a note",)


def test_clean_and_dirty_items_are_scored_apart() -> None:
    one = chosen("et", {"base": [True] * 10 + [False] * 10})
    dirty = {("exams", "et"): frozenset(map(str, range(10)))}
    found = results_of("b", [one], DRAWS, dirty=dirty)
    assert {(s.group, s.value, s.n) for s in found.groups} == {
        ("clean", 0.0, 10), ("dirty", 1.0, 10),
    }  # fmt: skip


def test_ties_and_options_without_length_are_told() -> None:
    items = (Item("1", "c", (" ab", " cd"), 0, ("ab", "")), Item("2", "c", (" ab", " cd"), 1))
    found = {(i.id, option): Scored(i.id, option, -1.0, 1, 0) for i in items for option in (0, 1)}
    one = Measured("t", "et", Rules("acc", "together", ()), "s", items, {"base": found})
    results = results_of("b", [one], DRAWS)
    assert {score.metric for score in results.scores} == {"acc"}
    assert any("no acc_norm" in note for note in results.notes)
    told = "t: 2 of 2 answers were ties, the first option was taken (most in et, base: 2)"
    assert told in results.notes


def test_an_item_without_a_score_is_refused_by_name() -> None:
    whole = chosen("et", {"base": [True] * 4})
    found = dict(whole.found["base"])
    del found["3", 1]
    broken = Measured("exams", "et", whole.rules, "s", whole.items, {"base": found})
    with pytest.raises(DataError, match="exams et, base: item 3 has no score for option 1"):
        answered(broken)
    found["3", 1] = Scored("3", 1, float("nan"), 1, 0)
    with pytest.raises(DataError, match="item 3 has a score that is not a number"):
        answered(broken)


def test_pairs_of_sentences_widen_the_interval_of_a_cell() -> None:
    marks = [True] * 30 + [False] * 30
    names = [str(n // 2) for n in range(60)]
    paired = scores_of(answered(chosen("en", {"base": marks}, clusters=names)), DRAWS)[0]
    single = scores_of(answered(chosen("en", {"base": marks})), DRAWS)[0]
    assert paired.value == single.value
    assert paired.high - paired.low > 1.3 * (single.high - single.low)


def test_statistics_of_twenty_thousand_items_take_seconds_not_minutes() -> None:
    import time

    generator = np.random.default_rng(0)
    measured = [
        chosen(code, {m: (generator.random(1_700) < 0.4).tolist() for m in ("base", "toy")})
        for code in [
            "ar",
            "bg",
            "de",
            "es",
            "fr",
            "hr",
            "hu",
            "it",
            "lt",
            "mk",
            "pl",
            "pt",
            "sq",
            "sr",
            "tr",
            "vi",
        ]
    ]
    began = time.process_time()
    results_of("b", measured, Draws())
    assert time.process_time() - began < 30


def test_answers_are_those_of_each_item_by_itself() -> None:
    generator = np.random.default_rng(5)
    items, found = [], {}
    for n in range(80):
        texts = tuple("ข" * int(k) for k in generator.integers(1, 9, size=2 + n % 4))
        items.append(Item(str(n), "c", texts, 0))
        for option in range(len(texts)):  # coarse values: ties happen
            value = -float(generator.integers(1, 6))
            found[str(n), option] = Scored(str(n), option, value, 1, 0)
    one = answered(
        Measured("t", "th", Rules("acc", "together", ()), "s", tuple(items), {"base": found})
    )
    options = [
        Options(one.id, one.options, values, 0)
        for one in items
        for values in [tuple(found[one.id, k].log_likelihood for k in range(len(one.options)))]
    ]
    rules: tuple[Rule, ...] = ("acc", "acc_norm", "acc_bytes")
    for rule in rules:
        assert answers(one, "base", rule) == [pick(item, rule).index for item in options]
    assert ties(one, "base") == mark(options).ties > 5

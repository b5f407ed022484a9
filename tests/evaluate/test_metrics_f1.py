"""F1 and constant answers: scikit-learn by hand, the paper's cells, coverage, calibration."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bactrian.errors import DataError
from bactrian.evaluate.metrics import (
    F1_MACRO,
    F1_WEIGHTED,
    MACRO,
    Counted,
    Draws,
    Measure,
    averages,
    calibrated,
    confusion,
    constants,
    f1_scores,
)

JA = (78, 139, 336)
SW = (80, 444, 224)
AR = (171, 191, 257)
NUSAX = (153, 96, 151)
"""SentimentX items by right label: negative, neutral, positive."""


def by_hand(gold: Sequence[int], answers: Sequence[int]) -> tuple[float, float, float]:
    """Macro F1, weighted F1 and accuracy as the textbook has them."""
    f1, weight = [], []
    for label in sorted({*gold, *answers}):
        hits = sum(g == a == label for g, a in zip(gold, answers, strict=True))
        precision = hits / max(1, answers.count(label))
        recall = hits / max(1, gold.count(label))
        f1.append(2 * precision * recall / (precision + recall) if hits else 0.0)
        weight.append(gold.count(label) / len(gold))
    right = sum(g == a for g, a in zip(gold, answers, strict=True)) / len(gold)
    return sum(f1) / len(f1), sum(f * w for f, w in zip(f1, weight, strict=True)), right


@pytest.mark.parametrize("labels", [2, 3, 7])
def test_f1_is_the_textbooks_and_scikit_learns(labels: int) -> None:
    generator = np.random.default_rng(labels)
    gold = generator.integers(0, labels, 60).tolist()
    answers = generator.integers(0, max(2, labels - 1), 60).tolist()  # one label is never given
    found = [float(value) for value in f1_scores(confusion(gold, answers, labels).sum(axis=0))]
    assert found == pytest.approx(by_hand(gold, answers))
    metrics = pytest.importorskip("sklearn.metrics")
    expected = [
        metrics.f1_score(gold, answers, average=how, zero_division=0)
        for how in ("macro", "weighted")
    ]
    assert found[:2] == pytest.approx(expected)


def test_a_label_that_nobody_has_or_gives_is_not_averaged_over() -> None:
    gold, answers = [0, 0, 1, 1], [0, 1, 1, 1]
    table = confusion(gold, answers, 3).sum(axis=0)
    assert float(f1_scores(table)[0]) == pytest.approx(by_hand(gold, answers)[0])


@pytest.mark.parametrize(
    ("gold", "label", "weighted"),
    [
        (JA, 0, 3.49),  # BLOOMZ-7B's printed cell, to the digit
        (JA, 1, 10.1),
        (JA, 2, 45.9),
        (SW, 0, 2.1),
        (SW, 1, 44.22),
        (SW, 2, 13.8),
        (AR, 0, 12.0),
        (AR, 1, 14.6),
        (AR, 2, 24.4),
        (NUSAX, 0, 21.2),
        (NUSAX, 1, 9.3),
        (NUSAX, 2, 20.7),
    ],
)
def test_constant_answers_have_the_weighted_f1_of_the_papers_cells(
    gold: tuple[int, ...], label: int, weighted: float
) -> None:
    found = constants(gold)[label]
    digits = len(str(weighted).partition(".")[2])
    assert round(100 * found.f1_weighted, digits) == weighted
    assert found.acc == gold[label] / sum(gold)


def test_these_are_the_counts_of_the_sets_themselves() -> None:
    path = Path(__file__).parents[3] / "shared" / "data" / "sentimentx" / "all.jsonl.gz"
    if not path.is_file():
        pytest.skip("the SentimentX sets are not beside this checkout (shared/data/sentimentx)")
    counts: Counter[tuple[str, str]] = Counter()
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if row["split"] == "test" and row["source"] in ("jrte-pn", "afrisenti", "mawqif"):
                counts[row["lang"], row["label"]] += 1
    labels = ("negative", "neutral", "positive")
    for language, gold in (("ja", JA), ("sw", SW), ("ar", AR)):
        assert tuple(counts[language, label] for label in labels) == gold


def test_the_papers_japanese_cell_cannot_be_macro_f1() -> None:
    # 3.49 is below what the worst constant answer has under macro F1
    assert min(one.f1_macro for one in constants(JA)) == pytest.approx(0.0824, abs=1e-4)
    assert abs(0.4423 - constants(SW)[1].f1_weighted) < 1.5e-4  # LLaMA-7B: always neutral


def test_calibration_takes_away_what_a_label_has_before_reading() -> None:
    assert calibrated((-1.0, -3.0), (-0.5, -4.0)) == (-0.5, 1.0)
    with pytest.raises(DataError, match="2 labels, but 3 after an empty input"):
        calibrated((-1.0, -3.0), (0.0, 0.0, 0.0))


def counted(table: np.ndarray, n: int) -> Counted:
    """Return n items whose confusion counts are ``table``."""
    rows = np.repeat(np.eye(table.size), table.ravel(), axis=0)
    names = tuple(map(str, range(n)))
    return Counted(names, names, rows)


@pytest.mark.parametrize("measure", [F1_MACRO, F1_WEIGHTED])
def test_f1_intervals_cover_the_truth_as_often_as_they_say(measure: Measure) -> None:
    chances = np.array([[0.12, 0.05, 0.03], [0.10, 0.25, 0.10], [0.05, 0.06, 0.24]])
    truth = float(measure.value(chances.ravel()))
    generator = np.random.default_rng(3)
    hits, rounds, n = 0, 1_500, 400
    for turn in range(rounds):
        table = generator.multinomial(n, chances.ravel())
        (found, _) = averages({"ja": counted(table, n)}, measure, Draws(600, turn)).values()
        hits += found.low <= truth <= found.high
    assert 0.94 <= hits / rounds <= 0.96


def test_the_interval_of_f1_is_drawn_on_confusion_counts() -> None:
    table = np.array([[40, 10, 5], [20, 60, 15], [5, 10, 35]])
    found = averages({"ja": counted(table, 200)}, F1_MACRO, Draws(4_000))[MACRO]
    generator = np.random.default_rng(9)
    drawn = generator.multinomial(200, table.ravel() / 200, size=4_000).astype(float)
    low, high = np.quantile(f1_scores(drawn)[0], (0.025, 0.975))
    assert found.low == pytest.approx(low, abs=0.006)
    assert found.high == pytest.approx(high, abs=0.006)
    assert found.value == float(f1_scores(table.ravel().astype(float))[0])

"""Exact tests, Holm and randomisation against scipy and by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from bactrian.evaluate.compare import exact_swap, holm, mcnemar, randomised


@pytest.mark.parametrize(
    "gains", [[1, 1, -1, 2, 0, 2], [3, -1, -1], [2, 2, 2, -2], [0, 0], [], [1, 2, 3, 4, -5]]
)
def test_the_test_over_clusters_counts_every_sign(gains: list[int]) -> None:
    totals = [
        sum(s * g for s, g in zip(signs, gains, strict=True))
        for signs in product((-1, 1), repeat=len(gains))
    ]
    expected = sum(abs(total) >= abs(sum(gains)) for total in totals) / len(totals)
    assert exact_swap(gains) == pytest.approx(expected)


def test_clusters_of_one_item_are_mcnemars_test() -> None:
    assert exact_swap([1] * 30 + [-1] * 10 + [0] * 60) == mcnemar(30, 10)


def test_many_clusters_of_several_sizes() -> None:
    generator = np.random.default_rng(0)
    gains = generator.choice([-2, -1, 0, 1, 2], size=3_000, p=[0.1, 0.1, 0.55, 0.13, 0.12])
    total = int(gains.sum())
    # the normal limit, with the step of the lattice taken off
    expected = 2 * stats.norm.sf((abs(total) - 0.5) / np.sqrt((gains.astype(float) ** 2).sum()))
    assert exact_swap(gains.tolist()) == pytest.approx(expected, rel=0.05)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.9, 0.8]) == (1.0, 1.0)
    assert holm([0.2]) == (0.2,)
    assert holm([]) == ()


def test_holm_keeps_the_chance_of_any_false_alarm() -> None:
    ps = np.random.default_rng(4).random((4_000, 11))
    alarms = np.mean([min(holm(row.tolist())) < 0.05 for row in ps])
    plain = np.mean(ps.min(axis=1) < 0.05)
    assert alarms == pytest.approx(0.05, abs=0.012)
    assert plain > 0.4


def test_randomisation_never_says_never() -> None:
    assert randomised(0.5, np.zeros(999)) == 1 / 1000
    assert randomised(-0.5, np.array([0.5, -0.5, 0.1, 0.2])) == 3 / 5
    assert randomised(0.0, np.array([0.1, 0.0])) == 1.0

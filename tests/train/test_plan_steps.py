"""Which rows meet in a step: all of them once, short and long alike, none always with another."""

from __future__ import annotations

from typing import Any

import pytest

numpy = pytest.importorskip("numpy")

from bactrian.train.plan import steps as composing  # noqa: E402
from bactrian.train.plan.steps import HOLE, WINDOW, compose  # noqa: E402


def lengths_of(rows: int, seed: int = 0) -> Any:
    """Tokens [rows, 1] as instructions and responses have them: many short, few long."""
    chance = numpy.random.default_rng(seed)
    found = numpy.exp(chance.normal(4.8, 0.9, rows)).clip(2, 768)
    return found.astype(numpy.int32).reshape(-1, 1)


def composed(parts: Any, steps: int, seed: int = 0, epoch: int = 0) -> Any:
    rows = numpy.random.default_rng(9).permutation(len(parts)).astype(numpy.int32)
    return compose(rows, parts, steps, seed, epoch)


def tokens_of(made: Any, parts: Any) -> Any:
    """Tokens of each step."""
    return numpy.where(made == HOLE, 0, parts.sum(axis=1)[made]).sum(axis=1)


@pytest.mark.parametrize("seed", range(30))
def test_every_row_is_in_one_step_and_steps_are_equal_but_for_one_row(seed: int) -> None:
    chance = numpy.random.default_rng(seed)
    rows = int(chance.integers(1, 3000))
    steps = int(chance.integers(1, rows + 1))
    parts = chance.integers(1, 300, (rows, chance.integers(1, 3))).astype(numpy.int32)
    made = composed(parts, steps, seed)
    assert len(made) == steps
    assert sorted(made[made != HOLE].tolist()) == list(range(rows))
    sizes = (made != HOLE).sum(axis=1)
    assert set(sizes.tolist()) <= {rows // steps, -(-rows // steps)}
    assert all((row[size:] == HOLE).all() for row, size in zip(made, sizes, strict=True))


def test_rows_of_a_step_are_longest_first() -> None:
    parts = lengths_of(3000)
    for row in composed(parts, 47):
        sizes = parts[row[row != HOLE], 0]
        assert (sizes[:-1] >= sizes[1:]).all()


def test_the_next_epoch_and_another_seed_compose_other_steps() -> None:
    parts = lengths_of(400)
    first = composed(parts, 10).tolist()
    assert first == composed(parts, 10).tolist()
    assert first != composed(parts, 10, seed=1).tolist()
    assert first != composed(parts, 10, epoch=1).tolist()


def test_steps_are_more_even_than_random_ones() -> None:
    parts = lengths_of(128 * 300)
    found = tokens_of(composed(parts, 300), parts)
    random = parts.reshape(300, 128).sum(axis=1)
    assert found.std() < 0.75 * random.std()


def test_every_step_has_short_and_long_rows() -> None:
    """Where whole steps are sorted by length the loss swings with it."""
    parts = lengths_of(128 * 300)
    middle, long = numpy.quantile(parts, [0.5, 0.85])
    for row in composed(parts, 300):
        assert 0.3 < (parts[row] <= middle).mean() < 0.7
        assert 0.05 < (parts[row] >= long).mean() < 0.25


def test_rows_of_a_step_are_neighbours_in_length() -> None:
    """Runs of nearly equal rows: few steps down in length, and these are where strata end."""
    parts = lengths_of(128 * WINDOW)
    for row in composed(parts, WINDOW)[:20]:
        falls = -numpy.diff(parts[row, 0])
        assert (falls > 2).sum() < 2 * composing.STRATA


def test_source_and_target_are_alike_in_a_run() -> None:
    chance = numpy.random.default_rng(2)
    parts = numpy.concatenate([lengths_of(64 * WINDOW, 1), lengths_of(64 * WINDOW, 2)], axis=1)
    rows = chance.permutation(len(parts)).astype(numpy.int32)
    found = parts[compose(rows, parts, WINDOW, 0, 0)]
    by_sum = parts[compose(rows, parts.sum(axis=1, keepdims=True), WINDOW, 0, 0)]

    def unlike(made: Any) -> float:
        return float(numpy.abs(numpy.diff(made[:, :, 0], axis=1)).mean())

    assert unlike(found) < 0.5 * unlike(by_sum)


@pytest.mark.parametrize("row", [0, 17, 39])
def test_a_row_is_as_likely_in_any_step(row: int) -> None:
    """The longest, a middle one and the shortest of 40, over 600 epochs of 4 steps."""
    parts = numpy.arange(40, 0, -1, dtype=numpy.int32).reshape(-1, 1) * 7
    times = [0] * 4
    for epoch in range(600):
        order = numpy.random.default_rng(epoch).permutation(40).astype(numpy.int32)
        made = compose(order, parts, 4, 0, epoch)
        times[int(numpy.argwhere(made == row)[0, 0])] += 1
    # 150 expected, standard deviation 10.6
    assert max(abs(count - 150) for count in times) < 45


def test_other_rows_meet_in_every_epoch() -> None:
    """Nearly all pairs meet in the course of 300 epochs, and none in every epoch."""
    parts = numpy.random.default_rng(4).integers(5, 700, (64, 1)).astype(numpy.int32)
    met = numpy.zeros((64, 64))
    for epoch in range(300):
        order = numpy.random.default_rng(epoch).permutation(64).astype(numpy.int32)
        for row in compose(order, parts, 16, 0, epoch):
            met[numpy.ix_(row, row)] += 1
    pairs = met[~numpy.eye(64, dtype=bool)]
    assert (pairs > 0).mean() > 0.9
    assert pairs.max() < 150


def test_a_window_by_hand() -> None:
    """Eight steps are windows of two; these are the rows of one of them."""
    sizes = numpy.array([8, 7, 6, 5, 4, 3, 2], dtype=numpy.int32)
    # ranks 8 7 | 6 5 | 4 3 | 2: of 35 tokens 15, 11, 7, 2; a rank's weight is tokens * 4 + 35:
    # 95, 79, 63, 43 of 280, so sixths end in ranks 0, 0, 1, 2, 2
    assert composing._edges(sizes, 2) == [0, 1, 2, 4]
    rows = numpy.arange(7, dtype=numpy.int32)
    made = composing._window(rows, sizes, sizes.reshape(-1, 1), 2)
    # 8 | 7, then the lighter step gets the longer run, 5 | 6, and as both have 13 tokens the first
    # gets the longer of the last: 4 3 | 2
    assert made.tolist() == [[0, 3, 4, 5], [1, 2, 6, HOLE]]


def test_a_run_for_every_step_by_hand() -> None:
    runs = composing._runs(numpy.arange(7, dtype=numpy.int32), 3)
    assert runs.tolist() == [[0, 1, 2], [3, 4, HOLE], [5, 6, HOLE]]
    assert composing._runs(numpy.arange(2, dtype=numpy.int32), 3).tolist() == [[0], [1], [HOLE]]

"""The order of training: whole, even, within its budget, and the same again."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from bactrian.train.plan import Plan, Shape, plan

numpy = pytest.importorskip("numpy")

SHAPE = Shape(epochs=1.0, max_steps=0, batch_tokens=4096, micro_batch_tokens=1024, seed=0)


def lengths(rows: int = 500) -> Any:
    return numpy.random.default_rng(7).integers(5, 400, rows)


def seen(planned: Plan) -> Counter[int]:
    return Counter(row for batch in planned.batches for row in batch)


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_every_row_comes_once_an_epoch(epochs: int) -> None:
    planned = plan(lengths(), replace(SHAPE, epochs=epochs))
    assert seen(planned) == dict.fromkeys(range(500), epochs)
    rows = [row for batch in planned.batches for row in batch]
    for start in range(0, len(rows), 500):
        assert sorted(rows[start : start + 500]) == list(range(500))


def test_the_plan_follows_from_lengths_and_seed() -> None:
    assert plan(lengths(), SHAPE) == plan(lengths(), SHAPE)
    assert plan(lengths(), SHAPE).batches != plan(lengths(), replace(SHAPE, seed=1)).batches


def test_rows_from_far_apart_meet_in_one_micro_batch() -> None:
    """Languages come one after the other; a micro-batch is to hold several of them."""
    batches = plan(lengths(5000), SHAPE).batches
    spreads = [max(batch) - min(batch) for batch in batches if len(batch) > 3]
    assert sum(spread > 1000 for spread in spreads) > 0.9 * len(spreads)


def test_two_epochs_are_two_orders() -> None:
    batches = plan(lengths(), replace(SHAPE, epochs=2)).batches
    rows = [row for batch in batches for row in batch]
    assert rows[:500] != rows[500:]


@pytest.mark.parametrize("budget", [400, 1024, 5000])
def test_the_budget_of_padded_tokens_is_kept(budget: int) -> None:
    found = lengths()
    planned = plan(found, replace(SHAPE, micro_batch_tokens=budget))
    for batch in planned.batches:
        assert len(batch) * found[list(batch)].max() <= budget


def test_a_row_longer_than_the_budget_is_alone() -> None:
    planned = plan(numpy.array([10, 900, 10, 10]), replace(SHAPE, micro_batch_tokens=100))
    assert (1,) in planned.batches
    assert seen(planned) == dict.fromkeys(range(4), 1)


@pytest.mark.parametrize(
    ("batch", "micro", "accumulate"),
    [(4096, 1024, 4), (1024, 1024, 1), (2500, 1000, 2), (500, 1000, 1)],
)
def test_micro_batches_add_up_to_a_step(batch: int, micro: int, accumulate: int) -> None:
    found = lengths()
    shape = replace(SHAPE, batch_tokens=batch, micro_batch_tokens=micro)
    planned = plan(found, shape)
    assert planned.accumulate == accumulate
    assert planned.steps == -(-len(planned.batches) // accumulate)
    for start in range(0, len(planned.batches), accumulate):
        step = planned.batches[start : start + accumulate]
        assert sum(len(rows) * int(found[list(rows)].max()) for rows in step) <= batch


@pytest.mark.parametrize(("epochs", "share"), [(0.25, 0.25), (1.5, 1.5), (2.01, 2.01)])
def test_part_of_an_epoch_is_its_first_micro_batches(epochs: float, share: float) -> None:
    whole = plan(lengths(), replace(SHAPE, epochs=3)).batches
    planned = plan(lengths(), replace(SHAPE, epochs=epochs))
    assert planned.batches == whole[: len(planned.batches)]
    assert len(planned.batches) == pytest.approx(len(whole) / 3 * share, abs=2)


@pytest.mark.parametrize("steps", [1, 5, 40])
def test_steps_can_be_limited(steps: int) -> None:
    whole = plan(lengths(), replace(SHAPE, epochs=9))
    planned = plan(lengths(), replace(SHAPE, epochs=9, max_steps=steps))
    assert planned.steps == steps
    assert planned.batches == whole.batches[: steps * 4]


def test_a_limit_beyond_the_end_changes_nothing() -> None:
    assert plan(lengths(), replace(SHAPE, max_steps=10_000)) == plan(lengths(), SHAPE)


def test_padding_is_counted_as_it_is() -> None:
    found = numpy.array([10, 20, 30])
    planned = plan(found, replace(SHAPE, epochs=2))
    assert {tuple(sorted(batch)) for batch in planned.batches} == {(0, 1, 2)}
    assert (planned.useful_tokens, planned.padded_tokens) == (120, 180)
    assert planned.padding == pytest.approx(1 / 3)


def test_sorting_within_windows_leaves_little_padding() -> None:
    found = lengths(5000)
    assert plan(found, SHAPE).padding < 0.08
    assert numpy.mean([numpy.ptp(found[list(batch)]) for batch in plan(found, SHAPE).batches]) < 40

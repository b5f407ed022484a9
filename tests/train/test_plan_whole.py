"""A whole plan: the same for any number of processes, from any step, known before the first."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

numpy = pytest.importorskip("numpy")

from bactrian.errors import ConfigError, DataError  # noqa: E402
from bactrian.train.plan import Plan, Shape, plan  # noqa: E402

SHAPE = Shape(
    epochs=1.0,
    max_steps=0,
    batch_rows=16,
    batch_tokens=0,
    micro_batch_tokens=1024,
    packing=False,
    temperature=1.0,
    seed=0,
)
KNOWN = [[[6, 3], [2, 9, 9]], [[4], [8], [5, 7, 0]]]
TOKENS = replace(SHAPE, batch_rows=0, batch_tokens=3000)


def lengths_of(rows: int, seed: int = 7) -> Any:
    chance = numpy.random.default_rng(seed)
    found = numpy.exp(chance.normal(4.5, 0.9, rows)).clip(1, 700)
    return found.astype(numpy.int32)


def planned(rows: int = 500, shape: Shape = SHAPE, languages: int = 3, seed: int = 7) -> Plan:
    told = numpy.random.default_rng(seed).integers(0, languages, rows).astype(numpy.int16)
    told[:languages] = range(languages)
    names = ("zh", "vi", "xh", "my", "km")[:languages]
    return plan(lengths_of(rows, seed), told, names, shape)


def random_plan(seed: int) -> Plan:
    """Any shape that makes sense, over any number of rows."""
    chance = numpy.random.default_rng(seed)
    shape = Shape(
        epochs=float(chance.choice([0.3, 1.0, 1.5, 3.0])),
        max_steps=int(chance.choice([0, 0, 7])),
        batch_rows=int(chance.choice([0, 1, 13, 128])),
        batch_tokens=int(chance.choice([50, 2000, 9000])),
        micro_batch_tokens=int(chance.choice([16, 700, 4096])),
        packing=bool(chance.integers(2)),
        temperature=float(chance.choice([1.0, 2.0, 1e9])),
        seed=seed,
        processes=int(chance.choice([1, 1, 3, 8])),
    )
    return planned(int(chance.integers(5, 700)), shape, int(chance.integers(1, 6)), seed)


def rows_in(found: list[Any]) -> list[int]:
    return [row for rows in found for row in rows.tolist()]


def walked(made: Plan) -> list[list[list[int]]]:
    return [[rows.tolist() for rows in made.step(step)] for step in range(made.steps)]


@pytest.mark.parametrize("seed", range(40))
def test_any_plan_is_whole_and_within_its_budgets(seed: int) -> None:
    made = random_plan(seed)
    shape, lengths = made.shape, made.data.lengths
    rows, computed, useful = 0, 0, 0
    for step in range(made.steps):
        micro_batches = made.step(step)
        found = rows_in(micro_batches)
        assert sorted(found) == sorted(made.rows_of(step).tolist())
        assert all(batch.dtype == numpy.int32 and len(batch) for batch in micro_batches)
        assert found
        assert not shape.batch_rows or len(found) <= shape.batch_rows
        for batch in micro_batches:
            tokens = lengths[batch].sum() if shape.packing else len(batch) * lengths[batch].max()
            assert made.computed(batch) == tokens
            assert tokens <= shape.micro_batch_tokens or len(batch) == 1
            computed += tokens
        rows += len(found)
        useful += lengths[found].sum()
    total = made.total
    assert (total.steps, sum(total.rows.values())) == (made.steps, rows)
    assert (total.padded_tokens, total.useful_tokens) == (computed, useful)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_processes_have_the_whole_step_between_them(seed: int, world: int) -> None:
    made = random_plan(seed)
    for step in range(0, made.steps, 5):
        whole = [batch.tolist() for batch in made.step(step)]
        parts = [made.part(step, rank, world) for rank in range(world)]
        assert len({len(part) for part in parts}) == 1
        assert len(parts[0]) == -(-len(whole) // world)
        found = [batch.tolist() for part in parts for batch in part]
        assert sorted(batch for batch in found if batch) == sorted(whole)


@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("world", [2, 8])
def test_processes_that_are_told_are_busy(packing: bool, world: int) -> None:
    shape = replace(SHAPE, batch_rows=128, micro_batch_tokens=8192, packing=packing)

    def busy(made: Plan) -> float:
        shares = []
        for step in range(0, made.steps, 10):
            parts = [made.part(step, rank, world) for rank in range(world)]
            loads = [sum(made.computed(rows) for rows in part if len(rows)) for part in parts]
            shares.append(sum(loads) / world / max(loads))
        return sum(shares) / len(shares)

    assert busy(planned(20_000, replace(shape, processes=world))) > (0.98 if packing else 0.88)
    assert busy(planned(20_000, shape)) < (0.95 if world == 8 else 1)


@pytest.mark.parametrize("seed", range(20))
def test_going_on_at_any_step_equals_walking(seed: int) -> None:
    made, again = random_plan(seed), random_plan(seed)
    steps = walked(made)
    for step in numpy.random.default_rng(seed).permutation(made.steps)[:10].tolist():
        assert [rows.tolist() for rows in again.step(step)] == steps[step]


def test_the_order_is_the_same_in_every_version() -> None:
    """Known values: a training that was stopped goes on in this order after an upgrade."""
    lengths = numpy.array([5, 90, 40, 41, 300, 12, 77, 8, 150, 33])
    shape = replace(SHAPE, batch_rows=5, temperature=2.0, micro_batch_tokens=400)
    made = plan(lengths, numpy.array([0, 0, 0, 0, 0, 0, 0, 0, 1, 1]), ["zh", "vi"], shape)
    assert [share.drawn for share in made.shares] == [7, 3]
    assert walked(made) == KNOWN


@pytest.mark.parametrize("shape", [SHAPE, TOKENS])
@pytest.mark.parametrize("epochs", [1, 3])
def test_every_row_comes_once_an_epoch(shape: Shape, epochs: int) -> None:
    made = planned(500, replace(shape, epochs=float(epochs)))
    for epoch in range(epochs):
        steps = range(epoch * made.epoch_steps, (epoch + 1) * made.epoch_steps)
        seen = Counter(row for step in steps for row in made.rows_of(step).tolist())
        assert seen == dict.fromkeys(range(500), 1)
    assert made.steps == epochs * made.epoch_steps


def test_seeds_and_epochs_have_other_orders() -> None:
    whole = planned(shape=replace(SHAPE, epochs=2.0))
    steps = walked(whole)
    assert steps == walked(planned(shape=replace(SHAPE, epochs=2.0)))
    assert steps[: whole.epoch_steps] == walked(planned())
    assert steps[: whole.epoch_steps] != steps[whole.epoch_steps :]
    assert walked(planned(shape=replace(SHAPE, seed=1))) != walked(planned())


@pytest.mark.parametrize("shape", [SHAPE, TOKENS])
def test_memory_settings_do_not_change_what_a_step_holds(shape: Shape) -> None:
    """The training stays the same on a smaller device, packed or padded."""
    made = planned(shape=shape)
    for other in (
        replace(shape, micro_batch_tokens=300),
        replace(shape, micro_batch_tokens=100_000),
        replace(shape, packing=True),
        replace(shape, processes=8),
    ):
        beside = planned(shape=other)
        assert beside.steps == made.steps
        for step in range(made.steps):
            assert beside.rows_of(step).tolist() == made.rows_of(step).tolist()


@pytest.mark.parametrize(("epochs", "share"), [(0.25, 0.25), (1.5, 1.5), (2.01, 2.01)])
def test_part_of_an_epoch_is_its_first_steps(epochs: float, share: float) -> None:
    whole = walked(planned(shape=replace(SHAPE, epochs=3.0)))
    found = walked(planned(shape=replace(SHAPE, epochs=epochs)))
    assert found == whole[: len(found)]
    assert len(found) == -(-round(len(whole) / 3 * share * 100) // 100)


def test_epochs_that_a_float_cannot_hold_have_no_step_too_many() -> None:
    rows = numpy.full(100, 10)
    languages = numpy.zeros(100, dtype=numpy.int16)
    shape = replace(SHAPE, batch_rows=1, epochs=2.01)  # 2.01 * 100 is 200.99999999999997
    assert plan(rows, languages, ["zh"], shape).steps == 201
    shape = replace(shape, epochs=1.1)  # 1.1 * 100 is 110.00000000000001
    assert plan(rows, languages, ["zh"], shape).steps == 110


@pytest.mark.parametrize("steps", [1, 5, 40])
def test_steps_can_be_limited(steps: int) -> None:
    made = planned(shape=replace(SHAPE, epochs=9.0, max_steps=steps))
    assert made.steps == steps
    assert walked(made) == walked(planned(shape=replace(SHAPE, epochs=9.0)))[:steps]
    assert made.total.steps == steps
    assert walked(planned(shape=replace(SHAPE, max_steps=10_000))) == walked(planned())


@pytest.mark.parametrize(("rows", "batch", "sizes"), [(500, 128, {125}), (130, 128, {65})])
def test_no_step_is_a_left_over(rows: int, batch: int, sizes: set[int]) -> None:
    """A last step of two rows would move the weights as far as one of 128."""
    made = planned(rows, replace(SHAPE, batch_rows=batch))
    assert {len(made.rows_of(step)) for step in range(made.steps)} == sizes


def test_steps_by_tokens_have_the_tokens_that_were_told() -> None:
    shape = replace(TOKENS, batch_tokens=16_384, micro_batch_tokens=4096)
    made = planned(20_000, shape)
    tokens = numpy.array([made.data.lengths[made.rows_of(i)].sum() for i in range(made.steps)])
    assert 0.98 * 16_384 < tokens.mean() <= 16_384
    assert tokens.std() < 0.05 * tokens.mean()


def test_little_of_what_is_computed_is_padding() -> None:
    shape = replace(SHAPE, batch_rows=128, micro_batch_tokens=4096)
    assert 0 < planned(20_000, shape).total.padding < 0.02
    assert planned(20_000, replace(shape, packing=True)).total.padding == 0


def test_counts_by_hand() -> None:
    shape = replace(SHAPE, batch_rows=3, epochs=2.0)
    made = plan(numpy.array([10, 30, 20]), numpy.array([0, 1, 0]), ["zh", "vi"], shape)
    assert [rows.tolist() for rows in made.step(0)] == [[1, 2, 0]]
    total = made.total
    assert (total.steps, total.micro_batches) == (2, 2)
    assert total.rows == {"zh": 4, "vi": 2}
    assert total.tokens == {"zh": 60, "vi": 60}
    assert (total.useful_tokens, total.padded_tokens) == (120, 180)
    assert total.padding == pytest.approx(1 / 3)
    assert (total.largest.rows, total.largest.longest, total.largest.tokens) == (3, 30, 90)
    assert made.counts(0).rows == {"zh": 2, "vi": 1}


def test_the_extremes_are_where_the_counts_say() -> None:
    for packing in (False, True):
        made = planned(2000, replace(SHAPE, epochs=2.0, packing=packing))
        computed = [made.computed(rows) for step in range(made.steps) for rows in made.step(step)]
        for extent in (made.total.largest, made.total.smallest):
            rows = made.step(extent.step)[extent.micro]
            assert (len(rows), made.computed(rows)) == (extent.rows, extent.tokens)
            assert made.data.lengths[rows].max() == extent.longest
        assert made.total.largest.tokens == max(computed)
        assert made.total.smallest.tokens == min(computed)


def test_what_a_language_gets_follows_the_temperature() -> None:
    lengths = numpy.full(1000, 10)
    languages = numpy.repeat(numpy.array([0, 1], dtype=numpy.int16), [900, 100])
    shape = replace(SHAPE, temperature=2.0, epochs=3.0)
    made = plan(lengths, languages, ["zh", "vi"], shape)
    assert [share.drawn for share in made.shares] == [750, 250]
    assert made.total.rows == {"zh": 2250, "vi": 750}
    assert made.total.tokens == {"zh": 22_500, "vi": 7_500}


def test_source_and_target_are_padded_apart() -> None:
    parts = numpy.array([[60, 40], [40, 60]])
    shape = replace(SHAPE, micro_batch_tokens=239)
    assert len(plan(parts, numpy.zeros(2, int), ["zh"], shape).step(0)) == 2
    assert len(plan(parts.sum(axis=1), numpy.zeros(2, int), ["zh"], shape).step(0)) == 1
    made = plan(parts, numpy.zeros(2, int), ["zh"], replace(shape, micro_batch_tokens=240))
    assert (made.total.useful_tokens, made.total.padded_tokens) == (200, 240)
    assert made.computed(made.step(0)[0]) == 240


@pytest.mark.parametrize("packing", [False, True])
def test_the_smallest_data(packing: bool) -> None:
    one = plan(numpy.array([1]), numpy.array([0]), ["zh"], replace(SHAPE, packing=packing))
    assert walked(one) == [[[0]]]
    assert one.total.padding == 0
    short = plan(numpy.ones(9, int), numpy.zeros(9, int), ["zh"], replace(TOKENS, packing=packing))
    assert [len(rows) for rows in short.step(0)] == [9]


def test_a_batch_smaller_than_a_row_is_one_row_a_step() -> None:
    made = planned(40, replace(TOKENS, batch_tokens=1))
    assert made.steps == 40
    assert {len(made.rows_of(step)) for step in range(40)} == {1}


@pytest.mark.parametrize("step", [-1, 32, 1000])
def test_a_step_that_is_not_there_is_no_step(step: int) -> None:
    with pytest.raises(IndexError):
        planned().step(step)


def test_a_plan_goes_to_another_process() -> None:
    made = planned()
    made.step(0)
    assert walked(pickle.loads(pickle.dumps(made))) == walked(made)


def test_epochs_are_told_by_the_step() -> None:
    made = planned(shape=replace(SHAPE, epochs=2.0))
    assert (made.epoch_at(0), made.epoch_at(made.epoch_steps), made.epoch_at(48)) == (0.0, 1.0, 1.5)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"epochs": 0.0}, "epochs"),
        ({"epochs": float("inf")}, "epochs"),
        ({"epochs": float("nan")}, "epochs"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"batch_rows": 0}, "batch_tokens"),
        ({"batch_rows": -1}, "batch_rows"),
        ({"max_steps": -1}, "max_steps"),
        ({"micro_batch_tokens": 0}, "micro_batch_tokens"),
        ({"processes": 0}, "processes"),
    ],
)
def test_a_shape_that_cannot_be_meant_is_refused(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        replace(SHAPE, **change)
    assert caught.value.hint


def test_data_that_cannot_be_trained_on_is_refused() -> None:
    none = numpy.array([], dtype=numpy.int32)
    with pytest.raises(DataError, match="no rows"):
        plan(none, none, ["zh"], SHAPE)
    with pytest.raises(DataError, match="row 1 has no tokens"):
        plan(numpy.array([3, 0]), numpy.array([0, 0]), ["zh"], SHAPE)
    with pytest.raises(DataError, match="2 lengths"):
        plan(numpy.array([3, 1]), numpy.array([0]), ["zh"], SHAPE)
    with pytest.raises(DataError, match="no row in vi"):
        plan(numpy.array([3, 1]), numpy.array([0, 0]), ["zh", "vi"], SHAPE)

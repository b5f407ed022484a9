"""Several adapters in one run: each as it would be alone, their rows in common micro-batches."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from typing import Any

import pytest

numpy = pytest.importorskip("numpy")

from bactrian.errors import ConfigError  # noqa: E402
from bactrian.train.plan import Plan, Shape, joint, plan  # noqa: E402

SHAPE = Shape(
    epochs=2.0,
    max_steps=0,
    batch_rows=8,
    batch_tokens=0,
    micro_batch_tokens=1024,
    packing=False,
    temperature=1.0,
    seed=3,
)


def alone(rows: int, names: tuple[str, ...], shape: Shape = SHAPE) -> Plan:
    chance = numpy.random.default_rng(rows)
    lengths = chance.integers(1, 400, rows)
    languages = chance.integers(0, len(names), rows)
    languages[: len(names)] = range(len(names))
    return plan(lengths, languages, names, shape)


def three(shape: Shape = SHAPE) -> tuple[list[Plan], list[int]]:
    plans = [
        alone(40, ("zh",), shape),
        alone(700, ("vi", "zh"), replace(shape, batch_rows=5)),  # more than one stretch
        alone(9, ("my",), shape),
    ]
    return plans, [0, 40, 740]


@pytest.mark.parametrize("packing", [False, True])
def test_each_adapter_has_the_steps_it_would_have_alone(packing: bool) -> None:
    plans, offsets = three(replace(SHAPE, packing=packing))
    made = joint(plans, offsets)
    assert made.steps == max(mine.steps for mine in plans) == 280
    for step in range(made.steps):
        found: list[list[int]] = [[], [], []]
        for micro, rows in enumerate(made.step(step)):
            for adapter, row in zip(made.adapters_of(step, micro), rows, strict=True):
                found[adapter].append(int(row) - offsets[adapter])
        for mine, rows_found in zip(plans, found, strict=True):
            expected = mine.rows_of(step).tolist() if step < mine.steps else []
            assert sorted(rows_found) == sorted(expected)


@pytest.mark.parametrize("packing", [False, True])
def test_micro_batches_are_shared_within_the_budget_and_grouped_by_adapter(packing: bool) -> None:
    plans, offsets = three(replace(SHAPE, packing=packing))
    made = joint(plans, offsets)
    lengths = numpy.concatenate([mine.data.lengths for mine in plans])
    shared = 0
    for step in range(made.steps):
        for micro, rows in enumerate(made.step(step)):
            tokens = lengths[rows].sum() if packing else len(rows) * lengths[rows].max()
            assert tokens <= 1024
            adapters = made.adapters_of(step, micro).tolist()
            assert adapters == sorted(adapters)
            shared += len(set(adapters)) > 1
    assert shared > 10


def test_fewer_micro_batches_than_alone() -> None:
    names = [f"l{index}" for index in range(20)]
    plans = [alone(100 + index, (name,)) for index, name in enumerate(names)]
    offsets = [0, *accumulate(len(mine.data.lengths) for mine in plans)][:-1]
    made = joint(plans, offsets)
    apart = sum(mine.total.micro_batches for mine in plans)
    assert made.total.micro_batches < 0.7 * apart
    assert made.total.useful_tokens == sum(mine.total.useful_tokens for mine in plans)


def test_counts_are_those_of_all_adapters() -> None:
    plans, offsets = three()
    total = joint(plans, offsets).total
    assert total.rows == {"zh": _sum(plans, "zh"), "vi": _sum(plans, "vi"), "my": 18}
    assert total.steps == 280
    made = joint(plans, offsets)
    assert len(made.step(total.largest.step)[total.largest.micro]) == total.largest.rows


def _sum(plans: list[Plan], name: str) -> int:
    return sum(mine.total.rows.get(name, 0) for mine in plans)


@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_processes_have_the_whole_step_between_them(world: int) -> None:
    made = joint(*three())
    for step in (0, 17, 279):
        whole = sorted(rows.tolist() for rows in made.step(step))
        parts = [made.part(step, rank, world) for rank in range(world)]
        assert len({len(part) for part in parts}) == 1
        assert sorted(rows.tolist() for part in parts for rows in part if len(rows)) == whole


def test_going_on_at_any_step_equals_walking() -> None:
    made = joint(*three())
    steps: list[Any] = [[rows.tolist() for rows in made.step(step)] for step in range(made.steps)]
    again = joint(*three())
    for step in (279, 0, 100, 64, 63):
        assert [rows.tolist() for rows in again.step(step)] == steps[step]


def test_one_adapter_is_its_own_plan() -> None:
    mine = alone(60, ("zh", "vi"))
    made = joint([mine], [0])
    assert made.steps == mine.steps
    for step in range(made.steps):
        assert sorted(made.rows_of(step)) == sorted(mine.rows_of(step))
        assert not mine.adapters_of(step, 0).any()


def test_rows_may_lie_apart() -> None:
    made = joint([alone(10, ("zh",)), alone(10, ("vi",))], [5, 100])
    rows = {int(row) for step in range(made.steps) for row in made.rows_of(step)}
    assert rows == {*range(5, 15), *range(100, 110)}


def test_adapters_that_are_cut_in_other_ways_are_refused() -> None:
    one, other = alone(10, ("zh",)), alone(10, ("vi",), replace(SHAPE, packing=True))
    with pytest.raises(ConfigError, match="2 ways"):
        joint([one, other], [0, 10])


def test_rows_of_two_adapters_in_one_place_are_refused() -> None:
    with pytest.raises(ValueError, match="too little room"):
        joint([alone(10, ("zh",)), alone(10, ("vi",))], [0, 9])

"""How a step is cut: padded or packed, whole, within the budget, with little waste."""

from __future__ import annotations

from typing import Any

import pytest

numpy = pytest.importorskip("numpy")

from bactrian.train.plan.dealing import deal  # noqa: E402
from bactrian.train.plan.packing import pack  # noqa: E402
from bactrian.train.plan.padding import ALLOWED, pad  # noqa: E402


def steps_of(seed: int, high: int = 400) -> Any:
    """Steps [steps, rows] of tokens, longest first, some with holes at the end."""
    chance = numpy.random.default_rng(seed)
    sizes = chance.integers(1, high, (chance.integers(1, 9), chance.integers(1, 60)))
    sizes = -numpy.sort(-sizes.astype(numpy.int32), axis=1)
    if sizes.shape[1] > 1:
        sizes[chance.random(len(sizes)) < 0.5, -1] = 0
    return sizes


def batches(sizes: Any, groups: Any) -> list[list[int]]:
    """The tokens of each micro-batch of one step."""
    return [sizes[groups == group].tolist() for group in range(groups.max() + 1)]


def by_hand(sizes: list[int], budget: int) -> list[list[int]]:
    """Padding, said in another way: row by row, on lists."""
    made: list[list[int]] = []
    for size in sizes:
        if made:
            padded = (len(made[-1]) + 1) * made[-1][0]
            wasted = padded - sum(made[-1]) - size
            if padded <= budget and wasted <= max(ALLOWED, budget // ALLOWED):
                made[-1].append(size)
                continue
        made.append([size])
    return made


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("budget", [1, 100, 399, 1024, 16_384])
def test_padding_is_the_same_as_row_by_row(seed: int, budget: int) -> None:
    sizes = steps_of(seed)
    for row, groups in zip(sizes, pad(sizes[:, :, None], budget), strict=True):
        assert batches(row, groups) == by_hand([size for size in row.tolist() if size], budget)
        assert (groups[row == 0] == -1).all()


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("budget", [1, 100, 399, 1024, 100_000])
def test_packing_keeps_the_budget_and_every_row(seed: int, budget: int) -> None:
    sizes = steps_of(seed)
    for row, groups in zip(sizes, pack(sizes, budget), strict=True):
        found = batches(row, groups)
        assert sorted(size for batch in found for size in batch) == sorted(row[row > 0].tolist())
        assert (groups[row == 0] == -1).all()
        assert all(batch and (sum(batch) <= budget or len(batch) == 1) for batch in found)


def test_a_step_padded_by_hand() -> None:
    sizes = numpy.array([[100, 96, 95, 90, 50, 49, 48], [90, 80, 70, 55, 9, 8, 0]])
    # 3 * 100 fill the budget; 50 after 90 wastes 40, 49 another 41, above 64
    # 80 and 70 after 90 waste 30, and 55 another 35; 9 after 55 wastes 46, 8 another 47
    expected = [[0, 0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 2, -1]]
    assert pad(sizes[:, :, None].astype(numpy.int32), 320).tolist() == expected
    # a budget of 8192 may waste 128
    assert pad(sizes[1:, :, None].astype(numpy.int32), 8192).tolist() == [[0, 0, 0, 0, 1, 1, -1]]


def test_source_and_target_are_padded_apart() -> None:
    parts = numpy.array([[[60, 40], [40, 60], [10, 90]]], dtype=numpy.int32)
    # two rows pad to 60 + 60 each, 240 with 40 of waste; a third to 60 + 90, 450 with 150 of waste
    assert pad(parts, 1000).tolist() == [[0, 0, 1]]
    assert pad(parts, 239).tolist() == [[0, 1, 2]]
    assert pad(parts.sum(axis=2, keepdims=True), 239).tolist() == [[0, 0, 1]]


def test_a_step_packed_by_hand() -> None:
    sizes = numpy.array([[70, 60, 40, 30, 20, 10]], dtype=numpy.int32)
    # 230 tokens: three of 100 at least; the longest to the emptiest: 70 10 | 60 20 | 40 30
    assert pack(sizes, 100).tolist() == [[0, 1, 2, 2, 1, 0]]


def test_best_fit_holds_where_an_even_packing_overflows() -> None:
    sizes = numpy.array([[6, 4, 4, 3, 3], [5, 5, 4, 4, 0]], dtype=numpy.int32)
    # 20 tokens in two of 10: 6 4 | 4 3 3; the emptiest first would make 6 3 | 4 4 3
    assert pack(sizes, 10).tolist() == [[0, 0, 1, 1, 1], [0, 1, 0, 1, -1]]


def test_packed_micro_batches_are_even() -> None:
    chance = numpy.random.default_rng(3)
    sizes = -numpy.sort(-chance.integers(10, 400, (50, 128)).astype(numpy.int32), axis=1)
    groups = pack(sizes, 4096)
    for row, mine in zip(sizes, groups, strict=True):
        loads = [sum(batch) for batch in batches(row, mine)]
        assert len(loads) == -(-row.sum() // 4096)
        assert max(loads) - min(loads) < 0.02 * max(loads)


@pytest.mark.parametrize("packing", [False, True])
def test_rows_longer_than_the_budget_are_alone(packing: bool) -> None:
    sizes = numpy.array([[900, 800, 10, 10, 10]], dtype=numpy.int32)
    groups = pack(sizes, 100) if packing else pad(sizes[:, :, None], 100)
    assert groups.tolist() == [[0, 1, 2, 2, 2]]


@pytest.mark.parametrize("packing", [False, True])
def test_a_step_does_not_depend_on_those_beside_it(packing: bool) -> None:
    sizes = steps_of(11)

    def cut(steps: Any) -> Any:
        return pack(steps, 1000) if packing else pad(steps[:, :, None], 1000)

    together = cut(sizes)
    for place in range(len(sizes)):
        assert together[place].tolist() == cut(sizes[place : place + 1])[0].tolist()


@pytest.mark.parametrize("world", [1, 2, 3, 8])
@pytest.mark.parametrize("seed", range(10))
def test_a_deal_is_whole_even_and_equal_in_number(seed: int, world: int) -> None:
    chance = numpy.random.default_rng(seed)
    costs = chance.integers(100, 5000, chance.integers(1, 40)).tolist()
    dealt = deal(costs, world)
    assert sorted(index for mine in dealt for index in mine) == list(range(len(costs)))
    assert max(map(len, dealt)) <= -(-len(costs) // world)
    loads = [sum(costs[index] for index in mine) for mine in dealt]
    assert max(loads) - min(loads) <= max(costs)


@pytest.mark.parametrize("world", [2, 4, 8])
@pytest.mark.parametrize("seed", range(5))
def test_packed_for_several_processes_all_have_as_much_to_do(seed: int, world: int) -> None:
    chance = numpy.random.default_rng(seed)
    sizes = -numpy.sort(-chance.integers(10, 400, (20, 128)).astype(numpy.int32), axis=1)
    for row, groups in zip(sizes, pack(sizes, 4096, world), strict=True):
        loads = [sum(batch) for batch in batches(row, groups)]
        assert len(loads) % world == 0
        assert max(loads) <= 4096
        assert max(loads) - min(loads) < 0.05 * max(loads)


def test_a_step_of_fewer_rows_than_processes_is_a_row_each() -> None:
    sizes = numpy.array([[50, 40, 30], [9, 8, 0]], dtype=numpy.int32)
    assert pack(sizes, 1000, 8).tolist() == [[0, 1, 2], [0, 1, -1]]


def test_padded_for_several_processes_by_hand() -> None:
    sizes = numpy.full((1, 12, 1), 100, dtype=numpy.int32)
    # 1200 tokens, three micro-batches for each of two processes: 200 tokens each
    assert pad(sizes, 4096, 2).tolist() == [[0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]]
    assert pad(sizes, 4096, 1).tolist() == [[0] * 12]
    assert pad(sizes, 150, 2).tolist() == [list(range(12))]


def test_a_deal_by_hand() -> None:
    assert deal([9, 1, 8, 2, 5, 5], 2) == [[0, 5, 1], [2, 4, 3]]
    assert deal([3, 7], 4) == [[1], [0], [], []]

"""Which rows an epoch draws: quotas that add up, rows in turn, every language."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest

numpy = pytest.importorskip("numpy")

from bactrian.errors import ConfigError, DataError  # noqa: E402
from bactrian.train.plan import Shape, quotas  # noqa: E402
from bactrian.train.plan.chance import order, orders  # noqa: E402
from bactrian.train.plan.sampling import Sampling, sampling  # noqa: E402


def shape(temperature: float = 1.0, seed: int = 0, cap: int = 0) -> Shape:
    return Shape(
        epochs=1.0,
        max_steps=0,
        batch_rows=8,
        batch_tokens=0,
        micro_batch_tokens=1024,
        packing=False,
        temperature=temperature,
        seed=seed,
        cap=cap,
    )


def drawing(counts: list[int], temperature: float = 1.0, seed: int = 0, cap: int = 0) -> Sampling:
    """Languages one after the other: l0 has rows 0 to counts[0] - 1, and so on."""
    languages = numpy.repeat(numpy.arange(len(counts), dtype=numpy.int16), counts)
    names = [f"l{index}" for index in range(len(counts))]
    return sampling(languages, names, shape(temperature, seed, cap))


def counts_of(seed: int) -> list[int]:
    chance = numpy.random.default_rng(seed)
    found: list[int] = chance.integers(1, 400, chance.integers(1, 53)).tolist()
    return found


@pytest.mark.parametrize(
    ("counts", "temperature", "expected"),
    [
        ([30, 20, 10], 1.0, [30, 20, 10]),
        ([30, 20, 10], math.inf, [20, 20, 20]),
        ([90, 10], 2.0, [75, 25]),  # square roots: 3 to 1
        ([64, 27, 1], 3.0, [46, 35, 11]),  # cube roots 4, 3, 1 of 92: 46, 34.5, 11.5
        ([10, 10, 10], 5.0, [10, 10, 10]),
        ([10, 40], 0.5, [3, 47]),  # squares: 1 to 16 of 50, 2.94 and 47.06
        ([1, 1, 2], math.inf, [2, 1, 1]),  # the remainder goes to the first of equals
        ([7], 4.0, [7]),
    ],
)
def test_quotas_by_hand(counts: list[int], temperature: float, expected: list[int]) -> None:
    assert quotas(numpy.array(counts), temperature).tolist() == expected


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("temperature", [1.0, 1.5, 3.0, 100.0, math.inf])
def test_quotas_add_up_and_are_within_one_of_the_share(seed: int, temperature: float) -> None:
    counts = numpy.array(counts_of(seed))
    found = quotas(counts, temperature)
    weights = [count ** (1 / temperature) for count in counts.tolist()]
    assert found.sum() == counts.sum()
    for quota, weight in zip(found.tolist(), weights, strict=True):
        assert abs(quota - weight / sum(weights) * counts.sum()) < 1


def test_quotas_of_many_rows_at_a_temperature_next_to_one_are_their_counts() -> None:
    counts = numpy.full(52, 67_017)
    assert (quotas(counts, 1.0) == counts).all()
    assert quotas(counts, 3.3).tolist() == counts.tolist()


def test_a_cap_bounds_what_a_language_counts_for() -> None:
    assert quotas(numpy.array([1000, 40, 10]), 1.0, cap=50).tolist() == [50, 40, 10]
    assert quotas(numpy.array([1000, 100]), math.inf, cap=100).tolist() == [100, 100]
    assert len(drawing([1000, 40], cap=50).draw(0)) == 90


@pytest.mark.parametrize("seed", range(10))
def test_without_temperature_an_epoch_is_every_row_once(seed: int) -> None:
    found = drawing(counts_of(seed), seed=seed)
    rows = len(found.members)
    for epoch in (0, 1, 7):
        drawn = found.draw(epoch)
        assert drawn.dtype == numpy.int32
        assert sorted(drawn.tolist()) == list(range(rows))


@pytest.mark.parametrize("seed", range(10))
def test_rows_of_a_language_have_their_turn_before_any_comes_again(seed: int) -> None:
    """After any number of epochs, rows of one language were drawn equally often, but for one."""
    found = drawing(counts_of(seed), temperature=3.0, seed=seed)
    seen: Counter[int] = Counter()
    for epoch in range(4):
        drawn = found.draw(epoch)
        assert len(drawn) == found.epoch_rows == sum(share.drawn for share in found.shares)
        seen.update(drawn.tolist())
        begin = 0
        for share in found.shares:
            times = [seen[row] for row in range(begin, begin + share.rows)]
            assert sum(times) == share.drawn * (epoch + 1)
            assert max(times) - min(times) <= 1
            begin += share.rows


def test_an_undersampled_language_shows_other_rows_in_the_next_epoch() -> None:
    found = drawing([900, 100], temperature=math.inf)
    large = [{row for row in found.draw(epoch).tolist() if row < 900} for epoch in (0, 1)]
    assert len(large[0]) == 500
    assert len(large[0] | large[1]) == 900


def test_shares_say_how_often_an_epoch_goes_round_a_language() -> None:
    large, small = drawing([900, 100], temperature=math.inf).shares
    assert (large.language, large.rows, large.drawn) == ("l0", 900, 500)
    assert small.laps == 5.0


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    found = drawing([300, 200])
    first = found.draw(0).tolist()
    assert first == drawing([300, 200]).draw(0).tolist()
    assert first != found.draw(1).tolist()
    assert first != drawing([300, 200], seed=1).draw(0).tolist()
    assert first != drawing([300, 200], seed=-1).draw(0).tolist()
    assert first != drawing([300, 200], seed=2**32).draw(0).tolist()


def test_languages_are_mixed_everywhere_in_an_epoch() -> None:
    found = drawing([5000, 5000])
    halves = (found.draw(0) < 5000).reshape(20, 500).mean(axis=1)
    assert abs(halves - 0.5).max() < 0.1


def test_rows_need_not_lie_language_by_language() -> None:
    languages = numpy.array([1, 0, 1, 0, 0, 1, 1], dtype=numpy.int16)
    found = sampling(languages, ["xh", "zh"], shape(math.inf, cap=3))
    for epoch in range(3):
        assert numpy.bincount(languages[found.draw(epoch)]).tolist() == [3, 3]


def test_a_language_of_one_row_may_be_drawn_very_often() -> None:
    drawn = drawing([1, 100_001], temperature=math.inf).draw(3)
    assert int((drawn == 0).sum()) == 50_001


@pytest.mark.parametrize("counts", [[5, 0], [0, 5], [0]])
def test_a_language_without_rows_is_refused(counts: list[int]) -> None:
    with pytest.raises(DataError, match="no row in l") as caught:
        drawing(counts)
    assert "leave l" in caught.value.hint


def test_a_language_that_no_epoch_would_draw_is_refused() -> None:
    with pytest.raises(ConfigError, match="draws no row in l0"):
        drawing([1, 1000], temperature=0.5)


def test_rows_in_a_language_without_name_are_refused() -> None:
    with pytest.raises(DataError):
        sampling(numpy.array([0, 1, 2]), ["zh", "vi"], shape())


def test_random_orders_are_the_same_in_every_version() -> None:
    """Known values: a training must go on in the same order after an upgrade."""
    assert order(10, 0, 1, 0).tolist() == KNOWN_ORDER
    assert orders(5, range(2, 4), 42, 0, 3).tolist() == KNOWN_ORDERS


def test_a_lap_is_the_same_with_and_without_those_before_it() -> None:
    whole: Any = orders(7, range(9), 5, 0, 1)
    assert whole[4:6].tolist() == orders(7, range(4, 6), 5, 0, 1).tolist()
    assert len({tuple(lap) for lap in whole.tolist()}) == 9
    assert all(sorted(lap) == list(range(7)) for lap in whole.tolist())


KNOWN_ORDER = [6, 4, 8, 9, 1, 3, 2, 7, 5, 0]
KNOWN_ORDERS = [[2, 0, 4, 3, 1], [2, 4, 3, 1, 0]]

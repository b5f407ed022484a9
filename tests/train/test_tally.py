"""Sums of nats by name: exact, kept over a stop, and told for those that begin alike."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from bactrian.train.tally import Tally  # noqa: E402

NAMES = ("a/zh", "a/vi", "ab/zh")


def counted() -> Tally:
    tally = Tally(NAMES)
    tally.add(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0, 0, 2]))
    tally.add(torch.tensor([6.0]), torch.tensor([2]))
    return tally


def test_a_mean_is_of_tokens_and_names_without_any_are_left_out() -> None:
    tally = counted()
    assert tally.means() == {"a/zh": 1.5, "ab/zh": 5.0}
    assert tally.mean() == 13 / 4
    assert tally.tokens == 4


def test_a_mean_of_one_adapter_is_not_that_of_another_whose_name_begins_so() -> None:
    tally = counted()
    assert (tally.mean("a/"), tally.of("a/")) == (1.5, 2)
    assert (tally.mean("ab/"), tally.of("ab/")) == (5.0, 2)
    assert math.isnan(tally.mean("b/"))
    assert tally.of("b/") == 0


def test_nothing_is_no_number() -> None:
    tally = Tally(NAMES)
    tally.add(torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    assert math.isnan(tally.mean())
    assert tally.means() == {}


def test_a_loss_that_is_no_number_is_not_hidden() -> None:
    tally = counted()
    tally.add(torch.tensor([float("nan")]), torch.tensor([1]))
    assert math.isnan(tally.means()["a/vi"])
    assert tally.means()["a/zh"] == 1.5
    assert math.isnan(tally.mean())


def test_it_goes_on_from_what_it_kept_to_the_last_bit() -> None:
    one = Tally(NAMES)
    values = torch.rand(1000, generator=torch.Generator().manual_seed(1))
    one.add(values, torch.zeros(1000, dtype=torch.int64))
    two = Tally(NAMES)
    two.load(one.state())
    one.add(values, torch.ones(1000, dtype=torch.int64))
    two.add(values, torch.ones(1000, dtype=torch.int64))
    assert one.means() == two.means()
    two.clear()
    assert two.tokens == 0


def test_many_small_values_are_not_lost_beside_a_large_one() -> None:
    tally = Tally(("zh",))
    tally.add(torch.full((1,), 2.0**24), torch.zeros(1, dtype=torch.int64))
    for _ in range(8):
        tally.add(torch.full((1,), 0.5), torch.zeros(1, dtype=torch.int64))
    assert tally.state()[0][0] == 2**24 + 4

"""Which requests are new and which are paid for, at any size and in any order."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from bactrian.ledger import Entry, Ledger, key_of
from bactrian.providers import Request
from bactrian.providers.seen import AT_ONCE, LookedUp, Seen, looked_up


def request(number: int) -> Request:
    return {"texts": [str(number)]}


@pytest.mark.parametrize("seed", range(3))
def test_seen_is_a_set(seed: int) -> None:
    chance, seen, expected = random.Random(seed), Seen(), set[str]()
    for _ in range(60):
        keys = [key_of(request(chance.randrange(400))) for _ in range(chance.randrange(1, AT_ONCE))]
        told = []
        for key in keys:
            told.append(key not in expected)
            expected.add(key)
        assert seen.add(keys) == told
        assert len(seen) == len(expected)


def test_nothing_is_nothing_new() -> None:
    seen = Seen()
    assert seen.add([]) == []
    assert len(seen) == 0


def test_every_request_comes_in_order_with_what_is_known_of_it(tmp_path: Path) -> None:
    numbers = [5, 1, 5, 2, *range(AT_ONCE), 1, *range(AT_ONCE + 40)]
    with Ledger(tmp_path / "l.sqlite") as ledger:
        for number in (1, 2, AT_ONCE + 7):
            ledger.put(Entry(key_of(request(number)), "response", "m", "ok"))
        ledger.flush()
        found = list(looked_up(map(request, numbers), Seen(), ledger))
    met = set[int]()
    for number, one in zip(numbers, found, strict=True):
        is_new = number not in met
        met.add(number)
        is_present = is_new and number in (1, 2, AT_ONCE + 7)
        assert one == LookedUp(key_of(request(number)), request(number), is_new, is_present)


def test_without_a_ledger_nothing_is_present() -> None:
    found = list(looked_up(map(request, [1, 1]), Seen(), None))
    assert [(one.is_new, one.is_present) for one in found] == [(True, False), (False, False)]


def test_what_is_answered_meanwhile_is_not_asked_again_in_the_same_run(tmp_path: Path) -> None:
    # the ledger is asked a few hundred requests ahead: what comes in between is known as seen
    with Ledger(tmp_path / "l.sqlite") as ledger:
        looked = looked_up(map(request, [1, *range(1000), 1]), Seen(), ledger)
        first = next(looked)
        ledger.put(Entry(first.key, "response", "m", "ok"))
        ledger.flush()
        assert [one.is_new for one in looked if one.key == first.key] == [False, False]


def test_requests_are_drawn_a_few_hundred_at_a_time() -> None:
    drawn = 0

    def requests() -> Iterator[Request]:
        nonlocal drawn
        for number in range(10 * AT_ONCE):
            drawn = number + 1
            yield request(number)

    looked = looked_up(requests(), Seen(), None)
    next(looked)
    assert drawn == AT_ONCE


def test_memory_does_not_grow_with_the_keys() -> None:
    def keys(begin: int, end: int) -> Iterator[list[str]]:
        for start in range(begin, end, AT_ONCE):
            yield [f"{number:032x}" for number in range(start, start + AT_ONCE)]

    seen = Seen()
    for some in keys(0, 20 * AT_ONCE):
        seen.add(some)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for some in keys(20 * AT_ONCE, 100 * AT_ONCE):
            seen.add(some)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(seen) == 100 * AT_ONCE
    # a set of 20,000 keys takes two million bytes
    assert grown < 100_000

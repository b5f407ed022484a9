"""Tries and rows: every request is found again in them, once, and shares what is worth it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import pytest

from bactrian.models.scoring.requests import Request
from bactrian.models.scoring.rows import UNIT, packed, padded
from bactrian.models.scoring.tries import Trie, tries

STEM = tuple(range(10, 60))


def options(stem: Sequence[int] = STEM, count: int = 4) -> list[Request]:
    return [Request(tuple(stem), (100 + place, 7, 8 + place)) for place in range(count)]


def crowd(seed: int = 0, words: int = 5) -> list[Request]:
    """Requests of few words, so that they begin alike in every possible way, some the same."""
    chance = random.Random(seed)

    def some(least: int, most: int) -> tuple[int, ...]:
        return tuple(chance.randrange(words) for _ in range(chance.randint(least, most)))

    return [Request(some(1, 30), some(0, 9)) for _ in range(80)]


def ancestors(trie: Trie, node: int) -> list[int]:
    return [at for at in range(node + 1) if trie.ends[at] >= node]


def read(trie: Trie) -> Iterator[tuple[int, tuple[int, ...], tuple[int, ...]]]:
    """Yield each request: its index, the tokens that it was asked after, and its targets."""
    for asked in trie.asked:
        assert len(asked.nodes) == len(asked.targets)
        for node in asked.nodes:
            seen = ancestors(trie, node)
            assert [trie.depths[at] for at in seen] == list(range(len(seen)))
        last = ancestors(trie, asked.nodes[-1]) if asked.nodes else []
        yield asked.request, tuple(trie.tokens[at] for at in last), asked.targets


@pytest.mark.parametrize("largest", [1, 16, 64, 1000])
@pytest.mark.parametrize("words", [1, 2, 5, 300])
def test_every_request_is_read_again_as_it_was(words: int, largest: int) -> None:
    asked = crowd(words=words)
    found = tries(asked, largest)
    seen = {}
    for trie in found:
        assert len(trie) <= max(largest, 2 * max(len(request.read) for request in asked))
        for index, tokens, targets in read(trie):
            assert index not in seen
            seen[index] = targets
            if targets:
                assert tokens == asked[index].read
    assert seen == {index: request.continuation for index, request in enumerate(asked)}


def test_options_share_their_stem() -> None:
    (trie,) = tries(options(), 1000)
    assert len(trie) == len(STEM) + 4 * 2
    assert trie.ends[len(STEM) - 1] == len(trie) - 1
    first = {asked.nodes[0] for asked in trie.asked}
    assert first == {len(STEM) - 1}, "the first tokens of all options are asked of one node"


def test_a_repeated_request_costs_nothing() -> None:
    once, twice = tries(options(), 1000), tries(options() * 2, 1000)
    assert list(map(len, once)) == list(map(len, twice))
    assert len(twice[0].asked) == 8


def test_options_of_one_token_are_a_single_branch() -> None:
    letters = [Request(STEM, (letter,)) for letter in range(4)]
    (trie,) = tries(letters, 1000)
    assert trie.tokens == STEM
    assert trie.depths == tuple(range(len(STEM)))


def test_contexts_may_differ_and_continuations_be_alike() -> None:
    pair = [Request((*STEM, name, 5, 6), (7, 8, 9)) for name in (200, 201)]
    (trie,) = tries(pair, 1000)
    assert len(trie) == len(STEM) + 2 * 5
    assert not set(trie.asked[0].nodes) & set(trie.asked[1].nodes)


def test_what_hardly_anything_is_shared_with_stays_apart() -> None:
    """Two long questions that share a first token would pay more for the mask than they save."""
    long = [Request((1, *range(start, start + 300)), (5,)) for start in (10, 1000)]
    assert len(tries(long, 10_000)) == 2
    short = [Request((1, *range(start, start + 10)), (5,)) for start in (10, 1000)]
    assert len(tries(short, 10_000)) == 1


def test_examples_before_questions_are_shared_beyond_the_size_of_a_row() -> None:
    shots = tuple(range(300))
    asked = [Request((*shots, *range(400 + n, 420 + n)), (5,)) for n in range(0, 200, 20)]
    found = tries(asked, 256)
    assert len(found) == 1
    assert len(found[0]) == 300 + 10 * 20


def test_something_has_to_be_followed() -> None:
    with pytest.raises(ValueError, match="begin with a context"):
        tries([Request((), (3,))], 10)


@pytest.mark.parametrize("budget", [1, 64, 100, 512, 100_000])
def test_rows_hold_every_request_once_within_the_budget(budget: int) -> None:
    asked = crowd(words=300)
    found = packed(asked, budget)
    assert sorted(index for batch in found for index in batch.requests) == list(range(80))
    for batch in found:
        assert batch.tokens % UNIT == 0
        assert batch.blank < UNIT
        assert batch.given == tuple(asked[index] for index in batch.requests)
        room = max(UNIT, budget // UNIT * UNIT)
        assert batch.tokens <= max(room, -(-len(batch.tries[0]) // UNIT) * UNIT)
    full = [batch.tokens - batch.blank for batch in found[:-1]]
    assert budget > 600 or sum(full) > 0.8 * sum(batch.tokens for batch in found[:-1])


def test_rows_follow_from_the_requests_alone() -> None:
    assert packed(crowd(), 256) == packed(crowd(), 256)
    assert packed([], 256) == []
    assert padded([], 256) == []


def test_nothing_to_read_is_still_a_row() -> None:
    (batch,) = packed([Request((3,), ())], 256)
    assert (batch.requests, batch.tokens) == ((0,), UNIT)

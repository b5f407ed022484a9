"""The queue at a provider: a limit that is told, one that is learnt, and one that others fill."""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest

from bactrian.errors import ProviderError
from bactrian.providers.batches import Options
from bactrian.providers.batches.room import Room

SAID = (
    "Enqueued token limit reached for gpt-4o-mini in organization org-x. Limit: 2,000,000 enqueued "
    "tokens. Please try again once some in_progress batches have been completed."
)


def refused(room: Room, tokens: float, said: str = "no") -> None:
    room.enter("a", tokens)
    room.leave("a", tokens)
    room.refused("openai:m", tokens, said)


def test_batches_are_checked_one_by_one_until_the_first_is_taken() -> None:
    room = Room()
    assert room.open
    room.enter("a", 10)
    assert not room.open
    room.checked("a")
    for name in "bc":
        assert room.open
        room.enter(name, 10)
    assert not room.open, "two may be unchecked now"
    assert room.taken == 30 and room.free == math.inf


def test_a_limit_that_is_told_is_kept() -> None:
    room = Room(100)
    room.enter("a", 80)
    room.checked("a")
    assert (room.open, room.free) == (True, 20)
    room.enter("b", 20)
    room.checked("b")
    assert not room.open
    room.leave("a", 80)
    assert room.open and room.limit == 100, "it does not grow beyond what was told"


@pytest.mark.parametrize(
    ("tokens", "said", "limit", "most"),
    [
        (3_000_000, SAID, 2_000_000, 2_000_000),
        (1_000_000, SAID, 500_000, 2_000_000),  # fits by the estimate: others wait there, too
        (1_000_000, "Enqueued token limit reached.", 500_000, math.inf),
        (9, "Limit: 1.000 enqueued", 4.5, 1000),
    ],
)
def test_a_refusal_makes_room_smaller(tokens: float, said: str, limit: float, most: float) -> None:
    room = Room()
    refused(room, tokens, said)
    assert (room.limit, room.most) == (limit, most)


def test_a_learnt_limit_grows_again() -> None:
    room = Room()
    refused(room, 1000)
    room.enter("b", 100)
    room.checked("b")
    assert room.limit == 750
    room.checked("b")
    assert room.limit == 750, "each batch counts once"


def test_who_is_refused_for_ever_gives_up() -> None:
    room = Room()
    with pytest.raises(ProviderError, match="takes no batch: no"):
        for _ in range(100):
            refused(room, 10)
    assert room.refusals == 61


def tokens_of(ask: Any, count: int) -> float:
    return count * len(orjson.dumps(ask.request("openai", 1))) / 3


@pytest.mark.parametrize("named", [True, False])
def test_a_limit_is_learnt_from_refusals_that_cost_nothing(
    ask: Any, server: Any, named: bool
) -> None:
    server.queue, server.names_limit = tokens_of(ask, 4) + 10, named
    done = ask("openai", range(1, 14))
    assert (done.answered, done.failed, done.charged) == (13, 0, 0)
    assert dict(done.again) == {}, "it is nobody's fault and counts against no request"
    assert server.batches[0].status == "failed" and len(server.batches[0].requests) == 13
    assert max(len(one.requests) for one in server.batches if one.status != "failed") <= 4
    assert server.paid_twice == 0 and len(server.billed) == 13


def test_a_limit_that_is_told_is_never_touched(ask: Any, server: Any) -> None:
    server.queue = tokens_of(ask, 4) + 10
    told = Options(interval=0.02, enqueued_tokens=int(server.queue))
    assert ask("openai", range(1, 14), options=told).answered == 13
    assert [one.status for one in server.batches if one.status] == []
    assert [len(keys) for keys in server.sent()] == [4, 4, 4, 1]


def test_a_queue_that_others_fill_is_waited_for(ask: Any, server: Any) -> None:
    server.queue, server.seconds = tokens_of(ask, 4) + 10, 1.2
    server.make([(f"other {number}", ask.request("openai", 1)) for number in range(4)], {})
    server.seconds = 0.05
    assert ask("openai", range(1, 4)).answered == 3
    assert [one.status for one in server.batches].count("failed") >= 1
    assert server.paid_twice == 0


def test_a_refusal_that_names_lines_fails_those_alone(ask: Any, server: Any) -> None:
    made = server.make
    error = {"code": "invalid_request", "message": "no model x", "line": 2}

    def refusing(requests: Any, metadata: Any = None) -> Any:
        batch = made(requests, metadata)
        if len(requests) == 3:
            batch.status, batch.errors = "failed", [error]
        return batch

    server.make = refusing
    done = ask("openai", range(3))
    assert (done.answered, done.failed) == (2, 1)
    assert ask.key("openai", 1) not in ask.entries()


def test_a_refusal_of_the_whole_ends_the_run_and_costs_nothing(ask: Any, server: Any) -> None:
    made = server.make

    def refusing(requests: Any, metadata: Any = None) -> Any:
        batch = made(requests, metadata)
        batch.status = "failed"
        batch.errors = [{"code": "model_not_found", "message": "no such model", "line": None}]
        return batch

    server.make = refusing
    with pytest.raises(ProviderError, match="refuses the batch batch-1: no such model"):
        ask("openai", range(3))
    server.make = made
    assert ask("openai", range(3)).answered == 3
    assert server.paid_twice == 0

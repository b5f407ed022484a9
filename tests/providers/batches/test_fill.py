"""What comes of a batch: kept, asked again, given up, and what it costs, at both APIs."""

from __future__ import annotations

import random
import time
from collections.abc import Container
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import ConfigError, ProviderError
from bactrian.events import Event, reading
from bactrian.ledger import Ledger
from bactrian.ledger.batches import Batches, unfinished
from bactrian.providers import Answer, Price, Reason, Request
from bactrian.providers.batches import CANCELLED, Options
from bactrian.providers.batches.fill import dialect_of, fill_by_batches
from bactrian.providers.batches.running import Job
from bactrian.providers.fill import Need
from bactrian.providers.retries import caps
from bactrian.providers.terms import Terms

PRICE = Price(1.0, 2.0, source="test")
THREE = Options(interval=0.02, settle=0.2, requests=3)


class Seen:
    """Every event."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def see(self, event: Event) -> None:
        self.events.append(event)

    def said(self, kind: str) -> str:
        return "\n".join(
            str(event.facts.get("text")) for event in self.events if event.kind == kind
        )


def nothing_left(path: Path) -> bool:
    """Whether no batch is open and no request waits."""
    batches = Batches(path)
    rows = batches._connection.execute("SELECT count(*) FROM batch_requests").fetchone()[0]
    batches.close()
    return not unfinished(path) and rows == 0


def test_every_request_is_sent_once_and_kept(api: Any, ask: Any, server: Any) -> None:
    done = ask(api, [0, 1, 2, 0, 3, 4, 5, 6, 1], options=THREE)
    assert done.need == Need(9, 7, 0, done.need.characters)
    assert (done.answered, done.failed, done.charged) == (7, 0, 0)
    assert done.cost_usd == pytest.approx(7 * (10 * 1.0 + 5 * 2.0) / 1e6)
    assert [len(keys) for keys in server.sent()] == [3, 3, 1]
    assert server.billed == {ask.key(api, number): 1 for number in range(7)}
    entries = ask.entries()
    assert entries.keys() == server.billed.keys()
    entry = entries[ask.key(api, 0)]
    assert entry.output.startswith("answer ") and entry.provider_id
    assert (entry.tokens_in, entry.tokens_out, entry.attempts) == (10, 5, 1)
    assert entry.provider == ask.chat(api).name
    assert abs(entry.time - time.time()) < 60
    assert nothing_left(ask.path)


def test_what_the_ledger_has_is_not_sent(api: Any, ask: Any, server: Any) -> None:
    ask(api, range(3))
    done = ask(api, range(5))
    assert (done.need.present, done.answered) == (3, 2)
    assert server.sent()[1:] == [[ask.key(api, 3), ask.key(api, 4)]]
    assert ask(api, range(5)).answered == 0
    assert len(server.batches) == 2


def test_results_in_any_order_and_twice_are_taken_once(api: Any, ask: Any, server: Any) -> None:
    def mixed(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        found = [*lines, *lines[:3]]
        random.Random(1).shuffle(found)
        return found

    server.after = mixed
    done = ask(api, range(10))
    assert (done.answered, done.charged, len(ask.entries())) == (10, 0, 10)
    assert done.cost_usd == pytest.approx(10 * 20e-6)


def test_a_second_answer_is_counted_and_the_first_stays(api: Any, ask: Any, server: Any) -> None:
    def again(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        batch = server.batches[0]
        return [*lines, server.run(batch, *batch.requests[0])]

    server.after = again
    done = ask(api, range(2))
    assert (done.answered, done.charged) == (2, 1)
    assert [(one.key, one.why) for one in ask.charges()] == [(ask.key(api, 0), "repeated")]
    assert done.cost_usd == pytest.approx(3 * 20e-6)


def test_results_nobody_asked_for_are_kept_and_said(api: Any, ask: Any, server: Any) -> None:
    other, strange = ask.key(api, 99), "their-own-id"

    def more(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [*lines, {**lines[0], "custom_id": other}, {**lines[0], "custom_id": strange}]

    server.after = more
    seen = Seen()
    with reading(seen):
        done = ask(api, range(2))
    assert (done.answered, len(ask.entries())) == (2, 3)
    assert other in ask.entries()
    assert [(one.key, one.why) for one in ask.charges()] == [(strange, "unknown")]
    assert "2 results of requests that are not in the batch" in seen.said("warning")
    assert ask(api, [99]).need.present == 1


def test_what_failed_is_asked_again_alone(api: Any, ask: Any, server: Any) -> None:
    bad = {ask.key(api, 1), ask.key(api, 4)}
    server.result = lambda key, body, time: "500" if key in bad and time < 2 else "ok"
    done = ask(api, range(6))
    assert [set(keys) for keys in server.sent()[1:]] == [bad, bad]
    assert (done.answered, done.failed, dict(done.again)) == (6, 0, {"server": 4})
    assert ask.entries()[ask.key(api, 1)].attempts == 3
    assert server.paid_twice == 0


def test_an_expired_batch_gives_what_it_has_and_the_rest_is_sent_again(
    api: Any, ask: Any, server: Any
) -> None:
    late = {ask.key(api, number) for number in (2, 3, 4)}
    server.result = lambda key, body, time: "expired" if key in late and not time else "ok"
    seen = Seen()
    with reading(seen):
        done = ask(api, range(6))
    assert (done.answered, done.failed) == (6, 0)
    assert set(server.sent()[1]) == late and len(server.batches) == 2
    assert "expired; 3 of 6 requests were answered" in seen.said("warning")
    assert server.paid_twice == 0


def test_a_line_that_never_came_is_asked_again(api: Any, ask: Any, server: Any) -> None:
    server.after = lambda lines: lines[:-1] if len(lines) > 1 else lines
    done = ask(api, range(3))
    assert (done.answered, dict(done.again)) == (3, {"server": 1})


def test_a_request_that_is_refused_fails_alone(api: Any, ask: Any, server: Any) -> None:
    server.result = lambda key, body, time: "400" if key == ask.key(api, 2) else "ok"
    done = ask(api, range(4))
    assert (done.answered, done.failed) == (3, 1)
    assert ask.failures() == {ask.key(api, 2): "HTTP 400: status 400"}
    assert len(server.batches) == 1 and nothing_left(ask.path)


def test_what_fails_too_often_is_given_up(api: Any, ask: Any, server: Any) -> None:
    server.result = lambda key, body, time: "500" if key == ask.key(api, 0) else "ok"
    done = ask(api, range(2), Terms(caps=caps({"server": 2})))
    assert (done.answered, done.failed, len(server.batches)) == (1, 1, 3)
    assert ask.failures()[ask.key(api, 0)].endswith("(3 attempts, the last: server)")


def test_a_cancelled_batch_is_reported_and_not_sent_again(api: Any, ask: Any, server: Any) -> None:
    server.result = lambda key, body, time: "cancelled" if key == ask.key(api, 1) else "ok"
    seen = Seen()
    with reading(seen):
        done = ask(api, range(3))
    assert (done.answered, done.failed, len(server.batches)) == (2, 1, 1)
    assert ask.failures() == {ask.key(api, 1): CANCELLED}
    assert "cancelled; 2 of 3" in seen.said("warning")
    server.result = lambda key, body, time: "ok"
    assert ask(api, range(3)).answered == 1, "asked for anew, it is sent"


def test_an_answer_that_is_not_accepted_is_asked_again_and_its_money_counted(
    api: Any, ask: Any, server: Any
) -> None:
    server.result = lambda key, body, time: "ok:length" if key == ask.key(api, 0) else "ok"

    def accept(request: Request, answer: Answer, moot: Container[Reason]) -> Reason | None:
        assert request["messages"]
        return "length" if answer.finish == "length" and "length" not in moot else None

    done = ask(api, range(2), Terms(accept=accept))
    assert (done.answered, done.charged, dict(done.again)) == (2, 1, {"length": 1})
    assert [(one.key, one.why) for one in ask.charges()] == [(ask.key(api, 0), "length")]
    assert ask.entries()[ask.key(api, 0)].finish == "length", "the last one is kept"
    assert done.cost_usd == pytest.approx(3 * 20e-6)
    with Ledger(ask.path, read_only=True) as ledger:
        (total,) = ledger.totals()
    assert (total.answers, total.charges) == (2, 1)
    assert total.cost_usd == pytest.approx(done.cost_usd)


def test_no_credit_in_a_result_ends_the_run_after_the_others_are_kept(
    api: Any, ask: Any, server: Any
) -> None:
    server.result = lambda key, body, time: "402" if key == ask.key(api, 0) else "ok"
    with pytest.raises(ProviderError, match="no credit"):
        ask(api, range(4))
    assert len(ask.entries()) == 3
    server.result = lambda key, body, time: "ok"
    assert ask(api, range(4)).answered == 1
    assert server.paid_twice == 0


# -- several ledgers ----------------------------------------------------------------------


def test_ledgers_are_filled_side_by_side(api: Any, ask: Any, server: Any, tmp_path: Path) -> None:
    server.seconds = 1.5
    ledgers = [Ledger(tmp_path / f"{code}.sqlite") for code in ("vi", "th", "my")]
    jobs = [
        Job(
            ledger,
            [ask.request(api, 10 * at + number) for number in range(3)],
            "response",
            Terms(),
            ledger.path.stem,
        )
        for at, ledger in enumerate(ledgers)
    ]
    done = dict[str, int]()
    for job, filled in fill_by_batches(jobs, ask.chat(api), options=THREE):
        done[job.task] = filled.answered
    assert done == {"vi": 3, "th": 3, "my": 3}
    began = [batch.created for batch in server.batches]
    assert max(began) < min(began) + server.seconds, "all were out before the first was in"
    for ledger in ledgers:
        ledger.close()


def test_a_provider_without_a_batch_api_is_refused() -> None:
    class Plain:
        name = "plain:m"

    with pytest.raises(ConfigError, match="plain:m has no batch API"):
        dialect_of(Plain())


def test_progress_tells_what_is_out(api: Any, ask: Any, server: Any) -> None:
    seen = Seen()
    with reading(seen):
        ask(api, range(4))
    told = [event.facts for event in seen.events if event.kind == "progress"]
    assert {"task": "response km", "total": 4, "batches": 1, "out": 4}.items() <= told[0].items()
    assert told[-1]["done"] == told[-1]["total"] == 4
    assert "4 of 4 requests answered" in seen.said("note")

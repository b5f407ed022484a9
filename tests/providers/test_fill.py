"""The one loop of resume, cache and growing data: each request once, every answer kept."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from bactrian.errors import DataError, ProviderError
from bactrian.events import Event, reading
from bactrian.ledger import Entry, Ledger, key_of
from bactrian.providers import Answer, NoAnswer, Request
from bactrian.providers.fill import Filled, Need, fill, survey
from bactrian.providers.filling import READY
from bactrian.providers.seen import AT_ONCE
from bactrian.providers.terms import Terms


def request(number: int) -> Request:
    return {"engine": "m", "target": "vi", "texts": [f"text {number}", ""]}


class Scripted:
    """Answers with the text in capitals, and does what the script says."""

    name = "scripted:m"

    def __init__(self, batch: int = 1) -> None:
        self.batch = batch
        self.sent: list[Request] = []
        self.sends = self.flying = self.most_flying = 0
        self.silent: set[str] = set()
        """Texts that get no answer."""
        self.broken: set[str] = set()
        """Texts at which the provider gives up."""
        self.seconds = 0.0

    async def send(self, requests: Sequence[Request]) -> Sequence[Answer | NoAnswer]:
        texts = [one["texts"][0] for one in requests]
        assert len(texts) <= self.batch
        if self.broken.intersection(texts):
            raise ProviderError("no credit is left", "top it up")
        self.sends += 1
        self.sent.extend(requests)
        self.flying += 1
        self.most_flying = max(self.most_flying, self.flying)
        await asyncio.sleep(self.seconds)
        self.flying -= 1
        return [self.answer(text) for text in texts]

    def answer(self, text: str) -> Answer | NoAnswer:
        if text in self.silent:
            return NoAnswer("refused by the script", attempts=3)
        return Answer(text.upper(), characters=len(text), cost_usd=0.5)

    @property
    def numbers(self) -> list[int]:
        return [int(one["texts"][0].removeprefix("text ")) for one in self.sent]


def filled(path: Path, numbers: Sequence[int], provider: Scripted, concurrency: int = 8) -> Filled:
    with Ledger(path) as ledger:
        return fill(
            ledger,
            map(request, numbers),
            provider,
            "translation",
            terms=Terms(concurrency=concurrency),
            task="translation vi",
            total=len(numbers),
        )


def kept(path: Path) -> dict[str, str]:
    with Ledger(path, read_only=True) as ledger:
        return {entry.key: entry.output for entry in ledger.entries()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vi.sqlite"


def test_each_request_is_sent_once_and_serves_every_row(path: Path) -> None:
    provider = Scripted(batch=3)
    done = filled(path, [0, 1, 0, 2, 1, 0, 3], provider)
    assert sorted(provider.numbers) == [0, 1, 2, 3]
    assert done == Filled(Need(7, 4, 0, 4 * len("text 0")), 4, 0, 2.0)
    assert kept(path) == {key_of(request(number)): f"TEXT {number}" for number in range(4)}


def test_an_answer_is_kept_with_who_gave_it_and_what_it_cost(path: Path) -> None:
    filled(path, [1], Scripted())
    with Ledger(path, read_only=True) as ledger:
        entry = ledger.get(key_of(request(1)))
    assert entry is not None
    expected = Entry(
        key_of(request(1)),
        "translation",
        "scripted:m",
        "TEXT 1",
        characters=6,
        cost_usd=0.5,
        time=entry.time,
    )
    assert entry == expected
    assert entry.time > 1_700_000_000


def test_attempts_of_the_provider_itself_are_counted_and_all_is_on_disk_at_the_end(
    path: Path,
) -> None:
    class Persistent(Scripted):
        def answer(self, text: str) -> Answer | NoAnswer:
            return Answer(text, attempts=3)

    with Ledger(path) as ledger:
        fill(ledger, [request(1)], Persistent(), "translation", terms=Terms(), task="t")
        entry = ledger.get(key_of(request(1)))
    assert entry is not None
    assert entry.attempts == 3


def test_what_the_ledger_has_is_not_sent(path: Path) -> None:
    filled(path, range(5), Scripted())
    provider = Scripted()
    done = filled(path, range(8), provider)
    assert sorted(provider.numbers) == [5, 6, 7]
    assert (done.need.rows, done.need.unique, done.need.present) == (8, 8, 5)
    assert (done.answered, done.cost_usd) == (3, 1.5)
    idle = Scripted()
    assert filled(path, range(8), idle).need.missing == 0
    assert idle.sends == 0


def test_what_gets_no_answer_is_counted_kept_with_its_reason_and_asked_again(path: Path) -> None:
    provider = Scripted(batch=4)
    provider.silent = {"text 2", "text 5"}
    done = filled(path, [*range(10), 2], provider)
    assert (done.need.rows, done.need.unique, done.need.present) == (11, 10, 0)
    assert (done.answered, done.failed) == (8, 2)
    assert done.need.missing == done.answered + done.failed
    with Ledger(path, read_only=True) as ledger:
        why = "refused by the script"
        assert ledger.failures() == {key_of(request(2)): why, key_of(request(5)): why}
    with closing(sqlite3.connect(path)) as connection:
        assert list(connection.execute("SELECT attempts FROM failures")) == [(3,), (3,)]
    provider = Scripted()
    assert filled(path, range(10), provider).answered == 2
    assert sorted(provider.numbers) == [2, 5]


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_provider_that_gives_up_loses_nothing_that_was_answered(
    path: Path, concurrency: int
) -> None:
    provider = Scripted()
    provider.broken = {"text 6"}
    with pytest.raises(ProviderError, match="no credit is left"):
        filled(path, range(20), provider, concurrency)
    answered = kept(path)
    assert answered.keys() == {key_of(request(number)) for number in provider.numbers}
    assert set(range(6)) <= set(provider.numbers)
    assert len(answered) < 20
    second = Scripted()
    done = filled(path, range(20), second)
    assert sorted(second.numbers) == sorted(set(range(20)) - set(provider.numbers))
    assert done.need.present == len(answered)


def test_what_is_on_its_way_when_the_provider_gives_up_is_waited_for(path: Path) -> None:
    provider = Scripted()
    provider.seconds = 0.05
    provider.broken = {"text 3"}
    with pytest.raises(ProviderError):
        filled(path, range(20), provider, 4)
    # 0, 1 and 2 were in flight and paid for when 3 was refused; nothing was sent after it
    assert provider.numbers == [0, 1, 2]
    assert len(kept(path)) == 3


def test_the_first_of_several_reasons_is_the_one_that_is_told(path: Path) -> None:
    class Breaking(Scripted):
        async def send(self, requests: Sequence[Request]) -> Sequence[Answer | NoAnswer]:
            text = requests[0]["texts"][0]
            await asyncio.sleep(0.02 if text == "text 2" else 0.05)
            raise ProviderError(f"broken by {text}", "mend it")

    with pytest.raises(ProviderError, match="broken by text 2"):
        filled(path, range(5), Breaking(), 5)


def test_a_bug_of_the_provider_is_raised_as_it_is_and_costs_nobody_else(path: Path) -> None:
    class Buggy(Scripted):
        async def send(self, requests: Sequence[Request]) -> Sequence[Answer | NoAnswer]:
            if requests[0]["texts"][0] == "text 3":
                raise ZeroDivisionError("of the provider")
            return await super().send(requests)

    provider = Buggy()
    provider.seconds = 0.05
    with pytest.raises(ZeroDivisionError, match="of the provider"):
        filled(path, range(20), provider, 4)
    assert provider.numbers == [0, 1, 2]
    assert len(kept(path)) == 3, "what was on its way and paid for was thrown away"


def test_too_few_outcomes_are_a_bug_of_the_provider(path: Path) -> None:
    class Short(Scripted):
        async def send(self, requests: Sequence[Request]) -> Sequence[Answer | NoAnswer]:
            return (await super().send(requests))[:-1]

    with pytest.raises(ValueError, match="zip"):
        filled(path, range(4), Short(batch=2))
    assert len(kept(path)) == 2


def test_rows_that_cannot_be_read_end_the_run_and_lose_nothing_on_its_way(path: Path) -> None:
    provider = Scripted()
    provider.seconds = 0.05

    def drawn() -> Iterator[Request]:
        yield from map(request, range(AT_ONCE + 2))
        raise DataError("rows.parquet ends in the middle", "make it again")

    with Ledger(path) as ledger, pytest.raises(DataError, match="ends in the middle"):
        terms = Terms(concurrency=AT_ONCE + 1)
        fill(ledger, drawn(), provider, "response", terms=terms, task="response vi")
    assert len(kept(path)) == len(provider.sent) == AT_ONCE


@pytest.mark.parametrize(
    ("batch", "concurrency", "calls"), [(1, 1, 1), (1, 7, 7), (5, 12, 12), (4, 4, 4), (100, 6, 1)]
)
def test_no_more_calls_than_told_are_in_flight(
    path: Path, batch: int, concurrency: int, calls: int
) -> None:
    provider = Scripted(batch)
    provider.seconds = 0.005
    filled(path, range(60), provider, concurrency)
    assert provider.most_flying == calls
    assert sorted(provider.numbers) == list(range(60))


def test_requests_are_drawn_as_they_are_needed(path: Path) -> None:
    provider = Scripted(batch=2)
    ahead: list[int] = []

    def drawn() -> Iterator[Request]:
        for number in range(2000):
            ahead.append(number + 1 - len(provider.sent))
            yield request(number)

    with Ledger(path) as ledger:
        terms = Terms(concurrency=8)
        fill(ledger, drawn(), provider, "response", terms=terms, task="response vi")
    assert len(ahead) == 2000
    assert max(ahead) <= AT_ONCE + READY + 8


def test_survey_counts_what_fill_would_send_and_sends_nothing(path: Path) -> None:
    numbers = [0, 1, 0, 2, 3, 3]
    assert survey(None, map(request, numbers)) == Need(6, 4, 0, 4 * 6)
    assert not path.exists()
    filled(path, [1, 2], Scripted())
    with Ledger(path, read_only=True) as ledger:
        need = survey(ledger, map(request, numbers))
        assert need == Need(6, 4, 2, 2 * 6)
        assert need.missing == 2
        assert len(ledger) == 2
    assert filled(path, numbers, Scripted()).need == need


def test_survey_counts_the_characters_of_chat_requests() -> None:
    messages = [{"role": "system", "content": "ខ្មែរ"}, {"role": "user", "content": "abc"}]
    assert survey(None, [{"messages": messages}]).characters == len("ខ្មែរ") + 3


def test_progress_ends_with_all_rows(path: Path) -> None:
    class Seen:
        def __init__(self) -> None:
            self.events: list[Event] = []

        def see(self, event: Event) -> None:
            self.events.append(event)

    seen = Seen()
    with reading(seen):
        filled(path, range(30), Scripted(batch=5))
    told = {"answered": 30, "failed": 0, "again": {}, "cost_usd": 15.0}
    assert seen.events[-1].facts == {"task": "translation vi", "done": 30, "total": 30, **told}
    assert {event.kind for event in seen.events} == {"progress"}


def test_nothing_to_ask_is_nothing_done(path: Path) -> None:
    provider = Scripted()
    assert filled(path, [], provider) == Filled(Need(0, 0, 0), 0, 0, 0.0)
    assert provider.sends == 0


def test_a_run_on_another_thread_needs_no_signals(path: Path) -> None:
    found: list[Filled] = []
    thread = threading.Thread(target=lambda: found.append(filled(path, range(5), Scripted())))
    thread.start()
    thread.join()
    assert found[0].answered == 5


def test_requests_in_52_languages_keep_their_keys_and_letters(
    path: Path, sentences: Mapping[str, Sequence[str]]
) -> None:
    texts = [text for _, told in sorted(sentences.items()) for text in told]
    odd = ["\x00\x07", "a\u200cb\u200d", "e\u0301 é", "👩\u200d👩\u200d👧", "\u202etxet", "\u2028"]
    requests = [{"target": "x", "texts": [text]} for text in (*texts, *odd)]
    # pinned: a change of the key would make everybody pay again
    told = "".join(map(key_of, requests))
    assert hashlib.sha256(told.encode()).hexdigest()[:16] == "53d93597db9b1053"

    class Echo(Scripted):
        def answer(self, text: str) -> Answer | NoAnswer:
            return Answer(text)

    for already in (0, len(requests)):
        with Ledger(path) as ledger:
            done = fill(ledger, iter(requests), Echo(64), "translation", terms=Terms(), task="all")
        assert (done.need.present, done.answered) == (already, len(requests) - already)
    with Ledger(path, read_only=True) as ledger:
        for asked in requests:
            entry = ledger.get(key_of(asked))
            assert entry is not None
            assert entry.output == asked["texts"][0]

"""The one loop of resume, cache and growing data: each request once, every answer kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bactrian.errors import ProviderError
from bactrian.events import Event, reading
from bactrian.ledger import Entry, Ledger, key_of
from bactrian.providers import Answer, NoAnswer, Request
from bactrian.providers.fill import Filled, Need, fill, survey


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
        self.flying += len(texts)
        self.most_flying = max(self.most_flying, self.flying)
        await asyncio.sleep(self.seconds)
        self.flying -= len(texts)
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
            concurrency=concurrency,
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


def test_a_bug_of_the_provider_is_raised_as_it_is(path: Path) -> None:
    class Short(Scripted):
        async def send(self, requests: Sequence[Request]) -> Sequence[Answer | NoAnswer]:
            return (await super().send(requests))[:-1]

    with pytest.raises(ValueError, match="zip"):
        filled(path, range(4), Short(batch=2))


@pytest.mark.parametrize(
    ("batch", "concurrency", "most"),
    [(1, 1, 1), (1, 7, 7), (5, 12, 10), (4, 4, 4), (100, 6, 6), (3, 1, 1)],
)
def test_no_more_than_told_are_in_flight(
    path: Path, batch: int, concurrency: int, most: int
) -> None:
    provider = Scripted(batch)
    provider.seconds = 0.001
    filled(path, range(60), provider, concurrency)
    assert provider.most_flying == most
    assert sorted(provider.numbers) == list(range(60))


def test_requests_are_drawn_as_they_are_needed(path: Path) -> None:
    provider = Scripted(batch=2)
    provider.seconds = 0.001
    ahead: list[int] = []

    def drawn() -> Iterator[Request]:
        for number in range(100):
            ahead.append(number + 1 - len(provider.sent))
            yield request(number)

    with Ledger(path) as ledger:
        fill(ledger, drawn(), provider, "response", concurrency=8, task="response vi")
    assert len(ahead) == 100
    assert max(ahead) <= 8


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
    assert seen.events[-1].facts == {"task": "translation vi", "done": 30, "total": 30}
    assert {event.kind for event in seen.events} == {"progress"}


def test_nothing_to_ask_is_nothing_done(path: Path) -> None:
    provider = Scripted()
    assert filled(path, [], provider) == Filled(Need(0, 0, 0), 0, 0, 0.0)
    assert provider.sends == 0

"""The one thread: in turn, off the loop, and it can be told to give up."""

from __future__ import annotations

import asyncio
import threading
import time
from threading import Event

import pytest

from bactrian import events
from bactrian.providers.here.worker import Halted, Stop, Worker


def test_calls_are_made_in_turn_in_a_thread_of_its_own_and_in_any_loop() -> None:
    worker = Worker("test")
    threads: list[str] = []
    busy = 0

    def work(halt: Event) -> int:
        nonlocal busy
        busy += 1
        assert busy == 1
        threads.append(threading.current_thread().name)
        time.sleep(0.02)
        busy -= 1
        return len(threads)

    async def three() -> list[int | None]:
        return list(await asyncio.gather(*(worker.run(work) for _ in range(3))))

    assert asyncio.run(three()) == [1, 2, 3]
    assert asyncio.run(three()) == [4, 5, 6]
    assert len(set(threads)) == 1
    assert threads[0] != threading.current_thread().name


def test_what_it_tells_reaches_the_reader_of_the_caller() -> None:
    class Seen:
        def __init__(self) -> None:
            self.events: list[events.Event] = []

        def see(self, event: events.Event) -> None:
            self.events.append(event)

    seen = Seen()
    with events.reading(seen):
        asyncio.run(Worker("test").run(lambda halt: events.emit("note", text="from the thread")))
    assert [event.facts["text"] for event in seen.events] == ["from the thread"]


def test_what_it_raises_reaches_the_caller() -> None:
    def work(halt: Event) -> None:
        raise ValueError("no such thing")

    with pytest.raises(ValueError, match="no such thing"):
        asyncio.run(Worker("test").run(work))


def test_after_a_stop_nothing_begins_until_it_is_opened() -> None:
    worker = Worker("test")
    worker.stop()
    assert asyncio.run(worker.run(lambda halt: 1)) is None
    worker.open()
    assert asyncio.run(worker.run(lambda halt: 1)) == 1


def test_a_cancelled_call_is_told_to_give_up_and_one_behind_it_does_not_begin() -> None:
    worker = Worker("test")
    gave_up, begun = Event(), Event()

    def long(halt: Event) -> None:
        if halt.wait(20):
            gave_up.set()

    async def cancel() -> None:
        calls = [asyncio.create_task(worker.run(long))]
        calls.append(asyncio.create_task(worker.run(lambda halt: begun.set())))
        await asyncio.sleep(0.05)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await worker.run(lambda halt: None)

    asyncio.run(cancel())
    assert gave_up.is_set()
    assert not begun.is_set()


def test_the_criterion_ends_copies_at_once_and_all_rows_when_halted() -> None:
    torch = pytest.importorskip("torch")
    halt = Event()
    ids = torch.zeros(3, 5, dtype=torch.long)
    assert Stop(halt)(ids, None).tolist() == [False, False, False]
    assert Stop(halt, rows=2)(ids, None).tolist() == [False, False, True]
    Stop(halt).check()
    halt.set()
    assert Stop(halt, rows=2)(ids, None).tolist() == [True, True, True]
    with pytest.raises(Halted):
        Stop(halt).check()

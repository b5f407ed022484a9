"""A crew that answers in any order leaves what one process leaves; units are of one length."""

from __future__ import annotations

import heapq
import pickle
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import AdapterError
from bactrian.evaluate.engine import Scorers, scorers
from bactrian.evaluate.run import evaluate
from bactrian.evaluate.spread import Done, Unit, ahead
from bactrian.evaluate.spread.ahead import Cell, Pace, cut
from bactrian.evaluate.spread.works import Scoring
from bactrian.evaluate.store import Store
from bactrian.models.base import of
from bactrian.models.scoring import Batch, Request
from bactrian.workspace import Workspace

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

Made = Callable[..., Workspace]
Left = Callable[[Workspace], dict[str, Any]]


class InAnyOrder:
    """Holds five units, and does them in an order of its own, through the form that travels."""

    def __init__(self, ready: Scorers, stop_after: int = 10**9) -> None:
        self.ready = ready
        self.stop_after = stop_after
        self.told: list[str] = []
        self.most = 0

    def done(self, units: Iterable[Unit]) -> Iterator[Done]:
        draw, feed, held = random.Random(1), iter(units), list[Unit]()
        while True:
            while len(held) < 5 and (unit := next(feed, None)) is not None:
                held.append(unit)
            if not held:
                return
            self.most = max(self.most, len({unit.told for unit in held}))
            unit = held.pop(draw.randrange(len(held)))
            self.told.append(unit.told)
            if len(self.told) > self.stop_after:
                raise KeyboardInterrupt
            work = pickle.loads(pickle.dumps(unit.work))
            yield Done(unit, pickle.loads(pickle.dumps(work.done_by(self.ready))), 0.0)


def engine_of(seen: list[InAnyOrder], stop_after: int = 10**9) -> Any:
    @contextmanager
    def engine(workspace: Workspace, adapters: Mapping[str, Path]) -> Iterator[Scorers]:
        ready = scorers(of(workspace.recipe), adapters)
        seen.append(InAnyOrder(ready, stop_after))
        yield replace(ready, crew=seen[-1])
        ready.detach()

    return engine


@pytest.fixture
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch under one model is a unit."""
    monkeypatch.setattr(ahead, "FIRST", 1)
    monkeypatch.setattr(ahead, "SECONDS", 0.0)


@pytest.mark.usefixtures("small_units")
def test_a_crew_leaves_what_one_process_leaves(
    made: Made, left: Left, alone: dict[str, Any]
) -> None:
    spread = made("spread")
    seen: list[InAnyOrder] = []
    evaluate(spread, ["toy"], engine=engine_of(seen))
    assert left(spread) == alone
    assert len(alone["scores.jsonl"].splitlines()) == 2 * (3 + 3 + 2 * 20 + 2 * 3)
    assert seen[0].told.count("xcopa zh") > 4, "a large language is parted"
    assert seen[0].most > 1, "several parts are under way at once"
    assert {"answers zh", "answers vi", "sample answers"} <= set(seen[0].told)


@pytest.mark.usefixtures("small_units")
def test_one_that_was_stopped_goes_on_and_scores_nothing_twice(
    made: Made, left: Left, alone: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    spread = made("spread")
    rows: list[tuple[str, str, int]] = []
    put = Store.put

    def counted(store: Store, scorer: str, task: str, scores: Any) -> None:
        rows.extend((scorer + task, one.item, one.option) for one in scores)
        put(store, scorer, task, scores)

    monkeypatch.setattr(Store, "put", counted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(spread, ["toy"], engine=engine_of([], stop_after=4))
    assert 0 < len(rows) < 104
    evaluate(spread, ["toy"], engine=engine_of([]))
    assert left(spread) == alone
    assert len(rows) == len(set(rows)) == 104


def test_what_is_there_is_not_asked_again(made: Made) -> None:
    workspace = made("once")
    evaluate(workspace, ["toy"])
    changed = {"tasks": ("held-out", "xcopa"), "samples": 0, "draws": 50}
    told = workspace.recipe.eval.model_copy(update=changed)
    other = replace(workspace, recipe=workspace.recipe.model_copy(update={"eval": told}))
    seen: list[InAnyOrder] = []
    assert evaluate(other, ["toy"], engine=engine_of(seen)).fresh
    assert seen[0].told == []
    assert not (workspace.results / "confusion.jsonl").exists(), "those of other results"


def test_a_model_that_gives_no_numbers_is_named(made: Made, monkeypatch: Any) -> None:
    from bactrian.models.scoring import Likelihood

    def broken(work: Scoring, _: Scorers) -> list[list[Likelihood]]:
        return [
            [Likelihood(float("nan"), False)] * len(batch.requests)
            for batch, names in work.batches
            for _ in names
        ]

    monkeypatch.setattr(Scoring, "done_by", broken)
    with pytest.raises(AdapterError, match=r"what it gives for held-out .* is no number"):
        evaluate(made("broken"), ["toy"], engine=engine_of([]))


def batch(tokens: int) -> Batch:
    request = Request(tuple(range(1, tokens)), (1, 2))
    return Batch((0,), (request,))


def sizes(cells: list[Cell], tokens: float) -> list[list[int]]:
    pace = Pace()
    pace.tokens = tokens
    found = list(cut(cells, pace))
    flat = [(batch, name) for unit in found for batch, names in unit for name in names]
    assert flat == [(batch, name) for batch, names in cells for name in names], "none is lost"
    return [[one.tokens * len(names) for one, names in unit] for unit in found]


def test_units_are_as_long_as_the_pace_says() -> None:
    three = ("base", "a", "b")
    small: list[Cell] = [(batch(10), three)] * 4
    assert sizes(small, 1) == [[10]] * 12, "one batch under one model is the least"
    assert sizes(small, 30) == [[30]] * 4
    assert sizes(small, 60) == [[30, 30]] * 2
    assert sizes(small, 45) == [[30, 10], [20, 20], [10, 30]]
    assert sizes([(batch(100), three), (batch(10), three)], 20) == [[100]] * 3 + [[20], [10]]


def test_what_travels_with_a_unit_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "LARGEST", 25)
    assert sizes([(batch(10), ("a", "b"))] * 4, 1e9) == [[20, 20], [20, 20]]


def test_the_pace_follows_what_units_took() -> None:
    pace = Pace()
    for _ in range(12):
        pace.see(1000, 0.5)
    assert pace.tokens == pytest.approx(1000 / 0.5 * ahead.SECONDS, rel=0.01)
    pace.see(1, 1e9)
    assert pace.tokens >= 1


# items of EXAMS by language: ar bg de es fr hr it lt mk pt sq sr
EXAMS = (562, 2937, 212, 38, 128, 2436, 1113, 593, 2075, 924, 1505, 1442)


def finished(workers: int, speed: float, parts: Iterable[Iterable[Cell]]) -> float:
    """Return when the last of the workers is done, in seconds; a unit goes to the first idle."""
    pace, clock = Pace(), [(0.0, n) for n in range(workers)]
    under_way: list[tuple[float, int, float]] = []
    for part in parts:
        for unit in cut(part, pace):
            begun, worker = heapq.heappop(clock)
            while under_way and under_way[0][0] <= begun:
                _, tokens, seconds = heapq.heappop(under_way)
                pace.see(tokens, seconds)
            tokens = sum(one.tokens * len(names) for one, names in unit)
            heapq.heappush(under_way, (begun + tokens / speed, tokens, tokens / speed))
            heapq.heappush(clock, (begun + tokens / speed, worker))
    return max(end for end, _ in clock)


@pytest.mark.parametrize("workers", [8, 32])
@pytest.mark.parametrize("speed", [2_000.0, 20_000.0])
def test_no_worker_waits_for_a_large_language(workers: int, speed: float) -> None:
    """Base and three adapters on EXAMS, 130 tokens a question, in rows of 2,048 tokens."""
    names = ("base", "a", "b", "c")
    rows = [max(1, count * 130 // 2048) for count in EXAMS]
    parts: list[list[Cell]] = [[(batch(2048), names)] * count for count in rows]
    ideal = sum(rows) * 2048 * len(names) / speed / workers
    took = finished(workers, speed, parts)
    assert took - ideal < 2 * max(ahead.SECONDS, 2048 / speed), "at the end a unit or two"
    # a language under one model as a whole, the longest first
    clock = [0.0] * workers
    for count in sorted(rows * len(names), reverse=True):
        heapq.heappush(clock, heapq.heappop(clock) + count * 2048 / speed)
    if workers == 32:
        assert took < 0.7 * max(clock)

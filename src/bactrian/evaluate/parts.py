"""One task in one language: its items and their requests, scored here or by a crew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bactrian import __version__, table
from bactrian.evaluate import backends
from bactrian.evaluate.engine import Questions, Scorers, answer, questions
from bactrian.evaluate.results import Found, Measured
from bactrian.evaluate.spread.ahead import scored_by
from bactrian.evaluate.store import Store
from bactrian.evaluate.tasks import BLANK, Item, Task
from bactrian.evaluate.tasks.finding import blank, items
from bactrian.languages import Language


@dataclass(frozen=True, slots=True)
class Part:
    """One task in one language, as it is asked of every model."""

    task: Task
    language: Language
    items: tuple[Item, ...]
    empty: Item | None
    """What asks the labels after no text, of a task that has it."""
    asked: Questions
    """The items, and after them the empty one."""


def part(task: Task, language: Language, ready: Scorers) -> Part:
    """Read and encode a part; raises DataError as ``questions`` and the task do."""
    found = tuple(items(task, language))
    empty = blank(task, language)
    texts = (*found, empty) if empty else found
    pairs = (pair for item in texts for pair in item.pairs())
    backends.prepare(ready.base.tokenizer, pairs, task.rules.join)
    asked = questions(ready.base, task.name, language.code, texts, task.rules)
    return Part(task, language, found, empty, asked)


def scored(parts: Iterable[Part], ready: Scorers, store: Store, budget: int) -> Iterator[Part]:
    """Yield the parts in order, each once the store has all of it; ``budget`` is tokens a batch."""
    if ready.crew is not None:
        yield from scored_by(ready.crew, parts, ready, store, budget)
        return
    for one in parts:
        answer(ready, one.asked, store, budget)
        yield one


def measured(one: Part, ready: Scorers, store: Store) -> Measured:
    """Return a part as every model scored it."""
    found = {name: store.get(key, one.asked.key) for name, key in ready.keys.items()}
    return Measured(
        one.task.name,
        one.language.code,
        one.task.rules,
        _signature(one, ready),
        one.items,
        found,
        one.task.parallel,
        {name: _after_nothing(one.empty, scores) for name, scores in found.items()}
        if one.empty
        else {},
    )


def notes_of(one: Part) -> list[str]:
    """Return what a reader of its numbers has to know."""
    where = f"{one.asked.task} {one.asked.language}"
    notes = []
    if cut := sum(map(bool, one.asked.dropped)):
        notes.append(f"{where}: {cut} contexts were longer than the model and cut from the left")
    if one.asked.spanning:
        notes.append(f"{where}: in {one.asked.spanning} options a token spanned the join")
    return notes


def _after_nothing(empty: Item, found: Found) -> tuple[float, ...]:
    return tuple(found[BLANK, option].log_likelihood for option in range(len(empty.options)))


def _signature(one: Part, ready: Scorers) -> str:
    data = table.hash_of([[item.id, item.options, item.gold] for item in one.items])
    rules = one.task.rules
    fields = [
        ("task", one.task.name),
        ("lang", one.language.code),
        ("n", str(len(one.items))),
        *rules.facts,
        ("join", rules.join),
        ("texts", one.asked.key[:8]),
        ("data", data[:8]),
        ("base", ready.base.location.fingerprint[:8]),
        ("dtype", ready.base.precision),
        ("bactrian", __version__),
    ]
    return "|".join(f"{name}:{value}" for name, value in fields)

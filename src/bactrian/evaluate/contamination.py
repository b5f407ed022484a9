"""Which items of a benchmark stand in the rows a model was trained on, word for word.

The items' n-grams are held in memory, the training rows are streamed past them: memory follows from
the benchmarks, not from the data. Where a script puts no spaces between words, a gram is of
characters as a reader counts them, else of words.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import regex

from bactrian import table, text
from bactrian.evaluate.tasks import Item
from bactrian.events import emit
from bactrian.workspace import Workspace

Part = tuple[str, str]
"""Task and language."""
_UNSPACED = regex.compile(rf"[{text.UNSPACED}]")


@dataclass(frozen=True, slots=True)
class Gram:
    """How much has to be the same, in words or in characters."""

    full: int
    least: int
    """A text of fewer says nothing; one between the two has to be there as a whole."""


WORDS = Gram(13, 8)
CHARACTERS = Gram(20, 12)
EVERY = 10_000
"""Rows between two words about the progress."""
COMMON = 0.1
"""Grams that a larger share of a task's items have are its prompt's, and say nothing."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """What was found of one task in one language."""

    task: str
    language: str
    items: int
    dirty: frozenset[str]
    """Ids whose question or right answer stands in a training row."""
    short: frozenset[str]
    """Ids whose texts are too short to tell; they count as clean."""


@dataclass(slots=True)
class _Index:
    """The grams of all items; a longer one is found by how it begins."""

    owners: dict[int, set[tuple[Part, str]]] = field(default_factory=lambda: defaultdict(set))
    begins: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))

    def met(self, words: Sequence[str]) -> Iterator[tuple[Part, str]]:
        """Yield the items that share a gram with a training row."""
        for least in (WORDS.least, CHARACTERS.least):
            for start in range(len(words) - least + 1):
                for size in self.begins.get(hash(tuple(words[start : start + least])), ()):
                    # at the end of the row the slice is shorter, and the hash of nothing we hold
                    yield from self.owners.get(hash(tuple(words[start : start + size])), ())


def overlaps(items: Mapping[Part, Sequence[Item]], rows: Iterable[str]) -> tuple[Overlap, ...]:
    """Return the items of each task and language whose words stand in ``rows``."""
    index, short = _Index(), {}
    for part, mine in items.items():
        short[part] = frozenset(_index(index, part, mine))
    dirty: dict[Part, set[str]] = defaultdict(set)
    for row in rows:
        for part, name in index.met(words_of(row)):
            dirty[part].add(name)
    return tuple(
        Overlap(*part, len(mine), frozenset(dirty[part]), short[part])
        for part, mine in items.items()
    )


def met_in_training(
    workspace: Workspace, items: Mapping[Part, Sequence[Item]]
) -> tuple[Overlap, ...]:
    """Return the items that stand in the rows which the workspace's adapters are trained on."""
    return overlaps(items, training_rows(workspace))


def dirty_of(found: Iterable[Overlap]) -> dict[Part, frozenset[str]]:
    """Return the dirty ids by task and language, as ``results.results_of`` takes them."""
    return {(one.task, one.language): one.dirty for one in found}


def notes_of(found: Iterable[Overlap]) -> Iterator[str]:
    """Yield what a reader has to know of each task and language."""
    for one in found:
        short = f"; {len(one.short)} are too short to tell" if one.short else ""
        yield (
            f"{one.task} {one.language}: {len(one.dirty)} of {one.items} items stand in the "
            f"training rows{short}"
        )


def without_rows(workspace: Workspace) -> list[str]:
    """Return the codes of the recipe's languages that the dataset has no training rows in."""
    return [
        language.code
        for language in workspace.languages
        if not ((found := table.info(workspace.split(language.code, "train"))) and found.rows)
    ]


def training_rows(workspace: Workspace) -> Iterator[str]:
    """Yield the text of every row that the workspace's adapters are trained on."""
    if absent := without_rows(workspace):
        emit("note", text=f"contamination: no training rows in {', '.join(absent)}")
    paths = [workspace.split(language.code, "train") for language in workspace.languages]
    rows = {path: found.rows for path in paths if (found := table.info(path))}
    done = 0
    for path in rows:
        for row in table.read(path):
            example = row.example
            yield "\n".join((example.instruction, example.input, example.output))
            done += 1
            if done % EVERY == 0 or done == sum(rows.values()):
                emit("progress", task="contamination", done=done, total=sum(rows.values()))


def words_of(told: str) -> list[str]:
    """Return the words, or characters where there are no spaces, without case and punctuation."""
    return text.tokens(text.normalise(told))


def _index(index: _Index, part: Part, items: Sequence[Item]) -> Iterator[str]:
    """Put the grams of one task in one language in; yield the ids that are too short."""
    grams = {item.id: set(_grams(item)) for item in items}
    shared = Counter(gram for mine in grams.values() for gram in mine)
    most = max(2.0, COMMON * len(items))
    for name, mine in grams.items():
        if not mine:
            yield name
        for gram in mine:
            if shared[gram] <= most:
                least = _kind(gram).least
                index.owners[hash(gram)].add((part, name))
                index.begins[hash(gram[:least])].add(len(gram))


def _grams(item: Item) -> Iterator[tuple[str, ...]]:
    context, option = item.pairs()[item.gold]
    for told in (context, option):
        words = words_of(told)
        kind = _kind(words)
        size = min(kind.full, len(words))
        if size >= kind.least:
            yield from (tuple(words[at : at + size]) for at in range(len(words) - size + 1))


def _kind(words: Sequence[str]) -> Gram:
    characters = sum(bool(_UNSPACED.match(word)) for word in words)
    return CHARACTERS if 2 * characters > len(words) else WORDS

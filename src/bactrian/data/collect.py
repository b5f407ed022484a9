"""First stage: the collections of the recipe become one table a language.

English rows are what is translated. Rows in another language keep their own outputs and join that
language as they are. Rows that no language takes are set aside with the reason. Knows nothing of
containers and shapes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from bactrian import table
from bactrian.data import programming
from bactrian.data.marks import VERSION as MARKS
from bactrian.data.marks import marks
from bactrian.data.sources.collection import AUTO, Collection, Read, collections_of
from bactrian.data.sources.seen import Seen
from bactrian.data.sources.spool import Spool
from bactrian.data.tally import Counts, plain, read_back, together
from bactrian.errors import DataError
from bactrian.events import emit, track
from bactrian.workspace import Workspace

ENGLISH = "en"
SET_ASIDE = "set-aside"
"""Name of the table of rows that no language takes, in place of a language."""
VERSION = 2
"""To be raised when the same sources give other rows."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What the stage made."""

    path: Path
    """The English table."""
    rows: int
    """English rows."""
    collections: dict[str, Counts]
    languages: dict[str, int]
    """Rows by language, all collections together, English first."""
    shared: dict[str, int] = field(default_factory=dict)
    """Ids that a language's own rows have in common with English rows."""

    @property
    def set_aside(self) -> dict[str, int]:
        """Rows that no language takes, by reason."""
        return together(one.set_aside for one in self.collections.values())

    @property
    def marks(self) -> dict[str, int]:
        """What else is said of English rows."""
        return together(one.marks for one in self.collections.values())

    @property
    def defects(self) -> dict[str, int]:
        """Defects of the English rows, by class."""
        return together(one.defects for one in self.collections.values())


def collect(workspace: Workspace) -> Collected:
    """Write ``stages/sources/<language>.parquet``, the first ``limit`` rows of each language.

    Tables that were made from the same are recognised, and nothing is read or asked for again.
    Raises ConfigError and DataError for sources that cannot be read; no table is left half.
    """
    collections = collections_of(workspace)
    made_from = made_from_of(workspace, collections)
    done = finished(workspace, made_from)
    if done is None:
        done = _Stage(workspace, collections, made_from).make()
        _warn(done, workspace)
    if not done.languages and done.set_aside:
        rows = sum(done.set_aside.values())
        raise DataError(
            f"no language takes any of the {rows} rows: {', '.join(done.set_aside)}",
            f"see {workspace.stage('sources', SET_ASIDE)}, or name the language of the collection",
        )
    if not done.languages:
        names = [*(path for one in collections for path in one.source.files)]
        names += [one.source.hub for one in collections if one.source.hub]
        raise DataError(f"{', '.join(names)} hold no rows", "name files with instructions")
    return done


def made_from_of(workspace: Workspace, collections: tuple[Collection, ...]) -> str:
    """Return the hash of everything that the tables follow from."""
    parts = [one.made_from() for one in collections]
    words = word_list(workspace)
    own = words.read_text(encoding="utf-8") if words is not None and words.is_file() else ""
    return table.hash_of("sources", VERSION, MARKS, parts, own, workspace.recipe.limit)


def word_list(workspace: Workspace) -> Path | None:
    """Return the recipe's own list of programming words, if it names one."""
    named = workspace.recipe.translate.programming_words
    return workspace.given(named) if named else None


def finished(workspace: Workspace, made_from: str) -> Collected | None:
    """Return what was made where every table is there and made from the same, else None."""
    path = workspace.stage("sources", ENGLISH)
    found = table.info(path)
    if found is None or found.made_from != made_from:
        return None
    counts = read_back(found.facts["collections"])
    languages = _by_language(counts)
    done = Collected(path, found.rows, counts, languages, found.facts["shared"])
    tables = [code for code in languages if code != ENGLISH]
    tables += [SET_ASIDE] if done.set_aside else []
    others = (table.info(workspace.stage("sources", name)) for name in tables)
    whole = all(other is not None and other.made_from == made_from for other in others)
    return done if whole else None


class _Stage:
    """One making of the tables: what was seen and counted on the way."""

    def __init__(
        self, workspace: Workspace, collections: tuple[Collection, ...], made_from: str
    ) -> None:
        self.workspace = workspace
        self.collections = collections
        self.made_from = made_from
        self.counts: dict[str, Counts] = {}
        self.facts: dict[str, Any] = {}
        self.folder = workspace.stage("sources", ENGLISH).parent
        self.words = programming.load(word_list(workspace))
        self.seen = Seen()
        self.sorted = Spool[Read](self.folder)
        """Rows whose language had to be identified, by language and collection."""
        self.aside = Spool[Read](self.folder)

    def make(self) -> Collected:
        """Write the tables, English after the others, since its facts tell of all of them."""
        with self.seen, self.sorted, self.aside:
            languages = self._languages()
            for language in languages:
                self._write(language, track(self._rows(language), f"sources {language}"))
            english = self._write(ENGLISH, track(self._rows(ENGLISH), "sources"), self.facts)
            aside = self.aside.names
            if aside:
                self._write(SET_ASIDE, map(_row, self.aside.take(SET_ASIDE)))
        _remove_others(self.folder, {ENGLISH, *languages, *aside})
        counts = {one.name: self.counts[one.name] for one in self.collections}
        path = self.workspace.stage("sources", ENGLISH)
        shared = self.facts["shared"]
        return Collected(path, english.rows, counts, _by_language(counts), shared)

    def _languages(self) -> list[str]:
        """Return the languages other than English, those that had to be identified included."""
        for collection in self.collections:
            if collection.language == AUTO:
                for read in track(self._read(collection), f"languages of {collection.name}"):
                    self.sorted.put(f"{read.example.language} {collection.name}", read)
        found = {name.partition(" ")[0] for name in self.sorted.names}
        named = {one.language for one in self.collections if one.language != AUTO}
        return sorted((found | named) - {ENGLISH})

    def _read(self, collection: Collection) -> Iterator[Read]:
        """Yield the rows of a collection that a language takes; set the others aside."""
        # a table is whole or absent, so a broken end is only worth looking for if it is not reached
        reading = collection.read(verify=bool(self.workspace.recipe.limit))
        self.counts[collection.name] = Counts(reading.shape)
        for read in reading.rows:
            if read.set_aside:
                self.aside.put(SET_ASIDE, read)
                self.counts[collection.name].count(read)
            else:
                yield read

    def _reads(self, language: str) -> Iterator[Read]:
        for collection in self.collections:
            if collection.language == AUTO:
                yield from self.sorted.take(f"{language} {collection.name}")
            elif collection.language == language:
                yield from self._read(collection)

    def _rows(self, language: str) -> Iterator[table.Row]:
        for read in islice(self._reads(language), self.workspace.recipe.limit or None):
            example = read.example
            if not self.seen.add(language, example.id):
                raise DataError(
                    f"{read.place}: the id {example.id} occurs twice",
                    "give every row of a language its own id, or leave the ids out: rows without "
                    "one are numbered through their collection",
                )
            flags = marks(example, self.words) if language == ENGLISH else ()
            self.counts[example.provenance.source].count(read, flags)
            yield table.Row(example, flags)
        if language == ENGLISH:
            self._tell()

    def _tell(self) -> None:
        """Fill the facts of the English table, which is the last one that a language takes."""
        for collection in self.collections:  # a limit may be reached before a collection is
            self.counts.setdefault(collection.name, Counts(collection.source.shape))
        self.facts["collections"] = plain(self.counts)
        self.facts["defects"] = together(one.defects for one in self.counts.values())
        self.facts["shared"] = self.seen.shared_with(ENGLISH)

    def _write(
        self, name: str, rows: Iterator[table.Row], facts: dict[str, Any] | None = None
    ) -> table.Info:
        path = self.workspace.stage("sources", name)
        found = table.write(path, rows, self.made_from, facts)
        emit("made", path=str(path), rows=found.rows)
        return found


def _by_language(counts: dict[str, Counts]) -> dict[str, int]:
    rows = together(one.rows for one in counts.values())
    return {code: rows[code] for code in sorted(rows, key=lambda code: (code != ENGLISH, code))}


def _row(read: Read) -> table.Row:
    return table.Row(read.example)


def _remove_others(folder: Path, names: set[str]) -> None:
    """Remove the tables of languages that the recipe no longer has."""
    for path in folder.glob("*.parquet"):
        if path.stem not in names:
            path.unlink()


def _warn(done: Collected, workspace: Workspace) -> None:
    for name, one in done.collections.items():
        for what, times in one.left_out.items():
            text = f"{name}: {times} {what} in {one.shortened[what]} rows were left out"
            emit("warning", text=f"{text}: an example is one instruction and its answer")
    if aside := done.set_aside:
        reasons = ", ".join(f"{times} because {why}" for why, times in sorted(aside.items()))
        path = workspace.stage("sources", SET_ASIDE)
        emit("warning", text=f"{sum(aside.values())} rows are set aside in {path}: {reasons}")
    for target in workspace.languages:
        if target.code in done.shared:
            what = f"{done.shared[target.code]} rows of {target.code} have the id of an English row"
            emit("note", text=f"{what}: they stand in place of its translation")

"""One collection of the recipe: where it lies, what it is made from, and its rows as examples.

Knows nothing of other collections and of tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from bactrian.data.sources.files import files_of, language_named
from bactrian.data.sources.hub import hub_records, must_be_allowed
from bactrian.data.sources.identify import identify
from bactrian.data.sources.json_faults import kind_of
from bactrian.data.sources.records import counts_rows, digest, records
from bactrian.data.sources.shape import LOOKED_AT, Misfit, Shape, Taken, shape_for
from bactrian.errors import ConfigError, DataError
from bactrian.events import emit
from bactrian.languages import get
from bactrian.recipe import Source
from bactrian.schema import Example, Provenance
from bactrian.workspace import Workspace

AUTO = "auto"


class Placed(NamedTuple):
    """A row of a collection, whatever it is, and what a person calls its place."""

    place: str
    value: Any


@dataclass(frozen=True, slots=True)
class Read:
    """A row as an example; set aside, with the reason in ``example.missing``, where it is none."""

    place: str
    example: Example
    left_out: Mapping[str, int] = field(default_factory=dict)
    """What the row has beyond an example, such as later turns."""

    @property
    def set_aside(self) -> str:
        """Why the row goes into no language's table; empty where it does."""
        return self.example.missing


@dataclass(frozen=True, slots=True)
class Reading:
    """A collection being read."""

    shape: str
    """Name of the shape, as named or as found."""
    rows: Iterator[Read]


@dataclass(frozen=True, slots=True)
class Collection:
    """One table ``[sources.<name>]`` with its files found and its language settled."""

    name: str
    source: Source
    files: tuple[Path, ...]
    language: str
    """Code of all rows, or ``auto``."""
    network: bool

    def made_from(self) -> list[Any]:
        """Return what the rows follow from, as plain values: contents, not names, of files.

        A dataset on the Hub stands for what it was when it was read; ``revision`` names another.
        """
        told = self.source
        hub = [told.hub, told.subset, told.split, told.revision] if told.hub else []
        contents = [digest(path) for path in self.files]
        return [self.name, hub, contents, told.shape, self.language, told.licence]

    def read(self, *, verify: bool) -> Reading:
        """Begin to read; see ``records`` for ``verify``.

        Raises DataError naming the file, the line, what was expected there and what was found.
        """
        rows = self._rows(verify)
        first = list(islice(rows, LOOKED_AT))
        if not first:
            emit("warning", text=f"{self.name} holds no rows")
            return Reading(self.source.shape, iter(()))
        looked_at = [row.value for row in first if isinstance(row.value, dict)]
        if not looked_at:
            raise _no_object(first[0])
        name, shape = shape_for(self.source.shape, looked_at, self.name)
        return Reading(name, self._read(chain(first, rows), shape))

    def _rows(self, verify: bool) -> Iterator[Placed]:
        if self.source.hub:
            must_be_allowed(self.name, self.source, self.network)
            for record in hub_records(self.name, self.source):
                yield Placed(f"{self.source.hub}, row {record.line}", record.value)
        for path in self.files:
            counted = "row" if counts_rows(path) else "line"
            for record in records(path, verify=verify):
                yield Placed(f"{path}, {counted} {record.line}", record.value)

    def _read(self, rows: Iterator[Placed], shape: Shape) -> Iterator[Read]:
        provenance = Provenance(source=self.name, licence=self.source.licence)
        for number, row in enumerate(rows):
            taken = _taken(row, shape)
            language, why = self._language(taken)
            example = Example(
                id=_id(taken.id, self.name, number),
                language=language,
                instruction=taken.instruction,
                input=taken.input,
                output=taken.output,
                provenance=provenance,
                missing=taken.unusable or why,
            )
            yield Read(row.place, example, taken.left_out)

    def _language(self, taken: Taken) -> tuple[str, str]:
        if self.language != AUTO:
            return self.language, ""
        if taken.unusable:
            return "", ""
        found = identify(taken.instruction, taken.input, taken.output)
        return found.code, found.why


def collections_of(workspace: Workspace) -> tuple[Collection, ...]:
    """Return the collections that the recipe names, in its order.

    Raises ConfigError for contradictions, DataError for files that are not there.
    """
    sources = workspace.recipe.sources
    if not sources:
        raise ConfigError(
            "the recipe names no sources",
            'add a collection: [sources.alpaca] files = ["alpaca_data.json"]',
        )
    return tuple(_collection(name, source, workspace) for name, source in sources.items())


def _collection(name: str, source: Source, workspace: Workspace) -> Collection:
    if name.split() != [name] or not name.isprintable():
        raise ConfigError(f"[sources.{name!r}]: the name begins ids", "write it without spaces")
    if bool(source.files) == bool(source.hub):
        many = "both files and hub" if source.hub else "neither files nor hub"
        raise ConfigError(f"[sources.{name}] names {many}", "name one of them")
    files = files_of(name, source, workspace.recipe_folder)
    language = _language(name, source)
    return Collection(name, source, files, language, workspace.recipe.network)


def _language(name: str, source: Source) -> str:
    """Return the code of the rows or ``auto``; a subset named as a language says it, too."""
    if source.language.strip().casefold() == AUTO:
        return AUTO
    if source.language:
        return get(source.language).code
    if found := language_named(source.subset):
        emit("decision", text=f"{name}: the rows are {get(found).name}, as the subset says")
        return found
    return "en"


def _id(given: str, collection: str, number: int) -> str:
    """Return the id as given; a number, or none, is made unique by the collection's name."""
    return given if given and not given.isdecimal() else f"{collection}-{given or number}"


def _taken(row: Placed, shape: Shape) -> Taken:
    if not isinstance(row.value, dict):
        raise _no_object(row, shape.example)
    try:
        return shape.take(row.value)
    except Misfit as misfit:
        raise DataError(f"{row.place}: {misfit.problem}", misfit.hint or shape.example) from None


def _no_object(row: Placed, hint: str = "a row is an object of texts") -> DataError:
    return DataError(f"{row.place}: expected an object, found {kind_of(row.value)}", hint)

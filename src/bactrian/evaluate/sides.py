"""What ``A`` and ``B`` of a comparison mean: models in results folders, and their answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bactrian.errors import ConfigError, did_you_mean
from bactrian.evaluate.answered import Answered
from bactrian.evaluate.confusion.compared import LINES, TASK, ByLanguage, read_said
from bactrian.evaluate.items import NAME, read_items
from bactrian.workspace import open_workspace

BASE = "base"
FILES = ("results.json", NAME, "scores.sqlite", LINES)
HOW = "write FOLDER, FOLDER:MODEL, or MODEL with --in FOLDER; bactrian eval makes the folder"


@dataclass(frozen=True, slots=True)
class Side:
    """One model and all it answered."""

    name: str
    """What the comparison calls it; no other side is called the same."""
    model: str
    """What its results call it."""
    answered: Mapping[tuple[str, str], Answered]
    """By task and language."""
    said: ByLanguage = field(default_factory=dict)
    """Judged answers of the task confusion, by language."""

    @property
    def tasks(self) -> tuple[tuple[str, str], ...]:
        """Every task that it has results of, with the language."""
        return (*self.answered, *((TASK, code) for code in self.said))


@dataclass(frozen=True, slots=True)
class _Folder:
    """What a results folder holds."""

    answered: tuple[Answered, ...]
    said: Mapping[str, ByLanguage]
    """By model."""

    @property
    def models(self) -> list[str]:
        """Every model that answered something, in the order of the results."""
        return list(
            dict.fromkeys([*(model for one in self.answered for model in one.nats), *self.said])
        )


@dataclass(frozen=True, slots=True)
class _Place:
    told: str
    folder: Path
    model: str


def sides(a: str, b: str, within: Path | None = None) -> list[tuple[Side, Side]]:
    """Return what to compare with what.

    A word is a folder, ``FOLDER:MODEL``, or a model of ``within`` or of the other word's folder.
    A folder beside one of its own models means every other adapter in it. Two folders without
    models give each adapter that both have, else the only adapter of each, else their bases.
    Raises ConfigError for a place or a model that is not there, and DataError for answers that
    cannot be read.
    """
    first, second = _places(a, b, within)
    read = {place.folder: _read(place.folder) for place in (first, second)}
    pairs = _models(first, second, read)
    return [
        (_side(first, one, second, read), _side(second, other, first, read)) for one, other in pairs
    ]


def results_folder(place: Path) -> Path | None:
    """Return the results folder that a path means: it, a file in it, or the folder worked in."""
    if place.is_file() and place.name in FILES:
        return place.parent
    if any((place / name).is_file() for name in FILES):
        return place
    if (place / "recipe.toml").is_file():
        return open_workspace(place).results
    inside = sorted(path.parent for path in place.glob(f"results/*/{FILES[0]}"))
    return inside[0] if len(inside) == 1 else None


def _places(a: str, b: str, within: Path | None) -> tuple[_Place, _Place]:
    beside = None
    if within is not None:
        beside = results_folder(within)
        if beside is None:
            raise ConfigError(f"{within} holds no results", HOW)
    first, second = _place(a), _place(b)
    first = first or _model_of(a, beside or (second.folder if second else None))
    return first, second or _model_of(b, beside or first.folder)


def _place(told: str) -> _Place | None:
    if folder := results_folder(Path(told)):
        return _Place(told, folder, "")
    head, colon, model = told.rpartition(":")
    folder = results_folder(Path(head)) if colon and head else None
    return _Place(head, folder, model) if folder else None


def _model_of(model: str, folder: Path | None) -> _Place:
    if folder is None:
        raise ConfigError(f"{model} is no folder with results", HOW)
    return _Place(str(folder), folder, model)


def _read(folder: Path) -> _Folder:
    """Read what is there; an evaluation of nothing but answers has no items."""
    said = read_said(folder)
    alone = said and not (folder / NAME).is_file()
    return _Folder(() if alone else read_items(folder / NAME), said)


def _models(first: _Place, second: _Place, read: Mapping[Path, _Folder]) -> list[tuple[str, str]]:
    known = [read[place.folder].models for place in (first, second)]
    for place, names in zip((first, second), known, strict=True):
        if place.model and place.model not in names:
            raise ConfigError(
                f"{place.folder} has no model {place.model}", did_you_mean(place.model, names)
            )
    found = _chosen(first, second, *known)
    for pair in found:
        for name, place, names in zip(pair, (first, second), known, strict=True):
            if name not in names:
                raise ConfigError(f"{place.folder} has no model {name}", did_you_mean(name, names))
    if first.folder == second.folder and any(one == other for one, other in found):
        raise ConfigError(
            f"{found[0][0]} would be compared with itself", f"its folder has {', '.join(known[0])}"
        )
    return found


def _chosen(
    first: _Place, second: _Place, here: list[str], there: list[str]
) -> list[tuple[str, str]]:
    """Return the models to pair, where not both are told."""
    if first.model and second.model:
        return [(first.model, second.model)]
    if first.model or second.model:
        if first.folder != second.folder:
            return [(first.model or second.model, second.model or first.model)]
        others = [name for name in here if name not in (BASE, first.model or second.model)]
        if first.model:
            return [(first.model, name) for name in others or [first.model]]
        return [(name, second.model) for name in others or [second.model]]
    return _in_both(first, second, here, there)


def _in_both(
    first: _Place, second: _Place, here: list[str], there: list[str]
) -> list[tuple[str, str]]:
    if first.folder == second.folder:
        raise ConfigError(
            f"{first.told} and {second.told} are one folder",
            f"name two of its models: {', '.join(here)}",
        )
    adapters, others = ([name for name in names if name != BASE] for names in (here, there))
    if shared := [name for name in adapters if name in others]:
        return [(name, name) for name in shared]
    if len(adapters) == len(others) == 1:
        return [(adapters[0], others[0])]
    if not adapters and not others and BASE in here and BASE in there:
        return [(BASE, BASE)]
    raise ConfigError(
        f"{first.told} and {second.told} share no adapter",
        f"name one of each: {first.told}:{here[-1]} {second.told}:{there[-1]}",
    )


def _side(place: _Place, model: str, other: _Place, read: Mapping[Path, _Folder]) -> Side:
    name = model if place.folder == other.folder else f"{place.told}:{model}"
    found = read[place.folder]
    mine = {(one.task, one.language): one for one in found.answered if model in one.nats}
    return Side(name, model, mine, found.said.get(model, {}))

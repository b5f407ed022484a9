"""Which files a collection is made of: those named, those of a folder, or a folder's one language.

Knows what languages are called, but not what the files hold.
"""

from __future__ import annotations

from pathlib import Path

from bactrian.data.sources.records import KNOWN, is_known
from bactrian.errors import ConfigError, DataError, did_you_mean
from bactrian.languages import every_language
from bactrian.recipe import Source


def files_of(name: str, source: Source, folder: Path) -> tuple[Path, ...]:
    """Return the files of a collection, those of a folder sorted by name.

    ``folder`` is what paths are relative to. Raises DataError for a folder without a file that can
    be read, ConfigError for one that has a file for each language while none is chosen.
    """
    found: list[Path] = []
    for told in source.files:
        path = folder / Path(told).expanduser()
        found.extend(_inside(name, source, path) if path.is_dir() else [path])
    return tuple(found)


def stem(path: Path) -> str:
    """Return the name without its endings: ``id`` of ``id.json.gz``."""
    return path.name.partition(".")[0]


def language_named(word: str) -> str:
    """Return the language whose code a subset or a file's name is, else an empty text."""
    codes = {language.code for language in every_language()}
    return word.casefold() if word.casefold() in codes else ""


def _inside(name: str, source: Source, folder: Path) -> list[Path]:
    files = _readable(folder) or _readable(folder / "data")
    if not files:
        raise DataError(f"{folder} holds no file that can be read", f"known are: {KNOWN}")
    if source.subset:
        chosen = [path for path in files if stem(path) == source.subset]
        if not chosen:
            hint = did_you_mean(source.subset, {stem(path) for path in files})
            raise DataError(f"{files[0].parent} has no file for {source.subset}", hint)
        return chosen
    if len(files) > 1 and all(language_named(stem(path)) for path in files) and not source.language:
        raise ConfigError(
            f"{files[0].parent} has a file for each of {len(files)} languages",
            f'choose one, [sources.{name}] subset = "{stem(files[0])}", or let each row be '
            'identified: language = "auto"',
        )
    return files


def _readable(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and is_known(path) and not path.name.startswith(".")
    )

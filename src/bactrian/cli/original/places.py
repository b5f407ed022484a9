"""Where the rows come from: the original's three data rules, as collections of a recipe.

A path that ends in .json is that file; else, with languages named, the dataset on the Hub or in a
local folder, one file a language; else every JSON file of a folder. The original asked no file for
its language; here every row has one, so a file says it by its name, or its rows are identified.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from bactrian.errors import ConfigError, DataError

LOOKED_AT = 200
"""Rows of a file whose language is told first."""
MOST = 0.9
"""Share of one language from which the whole file is taken to be in it."""
FEWEST = 0.005
"""Share of the rows below which a language of a mixed file is taken for a mistake."""
HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
JSON = (".json", ".jsonl", ".ndjson")


@dataclass(frozen=True, slots=True)
class Places:
    """Collections by name, as a recipe's [sources] has them, and the languages of their rows."""

    sources: dict[str, dict[str, Any]]
    languages: tuple[str, ...]
    rule: str
    """Which of the three rules it was."""
    notes: tuple[str, ...] = ()
    """What was decided on the way."""

    @property
    def hub(self) -> bool:
        """Whether the rows are on the Hub."""
        return any("hub" in source for source in self.sources.values())


def places(data_path: str, lang: str) -> Places:
    """Return where the rows come from and in which languages they are.

    Raises ConfigError for a path that cannot be meant, DataError for files that are not there,
    LanguageError for a language that is not known.
    """
    path = Path(data_path).expanduser()
    codes = _codes(lang)
    if _is_json(path) and not path.is_dir():
        if not path.is_file():
            raise DataError(f"--data_path {data_path} does not exist", "name a file that does")
        return _of_files([path], codes, "one file")
    if codes:
        return _of_languages(data_path, path, codes)
    if not path.is_dir():
        raise ConfigError(
            f"--data_path {data_path} is no folder here, and --lang names no language of it",
            "name languages: --lang en,zh or --lang all; or a .json file, or a folder of them",
        )
    files = sorted(file for file in path.iterdir() if _is_json(file) and file.is_file())
    if not files:
        raise DataError(
            f"--data_path {data_path} is a folder without a .json file",
            "name the folder that holds them, or the languages of a dataset: --lang zh",
        )
    return _of_files(files, (), f"every JSON file of a folder ({len(files)})")


def _codes(lang: str) -> tuple[str, ...]:
    from bactrian.languages import parse

    return tuple(language.code for language in parse(lang)) if lang.strip(" ,") else ()


def _is_json(path: Path) -> bool:
    """Whether the name says JSON, plain or packed."""
    ending = path.with_suffix("") if path.suffix in (".gz", ".zst") else path
    return ending.suffix.lower() in JSON


def _of_languages(told: str, path: Path, codes: Sequence[str]) -> Places:
    if path.is_dir():
        sources = {code: _in_folder(path.absolute(), code) for code in codes}
        return Places(sources, tuple(codes), "a local dataset, one file a language")
    if told.startswith((".", "/", "~")) or not HUB_ID.fullmatch(told):
        raise DataError(
            f"--data_path {told} does not exist",
            "name a folder that does, or a dataset on the Hub: owner/name",
        )
    sources = {code: {"hub": told, "subset": code} for code in codes}
    return Places(sources, tuple(codes), "a dataset on the Hub")


def _in_folder(path: Path, code: str) -> dict[str, Any]:
    """Return the collection of one language: its file, or the Parquet splits that build writes."""
    for folder in (path / "data" / code, path / code):
        splits = [*folder.glob("train-*.parquet"), *folder.glob("validation-*.parquet")]
        if splits:
            return {"files": [str(split) for split in sorted(splits)], "language": code}
    return {"files": [str(path)], "subset": code}


def _of_files(files: Sequence[Path], codes: tuple[str, ...], rule: str) -> Places:
    """Return one collection a file; ``codes`` are the languages that the user named."""
    sources: dict[str, dict[str, Any]] = {}
    languages: dict[str, None] = {}
    notes = []
    for file in files:
        name = _free(_name(file), sources)
        found = _languages_of(name, file, codes)
        language = found.codes[0] if len(found.codes) == 1 else "auto"
        sources[name] = {"files": [str(file.absolute())], "language": language}
        languages.update(dict.fromkeys(found.codes))
        notes += [f"{file.name}: {found.why}"]
    return Places(sources, tuple(languages), rule, tuple(notes))


@dataclass(frozen=True, slots=True)
class _Spoken:
    codes: tuple[str, ...]
    why: str


def _languages_of(name: str, file: Path, codes: tuple[str, ...]) -> _Spoken:
    from bactrian.data.sources.files import language_named, stem

    if len(codes) == 1:
        return _Spoken(codes, f"its rows are in {codes[0]}, as --lang says")
    if codes:
        return _Spoken(codes, f"each row is told to be in one of {', '.join(codes)}")
    if named := language_named(stem(file)):
        return _Spoken((named,), f"its rows are in {named}, as its name says")
    told = Counter(islice(_told(name, file), LOOKED_AT))
    known = Counter({code: times for code, times in told.items() if code})
    if known and known.most_common(1)[0][1] >= MOST * known.total():
        code, times = known.most_common(1)[0]
        first = f"its rows are taken to be in {code}, as {times} of the first {told.total()} are"
        return _Spoken((code,), f"{first}; --lang says otherwise")
    return _mixed(file, Counter(_told(name, file)))


def _mixed(file: Path, told: Counter[str]) -> _Spoken:
    """Return the languages of a file that has several, and what is left out of it."""
    known = {code: times for code, times in told.items() if code}
    codes = tuple(sorted(code for code, n in known.items() if n >= FEWEST * told.total()))
    if not codes:
        raise DataError(
            f"{file}: the language of its {told.total()} rows cannot be told",
            "say it: --lang zh",
        )
    left = told.total() - sum(known[code] for code in codes)
    counted = ", ".join(f"{code} {known[code]}" for code in codes)
    lost = f"; {left} rows in no language of these are left out" if left else ""
    return _Spoken(codes, f"each row has its own language: {counted}{lost}")


def _told(name: str, file: Path) -> Iterator[str]:
    """Yield the language of each row, empty where it cannot be told."""
    from bactrian.data.sources.collection import AUTO, Collection
    from bactrian.recipe import Source

    source = Source(files=(str(file),), language=AUTO)
    reading = Collection(name, source, (file,), AUTO, network=False).read(verify=False)
    for read in reading.rows:
        yield "" if read.set_aside else read.example.language


def _name(file: Path) -> str:
    """Return the name of a file's collection, which begins the ids of its rows."""
    from bactrian.data.sources.files import stem

    return re.sub(r"[^\w-]+", "-", stem(file)).strip("-") or "rows"


def _free(name: str, taken: dict[str, Any]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free

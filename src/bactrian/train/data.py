"""The rows of a workspace that an adapter learns from, as token ids on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from bactrian import table
from bactrian.errors import DataError
from bactrian.events import emit
from bactrian.languages import Language
from bactrian.schema import Example
from bactrian.table import hash_of
from bactrian.train.encoding import Encoder
from bactrian.train.prepare import LanguageRows, prepare_files
from bactrian.train.prepared import Prepared
from bactrian.workspace import Workspace


def content_of(workspace: Workspace, language: Language) -> str:
    """Return the hash of a language's training rows; raises DataError where there are none."""
    path = workspace.split(language.code, "train")
    found = table.info(path)
    if found is None or not found.rows:
        raise DataError(
            f"{path} {'has no rows' if found else 'does not exist'}",
            f"run bactrian build on this folder with {language.code} among its languages",
        )
    return found.content


def training_rows(
    workspace: Workspace, languages: Sequence[Language], encoder: Encoder
) -> Prepared:
    """Return what is learnt, in the order of the languages.

    Raises DataError for a language without rows, or without one that fits the limits.
    """
    for language in languages:
        content_of(workspace, language)
    limit = workspace.recipe.limit
    sources = [_rows(workspace, language, "train", limit) for language in languages]
    return prepare_files(
        sources,
        encoder,
        workspace.tokens,
        train_on_inputs=workspace.recipe.train.train_on_inputs,
    )


def held_out_rows(
    workspace: Workspace, languages: Sequence[Language], encoder: Encoder
) -> Prepared | None:
    """Return the first held-out rows of each language that has any; None where none has."""
    limit = workspace.recipe.train.eval_rows
    have = [one for one in languages if workspace.split(one.code, "validation").is_file()]
    if not limit or not have:
        return None
    sources = [_rows(workspace, language, "validation", limit) for language in have]
    try:
        return prepare_files(
            sources,
            encoder,
            workspace.tokens,
            train_on_inputs=workspace.recipe.train.train_on_inputs,
            may_lack=True,
        )
    except DataError:
        return None  # all of them are longer than what is trained on


def tell(name: str, prepared: Prepared) -> None:
    """Say how many rows were cut or left out, by language."""
    for counts, what in (
        (prepared.shortened, "are shortened to fit train.max_tokens"),
        (prepared.too_long, "are too long and left out"),
        (prepared.empty, "have no response and are left out"),
    ):
        if counts:
            told = ", ".join(f"{code} {count}" for code, count in counts.items())
            emit("warning", text=f"{name}: rows that {what}: {told}")


def _rows(workspace: Workspace, language: Language, split: str, limit: int) -> LanguageRows:
    path = workspace.split(language.code, split)
    found = table.info(path)
    if found is None:
        return LanguageRows(language.code, hash_of(split, "nothing"), lambda: iter(()))
    content = hash_of(found.content, limit) if limit else found.content
    rows = min(found.rows, limit) if limit else found.rows
    return LanguageRows(language.code, content, _reader(path, language.code, limit), rows)


def _reader(path: Path, code: str, limit: int) -> Callable[[], Iterator[Example]]:
    def read() -> Iterator[Example]:
        for row in islice(table.read(path), limit or None):
            yield replace(row.example, language=code)

    return read

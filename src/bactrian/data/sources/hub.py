"""Reads the rows of a dataset on the Hub as a stream. Asks the network only when it is told to.

A repository that is one file a language (MBZUAI/Bactrian-X) is read from that file: its loading
script no longer runs, since ``datasets`` 4 refuses scripts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bactrian.data.sources.files import stem
from bactrian.data.sources.record import Record
from bactrian.data.sources.records import records
from bactrian.errors import ConfigError, DataError, MissingExtra, did_you_mean
from bactrian.events import emit
from bactrian.files import OUT_OF_SPACE
from bactrian.recipe import Source

PLACES = ("data/{subset}.json.gz", "{subset}.json.gz")
"""Where Bactrian-X keeps, and kept, its languages."""
SAID = 200
"""Most code points of what the Hub's packages say that an error repeats."""


def must_be_allowed(name: str, source: Source, network: bool) -> None:
    """Raise ConfigError where the recipe keeps off the network, MissingExtra without datasets."""
    if not network:
        raise ConfigError(
            f"[sources.{name}] hub = {source.hub!r} needs the network, which the recipe keeps off",
            "set network = true in the recipe, or download the dataset and name its files: "
            "files = [...]",
        )
    if find_spec("datasets") is None:
        raise MissingExtra(
            f"[sources.{name}] hub needs datasets, which is not installed",
            "pip install 'bactrian[train]', or download the dataset and name its files",
        )


def hub_records(name: str, source: Source) -> Iterator[Record]:
    """Yield the rows of a dataset in order, numbered from 1.

    Raises DataError for a dataset, subset, split or revision that is not there or cannot be read.
    """
    with _told(source):
        from huggingface_hub import HfApi, hf_hub_download

        found = HfApi().dataset_info(source.hub, revision=source.revision or None)
        there = {file.rfilename for file in found.siblings or ()}
        whole = [place.format(subset=source.subset) for place in PLACES]
        file = next((place for place in whole if source.subset and place in there), "")
        what = f"the file {file} of {source.hub}" if file else source.hub
        emit("decision", text=f"{name}: {what} is read at commit {found.sha}")
        if not file:
            _must_have_no_languages(source, there)
        path = file and hf_hub_download(source.hub, file, repo_type="dataset", revision=found.sha)
    values: Iterator[Any]
    if path:
        values = (record.value for record in records(Path(path), verify=False))
    else:
        values = _streamed(source, found.sha)
    for number, value in enumerate(values, start=1):
        yield Record(number, value)


def _streamed(source: Source, commit: str | None) -> Iterator[Any]:
    with _told(source):
        from datasets import load_dataset

        rows = iter(
            load_dataset(
                source.hub,
                source.subset or None,
                split=source.split,
                revision=commit,
                streaming=True,
            )
        )
    while True:
        with _told(source):
            row = next(rows, None)
        if row is None:
            return
        yield row


@contextmanager
def _told(source: Source) -> Iterator[None]:
    """Say what the Hub's packages raise as one of our errors."""
    try:
        yield
    except _raised() as error:
        if isinstance(error, OSError) and error.errno in OUT_OF_SPACE:
            raise
        said = " ".join(str(error).split())[:SAID] or type(error).__name__
        if isinstance(error, RuntimeError) and "scripts are no longer supported" in str(error):
            hint = "datasets refuses loading scripts: download the files and name them"
        else:
            hint = "check the id, subset, split and revision, and log in: hf auth login"
        where = " ".join(filter(None, [source.hub, source.subset, source.split]))
        raise DataError(f"the Hub did not give {where}: {said}", hint) from error


def _raised() -> tuple[type[Exception], ...]:
    """All that huggingface_hub and datasets raise for what is absent, gated, down or offline."""
    if find_spec("httpx") is None:  # before huggingface_hub 1 it was requests, with OSErrors
        return OSError, ValueError, RuntimeError
    import httpx

    return OSError, ValueError, RuntimeError, httpx.HTTPError


def _must_have_no_languages(source: Source, files: set[str]) -> None:
    """Raise DataError where a script would have read a file a language, and none is chosen."""
    suffix = ".json.gz"
    languages = {stem(Path(file)) for file in files if file.endswith(suffix)}
    if f"{source.hub.rpartition('/')[2]}.py" in files and languages:
        has = f"has no file for {source.subset}" if source.subset else "has a file a language"
        hint = did_you_mean(source.subset, languages) if source.subset else 'set subset = "id"'
        raise DataError(f"{source.hub} {has}", hint)

"""Keeps rows on disk by language until that language's table is written, in order.

The files have no name, so that nothing is left behind however the process ends.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Generic, TypeVar

T = TypeVar("T")


class Spool(Generic[T]):
    """Rows by name; the folder is on the disk that has room for the tables."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._files: dict[str, IO[bytes]] = {}
        self._open = ExitStack()

    def __enter__(self) -> Spool[T]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that has rows, in the order of their first one."""
        return tuple(self._files)

    def put(self, name: str, row: T) -> None:
        """Keep a row under a name."""
        if name not in self._files:
            file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115  the stack closes it
            self._files[name] = self._open.enter_context(file)
        pickle.dump(row, self._files[name], pickle.HIGHEST_PROTOCOL)

    def take(self, name: str) -> Iterator[T]:
        """Yield the rows of a name in order; none where it has none."""
        if name not in self._files:
            return
        file = self._files[name]
        end = file.tell()
        file.seek(0)
        while file.tell() < end:
            yield pickle.load(file)

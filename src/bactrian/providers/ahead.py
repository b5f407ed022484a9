"""Draws from an iterator before it is asked to: what is slow to make is made while one waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Self, TypeVar

Drawn = TypeVar("Drawn")


class Ahead(Iterator[Drawn]):
    """An iterator that can be told to have the next few ready."""

    def __init__(self, source: Iterator[Drawn]) -> None:
        self._source = source
        self._ready: deque[Drawn] = deque()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Drawn:
        return self._ready.popleft() if self._ready else next(self._source)

    def make_ready(self, count: int) -> None:
        """Draw until ``count`` are ready, or there are no more."""
        while len(self._ready) < count:
            try:
                self._ready.append(next(self._source))
            except StopIteration:
                return

"""Several that compute: units of work go to them and come back done. Knows no model, no file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from bactrian.evaluate.engine import Scorers

AT_ONCE = 2
"""Units that one of a crew holds: one that it computes, one that waits for it to be done."""


class Work(Protocol):
    """Something to compute, which travels."""

    def done_by(self, ready: Scorers) -> Any:
        """Return what came of it, which travels back."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Work for one of a crew, and what stays with who asked for it."""

    work: Work
    told: str
    """What errors call it, such as ``exams zh``."""
    whose: Any = None


@dataclass(frozen=True, slots=True)
class Done:
    """A unit, and what came of it."""

    unit: Unit
    result: Any
    seconds: float
    """What it took to compute."""


class Crew(Protocol):
    """Several that compute, each with the base and every adapter in memory."""

    def done(self, units: Iterable[Unit]) -> Iterator[Done]:
        """Yield every unit once, as they end; the next is asked for when there is room for it."""


class Computed(NamedTuple):
    """What comes back of work."""

    result: Any
    seconds: float

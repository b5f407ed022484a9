"""Which rows an epoch holds, and in which order: languages by temperature, rows in turn.

An epoch draws as many rows as the data has. A language's part of it is a whole number that is the
same in every epoch; its rows come in shuffled laps that run on from epoch to epoch, so no row is
drawn twice before every other of its language was drawn once. Knows nothing of lengths or batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bactrian.errors import ConfigError, DataError
from bactrian.train.plan.chance import order, orders
from bactrian.train.plan.shape import Shape

LAPS, EPOCH = 0, 1
"""What a random order is for; composing steps has 2."""

Rows = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Share:
    """A language's part of every epoch."""

    language: str
    rows: int
    """Rows there are."""
    drawn: int
    """Rows drawn an epoch."""

    @property
    def laps(self) -> float:
        """How often an epoch goes round the language's rows: above 1 some are repeated."""
        return self.drawn / self.rows


@dataclass(frozen=True, slots=True)
class Sampling:
    """The rows of each language, end to end, and how many of them an epoch draws."""

    members: Rows
    """Row indices, one language after the other, int32 [rows]."""
    shares: tuple[Share, ...]
    seed: int

    @property
    def epoch_rows(self) -> int:
        """Rows of an epoch."""
        return sum(share.drawn for share in self.shares)

    def draw(self, epoch: int) -> Rows:
        """Return the rows of an epoch in random order, int32 [epoch_rows]."""
        parts, begin = [], 0
        for index, share in enumerate(self.shares):
            members = self.members[begin : begin + share.rows]
            parts.append(members[self._turn(index, epoch)])
            begin += share.rows
        drawn = np.concatenate(parts)
        return drawn[order(len(drawn), self.seed, EPOCH, epoch)]

    def _turn(self, language: int, epoch: int) -> npt.NDArray[np.int64]:
        """Return which of a language's rows have their turn in an epoch."""
        share = self.shares[language]
        first = epoch * share.drawn
        end = first + share.drawn
        laps = range(first // share.rows, -(-end // share.rows))
        rounds = orders(share.rows, laps, self.seed, LAPS, language).ravel()
        skipped = laps.start * share.rows
        return rounds[first - skipped : end - skipped]


def sampling(languages: npt.NDArray[np.integer], names: Sequence[str], shape: Shape) -> Sampling:
    """Return how rows are drawn; ``languages`` [rows] are indices into ``names``.

    Raises DataError where a language has no rows, ConfigError where an epoch would draw none of it.
    """
    counts = np.bincount(languages, minlength=len(names))
    if not names or len(counts) > len(names):
        raise DataError(
            f"rows of {len(counts)} languages, but {len(names)} are named", "prepare the rows anew"
        )
    for name, count in zip(names, counts, strict=True):
        if not count:
            raise DataError(
                f"no row in {name} to train on",
                f"build the dataset with {name} among its languages, or leave {name} out",
            )
    drawn = quotas(counts, shape.temperature, shape.cap)
    for name, quota in zip(names, drawn, strict=True):
        if not quota:
            raise ConfigError(
                f"temperature = {shape.temperature} draws no row in {name} in an epoch",
                f"raise the temperature to 1 or above, or leave {name} out",
            )
    members = np.argsort(languages, kind="stable").astype(np.int32)
    told = zip(names, counts.tolist(), drawn.tolist(), strict=True)
    return Sampling(members, tuple(Share(*share) for share in told), shape.seed)


def quotas(
    counts: npt.NDArray[np.integer], temperature: float, cap: int = 0
) -> npt.NDArray[np.int64]:
    """Return rows an epoch draws of each language: p ~ n^(1/temperature), by largest remainder.

    ``counts`` [languages] above 0; the quotas add up to them, each counted up to ``cap``.
    """
    counted = np.minimum(counts, cap) if cap else np.asarray(counts)
    if temperature == 1:
        return counted.astype(np.int64)
    weights = np.exp((np.log(counted) - np.log(counted.max())) / temperature)
    # rounded, so that the last bit of exp on another machine cannot decide between equals
    exact = np.round(weights / weights.sum() * counted.sum(), 6)
    drawn: npt.NDArray[np.int64] = np.floor(exact).astype(np.int64)
    left = int(counted.sum() - drawn.sum())
    drawn[np.argsort(drawn - exact, kind="stable")[:left]] += 1
    return drawn

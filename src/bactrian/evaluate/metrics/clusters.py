"""Items of one or several languages as independent rows: what belongs together is drawn together.

Translations of one question and forms of one question know as much as each other; taken as
independent they would make every interval too narrow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from bactrian.evaluate.metrics.measures import Measure
from bactrian.evaluate.metrics.sampling import Draws, Floats, Labels, kinds_of, resampled_sums

Average = Literal["macro", "micro"]
MACRO: Average = "macro"
"""The language of a number that averages over languages, each with the same weight."""
MICRO: Average = "micro"
"""The language of a number over the items of all languages, each item with the same weight."""
RARE = 20
"""Questions in a set of several languages that fewer lie in are drawn from one stratum."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted on each item of one language, as rows that add up."""

    ids: tuple[str, ...]
    clusters: tuple[str, ...]
    """Items with the same name here are drawn together, in whatever language they are."""
    rows: Floats
    """[items, columns]"""


@dataclass(frozen=True, slots=True)
class Table:
    """Clusters as rows: what each adds to every language."""

    values: Floats
    """[clusters, languages, columns]"""
    strata: Labels
    """[clusters]: clusters that lie in the same languages are drawn among themselves, so that
    every sample has as many items of a language as there are."""
    items: int
    fewest: int
    """Clusters of the language that has fewest."""

    def sums(self) -> Floats:
        """Return the sums [languages, columns] of what was measured."""
        found: Floats = self.values.sum(axis=0)
        return found

    def resampled(self, draws: Draws) -> Floats:
        """Return the sums [draws, languages, columns] of bootstrap samples of the clusters."""
        clusters, languages, columns = self.values.shape
        flat = self.values.reshape(clusters, languages * columns)
        sums = resampled_sums(flat, draws=draws.count, seed=draws.seed, strata=self.strata)
        return sums.reshape(draws.count, languages, columns)


def table_of(languages: Mapping[str, Counted]) -> Table:
    """Return the clusters of all languages, sorted by name: the order of files moves nothing."""
    names = sorted({name for counted in languages.values() for name in counted.clusters})
    place = {name: number for number, name in enumerate(names)}
    columns = next(iter(languages.values())).rows.shape[1]
    values = np.zeros((len(names), len(languages), columns))
    sizes = np.zeros((len(names), len(languages)), dtype=np.int64)
    for at, counted in enumerate(languages.values()):
        where = np.array([place[name] for name in counted.clusters])
        np.add.at(values[:, at], where, counted.rows)
        np.add.at(sizes[:, at], where, 1)
    fewest = int((sizes > 0).sum(axis=0).min())
    return Table(values, _strata(sizes), int(sizes.sum()), fewest)


def over_languages(measure: Measure, sums: Floats, how: str) -> Floats:
    """Return the average [...] of a measure over ``sums`` [..., languages, columns]."""
    with np.errstate(invalid="ignore", divide="ignore"):
        if how == MICRO:
            return measure.value(sums.sum(axis=-2))
        found: Floats = measure.value(sums).mean(axis=-1)
        return found


def _strata(sizes: npt.NDArray[np.int64]) -> Labels:
    """Return the stratum of each cluster: its language, or the set of languages it lies in."""
    languages = sizes.shape[1]
    inside = sizes > 0
    _, which, counts = kinds_of(sizes)
    labels: Labels = which.reshape(-1).astype(np.intp) + languages
    alone = inside.sum(axis=1) == 1
    labels[alone] = np.argmax(inside[alone], axis=1)
    rare = ~alone & (counts[which] < RARE)
    if rare.any():
        # a handful of clusters drawn among themselves would look as if they could not vary
        common = np.where(counts >= RARE, counts, 0)
        common[np.unique(which[alone])] = 0
        few = rare.sum() < RARE and bool(common.any())
        labels[rare] = (int(np.argmax(common)) if few else len(counts)) + languages
    return labels

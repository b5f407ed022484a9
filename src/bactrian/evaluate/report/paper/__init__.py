"""The tables of Li et al. (2023) as data, read from ``paper.toml``. Knows nothing of our runs."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal

Kind = Literal["base", "other", "multi", "mono"]
ByLanguage = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Model:
    """A row of the paper's tables."""

    id: str
    name: str
    kind: Kind
    """``other``: somebody else's tuning of a base; ``multi``, ``mono``: the paper's adapters."""
    base: str = ""
    """The row it was trained from; empty for a base."""
    like: str = ""
    """What the id of the same base on the Hub has in it."""


@dataclass(frozen=True, slots=True)
class Printed:
    """A table with a row for each model and a column for each language, in per cent."""

    task: str
    number: int
    """Of the table in the paper."""
    metric: str
    """``acc`` or ``f1_weighted``."""
    decimals: int
    """Digits behind the point that its cells and averages have."""
    items: Mapping[str, int]
    """Language to the number of test items."""
    labels: Mapping[str, Mapping[str, int]]
    """Language to how often each label is right, where it is a task of labels."""
    cells: Mapping[str, ByLanguage]
    """Model to language to number."""
    averages: Mapping[str, float]
    """Model to the mean over the languages, as printed."""

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages in the order of the table."""
        return tuple(next(iter(self.cells.values())))


@dataclass(frozen=True, slots=True)
class Paper:
    """Everything that a run is laid beside, in per cent throughout."""

    source: str
    models: Mapping[str, Model]
    tasks: Mapping[str, Printed]
    """Tables 8 to 12 by task."""
    averages: Mapping[str, Mapping[str, float]]
    """Table 3: model to task to average."""
    mono: Mapping[str, Mapping[str, float]]
    """Table 4: model to task to average over the languages trained on."""
    mono_means: Mapping[str, float]
    """Table 4: the mean over its tasks."""
    subjects: Mapping[str, Mapping[str, float]]
    """Table 5: model to subject group to accuracy on EXAMS."""
    harness: Mapping[str, Mapping[str, float]]
    """The same bases in lm-evaluation-harness at that time: model to task to average."""


@lru_cache(maxsize=1)
def paper() -> Paper:
    """Return the paper's tables."""
    text = files("bactrian.evaluate.report").joinpath("paper.toml").read_text(encoding="utf-8")
    return parsed(tomllib.loads(text))


def parsed(told: Mapping[str, Any]) -> Paper:
    """Return the tables of a parsed file; raises ValueError where a row is too short or long."""
    source, averages, mono, subjects = (
        told[part] for part in ("source", "averages", "mono", "subjects")
    )
    return Paper(
        source=f"{source['authors']} ({source['year']}), arXiv {source['arxiv']}",
        models={key: Model(key, **facts) for key, facts in told["models"].items()},
        tasks={task: _printed(task, table) for task, table in told["tasks"].items()},
        averages=_rows(averages["tasks"], averages["cells"]),
        mono=_rows(mono["tasks"], {key: row[:-1] for key, row in mono["cells"].items()}),
        mono_means={key: row[-1] for key, row in mono["cells"].items()},
        subjects=_rows(subjects["groups"], subjects["cells"]),
        harness=_rows(averages["tasks"][:3], told["harness"]["cells"]),
    )


def _printed(task: str, table: Mapping[str, Any]) -> Printed:
    rows = table["cells"]
    return Printed(
        task=task,
        number=table["table"],
        metric=table["metric"],
        decimals=table.get("decimals", 2),
        items=table["items"],
        labels=table.get("labels", {}),
        cells=_rows(table["languages"], {key: row[:-1] for key, row in rows.items()}),
        averages={key: row[-1] for key, row in rows.items()},
    )


def _rows(names: list[str], rows: Mapping[str, list[float]]) -> Mapping[str, Mapping[str, float]]:
    return {key: dict(zip(names, row, strict=True)) for key, row in rows.items()}

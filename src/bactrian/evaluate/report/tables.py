"""A run's scores and differences as tables of numbers, for files of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from bactrian.evaluate.report.content import AVERAGES, Report
from bactrian.evaluate.report.grid import Grid, Group, Heading, Line, Note, Number
from bactrian.evaluate.report.words import Metric, metric_of, outcome, task_name
from bactrian.schema import Difference, Score

Key = tuple[str, str, str]


def grids_of(report: Report) -> tuple[Grid, ...]:
    """Return a table for each task, metric and part of the items: scores, then differences."""
    return (*_scores(report), *_differences(report))


def _scores(report: Report) -> Iterator[Grid]:
    groups: dict[Key, list[Score]] = {}
    for one in report.scores:
        groups.setdefault((one.task, one.metric, one.group), []).append(one)
    for key, group in groups.items():
        found = {(one.language, one.model): _score(one) for one in group}
        models = list(dict.fromkeys(one.model for one in group))
        yield _grid(report, "scores", key, found, models)


def _differences(report: Report) -> Iterator[Grid]:
    groups: dict[Key, list[Difference]] = {}
    for one in report.differences:
        groups.setdefault((one.task, one.metric, one.group), []).append(one)
    for key, group in groups.items():
        found = {(one.language, _pair(one)): _difference(one) for one in group}
        pairs = list(dict.fromkeys(map(_pair, group)))
        yield _grid(report, "differences", key, found, pairs)


def _grid(
    report: Report,
    kind: str,
    key: Key,
    found: dict[tuple[str, str], Number],
    columns: Sequence[str],
) -> Grid:
    task, metric, group = key
    way = metric_of(metric)
    part = f" ({group})" if group else ""
    what = "differences in " if kind == "differences" else ""
    unit = ", in per cent" if way.scale == 100 and not what else ""
    unit = f", in {way.unit}" if what and way.unit else unit
    codes = list(dict.fromkeys(code for code, _ in found))
    return Grid(
        name="-".join(filter(None, (kind, *map(slug, key)))),
        caption=f"{task_name(task)}{part}: {what}{way.name}{unit}",
        stub="Language",
        columns=tuple(Heading(name, name) for name in columns),
        groups=(
            Group("", tuple(
                Line(_name(report, code), tuple(found.get((code, name)) for name in columns))
                for code in codes
            )),
        ),
        decimals=way.decimals,
        signed=kind == "differences",
        notes=(Note("", f"With 95 % intervals; items by language: {_items(codes, found)}."),),
    )  # fmt: skip


def slug(text: str) -> str:
    """Return a name as part of a file's name: letters, digits and hyphens of ASCII."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-").lower()[:60]


def _name(report: Report, code: str) -> str:
    return AVERAGES.get(code) or report.label(code).name


def _items(codes: Sequence[str], found: dict[tuple[str, str], Number]) -> str:
    counts = {
        code: max(number.n or 0 for (there, _), number in found.items() if there == code)
        for code in codes
    }
    if len(set(counts.values())) == 1:
        return f"{next(iter(counts.values())):,} each"
    return ", ".join(f"{AVERAGES.get(code, code)} {count:,}" for code, count in counts.items())


def _pair(one: Difference) -> str:
    return f"{one.model} − {one.against}"


def _score(one: Score) -> Number:
    way = metric_of(one.metric)
    return _scaled(one, way)


def _difference(one: Difference) -> Number:
    number = _scaled(one, metric_of(one.metric))
    return Number(number.value, number.low, number.high, one.n, outcome=outcome(one))


def _scaled(one: Score | Difference, way: Metric) -> Number:
    return Number(one.value * way.scale, one.low * way.scale, one.high * way.scale, one.n)

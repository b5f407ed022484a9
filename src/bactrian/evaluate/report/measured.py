"""What was measured, as sections: differences between models, and every score. Knows no HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from bactrian.evaluate.report.blocks import Block, Cell, Column, Fold, Picture, Table
from bactrian.evaluate.report.content import AVERAGES, Report
from bactrian.evaluate.report.heat import KEY, left_out
from bactrian.evaluate.report.words import (
    MARKS,
    READINGS,
    metric_of,
    outcome,
    plain,
    signed,
    span,
    task_name,
)
from bactrian.schema import Difference, Score

Number = TypeVar("Number", Difference, Score)
MANY = 40
"""Rows beyond which a table is closed until a reader opens it."""


def language_cell(report: Report, code: str) -> Cell:
    """Return a language's name with its code, or what an average is called."""
    if code in AVERAGES:
        return Cell(AVERAGES[code])
    name = report.label(code).name
    return Cell(name, code if code != name else "")


def differences(report: Report) -> Iterable[Block]:
    """Yield the differences: a map, a chart, and a table for each task, metric and part."""
    if not report.differences:
        return
    yield Picture("heat", f"{KEY}. {_heat_note(report)}")
    forest = Picture(
        "differences",
        "A mark is the difference, the line its 95 % interval. A filled mark is clear of zero; "
        "a hollow one is inside the noise.",
    )
    many = len(report.differences) > MANY
    yield Fold("Every difference with its interval, drawn", (forest,)) if many else forest
    for (task, metric, group), rows in _grouped(report.differences).items():
        way = metric_of(metric)
        unit = f", in {way.unit}" if way.unit else ""
        caption = f"{_part(task, group)}: {way.name}{unit}"
        yield folded(_difference_table(report, caption, rows))


def _heat_note(report: Report) -> str:
    if not (lost := left_out(report)):
        return "All panels share one scale of colour."
    return (
        f"{lost} comparisons have no panel of their own; the files in tables/ have all of them. "
        "All panels share one scale of colour."
    )


def _part(task: str, group: str) -> str:
    return f"{task_name(task)} ({group})" if group else task_name(task)


def folded(table: Table) -> Block:
    """Return a table that a reader would scroll past as one to open."""
    if len(table.rows) <= MANY:
        return table
    return Fold(f"{table.caption} ({len(table.rows)} rows)", (table,))


def _difference_table(report: Report, caption: str, rows: Sequence[Difference]) -> Table:
    return Table(
        caption,
        (
            Column("Language"),
            Column("Comparison"),
            Column("Difference", numeric=True),
            Column("95 % interval", numeric=True),
            Column("Items", numeric=True),
            Column("Reading"),
        ),
        tuple(_difference_row(report, one) for one in rows),
    )


def _difference_row(report: Report, one: Difference) -> tuple[Cell, ...]:
    ended, metric = outcome(one), metric_of(one.metric)
    _, _, test = one.method.partition("; ")
    holm = "" if one.adjusted is None else f"p = {one.adjusted:.3g} after Holm"
    least = one.detectable
    shows = "" if least is None else f"shows from {plain(least, metric)}"
    return (
        language_cell(report, one.language),
        Cell(f"{one.model} − {one.against}"),
        Cell(signed(one.value, metric)),
        Cell(span(one), shows),
        Cell(f"{one.n:,}"),
        Cell(f"{MARKS[ended]} {READINGS[ended]}", "; ".join(filter(None, (test, holm))), ended),
    )


def _grouped(numbers: Iterable[Number]) -> dict[tuple[str, str, str], list[Number]]:
    groups: dict[tuple[str, str, str], list[Number]] = {}
    for one in numbers:
        groups.setdefault((one.task, one.metric, one.group), []).append(one)
    return groups


def scores(report: Report) -> Iterable[Block]:
    """Yield each task's first metric as a table, its other metrics and parts to be opened."""
    more: dict[str, list[Block]] = {}
    for (task, metric, part), group in _grouped(report.scores).items():
        table = _score_table(report, _part(task, part), metric, group)
        if task in more:
            more[task].append(table)
        else:
            more[task] = []
            yield folded(table)
    if report.baselines:
        yield Fold("What answers get that know nothing of the question", tuple(_baselines(report)))
    for task, tables in more.items():
        if tables:
            yield Fold(f"{task_name(task)} by other metrics and by part", tuple(tables))


def _score_table(report: Report, task: str, metric: str, group: Sequence[Score]) -> Table:
    models = _columns_of(report, group)
    languages = dict.fromkeys(one.language for one in group)
    way = "higher is better" if group[0].higher_is_better else "lower is better"
    return Table(
        f"{task}: {metric_of(metric).name} ({way})",
        (Column("Language"), *(Column(model, numeric=True) for model in models),
         Column("Items", numeric=True)),
        tuple(_score_row(report, group, language, models) for language in languages),
    )  # fmt: skip


def _columns_of(report: Report, group: Iterable[Score]) -> tuple[str, ...]:
    """Return the models of the scores, what the adapters stand on before the adapters."""
    order = [adapter.name for adapter in report.adapters]
    names = dict.fromkeys(one.model for one in group)
    return tuple(sorted(names, key=lambda name: order.index(name) if name in order else -1))


def _score_row(
    report: Report, group: Sequence[Score], language: str, models: Sequence[str]
) -> tuple[Cell, ...]:
    found = {one.model: one for one in group if one.language == language}
    counts = dict.fromkeys(f"{found[model].n:,}" for model in models if model in found)
    return (
        language_cell(report, language),
        *(_score_cell(found.get(model)) for model in models),
        Cell(" / ".join(counts)),
    )


def _score_cell(score: Score | None) -> Cell:
    if score is None:
        return Cell("–", "not measured")
    metric = metric_of(score.metric)
    return Cell(plain(score.value, metric) + metric.sign, span(score))


def _baselines(report: Report) -> Iterable[Block]:
    for (task, metric, part), group in _grouped(report.baselines).items():
        yield _score_table(report, _part(task, part), metric, group)

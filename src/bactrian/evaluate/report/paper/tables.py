"""Our runs laid beside the paper's tables: a grid for each, the paper's rows above ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from bactrian.evaluate.report.content import Report
from bactrian.evaluate.report.crowd import thinned
from bactrian.evaluate.report.grid import Grid, Group, Heading, Line, Note, Number
from bactrian.evaluate.report.paper import Paper, Printed, change
from bactrian.evaluate.report.paper.beside import (
    NO_RUN,
    THEIRS,
    Beside,
    Marks,
    average,
    headings,
    in_order,
    ours_by,
)
from bactrian.evaluate.report.paper.check import findings, seen
from bactrian.evaluate.report.paper.ours import Ours
from bactrian.evaluate.report.words import task_name

AVERAGE = Heading("average", "Average")
SUBJECTS = {"natural": "Natural sciences", "social": "Social sciences", "other": "Other"}


def grids(paper: Paper, report: Report) -> tuple[Grid, ...]:
    """Return every table, the averages first."""
    beside = Beside(paper, findings(paper), Ours(thinned(report)))
    everybody = replace(beside, ours=Ours(report))
    return (
        change.grid(beside),
        table3(beside),
        table4(everybody),
        table5(beside),
        *(by_language(beside, table) for table in paper.tasks.values()),
        unseen(beside),
        protocols(beside),
    )


def by_language(beside: Beside, table: Printed) -> Grid:
    """Return one of Tables 8 to 12."""
    marks = Marks()
    lines = []
    for model in in_order(beside.paper, table.cells):
        about = [one for one in beside.found if (one.table, one.model) == (table.number, model)]
        whole = marks.of((one for one in about if not one.languages), beside.name(model))
        numbers = [
            Number(
                value,
                n=table.items[code],
                marks=marks.of((o for o in about if code in o.languages), beside.name(model)),
            )
            for code, value in table.cells[model].items()
        ]
        lines.append(
            Line(beside.name(model), (*numbers, Number(table.averages[model])), marks=whole)
        )
    label = beside.ours.report.label
    headings = [Heading(code, code, label(code).name) for code in table.languages]
    metric = "accuracy" if table.metric == "acc" else "F1 weighted by label"
    return Grid(
        name=f"paper-table-{table.number}",
        caption=f"Table {table.number}: {task_name(table.task)}, {metric} in per cent",
        stub="Model",
        columns=(*headings, AVERAGE),
        groups=(Group(THEIRS, tuple(lines)), _variants(beside, table)),
        decimals=table.decimals,
        absent=NO_RUN,
        notes=marks.listed(
            f"The paper's items by language: {_sizes(table)}.",
            "± is half of a 95 % interval. An average is the plain mean over languages.",
        ),
    )


def _variants(beside: Beside, table: Printed) -> Group:
    """Return our rows of a table, each model in every variant that the run has of the task."""
    names = beside.ours.names(table.task) or [table.task]
    lines = [
        Line(
            model if name == table.task else f"{model}, {name.removeprefix(table.task)[1:]}",
            _row(beside, replace(table, task=name), model),
        )
        for name in names
        for model in beside.ours.models
    ]
    return Group(f"This run, on {beside.ours.report.base}", tuple(lines))


def _row(beside: Beside, table: Printed, model: str) -> tuple[Number | None, ...]:
    ours, codes = beside.ours, table.languages
    cells = (ours.cell(model, table, code) for code in codes)
    return (*cells, ours.average([model] * len(codes), table, codes))


def _sizes(table: Printed) -> str:
    counts = dict.fromkeys(table.items.values())
    if len(counts) == 1:
        return f"{next(iter(counts)):,} each"
    return ", ".join(f"{code} {table.items[code]:,}" for code in table.languages)


def table3(beside: Beside) -> Grid:
    """Return Table 3: averages over the languages of each task."""
    paper, marks = beside.paper, Marks()
    lines = []
    for model in in_order(paper, paper.averages):
        numbers = []
        for task, value in paper.averages[model].items():
            whole = [one for one in beside.about(model, task, 3) if not one.languages]
            numbers.append(Number(value, marks=marks.of(whole, _where(beside, model, task))))
        lines.append(Line(beside.name(model), tuple(numbers)))
    return Grid(
        name="paper-table-3",
        caption="Table 3: averages over the languages of each task, in per cent",
        stub="Model",
        columns=headings(paper.tasks),
        groups=(
            Group(THEIRS, tuple(lines)),
            ours_by(beside, lambda model: tuple(
                average(beside, table, model, table.languages) for table in paper.tasks.values()
            )),
        ),
        decimals=2,
        absent=NO_RUN,
        notes=marks.listed(
            "SentimentX is F1 weighted by label, the other tasks are accuracy.",
            "An average over fewer languages than the paper's says how many: it is no match for "
            "the numbers above it.",
        ),
    )  # fmt: skip


def _where(beside: Beside, model: str, task: str) -> str:
    return f"{beside.name(model)}, {task_name(task)}"


def table4(beside: Beside) -> Grid:
    """Return Table 4: one adapter for all languages against one for each."""
    paper, marks = beside.paper, Marks()
    lines = []
    for model in in_order(paper, paper.mono):
        about = [one for one in beside.found if (one.table, one.model) == (4, model)]
        numbers = [
            Number(value, marks=marks.of((o for o in about if o.task == task), _where_4(task)))
            for task, value in paper.mono[model].items()
        ]
        lines.append(Line(beside.name(model), (*numbers, Number(paper.mono_means[model]))))
    tasks = tuple(next(iter(paper.mono.values())))
    return Grid(
        name="paper-table-4",
        caption="Table 4: one adapter for each language (BM) and one for all (BX), in per cent",
        stub="Model",
        columns=(*headings(tasks), Heading("average", "Mean")),
        groups=(Group(THEIRS, tuple(lines)), _mono_and_multi(beside, tasks)),
        decimals=1,
        absent=NO_RUN,
        notes=marks.listed(
            "Averages over the languages of a task that are among the 52 trained on.",
            "BM's numbers by language are not printed, so their averages cannot be checked.",
        ),
    )


def _where_4(task: str) -> str:
    return task_name(task) if task else "Mean"


def _mono_and_multi(beside: Beside, tasks: Sequence[str]) -> Group:
    """Return our adapters of several languages, and the line in which each has its own."""
    own, ours = beside.ours.single(), beside.ours
    tables = [beside.paper.tasks[task] for task in tasks]
    trained = [(table, seen(table.languages)) for table in tables]
    lines = [
        _with_mean(name, [average(beside, table, name, codes) for table, codes in trained])
        for name in ours.several()
    ]
    each = [
        ours.average([own.get(c, "") for c in codes], ours.as_here(table), codes)
        for table, codes in trained
    ]
    lines.append(_with_mean("each language's own adapter", each))
    return Group(f"This run, on {ours.report.base}", tuple(lines))


def _with_mean(label: str, numbers: Sequence[Number | None]) -> Line:
    found = [number.value for number in numbers if number is not None]
    if not found:
        return Line(label, (*numbers, None))
    part = "" if len(found) == len(numbers) else f"{len(found)} of {len(numbers)}"
    return Line(label, (*numbers, Number(sum(found) / len(found), small=part)))


def table5(beside: Beside) -> Grid:
    """Return Table 5: EXAMS by group of subjects."""
    paper = beside.paper
    groups = tuple(next(iter(paper.subjects.values())))
    lines = tuple(
        Line(beside.name(model), tuple(Number(paper.subjects[model][group]) for group in groups))
        for model in in_order(paper, paper.subjects)
    )
    return Grid(
        name="paper-table-5",
        caption="Table 5: EXAMS by group of subjects, accuracy in per cent",
        stub="Model",
        columns=tuple(Heading(group, SUBJECTS.get(group, group)) for group in groups),
        groups=(
            Group(THEIRS, lines),
            ours_by(
                beside,
                lambda model: tuple(beside.ours.part(model, _exams(beside), it) for it in groups),
            ),
        ),
        decimals=2,
        absent=NO_RUN,
        notes=(Note("", "Ours: all questions of all languages together."),),
    )


def _exams(beside: Beside) -> str:
    return next(iter(beside.ours.names("exams")), "exams")


def unseen(beside: Beside) -> Grid:
    """Return what Figure 3 shows: averages over languages that no adapter was trained on."""
    tables = {
        task: codes
        for task, table in beside.paper.tasks.items()
        if (codes := tuple(c for c in table.languages if c not in seen(table.languages)))
    }
    models = in_order(beside.paper, beside.paper.averages)

    def theirs(model: str) -> tuple[Number, ...]:
        rows = ((beside.paper.tasks[task].cells[model], codes) for task, codes in tables.items())
        return tuple(Number(sum(row[c] for c in codes) / len(codes)) for row, codes in rows)

    def mine(model: str) -> tuple[Number | None, ...]:
        return tuple(
            average(beside, beside.paper.tasks[task], model, codes)
            for task, codes in tables.items()
        )

    named = "; ".join(f"{task_name(task)} {', '.join(codes)}" for task, codes in tables.items())
    return Grid(
        name="paper-figure-3",
        caption="Figure 3: languages that Bactrian-X was not trained on, averages in per cent",
        stub="Model",
        columns=headings(tables),
        groups=(
            Group(THEIRS, tuple(Line(beside.name(model), theirs(model)) for model in models)),
            ours_by(beside, mine),
        ),
        decimals=1,
        absent=NO_RUN,
        notes=(
            Note("", f"The languages: {named}."),
            Note("", "The figure prints no numbers: the paper's are rebuilt from Tables 8 to 12."),
        ),
    )


def protocols(beside: Beside) -> Grid:
    """Return the same bases under the paper's protocol and under lm-evaluation-harness's."""
    paper = beside.paper
    tasks = tuple(next(iter(paper.harness.values())))

    def lines(rows: Callable[[str], Iterable[float]]) -> tuple[Line, ...]:
        return tuple(
            Line(beside.name(model), tuple(map(Number, rows(model)))) for model in paper.harness
        )

    return Grid(
        name="paper-protocols",
        caption="The same bases under another protocol: averages, accuracy in per cent",
        stub="Model",
        columns=headings(tasks),
        groups=(
            Group(THEIRS, lines(lambda model: (paper.averages[model][task] for task in tasks))),
            Group(
                "lm-evaluation-harness, May 2023",
                lines(lambda model: paper.harness[model].values()),
            ),
        ),
        decimals=2,
        absent="not published",
        notes=(
            Note("", "The same weights, questions and languages, other prompts: the wording moves "
                 "these numbers further than most adapters do."),
        ),
    )  # fmt: skip

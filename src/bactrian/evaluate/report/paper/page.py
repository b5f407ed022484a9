"""The page that lays a run beside the paper: its sections, in the order in which they are read."""

from __future__ import annotations

from bactrian.evaluate.report.blocks import (
    Block,
    Numbers,
    Page,
    Picture,
    Points,
    Prose,
    Section,
)
from bactrian.evaluate.report.content import Report
from bactrian.evaluate.report.grid import Grid
from bactrian.evaluate.report.paper import Paper, paper
from bactrian.evaluate.report.paper.check import findings
from bactrian.evaluate.report.paper.tables import grids
from bactrian.evaluate.report.words import task_name

FIGURE = "paper-figure-3"
"""The table that is drawn, too."""
TITLES = {
    "paper-changes": "What training changed",
    "paper-table-3": "All tasks",
    "paper-table-4": "One adapter or one for each language",
    "paper-table-5": "EXAMS by subject",
    "paper-figure-3": "Languages never trained on",
    "paper-protocols": "How much the wording matters",
}


def page(report: Report) -> tuple[Page, tuple[Grid, ...]]:
    """Return the page, and its tables for files of their own."""
    theirs = paper()
    tables = grids(theirs, report)
    sections = [Section("about", "How to read this page", _about(theirs, report))]
    sections += [
        Section(grid.name, TITLES.get(grid.name) or _title(theirs, grid), _blocks(grid))
        for grid in tables
    ]
    sections.append(Section("findings", "What does not add up", (_findings(theirs),)))
    return Page(f"{report.title}: beside the paper", tuple(sections)), tables


def _blocks(grid: Grid) -> tuple[Block, ...]:
    if grid.name != FIGURE:
        return (Numbers(grid),)
    return (Picture(FIGURE, "Hollow: the paper's models. Filled: this run's."), Numbers(grid))


def _title(theirs: Paper, grid: Grid) -> str:
    names = {f"paper-table-{table.number}": task for task, table in theirs.tasks.items()}
    return f"{task_name(names[grid.name])} by language"


def _about(theirs: Paper, report: Report) -> tuple[Prose, ...]:
    bases = [model.name for model in theirs.models.values() if _same_base(model.like, report.base)]
    same = (
        f"This run's base is the paper's {bases[0]}."
        if bases
        else f"This run's base, {report.base}, is none of the paper's."
    )
    return (
        Prose(
            f"The numbers of {theirs.source}, as printed, above those of this run. {same} A cell "
            "that this run has not measured says “no run”."
        ),
        Prose(
            "The paper's prompts and scoring rule were never published, and other prompts move "
            "these numbers further than most adapters do (last table). So no number here is a "
            "target: compare what training changed, there and here."
        ),
    )


def _same_base(like: str, base: str) -> bool:
    return bool(like) and like in base.lower().partition(" ")[0].replace("_", "-")


def _findings(theirs: Paper) -> Points:
    points = []
    for one in findings(theirs):
        parts = (f"Table {one.table}", task_name(one.task), theirs.models[one.model].name)
        points.append((", ".join(filter(None, parts)), f"{one.text}."))
    return Points(tuple(points))

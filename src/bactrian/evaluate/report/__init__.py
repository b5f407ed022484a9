"""The report of a run: one HTML page, the same as Markdown, charts and tables as files.

``write(report, folder)`` is the door; ``content`` holds what a report can say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bactrian.evaluate.report.content import (
    AdapterFacts,
    Answer,
    Command,
    Curve,
    DataFacts,
    LanguageLabel,
    Place,
    Point,
    Reason,
    Report,
    Sample,
)
from bactrian.files import write_text

if TYPE_CHECKING:
    from bactrian.evaluate.report.grid import Grid

__all__ = [
    "AdapterFacts",
    "Answer",
    "Command",
    "Curve",
    "DataFacts",
    "LanguageLabel",
    "Place",
    "Point",
    "Reason",
    "Report",
    "Sample",
    "Written",
    "write",
]
OURS = ("scores-", "differences-")
"""What the names of tables begin with: of these, those of an earlier report are taken away."""


@dataclass(frozen=True, slots=True)
class Written:
    """The files of a report."""

    html: Path
    markdown: Path
    figures: tuple[Path, ...]
    tables: tuple[Path, ...] = ()
    """Each table as LaTeX and as CSV."""
    paper: Path | None = None
    """The page that lays the run beside the paper, where one was asked for."""


def write(report: Report, folder: Path, *, paper: bool = False) -> Written:
    """Write ``report.html``, ``report.md``, ``figures/*.svg`` and ``tables/*`` under ``folder``.

    With ``paper`` also ``paper.html`` and ``paper.md``. Each file is whole or absent; the same
    content gives the same bytes. Raises ``MissingExtra`` without matplotlib and ``RunError`` when
    the disk is full.
    """
    from bactrian.evaluate.report import charts, dots, heat, html, markdown
    from bactrian.evaluate.report.crowd import thinned
    from bactrian.evaluate.report.paper.page import FIGURE
    from bactrian.evaluate.report.paper.page import page as paper_page
    from bactrian.evaluate.report.sections import page_of
    from bactrian.evaluate.report.tables import grids_of

    shown = thinned(report)
    drawn = (charts.loss_chart(report), heat.heat_map(report), charts.difference_chart(shown))
    by_name = {chart.name: chart for chart in drawn if chart}
    # the pages are made before anything is written: one that fails leaves the last report whole
    pages, grids = {"report": page_of(shown)}, grids_of(report)
    if paper:
        pages["paper"], theirs = paper_page(report)
        grids = (*grids, *theirs)
        by_name |= {grid.name: chart for grid in theirs
                    if grid.name == FIGURE and (chart := dots.chart_of(grid))}  # fmt: skip
    pictures = {name: f"figures/{name}.svg" for name in by_name}
    texts = {f"{name}.html": html.render(page, report, by_name) for name, page in pages.items()}
    texts |= {f"{name}.md": markdown.render(page, report, pictures) for name, page in pages.items()}
    tables = dict(_tables(grids))
    figures = [_put(folder / "figures" / f"{chart.name}.svg", chart.file)
               for chart in by_name.values()]  # fmt: skip
    put = {name: _put(folder / name, text) for name, text in texts.items()}
    _forget(folder / "tables", tables)
    return Written(
        put["report.html"],
        put["report.md"],
        tuple(figures),
        tuple(_put(folder / "tables" / name, text) for name, text in tables.items()),
        put.get("paper.html"),
    )


def _tables(grids: Sequence[Grid]) -> Iterator[tuple[str, str]]:
    from bactrian.evaluate.report import latex, spreadsheet

    for grid in grids:
        yield f"{grid.name}.tex", latex.render(grid)
        yield f"{grid.name}.csv", spreadsheet.render(grid)


def _forget(folder: Path, tables: dict[str, str]) -> None:
    """Take away the tables of an earlier report of which this one has nothing to say."""
    for path in folder.glob("*.*") if folder.is_dir() else ():
        ours = path.name.startswith(OURS) and path.suffix in (".tex", ".csv")
        if ours and path.name not in tables:
            path.unlink()


def _put(path: Path, text: str) -> Path:
    # half a surrogate pair, which a model can write, is no text that UTF-8 can hold
    return write_text(path, text.encode("utf-8", "replace").decode("utf-8"))

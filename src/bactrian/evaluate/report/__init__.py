"""The report of a run: one HTML page, the same as Markdown, and the charts as files.

``write(report, folder)`` is the door; ``content`` holds what a report can say.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True, slots=True)
class Written:
    """The files of a report."""

    html: Path
    markdown: Path
    figures: tuple[Path, ...]


def write(report: Report, folder: Path) -> Written:
    """Write ``report.html``, ``report.md`` and ``figures/*.svg`` under ``folder``.

    Each file is whole or absent; the same content gives the same bytes. Raises ``MissingExtra``
    without matplotlib and ``RunError`` when the disk is full.
    """
    from bactrian.evaluate.report import charts, html, markdown

    drawn = [
        chart for chart in (charts.loss_chart(report), charts.difference_chart(report)) if chart
    ]
    by_name = {chart.name: chart for chart in drawn}
    # the pages are made before anything is written: one that fails leaves the last report whole
    page = html.render(report, by_name)
    document = markdown.render(report, {name: f"figures/{name}.svg" for name in by_name})
    figures = [_put(folder / "figures" / f"{chart.name}.svg", chart.file) for chart in drawn]
    return Written(
        _put(folder / "report.html", page), _put(folder / "report.md", document), tuple(figures)
    )


def _put(path: Path, text: str) -> Path:
    # half a surrogate pair, which a model can write, is no text that UTF-8 can hold
    return write_text(path, text.encode("utf-8", "replace").decode("utf-8"))

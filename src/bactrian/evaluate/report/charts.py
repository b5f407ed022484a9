"""The charts of a report: losses, and differences with their intervals, drawn by matplotlib.

The same content gives the same bytes. Knows nothing of themes: its colours are placeholders.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bactrian.errors import MissingExtra
from bactrian.evaluate.report.content import AVERAGES, Curve, Point, Report
from bactrian.evaluate.report.svg import (
    INK,
    LINE,
    MUTED,
    PAPER,
    SERIES,
    inline,
    shortened,
    standalone,
)
from bactrian.evaluate.report.words import metric_of, outcome, task_name
from bactrian.schema import Difference

LOSS_WIDTH, LOSS_HEIGHT, FOREST_WIDTH = 300, 215, 340
"""Of one panel, in SVG units; a panel is shown about as wide as it is drawn."""
POINTS = 200
"""Points of a training curve; longer ones are averaged over equal runs of steps."""
COLUMNS = 3
NAME, TITLE = 20, 44
"""Characters of a name and of a title that a panel has room for; the tables have all of them."""
MARKERS = ("o", "s", "^", "D", "v", "P")
Draw = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Panel:
    """One small chart, ready to stand in a page that defines the colours."""

    title: str
    svg: str
    width: int = 0
    """In pixels, beyond which it is not shown larger; 0 where the page may choose."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart as panels for a page that flows, and as one file that carries its own colours."""

    name: str
    panels: tuple[Panel, ...]
    file: str
    """A complete SVG document."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """A panel before it is drawn."""

    title: str
    width: int
    height: int
    draw: Draw


def loss_chart(report: Report) -> Chart | None:
    """Return training and validation loss, a panel for each language; None without any points."""
    series = _series(report)
    curves = [curve for curve in report.curves if curve.training or curve.validation]
    plans = [
        _Plan(
            report.label(language).name if language else "All languages together",
            LOSS_WIDTH,
            LOSS_HEIGHT,
            _loss_drawer([one for one in curves if one.language == language], series),
        )
        for language in dict.fromkeys(curve.language for curve in curves)
    ]
    return _chart("loss", plans)


def difference_chart(report: Report) -> Chart | None:
    """Return every difference as a dot with its interval, a panel for each task and metric."""
    groups: dict[tuple[str, str], list[Difference]] = {}
    for one in report.differences:
        if not one.group:
            groups.setdefault((one.task, one.metric), []).append(one)
    plans = []
    for (task, metric), group in groups.items():
        rows = _rows(report, group)
        title = f"{task_name(task)}, {metric_of(metric).name}"
        drawer = _forest_drawer(rows, _series(report))
        plans.append(_Plan(title, FOREST_WIDTH, 62 + 22 * len(rows), drawer))
    return _chart("differences", plans)


def _series(report: Report) -> dict[str, int]:
    return {name: number % len(SERIES) for number, name in enumerate(report.models)}


def _brief(name: str, room: int = NAME) -> str:
    return shortened(name, room)


def _loss_drawer(curves: Sequence[Curve], series: dict[str, int]) -> Draw:
    def draw(axes: Any) -> None:
        ends: list[tuple[str, float, str]] = []
        for curve in curves:
            colour, marker = SERIES[series[curve.model]], MARKERS[series[curve.model]]
            points, marked = _thinned(_finite(curve.training)), _finite(curve.validation)
            if points:
                axes.plot(*_columns(points), color=colour, linewidth=0.9, alpha=0.5)
            if marked:
                axes.plot(
                    *_columns(marked), color=colour, linewidth=1.7, marker=marker,
                    markersize=4.2, markerfacecolor=PAPER, markeredgewidth=1.4,
                )  # fmt: skip
            ends += [(_brief(curve.model), last.loss, colour) for last in (marked or points)[-1:]]
        axes.margins(x=0.03, y=0.1)
        axes.set_xlabel("optimiser step")
        axes.xaxis.set_major_locator(_locator(4, integer=True))
        axes.yaxis.set_major_locator(_locator(5))
        axes.grid(axis="y", color=LINE, linewidth=0.8)
        _label_ends(axes, ends)

    return draw


def _finite(points: Sequence[Point]) -> list[Point]:
    return [point for point in points if math.isfinite(point.loss)]


def _thinned(points: Sequence[Point]) -> list[Point]:
    """Return at most ``POINTS`` points, each the mean of a run of the given ones."""
    count = min(len(points), POINTS)
    ends = [len(points) * number // count for number in range(count + 1)] if count else []
    return [_mean(points[start:end]) for start, end in pairwise(ends)]


def _mean(run: Sequence[Point]) -> Point:
    step = round(sum(point.step for point in run) / len(run))
    return Point(step, sum(point.loss for point in run) / len(run))


def _columns(points: Sequence[Point]) -> tuple[list[int], list[float]]:
    return [point.step for point in points], [point.loss for point in points]


def _label_ends(axes: Any, ends: Sequence[tuple[str, float, str]]) -> None:
    """Write each model's name beside the end of its line, apart from its neighbours."""
    low, high = axes.get_ylim()
    ordered = sorted(ends, key=lambda end: end[1])
    places = _apart([(loss - low) / (high - low) for _, loss, _ in ordered])
    for (name, _, colour), place in zip(ordered, places, strict=True):
        axes.annotate(
            name, (1, place), xytext=(5, 0), xycoords="axes fraction",
            textcoords="offset points", color=colour, va="center", fontweight="bold",
        )  # fmt: skip


def _apart(places: Sequence[float], gap: float = 0.1) -> list[float]:
    """Move ascending places (shares of the height) up, and at the top down, by what they lack."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else place)
    ceiling = 1.0
    for at in range(len(moved) - 1, -1, -1):
        moved[at] = min(moved[at], ceiling)
        ceiling = moved[at] - gap
    return moved


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of the forest plot; without a difference it is the heading of a comparison."""

    text: str
    difference: Difference | None = None


def _rows(report: Report, group: Sequence[Difference]) -> list[_Row]:
    rows: list[_Row] = []
    for model, against in dict.fromkeys((one.model, one.against) for one in group):
        rows.append(_Row(f"{_brief(model)} − {_brief(against)}"))
        rows += [
            _Row(AVERAGES.get(one.language) or _brief(report.label(one.language).name), one)
            for one in group
            if (one.model, one.against) == (model, against)
        ]
    return rows


def _forest_drawer(rows: Sequence[_Row], series: dict[str, int]) -> Draw:
    shown = [row.difference for row in rows if row.difference]
    metric = metric_of(shown[0].metric)

    def draw(axes: Any) -> None:
        axes.axvline(0, color=INK, linewidth=1)
        for at, row in enumerate(rows):
            if row.difference:
                _dot(axes, at, row.difference, series)
            else:
                _heading(axes, at, row.text)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_yticks(range(len(rows)), [row.text if row.difference else "" for row in rows])
        axes.margins(x=0.08)
        axes.xaxis.set_major_locator(_locator(5))
        axes.grid(axis="x", color=LINE, linewidth=0.8)
        axes.tick_params(axis="y", length=0)
        way = "further right is better" if shown[0].higher_is_better else "further left is better"
        axes.set_xlabel(f"difference in {metric.unit or _brief(metric.name)}; {way}")

    return draw


def _heading(axes: Any, at: int, text: str) -> None:
    """Write the heading of a comparison from the panel's left edge over its own row."""
    from matplotlib.transforms import blended_transform_factory

    place = blended_transform_factory(axes.figure.transFigure, axes.transData)
    axes.text(
        0.012, at, text, transform=place, va="center", fontweight="bold", in_layout=False,
        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.5},
    )  # fmt: skip


def _dot(axes: Any, at: int, one: Difference, series: dict[str, int]) -> None:
    number, scale = series[one.model], metric_of(one.metric).scale
    colour = SERIES[number]
    if all(abs(end) != float("inf") for end in (one.low, one.high)):
        axes.plot([one.low * scale, one.high * scale], [at, at], color=colour, linewidth=1.8)
    else:
        axes.axhline(at, color=colour, linewidth=1.2, linestyle=":")
    axes.plot(
        [one.value * scale], [at], color=colour, marker=MARKERS[number], markersize=6.5,
        markerfacecolor=PAPER if outcome(one) == "noise" else colour, markeredgewidth=1.6,
    )  # fmt: skip


def _locator(ticks: int, *, integer: bool = False) -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(ticks, integer=integer)


def _chart(name: str, plans: Sequence[_Plan]) -> Chart | None:
    if not plans:
        return None
    panels = tuple(
        Panel(plan.title, inline(_svg([plan], 1, f"{name}-{number}", titles=False), plan.title))
        for number, plan in enumerate(plans)
    )
    columns = min(COLUMNS if name == "loss" else 1, len(plans))
    return Chart(name, panels, standalone(_svg(plans, columns, name, titles=True)))


def _svg(plans: Sequence[_Plan], columns: int, salt: str, *, titles: bool) -> str:
    """Draw the panels in a grid and return matplotlib's SVG, placeholder colours and all."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra(
            "the report needs matplotlib", "pip install 'bactrian[report]'"
        ) from None
    rows = [plans[start : start + columns] for start in range(0, len(plans), columns)]
    heights = [max(plan.height for plan in row) + 22 * titles for row in rows]
    with matplotlib.rc_context(_style(salt)), warnings.catch_warnings():
        # measured with a font that lacks the letter, shown with the reader's that has it
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure(
            figsize=(plans[0].width * columns / 72, sum(heights) / 72), layout="constrained"
        )
        grid = figure.subplots(len(rows), columns, squeeze=False, height_ratios=heights)
        for at, axes in enumerate(grid.flat):
            if at >= len(plans):
                axes.remove()
                continue
            plans[at].draw(axes)
            if titles:
                axes.set_title(_brief(plans[at].title, TITLE), loc="left", fontweight="bold")
        drawn = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(drawn, format="svg", metadata=nothing, transparent=True)
    return drawn.getvalue()


def _style(salt: str) -> dict[str, Any]:
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": f"bactrian-{salt}",
        "font.family": "DejaVu Sans",
        "font.size": 10.5,
        "axes.titlesize": 12,
        "xtick.labelsize": 10.5,
        "ytick.labelsize": 10.5,
        "axes.labelsize": 10.5,
        "axes.unicode_minus": True,
        "text.color": INK,
        "text.parse_math": False,
        "axes.titlecolor": INK,
        "axes.labelcolor": MUTED,
        "axes.edgecolor": LINE,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.axisbelow": True,
        "xtick.color": LINE,
        "ytick.color": LINE,
        "xtick.labelcolor": MUTED,
        "ytick.labelcolor": MUTED,
        "ytick.major.size": 0,
        "figure.constrained_layout.w_pad": 4 / 72,
        "figure.constrained_layout.h_pad": 4 / 72,
    }

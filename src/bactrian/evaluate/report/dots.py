"""A table of numbers as dots: a panel for each column, a row for each line, the last group filled.

Drawn by hand as SVG whose colours follow the page. Knows only the table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape

from bactrian.evaluate.report.charts import Chart, Panel
from bactrian.evaluate.report.grid import Grid, Heading, Line, Number
from bactrian.evaluate.report.svg import FONT, shortened, standalone

STUB, PLOT, ROW, AXIS, GAP = 124, 176, 19, 30, 26
"""Width of the names and of the plot, height of a row and of the axis, and the space between
groups and panels, in SVG units."""
NAME = 17
TICKS = 5


@dataclass(frozen=True, slots=True)
class Scale:
    """From a column's numbers to places across the plot."""

    low: float
    high: float
    step: float

    def at(self, value: float) -> float:
        """Return the place of a value in SVG units from the panel's left edge."""
        return STUB + PLOT * (value - self.low) / (self.high - self.low)

    @property
    def ticks(self) -> list[float]:
        """The values that have a line and a number."""
        count = round((self.high - self.low) / self.step)
        return [self.low + self.step * number for number in range(count + 1)]


def chart_of(grid: Grid) -> Chart | None:
    """Return the chart of a table; None where it has no numbers."""
    columns = [at for at in range(len(grid.columns)) if any(_numbers(grid, at))]
    if not columns:
        return None
    panels = tuple(
        Panel(grid.columns[at].label, _page(grid, at, _panel(grid, at)), STUB + PLOT + 8)
        for at in columns
    )
    return Chart(grid.name, panels, standalone(_file(grid, columns)))


def scale_of(numbers: list[Number]) -> Scale:
    """Return a scale with a few round ticks that holds all numbers and their intervals."""
    ends = [end for number in numbers for end in (number.value, *(number.interval or ()))]
    low, high = min(ends), max(ends)
    rough = max(high - low, 1e-6) / (TICKS - 1)
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * times for times in (1, 2, 5, 10) if unit * times >= rough * (1 - 1e-9))
    first = math.floor(low / step) * step
    last = math.ceil(high / step) * step
    return Scale(first, max(last, first + step), step)


def _numbers(grid: Grid, at: int) -> list[Number]:
    found = (line.numbers[at] for group in grid.groups for line in group.lines)
    return [number for number in found if number is not None]


def _height(grid: Grid) -> int:
    return sum(ROW * len(group.lines) + GAP for group in grid.groups if group.lines) + AXIS


def _page(grid: Grid, at: int, body: str) -> str:
    box = f"0 0 {STUB + PLOT + 8} {_height(grid)}"
    said = escape(f"{grid.caption}: {grid.columns[at].label}")
    return f'<svg viewBox="{box}" role="img" aria-label="{said}">{body}</svg>'


def _file(grid: Grid, columns: list[int]) -> str:
    wide, high = STUB + PLOT + 8 + GAP, _height(grid) + 24
    width, height = wide * len(columns) + GAP, high + GAP
    panels = "".join(
        f'<g transform="translate({GAP + wide * number} {GAP})"><text y="-6" font-weight="600">'
        f"{escape(grid.columns[at].label)}</text>{_panel(grid, at)}</g>"
        for number, at in enumerate(columns)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="{FONT}" font-size="12" '
        f'fill="currentColor">{panels}</svg>'
    )


def _panel(grid: Grid, at: int) -> str:
    scale, column = scale_of(_numbers(grid, at)), grid.columns[at]
    foot, top, parts = _height(grid) - AXIS, 0, [_axis(grid, scale)]
    groups = [group for group in grid.groups if group.lines]
    for group in groups:
        label = escape(shortened(group.label, 48))
        parts.append(f'<text y="{top + 16}" font-size="10" fill="var(--muted)">{label}</text>')
        top += GAP
        for line in group.lines:
            filled = group is groups[-1] and len(groups) > 1
            parts.append(_row(grid, (line, column, line.numbers[at]), top, scale, filled))
            top += ROW
    assert top == foot
    return "".join(parts)


def _axis(grid: Grid, scale: Scale) -> str:
    foot = _height(grid) - AXIS
    parts = []
    digits = max(0, -math.floor(math.log10(scale.step) + 1e-9))
    for tick in scale.ticks:
        across = f"{scale.at(tick):.1f}"
        parts.append(
            f'<path d="M{across} {GAP}V{foot}" stroke="var(--line)" fill="none"/>'
            f'<text x="{across}" y="{foot + 16}" text-anchor="middle" font-size="10" '
            f'fill="var(--muted)">{tick:.{digits}f}</text>'
        )
    return "".join(parts)


def _row(
    grid: Grid, cell: tuple[Line, Heading, Number | None], top: int, scale: Scale, filled: bool
) -> str:
    line, column, number = cell
    middle = top + ROW / 2
    name = escape(shortened(line.label, NAME))
    label = f'<text x="{STUB - 12}" y="{middle + 4}" text-anchor="end" font-size="11">{name}</text>'
    if number is None:
        absent = escape(grid.absent)
        return label + (
            f'<text x="{STUB}" y="{middle + 4}" font-size="10" fill="var(--muted)">{absent}</text>'
        )
    said = escape(f"{line.label}, {column.label}: {grid.written(number.value)}")
    ends = ""
    if number.interval:
        low, high = (f"{scale.at(end):.1f}" for end in number.interval)
        ends = f'<path d="M{low} {middle}H{high}" stroke="var(--series-1)" stroke-width="1.6"/>'
    fill = "var(--series-1)" if filled else "var(--paper)"
    colour = "var(--series-1)" if filled else "var(--muted)"
    return (
        f'{label}<g><title>{said}</title>{ends}<circle cx="{scale.at(number.value):.1f}" '
        f'cy="{middle}" r="4" fill="{fill}" stroke="{colour}" stroke-width="1.6"/></g>'
    )

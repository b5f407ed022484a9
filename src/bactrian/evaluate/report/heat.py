"""The heat map: languages down, tasks across, what each adapter changed in the cells.

Nothing rests on colour alone: a cell has its number and a mark, and one inside the noise is hatched
instead of coloured. Drawn by hand as SVG whose colours follow the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bactrian.evaluate.report.charts import Chart, Panel
from bactrian.evaluate.report.content import AVERAGES, Report
from bactrian.evaluate.report.svg import FONT, shortened, standalone
from bactrian.evaluate.report.words import (
    MARKS,
    READINGS,
    metric_of,
    outcome,
    signed,
    span,
    task_name,
)
from bactrian.schema import Difference

STUB, COLUMN, ROW, LETTERS, GAP = 112, 64, 22, 12, 28
"""Width of the languages' names and of a task, height of a language and of a line of the tasks'
names, and the space between panels, in SVG units, which are pixels where there is room."""
PANELS = 6
"""Panels drawn; more adapters than these are drawn as each language's own adapter."""
FLOOR = {"points": 5.0}
"""A difference of so much has the full colour, where none is larger."""
FAINT, FULL = 0.16, 0.5
"""Opacity of the colour: text stands out from the strongest by more than 4.5 to 1."""
NAME, TASK = 15, 11
"""Characters of a name that there is room for; its title has all of them."""
COLOURS = {"better": "var(--series-1)", "worse": "var(--series-2)"}
Cells = dict[tuple[str, str], Difference]


@dataclass(frozen=True, slots=True)
class Map:
    """One panel before it is drawn: cells by language and task."""

    title: str
    cells: Cells
    languages: tuple[str, ...]
    tasks: tuple[str, ...]

    @property
    def width(self) -> int:
        """In SVG units."""
        return STUB + COLUMN * len(self.tasks)

    @property
    def height(self) -> int:
        """In SVG units."""
        return self.head + ROW * len(self.languages)

    @property
    def head(self) -> int:
        """Height of the tasks' names, which may take two lines."""
        return 8 + LETTERS * max((len(_lines(task)) for task in self.tasks), default=1)


def heat_map(report: Report) -> Chart | None:
    """Return a panel for each comparison; None without differences."""
    maps = maps_of(report)
    if not maps:
        return None
    full = _full(maps)
    panels = tuple(
        Panel(one.title, _page(_panel(report, one, full, str(at)), one), one.width)
        for at, one in enumerate(maps)
    )
    return Chart("heat", panels, standalone(_file(report, maps, full)))


def maps_of(report: Report) -> tuple[Map, ...]:
    """Return what is drawn: each comparison, or of many the adapters of several languages, and one
    panel in which every language has the adapter trained on it alone."""
    chosen = _one_metric(report.differences)
    pairs = list(dict.fromkeys((one.model, one.against) for one in chosen))
    if len(pairs) <= PANELS:
        return tuple(
            _map(
                report, f"{model} − {against}", [o for o in chosen if _pair(o) == (model, against)]
            )
            for model, against in pairs
        )
    own = {one.languages[0]: one.name for one in report.adapters if len(one.languages) == 1}
    against = pairs[0][1]
    each = [o for o in chosen if own.get(o.language) == o.model and o.against == against]
    alone = set(own.values())
    others = [pair for pair in pairs if pair[0] not in alone][: PANELS - 1]
    maps = [_map(report, f"each language's own adapter − {against}", each)] if each else []
    maps += [
        _map(report, f"{model} − {other}", [o for o in chosen if _pair(o) == (model, other)])
        for model, other in others
    ]
    return tuple(maps)


def left_out(report: Report) -> int:
    """Return how many comparisons no panel shows in whole."""
    pairs = {_pair(one) for one in _one_metric(report.differences)}
    titles = {one.title for one in maps_of(report)}
    return sum(f"{model} − {against}" not in titles for model, against in pairs)


def _pair(one: Difference) -> tuple[str, str]:
    return one.model, one.against


def _one_metric(differences: Sequence[Difference]) -> list[Difference]:
    """Return the differences in the first metric of each task, over all of its items."""
    whole = [one for one in differences if not one.group and one.language != "micro"]
    first: dict[str, str] = {}
    for one in whole:
        first.setdefault(one.task, one.metric)
    return [one for one in whole if one.metric == first[one.task]]


def _map(report: Report, title: str, mine: Sequence[Difference]) -> Map:
    named = [label.id for label in report.languages]
    there = dict.fromkeys(one.language for one in mine)
    languages = sorted(
        there, key=lambda code: (code in AVERAGES, named.index(code) if code in named else 999)
    )
    tasks = tuple(dict.fromkeys(one.task for one in mine))
    return Map(title, {(o.language, o.task): o for o in mine}, tuple(languages), tasks)


def _full(maps: Sequence[Map]) -> dict[str, float]:
    """Return the difference that has the full colour, by unit; shared by all panels."""
    full: dict[str, float] = {}
    for one in (cell for it in maps for cell in it.cells.values() if cell.clear):
        metric = metric_of(one.metric)
        unit = metric.unit or metric.name
        size = abs(one.value) * metric.scale
        full[unit] = max(full.get(unit, FLOOR.get(unit, 0.0)), size)
    return full


def _page(body: str, one: Map) -> str:
    box = f'viewBox="0 0 {one.width} {one.height}"'
    return f'<svg {box} role="img" aria-label="{escape(one.title)}">{body}</svg>'


def _file(report: Report, maps: Sequence[Map], full: dict[str, float]) -> str:
    """Return every panel side by side with its title and the key, as one drawing."""
    columns = min(2, len(maps))
    wide, high = max(it.width for it in maps), max(it.height for it in maps) + GAP
    rows = -(-len(maps) // columns)
    width, height = columns * (wide + GAP) + GAP, rows * (high + GAP) + GAP + ROW
    parts = []
    for at, one in enumerate(maps):
        across, down = GAP + at % columns * (wide + GAP), GAP + at // columns * (high + GAP)
        title = f'<text y="-8" font-weight="600">{escape(shortened(one.title, 48))}</text>'
        body = title + _panel(report, one, full, f"file-{at}")
        parts.append(f'<g transform="translate({across} {down})">{body}</g>')
    parts.append(f'<text x="{GAP}" y="{height - 12}" font-size="11">{escape(KEY)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="{FONT}" font-size="12" '
        f'fill="currentColor">{"".join(parts)}</svg>'
    )


KEY = (
    f"{MARKS['better']} better, {MARKS['worse']} worse, clear of zero; hatched: inside the noise; "
    "a dash: not measured"
)


def _panel(report: Report, one: Map, full: dict[str, float], salt: str) -> str:
    heads = "".join(_head(at, task, one.head) for at, task in enumerate(one.tasks))
    rows = "".join(_row(report, one, place, full, salt) for place in range(len(one.languages)))
    return f"{_hatch(salt)}{heads}{rows}"


def _hatch(salt: str) -> str:
    return (
        f'<defs><pattern id="hatch-{salt}" width="6" height="6" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><rect width="6" height="6" fill="var(--paper)"/>'
        '<rect width="1.4" height="6" fill="var(--muted)" fill-opacity=".4"/></pattern></defs>'
    )


def _lines(task: str) -> list[str]:
    first, _, second = task_name(task).partition(" ")
    return [first, second] if second else [first]


def _head(at: int, task: str, height: int) -> str:
    lines, middle = _lines(task), STUB + COLUMN * at + COLUMN / 2
    shown = "".join(
        f'<tspan x="{middle:g}" y="{height - 7 - LETTERS * above}">{escape(line)}</tspan>'
        for above, line in reversed(
            list(enumerate(shortened(line, TASK) for line in reversed(lines)))
        )
    )
    return (
        f'<text text-anchor="middle" font-size="10" fill="var(--muted)">'
        f"<title>{escape(task_name(task))}</title>{shown}</text>"
    )


def _row(report: Report, one: Map, place: int, full: dict[str, float], salt: str) -> str:
    code, top = one.languages[place], one.head + ROW * place
    name = AVERAGES.get(code) or report.label(code).name
    weight = ' font-weight="600"' if code in AVERAGES else ""
    label = (
        f'<text x="{STUB - 10}" y="{top + 15}" text-anchor="end" font-size="12"{weight}>'
        f"<title>{escape(name)}</title>{escape(shortened(name, NAME))}</text>"
    )
    cells = (
        _cell(one.cells.get((code, task)), f"{name}, {task_name(task)}", at, top, (full, salt))
        for at, task in enumerate(one.tasks)
    )
    return label + "".join(cells)


def _cell(
    one: Difference | None, where: str, at: int, top: int, look: tuple[dict[str, float], str]
) -> str:
    left = STUB + COLUMN * at
    middle = f'x="{left + COLUMN / 2:g}" y="{top + 15}" text-anchor="middle" font-size="11"'
    if one is None:
        return f'<text {middle} fill="var(--muted)">–</text>'
    metric, ended = metric_of(one.metric), outcome(one)
    number = signed(one.value, metric)
    said = f"{where}: {number} ({span(one)}), {one.n:,} items, {READINGS[ended]}"
    full, salt = look
    box = f'x="{left + 1}" y="{top + 1}" width="{COLUMN - 2}" height="{ROW - 2}" rx="2"'
    if ended == "noise":
        fill = f'<rect {box} fill="url(#hatch-{salt})"/>'
        halo = ' paint-order="stroke" stroke="var(--paper)" stroke-width="4"'
        text = f"<text {middle}{halo}>{number}</text>"
    else:
        share = min(1.0, abs(one.value) * metric.scale / full[metric.unit or metric.name])
        opacity = FAINT + (FULL - FAINT) * share
        fill = f'<rect {box} fill="{COLOURS[ended]}" fill-opacity="{opacity:.2f}"/>'
        text = f'<text {middle} font-weight="600">{MARKS[ended]}{number}</text>'
    return f"<g><title>{escape(said)}</title>{fill}{text}</g>"

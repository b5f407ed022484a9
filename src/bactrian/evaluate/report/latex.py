"""A table of numbers as LaTeX with booktabs, one file a table, ready for ``\\input``.

Numbers and labels are escaped, so that a model called ``50%_{x}`` is printed as that. What a file
needs of the document (packages, fonts for its scripts) stands in its first lines.
"""

from __future__ import annotations

from collections.abc import Iterable

from bactrian.evaluate.report.grid import Grid, Group, Line, Number
from bactrian.text import script_counts

ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "[": "{[}",
    "]": "{]}",
    "−": "$-$",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "“": "``",
    "”": "''",
    "’": "'",
    "·": r"\textperiodcentered{}",
    "×": r"$\times$",
    "∞": r"$\infty$",
    "\N{NO-BREAK SPACE}": "~",
}
"""Brackets too: one at the beginning of a row would be taken for an argument of the row's end."""
STYLES = {"better": r"\textbf", "worse": r"\textit", "noise": ""}
NARROW = 10
"""Columns beyond which a table goes over both columns of a page, in smaller type."""


def render(grid: Grid) -> str:
    """Return the file: a floating table with caption, label and notes."""
    wide = len(grid.columns) > NARROW
    place = "table*" if wide else "table"
    lines = [
        *_comments(grid),
        rf"\begin{{{place}}}",
        r"\centering",
        r"\footnotesize\setlength{\tabcolsep}{3pt}" if wide else r"\small",
        rf"\caption{{{escaped(grid.caption)}}}",
        rf"\label{{tab:{grid.name}}}",
        rf"\begin{{tabular}}{{l{'r' * len(grid.columns)}}}",
        r"\toprule",
        _row([escaped(grid.stub), *(escaped(column.label) for column in grid.columns)]),
        *(line for group in grid.groups for line in _group(grid, group)),
        r"\bottomrule",
        r"\end{tabular}",
        *_notes(grid),
        rf"\end{{{place}}}",
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Return text on one line as LaTeX prints it."""
    return "".join(ESCAPES.get(character, character) for character in _one_line(text))


def _comments(grid: Grid) -> Iterable[str]:
    yield f"% {_one_line(grid.caption)}"
    yield r"% needs \usepackage{booktabs}; with pdfLaTeX also \usepackage[T1]{fontenc}"
    if scripts := _scripts(grid):
        yield f"% has letters of {', '.join(scripts)}: typeset it with LuaLaTeX or XeLaTeX and"
        yield r"% \usepackage{fontspec} with a font that has them, such as Noto Sans"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _scripts(grid: Grid) -> list[str]:
    """Return the scripts beyond Latin that stand in the table, by their ISO 15924 names."""
    texts = [grid.caption, grid.stub, *(column.label for column in grid.columns)]
    texts += [text for group in grid.groups for text in (group.label, *_labels(group))]
    texts += [note.text for note in grid.notes]
    return sorted(script_counts(" ".join(texts)).keys() - {"Latn"})


def _labels(group: Group) -> Iterable[str]:
    return (line.label for line in group.lines)


def _group(grid: Grid, group: Group) -> Iterable[str]:
    yield r"\midrule"
    if group.label:
        width = len(grid.columns) + 1
        yield rf"\multicolumn{{{width}}}{{l}}{{\textit{{{escaped(group.label)}}}}} \\"
    for line in group.lines:
        yield _row([_label(line), *(_number(grid, number) for number in line.numbers)])


def _row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _label(line: Line) -> str:
    return escaped(line.label) + _raised(line.marks)


def _number(grid: Grid, number: Number | None) -> str:
    if number is None:
        return "--"
    text = escaped(grid.written(number.value))
    style = STYLES[number.outcome] if number.outcome else ""
    shown = f"{style}{{{text}}}" if style else text
    span = grid.span(number)
    return shown + _raised(number.marks) + (f" {{\\scriptsize ({escaped(span)})}}" if span else "")


def _raised(marks: str) -> str:
    return rf"\textsuperscript{{{','.join(marks)}}}" if marks else ""


def _notes(grid: Grid) -> Iterable[str]:
    notes = [_raised(note.mark) + escaped(note.text) for note in grid.notes]
    outcomes = {number.outcome for *_, number in grid.cells() if number}
    if outcomes & {"better", "worse"}:
        notes.append(
            "Bold: better, the interval clear of zero; italic: worse; upright: inside the noise."
        )
    if any(number is None for *_, number in grid.cells()):
        notes.append(f"--: {escaped(grid.absent)}.")
    if notes:
        yield r"\par\smallskip\raggedright\footnotesize"
        yield " \\par\n".join(notes)

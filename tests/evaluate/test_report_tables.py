"""Tables as files: LaTeX that typesets, CSV that reads back, and nothing that runs by itself."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from fabricated import Plan, fabricate

from bactrian.evaluate.report import latex, spreadsheet, write
from bactrian.evaluate.report.grid import Grid, Group, Heading, Line, Note, Number
from bactrian.evaluate.report.tables import grids_of, slug

NASTY = r"50%_{x} & $y$ \input{/etc/passwd} #1 ~ ^ <b> | \\ [2pt] \"q\""
GRID = Grid(
    name="scores-xcopa-acc",
    caption="XCOPA: accuracy",
    stub="Language",
    columns=(Heading("base", "base"), Heading("multi", "multi")),
    groups=(
        Group("", (
            Line("Khmer", (Number(50.25, 46.1, 54.3, 500), Number(51.4, marks="a"))),
            Line("Thai", (Number(-1.5, outcome="worse"), None), marks="b"),
        )),
    ),
    notes=(Note("a", "first 100 items"), Note("b", "a row"), Note("", "500 each")),
)  # fmt: skip


def nasty() -> Grid:
    line = Line(NASTY, (Number(1.0), None), marks="a")
    return replace(
        GRID, caption=NASTY, stub=NASTY, columns=(Heading("a", NASTY), Heading("b", "=1+1")),
        groups=(Group(NASTY, (line,)),), notes=(Note("a", NASTY),), absent=NASTY,
    )  # fmt: skip


def rows(text: str) -> list[str]:
    """The rows of the tabular, without rules and headings over all columns."""
    inside = text.split(r"\begin{tabular}")[1].split(r"\end{tabular}")[0]
    return [
        line for line in inside.splitlines() if line.endswith(r"\\") and "multicolumn" not in line
    ]


def balanced(text: str) -> bool:
    depth = 0
    for character in re.sub(r"\\[{}]", "", text):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth < 0:
            return False
    return depth == 0


def test_latex_is_a_booktabs_table_with_its_numbers_and_notes() -> None:
    text = latex.render(GRID)
    for said in (
        r"\usepackage{booktabs}", r"\toprule", r"\midrule", r"\bottomrule",
        r"\caption{XCOPA: accuracy}", r"\label{tab:scores-xcopa-acc}",
        r"Khmer & 50.2 {\scriptsize (46.1 to 54.3)} & 51.4\textsuperscript{a} \\",
        r"Thai\textsuperscript{b} & \textit{$-$1.5} & -- \\",
        r"\textsuperscript{a}first 100 items", "--: not measured.",
    ):  # fmt: skip
        assert said in text, said
    assert text.isascii()


@pytest.mark.parametrize("grid", [GRID, nasty()], ids=["plain", "nasty"])
def test_every_row_of_latex_has_as_many_cells_as_the_table_has_columns(grid: Grid) -> None:
    text = latex.render(grid)
    assert balanced(text)
    for row in rows(text):
        assert len(re.findall(r"(?<!\\)&", row)) == 2, row
        assert not row.startswith("[")  # it would be the argument of the row's end before it


def test_names_are_printed_and_not_run() -> None:
    text = latex.render(nasty())
    assert r"50\%\_\{x\} \& \$y\$ \textbackslash{}input\{/etc/passwd\} \#1" in text
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert r"\input" not in body
    assert not re.search(r"(?<!\\)[#%~^]", body)


def test_a_comment_ends_with_its_line() -> None:
    text = latex.render(replace(GRID, caption="one\n\\input{two}\u2028three"))
    comments = [line for line in text.split("\n") if line.startswith("%")]
    assert comments[0].startswith("% one \\input{two}")
    assert not any(line.startswith("\\input") for line in text.splitlines())


def test_a_table_in_other_scripts_says_which_fonts_it_needs() -> None:
    grid = replace(GRID, stub="ខ្មែរ ไทย 中文 العربية")
    text = latex.render(grid)
    assert "% has letters of Arab, Hani, Khmr, Thai: typeset it with LuaLaTeX or XeLaTeX" in text
    assert "fontspec" in text
    assert "fontspec" not in latex.render(GRID)


def test_a_wide_table_goes_over_both_columns() -> None:
    many = tuple(Heading(str(at), str(at)) for at in range(17))
    line = Line("x", (Number(1.0),) * 17)
    grid = replace(GRID, columns=many, groups=(Group("", (line,)),))
    assert r"\begin{table*}" in latex.render(grid)
    assert r"\begin{table}" in latex.render(GRID)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_typesets(tmp_path: Path) -> None:
    head = r"\documentclass{article}\usepackage{booktabs}\usepackage[T1]{fontenc}\begin{document}"
    text = f"{head}\n{latex.render(GRID)}\n{latex.render(nasty())}\\end{{document}}"
    (tmp_path / "a.tex").write_text(text, encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "a.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_csv_has_a_line_for_each_cell_and_reads_back() -> None:
    found = list(csv.DictReader(io.StringIO(spreadsheet.render(GRID))))
    assert len(found) == 4
    assert found[0] == {
        "table": "scores-xcopa-acc", "group": "", "row": "Khmer", "column": "base",
        "value": "50.25", "low": "46.1", "high": "54.3", "n": "500", "outcome": "", "note": "",
    }  # fmt: skip
    assert found[1]["note"] == "first 100 items"
    assert (found[2]["outcome"], found[2]["note"]) == ("worse", "a row")
    assert (found[3]["value"], found[3]["note"]) == ("", "not measured")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@a", "\tx"])
def test_csv_holds_no_formula(text: str) -> None:
    grid = replace(GRID, groups=(Group(text, (Line(text, (Number(-1.0), None)),)),))
    found = list(csv.DictReader(io.StringIO(spreadsheet.render(grid), newline="")))
    assert {(row["group"], row["row"]) for row in found} == {(f"'{text}", f"'{text}")}
    assert found[0]["value"] == "-1"  # a number is a number


def test_csv_has_one_kind_of_line_ends() -> None:
    grid = replace(GRID, groups=(Group("", (Line("one\rtwo\r\nthree", (None, None)),)),))
    text = spreadsheet.render(grid)
    assert "\r" not in text
    assert next(csv.DictReader(io.StringIO(text)))["row"] == "one\ntwo\nthree"


def test_csv_keeps_every_script(tmp_path: Path) -> None:
    grid = replace(GRID, groups=(Group("", (Line("ភាសាខ្មែរ, «عربي»\n中文", (None, None)),)),))
    path = tmp_path / "a.csv"
    path.write_text(spreadsheet.render(grid), encoding="utf-8", newline="")
    with path.open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["row"] == "ភាសាខ្មែរ, «عربي»\n中文"


def test_a_row_that_lacks_a_cell_is_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 cells"):
        replace(GRID, groups=(Group("", (Line("x", (None,)),)),))


def test_numbers_are_written_with_a_true_minus_and_a_sign_where_asked() -> None:
    signed = replace(GRID, signed=True)
    assert [signed.written(value) for value in (1.25, -1.25, 0.0, -0.04)] == [
        "+1.2", "−1.2", "0.0", "0.0",
    ]  # fmt: skip
    assert GRID.written(1234.5) == "1,234.5"
    unbounded = Number(12.5, float("-inf"), float("inf"))
    assert GRID.span(unbounded) == "−∞ to ∞"
    assert r"$-$$\infty$ to $\infty$" in latex.render(
        replace(GRID, groups=(Group("", (Line("all", (unbounded, None)),)),))
    )


def test_every_score_and_difference_stands_in_a_table() -> None:
    report = fabricate(Plan(("ar", "th"), ("xcopa", "sentimentx", "held-out"), items=0))
    grids = grids_of(report)
    names = [grid.name for grid in grids]
    assert names == [
        "scores-xcopa-acc", "scores-sentimentx-f1-macro", "scores-held-out-bits-per-byte",
        "differences-xcopa-acc", "differences-sentimentx-f1-macro",
        "differences-held-out-bits-per-byte",
    ]  # fmt: skip
    numbers = [number for grid in grids for *_, number in grid.cells() if number]
    assert len(numbers) == len(report.scores) + len(report.differences)
    first = next(grid for grid in grids if grid.name == "scores-xcopa-acc")
    score = report.scores[0]
    number = first.groups[0].lines[0].numbers[0]
    assert number is not None
    assert number.value == pytest.approx(100 * score.value)
    assert number.n == score.n


def test_parts_of_a_task_have_tables_of_their_own() -> None:
    report = fabricate(Plan(("ar",), ("exams",), items=0))
    part = replace(report.scores[0], group="natural")
    names = [grid.name for grid in grids_of(replace(report, scores=(*report.scores, part)))]
    assert "scores-exams-acc-natural" in names


def test_the_files_of_an_earlier_report_go_and_those_of_others_stay(tmp_path: Path) -> None:
    report = fabricate(Plan(("ar",), ("xcopa", "exams"), items=0))
    write(report, tmp_path, paper=True)
    (tmp_path / "tables" / "mine.tex").write_text("mine")
    only = tuple(score for score in report.scores if score.task == "xcopa")
    written = write(replace(report, scores=only, differences=()), tmp_path)
    names = {path.name for path in (tmp_path / "tables").iterdir()}
    assert "scores-exams-acc.csv" not in names
    assert {"scores-xcopa-acc.csv", "mine.tex", "paper-table-3.tex"} <= names
    assert {path.name for path in written.tables} == {
        "scores-xcopa-acc.csv",
        "scores-xcopa-acc.tex",
    }
    assert written.paper is None


def test_a_name_becomes_part_of_a_file_s_name() -> None:
    assert slug("../../etc/passwd") == "etc-passwd"
    assert slug("exams:letter@lm-eval") == "exams-letter-lm-eval"
    assert len(slug("a" * 500)) == 60

"""The protocol of a report: every field of every signature is there, and none twice."""

from __future__ import annotations

from dataclasses import replace

from bactrian.evaluate.report import Report
from bactrian.evaluate.report.blocks import Fold, Points, Table
from bactrian.evaluate.report.protocol import protocol
from bactrian.schema import Score

ZH = Score("base", "xcopa", "zh", "acc", 0.5, 0.4, 0.6, 500,
           "task:xcopa|lang:zh|n:500|prompt:native-2|texts:0a1b|dtype:float32")  # fmt: skip
TH = replace(ZH, language="th", signature=ZH.signature.replace("zh", "th").replace("0a1b", "ff00"))


def report(*scores: Score) -> Report:
    return Report(title="", date="", summary="", base="b", languages=(), adapters=(), scores=scores)


def test_what_is_alike_stands_once_and_what_differs_in_a_row_a_language() -> None:
    _, points, table = protocol(report(ZH, TH, replace(ZH, metric="acc_norm")))
    assert isinstance(points, Points)
    assert points.points == (("XCOPA", "task:xcopa|n:500|prompt:native-2|dtype:float32"),)
    assert isinstance(table, Table)
    assert [column.label for column in table.columns] == ["Language", "texts"]
    assert [[cell.text for cell in row] for row in table.rows] == [["zh", "0a1b"], ["th", "ff00"]]


def test_one_language_needs_no_table() -> None:
    blocks = list(protocol(report(ZH)))
    assert [type(block) for block in blocks[1:]] == [Points]
    assert blocks[1] == Points((("XCOPA", ZH.signature),), verbatim=True)


def test_a_language_measured_in_two_ways_has_two_rows() -> None:
    other = replace(ZH, model="other", signature=ZH.signature.replace("float32", "bfloat16"))
    table = list(protocol(report(ZH, other)))[-1]
    assert isinstance(table, Table)
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["zh", "float32"],
        ["zh", "bfloat16"],
    ]


def test_a_field_that_some_lack_is_said_to_be_lacking() -> None:
    table = list(protocol(report(ZH, replace(TH, signature="task:xcopa|over:zh,th"))))[-1]
    assert isinstance(table, Table)
    assert [column.label for column in table.columns][1:] == [
        "n", "prompt", "texts", "dtype", "over",
    ]  # fmt: skip
    assert [cell.text for cell in table.rows[1]] == ["th", "–", "–", "–", "–", "zh,th"]


def test_many_languages_are_folded_and_without_scores_there_is_nothing() -> None:
    many = [replace(ZH, language=f"l{at}", signature=f"texts:{at}") for at in range(60)]
    assert isinstance(list(protocol(report(*many)))[-1], Fold)
    assert not list(protocol(report()))

"""The paper's tables: that they add up, that what does not is found, and our runs beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from fabricated import Plan, fabricate

from bactrian.evaluate.report import Report
from bactrian.evaluate.report.grid import Grid, Line, Number
from bactrian.evaluate.report.paper import Paper, paper
from bactrian.evaluate.report.paper.check import Finding, constant_f1, findings, fits, seen
from bactrian.evaluate.report.paper.page import page
from bactrian.evaluate.report.paper.tables import grids
from bactrian.schema import Difference, Score

XCOPA = ("et", "ht", "id", "it", "qu", "sw", "ta", "th", "tr", "vi", "zh")
NOTHING = Report(title="t", date="d", summary="", base="b", languages=(), adapters=())


def with_cell(task: str, model: str, language: str, value: float) -> Paper:
    """Return the paper with one number changed."""
    whole = paper()
    table = whole.tasks[task]
    row = {**table.cells[model], language: value}
    changed = replace(table, cells={**table.cells, model: row})
    return replace(whole, tasks={**whole.tasks, task: changed})


def about(found: tuple[Finding, ...], what: str) -> set[tuple[int, str, str]]:
    return {(one.table, one.task, one.model) for one in found if one.what == what}


def by_name(report: Report) -> dict[str, Grid]:
    return {grid.name: grid for grid in grids(paper(), report)}


def ours(grid: Grid) -> dict[str, Line]:
    return {line.label: line for line in grid.groups[-1].lines}


def test_every_average_of_tables_8_to_12_is_that_of_its_cells() -> None:
    for table in paper().tasks.values():
        for model, row in table.cells.items():
            mean = sum(row.values()) / len(row)
            assert abs(mean - table.averages[model]) <= 10.0**-table.decimals, (table.task, model)


def test_the_averages_of_table_3_are_those_of_the_tables_behind_it() -> None:
    for model, row in paper().averages.items():
        for task, value in row.items():
            table = paper().tasks[task]
            assert abs(value - table.averages[model]) <= 10.0**-table.decimals, (task, model)
    assert not about(findings(paper()), "average")


def test_the_tables_have_every_language_and_item_of_the_benchmarks() -> None:
    tasks = paper().tasks
    assert sum(tasks["exams"].items.values()) == 20_559
    assert tasks["xcopa"].languages == XCOPA
    sizes = {"xcopa": 11, "xstorycloze": 10, "xwinograd": 6, "sentimentx": 8, "exams": 16}
    assert {task: len(table.languages) for task, table in tasks.items()} == sizes
    for table in tasks.values():
        assert set(table.items) == set(table.languages)
        assert all(set(row) == set(table.languages) for row in table.cells.values())
        for language, labels in table.labels.items():
            assert sum(labels.values()) == table.items[language]
    assert [table.number for table in tasks.values()] == [8, 9, 10, 11, 12]


def test_rows_computed_on_fewer_items_are_found() -> None:
    found = [one for one in findings(paper()) if one.what == "items"]
    assert {(one.task, one.model) for one in found} == {
        ("xwinograd", "llama_13b"),
        ("xwinograd", "alpaca_lora_13b"),
        ("xstorycloze", "alpaca_lora_7b"),
    }
    said = {one.model: one.text for one in found}
    assert said["llama_13b"] == "computed on 100 items of each language: every cell is k/100, " \
        "fr k/83"  # fmt: skip
    assert said["alpaca_lora_7b"] == "fits 1512 items, not 1511"


def test_cells_that_a_constant_answer_gives_are_found() -> None:
    found = [one for one in findings(paper()) if one.what == "constant"]
    said = {(one.model, one.languages): one.text for one in found}
    japanese = said["bloomz_7b", ("ja",)]
    assert japanese == "ja: 3.49 is what always answering “negative” (78 of 553) gives"
    assert "0.01 from always answering “neutral”" in said["llama_7b", ("sw",)]
    swahili = {one.model for one in found if one.languages == ("sw",)}
    assert {"llama_7b", "llama_13b", "bx_llama_7b", "bx_llama_13b"} <= swahili


def test_table_4_leaves_out_a_language_that_was_trained_on() -> None:
    found = [one for one in findings(paper()) if one.what == "selection"]
    assert {(one.task, one.model, one.languages) for one in found} == {
        (task, model, ("ja",))
        for task in ("xwinograd", "sentimentx")
        for model in ("bx_llama_7b", "bx_bloom_7b")
    }


@pytest.mark.parametrize(
    ("task", "model", "language", "value", "what"),
    [
        ("xcopa", "llama_7b", "et", 51.8, "average"),
        ("xcopa", "llama_7b", "et", 49.9, "items"),
        ("exams", "bx_llama_13b", "es", 31.0, "items"),
        ("sentimentx", "bx_llama_7b", "ja", 45.93, "constant"),
        ("xstorycloze", "bx_llama_7b", "zh", 55.0, "selection"),
    ],
)
def test_a_planted_fault_is_found(
    task: str, model: str, language: str, value: float, what: str
) -> None:
    number = 4 if what == "selection" else paper().tasks[task].number
    assert (number, task, model) not in about(findings(paper()), what) or what == "constant"
    before = len(findings(paper()))
    after = findings(with_cell(task, model, language, value))
    assert (number, task, model) in about(after, what)
    assert len(after) > before


def test_a_planted_average_is_found_in_table_3() -> None:
    whole = paper()
    row = {**whole.averages["llama_7b"], "exams": 29.2}
    changed = replace(whole, averages={**whole.averages, "llama_7b": row})
    assert about(findings(changed), "average") == {(3, "exams", "llama_7b")}


def weighted_f1(labels: Mapping[str, int], answer: str) -> float:
    """The F1 weighted by label of a constant answer, from its definition."""
    total, score = sum(labels.values()), 0.0
    for label, count in labels.items():
        right = count if label == answer else 0
        given = total if label == answer else 0
        precision, recall = (right / given if given else 0.0), right / count
        f1 = 2 * precision * recall / (precision + recall) if right else 0.0
        score += f1 * count / total
    return 100 * score


def test_the_f1_of_a_constant_answer_is_the_one_of_its_definition() -> None:
    for labels in paper().tasks["sentimentx"].labels.values():
        for answer in labels:
            assert constant_f1(labels, answer) == pytest.approx(weighted_f1(labels, answer))


def test_a_share_fits_its_own_number_of_items() -> None:
    assert fits(31.6, 38, 1)  # 12 of 38
    assert not fits(31.0, 38, 1)
    assert not fits(55.15, 1512, 2)
    assert fits(55.15, 1512, 2, cut=True)  # 834 of 1512 is 55.159


def test_seen_languages_are_those_of_the_52() -> None:
    assert seen(XCOPA) == tuple(code for code in XCOPA if code not in ("ht", "qu"))


def scored(task: str, language: str, value: float, metric: str = "acc", **more: str) -> Score:
    return Score(
        "base", task, language, metric, value, value - 0.04, value + 0.04, 500, "s",
        group=more.get("group", ""),
    )  # fmt: skip


def test_without_a_run_every_cell_says_so() -> None:
    report = replace(NOTHING, scores=(scored("held-out", "zh", 1.0),))
    for grid in grids(paper(), report):
        if grid.name == "paper-protocols":
            continue
        assert grid.absent == "no run"
        assert all(number is None for line in grid.groups[-1].lines for number in line.numbers)


def test_our_numbers_stand_in_the_paper_s_columns() -> None:
    scores = (scored("xcopa", "zh", 0.6), scored("xcopa", "et", 0.5), scored("xcopa", "de", 0.9))
    found = by_name(replace(NOTHING, scores=scores))
    grid = found["paper-table-8"]
    line = ours(grid)["base"]
    shown = {column.id: number for column, number in zip(grid.columns, line.numbers, strict=True)}
    chinese = shown["zh"]
    assert chinese is not None
    assert chinese.interval == pytest.approx((56.0, 64.0))
    assert (chinese.value, chinese.n) == (60.0, 500)
    assert shown["th"] is None
    average = shown["average"]
    assert average is not None
    assert average.value == pytest.approx(55.0)
    assert average.small == "2 of 11"
    table3 = ours(found["paper-table-3"])["base"].numbers[0]
    assert table3 is not None
    assert table3.value == pytest.approx(55.0)


def test_the_average_of_the_run_is_taken_where_it_is_over_the_same_languages() -> None:
    scores = [scored("xcopa", code, 0.5) for code in XCOPA]
    macro = scored("xcopa", "macro", 0.5)
    whole = by_name(replace(NOTHING, scores=(*scores, macro)))["paper-table-3"]
    number = ours(whole)["base"].numbers[0]
    assert number is not None
    assert number.interval is not None
    wider = (*scores, scored("xcopa", "de", 0.7), replace(macro, value=0.52))
    other = ours(by_name(replace(NOTHING, scores=wider))["paper-table-3"])["base"].numbers[0]
    assert other == Number(50.0, n=11 * 500)


def test_a_variant_of_a_task_has_its_own_row() -> None:
    scores = (scored("exams", "bg", 0.3), scored("exams:letter", "bg", 0.4))
    lines = ours(by_name(replace(NOTHING, scores=scores))["paper-table-12"])
    assert set(lines) == {"base", "base, letter"}
    number = lines["base, letter"].numbers[1]
    assert number is not None
    assert number.value == pytest.approx(40.0)
    alone = by_name(replace(NOTHING, scores=scores[1:]))["paper-table-3"]
    letter = ours(alone)["base"].numbers[-1]
    assert letter is not None
    assert letter.small == "1 of 16"


def test_subjects_come_from_the_groups_of_exams() -> None:
    scores = (
        scored("exams", "bg", 0.3, group="natural"),
        scored("exams", "micro", 0.35, group="natural"),
        scored("exams", "bg", 0.5, group="social"),
    )
    line = ours(by_name(replace(NOTHING, scores=scores))["paper-table-5"])["base"]
    natural, social, other = line.numbers
    assert natural is not None
    assert social is not None
    assert natural.value == pytest.approx(35.0)  # all questions together, not one language
    assert social.value == pytest.approx(50.0)
    assert other is None


def test_each_language_s_own_adapter_stands_beside_the_one_for_all() -> None:
    plan = Plan(
        ("id", "zh"), ("xcopa",),
        adapters=(("multi", ("id", "zh")), ("only-id", ("id",)), ("only-zh", ("zh",))),
        items=0,
    )  # fmt: skip
    report = fabricate(plan)
    lines = ours(by_name(report)["paper-table-4"])
    assert set(lines) == {"multi", "each language's own adapter"}
    values = {(one.model, one.language): one.value for one in report.scores}
    own = (values["only-id", "id"] + values["only-zh", "zh"]) / 2 * 100
    number = lines["each language's own adapter"].numbers[0]
    assert number is not None
    assert number.value == pytest.approx(own)
    assert number.small == "2 of 9"


def changed(task: str, language: str, metric: str = "acc") -> Difference:
    return Difference("m", "base", task, language, metric, 0.02, 0.01, 0.03, 500, "paired")


def test_what_training_changed_is_the_run_s_own_average() -> None:
    differences = (changed("xcopa", "et"), changed("xcopa", "de"), changed("xcopa", "macro"),
                   changed("sentimentx", "ja", "f1_macro"))  # fmt: skip
    scores = (replace(scored("xcopa", "et", 0.5), model="m"),)
    report = replace(NOTHING, scores=scores, differences=differences)
    line = ours(by_name(report)["paper-changes"])["m − base"]
    xcopa, _, _, sentiment, _ = line.numbers
    assert xcopa is not None
    assert (xcopa.outcome, xcopa.small) == ("better", "1 of 11 and 1 beyond")
    assert sentiment is not None
    assert sentiment.small == "1 of 8; macro F1"


def test_what_training_changed_in_the_paper_has_an_interval_of_its_cells() -> None:
    grid = by_name(NOTHING)["paper-changes"]
    lines = {line.label: line for line in grid.groups[0].lines}
    seven = lines["BX-LLaMA-7B − LLaMA-7B"].numbers
    assert [number.outcome for number in seven if number] == [
        "noise", "better", "noise", None, "noise",
    ]  # fmt: skip
    winograd = lines["BX-LLaMA-13B − LLaMA-13B"].numbers[2]
    assert winograd is not None
    assert (winograd.marks, winograd.outcome) == ("a", None)


def test_figure_3_is_rebuilt_from_the_cells() -> None:
    grid = by_name(NOTHING)["paper-figure-3"]
    assert [column.id for column in grid.columns] == ["xcopa", "xstorycloze", "sentimentx", "exams"]
    lines = {line.label: line for line in grid.groups[0].lines}
    first = lines["BX-LLaMA-7B"].numbers[0]
    assert first is not None
    assert first.value == pytest.approx((48.4 + 51.6) / 2)
    assert any("bg, hu, sq, sr" in note.text for note in grid.notes)


def test_the_page_has_every_table_and_marks_what_is_wrong_with_it() -> None:
    shown, tables = page(fabricate(Plan(XCOPA, ("xcopa",), items=0)))
    names = [section.id for section in shown.sections]
    assert names[:2] == ["about", "paper-changes"]
    assert {f"paper-table-{number}" for number in (3, 4, 5, 8, 9, 10, 11, 12)} < set(names)
    winograd = next(grid for grid in tables if grid.name == "paper-table-10")
    marked = {line.label for line in winograd.groups[0].lines if line.marks}
    assert marked == {"LLaMA-13B", "Alpaca-LoRA-13B"}
    letters = {mark for line in winograd.groups[0].lines for mark in line.marks}
    assert letters == {note.mark for note in winograd.notes if note.mark}

"""The check stage: every row goes on, with its flags; the counts add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from bactrian import languages, table
from bactrian.data.check import check_rows, checks_of
from bactrian.data.checks import BUILT_IN
from bactrian.data.collect import collect
from bactrian.errors import ConfigError, DataError
from bactrian.recipe import Check
from bactrian.schema import Example, Flag
from bactrian.table import Row
from bactrian.workspace import Workspace, open_workspace

MakeProject = Callable[..., Workspace]
VIETNAMESE, ENGLISH = languages.get("vi"), languages.get("en")


def answer(workspace: Workspace, outputs: Iterable[str], code: str = "vi") -> None:
    """Write the table of the stage before, as if these had been the responses."""
    rows = [
        Row(Example(f"alpaca-{number}", code, f"[{code}] Instruction {number}", "", output))
        for number, output in enumerate(outputs)
    ]
    table.write(workspace.stage("answered", code), rows, "responses")


@pytest.fixture
def workspace(make_project: MakeProject) -> Workspace:
    """Six rows: the second is empty, the fifth has no response."""
    workspace = make_project(6)
    collect(workspace)
    rows = [
        Row(
            Example(
                f"alpaca-{number}",
                "vi",
                f"Câu hỏi {number}",
                "",
                "" if number in (1, 4) else f"Câu trả lời {number}",
                missing="no response: refused" if number == 4 else "",
            )
        )
        for number in range(6)
    ]
    table.write(workspace.stage("answered", "vi"), rows, "responses")
    return workspace


def test_rejected_rows_are_kept_with_their_flags(workspace: Workspace) -> None:
    done = check_rows(workspace, VIETNAMESE)
    rows = list(table.read(done.path))
    assert [row.example for row in rows] == [
        row.example for row in table.read(workspace.stage("answered", "vi"))
    ]
    assert [row.rejected for row in rows] == [False, True, False, False, True, False]
    assert [flag.check for flag in rows[1].flags] == ["empty"]
    assert rows[4].flags == (Flag("missing", "reject", "output", "no response: refused"),)


def test_the_counts_add_up(workspace: Workspace) -> None:
    done = check_rows(workspace, VIETNAMESE)
    assert (done.rows, done.kept, done.rejected) == (6, 4, 2)
    assert done.reasons == {"empty": 1, "missing": 1}
    assert sum(done.reasons.values()) == done.rejected
    assert done.warned == {}
    assert check_rows(workspace, VIETNAMESE) == done


def test_a_row_that_is_rejected_twice_is_counted_once(
    make_project: MakeProject, sentences: dict[str, list[str]]
) -> None:
    workspace = make_project(3, check={})
    collect(workspace)
    vietnamese, chinese = sentences["vi"], sentences["zh"]
    loop = f"{chinese[1]} " * 12
    rows = [
        Row(Example("alpaca-0", "vi", vietnamese[0], "", vietnamese[1])),
        Row(Example("alpaca-1", "vi", vietnamese[1], "", loop)),
        Row(Example("alpaca-2", "vi", vietnamese[2], "", f"{vietnamese[3]} " * 30)),
    ]
    table.write(workspace.stage("answered", "vi"), rows, "responses")
    done = check_rows(workspace, VIETNAMESE)
    flags = [row.flags for row in table.read(done.path)]
    grave = [[flag.check for flag in found if flag.severity == "reject"] for found in flags]
    assert grave[0] == []
    assert grave[1][0] == "script"
    assert "repetition" in grave[1]
    assert sum(done.reasons.values()) == done.rejected == sum(map(bool, grave))
    assert done.reasons == dict(Counter(found[0] for found in grave if found))
    warned = Counter(one.check for found in flags for one in found if one.severity == "warn")
    assert done.warned == dict(warned)
    evidence = next(flag for flag in flags[1] if flag.check == "script")
    assert loop[evidence.start :].startswith(evidence.evidence)


def test_finished_work_is_recognised(workspace: Workspace) -> None:
    path = check_rows(workspace, VIETNAMESE).path
    before = path.stat().st_mtime_ns
    check_rows(workspace, VIETNAMESE)
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "override", ["check.names=[]", "check.thresholds.length_warn=3", "limit=3"]
)
def test_other_checks_or_rows_are_checked_again(workspace: Workspace, override: str) -> None:
    path = check_rows(workspace, VIETNAMESE).path
    before = table.info(path)
    after = table.info(check_rows(open_workspace(workspace.root, (override,)), VIETNAMESE).path)
    assert before is not None
    assert after is not None
    assert after.made_from != before.made_from
    assert after.rows == (3 if "limit" in override else 6)


def test_other_english_answers_are_compared_again(
    workspace: Workspace, make_project: MakeProject
) -> None:
    path = check_rows(workspace, VIETNAMESE).path
    before = table.info(path)
    english = list(table.read(workspace.stage("sources", "en")))
    table.write(workspace.stage("sources", "en"), [*english[:5], _longer(english[5])], "changed")
    check_rows(workspace, VIETNAMESE)
    after = table.info(path)
    assert before is not None
    assert after is not None
    assert after.made_from != before.made_from


def _longer(row: Row) -> Row:
    found = row.example
    return Row(Example(found.id, "en", found.instruction, found.input, found.output * 9))


def test_fewer_sources_than_responses_are_refused(
    workspace: Workspace, make_project: MakeProject
) -> None:
    collect(open_workspace(workspace.root, ("limit=2",)))  # as translate --limit 2 does
    with pytest.raises(
        DataError, match="alpaca-2 has a response in Vietnamese and is not among the sources"
    ) as told:
        check_rows(workspace, VIETNAMESE)
    assert "--limit" in told.value.hint
    assert check_rows(open_workspace(workspace.root, ("limit=2",)), VIETNAMESE).rows == 2


def test_responses_to_the_first_rows_are_checked_alone(make_project: MakeProject) -> None:
    workspace = make_project(6)
    collect(workspace)
    answer(workspace, ["một", "hai"])
    assert check_rows(workspace, VIETNAMESE).rows == 2


def test_rows_in_another_order_are_refused(make_project: MakeProject) -> None:
    workspace = make_project(3)
    collect(workspace)
    swapped = [Row(Example(f"alpaca-{number}", "vi", "x", "", "y")) for number in (0, 2, 1)]
    table.write(workspace.stage("answered", "vi"), swapped, "responses")
    with pytest.raises(DataError, match="alpaca-2 stands where alpaca-1 should"):
        check_rows(workspace, VIETNAMESE)
    assert not workspace.stage("checked", "vi").exists()


def test_no_rows_are_no_error(make_project: MakeProject) -> None:
    workspace = make_project(3)
    collect(workspace)
    answer(workspace, [])
    done = check_rows(workspace, VIETNAMESE)
    assert (done.rows, done.rejected, done.reasons, done.warned) == (0, 0, {}, {})


def test_responses_come_first(make_project: MakeProject) -> None:
    workspace = make_project(3)
    collect(workspace)
    with pytest.raises(DataError, match="Vietnamese has no responses yet"):
        check_rows(workspace, VIETNAMESE)


@pytest.mark.parametrize(
    ("told", "problem", "hint"),
    [
        ({"names": ("empti",)}, "unknown check 'empti'", "did you mean empty?"),
        (
            {"thresholds": {"lenght_warn": 2}},
            "unknown key check.thresholds.lenght_warn",
            "did you mean length_warn?",
        ),
        (
            {"thresholds": {"script_share": 7}},
            "check.thresholds.script_share = 7: Input should be less than or equal to 1",
            "Least share of the prose's letters in the language's script; "
            "below it a row is rejected.",
        ),
    ],
)
def test_what_the_recipe_cannot_mean_is_refused(
    told: dict[str, Any], problem: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as error:
        checks_of(Check(**told))
    assert (error.value.problem, error.value.hint) == (problem, hint)


def test_all_checks_run_unless_some_are_named() -> None:
    assert len(checks_of(Check())) == len(BUILT_IN)
    assert len(checks_of(Check(names=("length", "empty")))) == 2

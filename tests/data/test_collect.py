"""The English table: rows of several files, made once, and again when something changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bactrian import table
from bactrian.data.collect import collect
from bactrian.errors import ConfigError, DataError
from bactrian.events import Event, reading
from bactrian.workspace import Workspace, open_workspace

MakeProject = Callable[..., Workspace]


class Seen:
    """Remembers what it saw."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def see(self, event: Event) -> None:
        self.events.append(event)

    @property
    def made(self) -> int:
        return sum(event.kind == "made" for event in self.events)


def write(path: Path, *rows: dict[str, str]) -> None:
    path.write_text(json.dumps(rows), encoding="utf-8")


def collected(workspace: Workspace) -> tuple[list[str], bool]:
    """Return the ids, and whether the table was written."""
    seen = Seen()
    with reading(seen):
        done = collect(workspace)
    ids = [row.example.id for row in table.read(done.path)]
    assert done.rows == len(ids)
    return ids, bool(seen.made)


def test_rows_go_into_one_table_with_source_and_licence(make_project: MakeProject) -> None:
    workspace = make_project(3)
    assert collected(workspace) == ([f"alpaca-{number}" for number in range(3)], True)
    first = next(table.read(workspace.stage("sources", "en"))).example
    assert (first.language, first.output) == ("en", "The answer 0")
    assert (first.provenance.source, first.provenance.licence) == ("alpaca", "CC-BY-NC-4.0")


def test_finished_work_is_not_done_again(make_project: MakeProject) -> None:
    workspace = make_project(3)
    assert collected(workspace)[1]
    before = workspace.stage("sources", "en").stat()
    assert not collected(workspace)[1]
    assert workspace.stage("sources", "en").stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize(
    "override", ["limit=2", 'sources.licence="MIT"', 'sources.name="other"', "limit=1"]
)
def test_what_the_rows_follow_from_makes_them_again(
    make_project: MakeProject, override: str
) -> None:
    workspace = make_project(3)
    collect(workspace)
    changed = open_workspace(workspace.root, (override,))
    assert collected(changed)[1]
    assert not collected(changed)[1]


def test_a_changed_file_makes_the_table_again(make_project: MakeProject) -> None:
    assert len(collected(make_project(3))[0]) == 3
    ids, made = collected(make_project(4))
    assert (len(ids), made) == (4, True)


def test_a_limit_takes_the_first_rows_and_progress_ends(make_project: MakeProject) -> None:
    seen = Seen()
    with reading(seen):
        assert collect(make_project(5, limit=2)).rows == 2
    progress = [event.facts for event in seen.events if event.kind == "progress"]
    assert progress[-1] == {"task": "sources", "done": 2, "total": 2}


def test_files_follow_one_another(make_project: MakeProject) -> None:
    workspace = make_project(0, sources={"files": ["a.json", "b.json"]})
    write(workspace.root / "a.json", {"id": "a-1", "instruction": "x"}, {"instruction": "y"})
    write(workspace.root / "b.json", {"id": "b-1", "instruction": "z"})
    assert collected(workspace)[0] == ["a-1", "alpaca-1", "b-1"]


def test_an_id_that_occurs_twice_is_refused_and_nothing_written(
    make_project: MakeProject,
) -> None:
    workspace = make_project(0, sources={"files": ["a.json", "b.json"]})
    write(workspace.root / "a.json", {"id": "x-1", "instruction": "x"})
    write(workspace.root / "b.json", {"instruction": "y"}, {"id": "x-1", "instruction": "z"})
    with pytest.raises(DataError, match=r"b\.json: the id x-1 occurs twice"):
        collect(workspace)
    assert not workspace.stage("sources", "en").exists()


def test_no_files_and_no_rows_are_said(make_project: MakeProject) -> None:
    with pytest.raises(ConfigError, match="names no sources"):
        collect(make_project(0, sources={}))
    for _ in range(2):  # the empty table of the first time is no excuse
        with pytest.raises(DataError, match=r"alpaca\.json hold no rows"):
            collect(make_project(0))
    with pytest.raises(DataError, match=r"absent\.json does not exist"):
        collect(make_project(0, sources={"files": ["absent.json"]}))

"""One table a language: rows of several collections, made once, and again after a change."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian import table
from bactrian.data.collect import SET_ASIDE, Collected, collect
from bactrian.data.marks import marks
from bactrian.errors import ConfigError, DataError
from bactrian.events import Event, reading
from bactrian.workspace import Workspace, open_workspace

MakeProject = Callable[..., Workspace]
SHARED = Path(__file__).parents[2].parent / "shared" / "data"
TEXTS = {
    "en": "Give three tips for staying healthy.",
    "zh": "给出三个保持健康的秘诀。",
    "km": "ផ្តល់គន្លឹះបីយ៉ាងដើម្បីរក្សាសុខភាព",
}


class Seen:
    """Remembers what it saw."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def see(self, event: Event) -> None:
        self.events.append(event)

    @property
    def made(self) -> int:
        return sum(event.kind == "made" for event in self.events)

    @property
    def notes(self) -> list[str]:
        return [event.facts["text"] for event in self.events if event.kind == "note"]

    @property
    def warnings(self) -> list[str]:
        return [event.facts["text"] for event in self.events if event.kind == "warning"]


def write(path: Path, *rows: dict[str, Any]) -> None:
    path.write_text(json.dumps(rows), encoding="utf-8")


def collected(workspace: Workspace) -> tuple[list[str], bool]:
    """Return the ids, and whether the table was written."""
    seen = Seen()
    with reading(seen):
        done = collect(workspace)
    ids = ids_of(workspace, "en")
    assert done.rows == len(ids)
    return ids, bool(seen.made)


def ids_of(workspace: Workspace, language: str) -> list[str]:
    path = workspace.stage("sources", language)
    return [row.example.id for row in table.read(path)]


def tables_of(workspace: Workspace) -> set[str]:
    return {path.name for path in workspace.stage("sources", "en").parent.iterdir()}


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
    "override",
    [
        "limit=2",
        'sources.alpaca.licence="MIT"',
        "limit=1",
        'sources.alpaca.shape="alpaca"',
        'sources.other.files=["alpaca.json"]',
    ],
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


def test_a_limit_takes_the_first_rows_over_all_collections(make_project: MakeProject) -> None:
    sources = {"a": {"files": ["alpaca.json"]}, "b": {"files": ["alpaca.json"]}}
    seen = Seen()
    with reading(seen):
        done = collect(workspace := make_project(5, limit=7, sources=sources))
    assert ids_of(workspace, "en") == [f"a-{n}" for n in range(5)] + ["b-0", "b-1"]
    assert [one.rows["en"] for one in done.collections.values()] == [5, 2]
    progress = [event.facts for event in seen.events if event.kind == "progress"]
    assert progress[-1] == {"task": "sources", "done": 7, "total": 7}


def test_under_a_limit_a_broken_end_is_said_all_the_same(make_project: MakeProject) -> None:
    workspace = make_project(0, limit=1)
    rows = ",".join(['{"instruction": "x"}'] * 1000)
    (workspace.root / "alpaca.json").write_text(f"[{rows}", encoding="utf-8")
    with pytest.raises(DataError, match="found the end of the file"):
        collect(workspace)
    assert tables_of(workspace) == set()


def test_an_id_that_occurs_twice_is_refused_and_nothing_written(
    make_project: MakeProject,
) -> None:
    sources = {"a": {"files": ["a.json"]}, "b": {"files": ["b.json"]}}
    workspace = make_project(0, sources=sources)
    write(workspace.root / "a.json", {"id": "x-1", "instruction": "x"})
    write(workspace.root / "b.json", {"instruction": "y"}, {"id": "x-1", "instruction": "z"})
    with pytest.raises(DataError, match=r"b\.json, line 1: the id x-1 occurs twice"):
        collect(workspace)
    assert tables_of(workspace) == set()


def parallel(make_project: MakeProject, **recipe: Any) -> Workspace:
    """Return a project with English rows and the same ids in Chinese and Khmer."""
    sources = {
        "alpaca": {"files": ["alpaca.json"]},
        "bx-zh": {"files": ["bx"], "subset": "zh"},
        "bx-km": {"files": ["bx"], "subset": "km"},
    }
    workspace = make_project(4, sources=sources, **recipe)
    for code in ("zh", "km"):
        rows = [
            {"instruction": TEXTS[code], "input": "", "id": f"alpaca-{n}", "output": f"{code} {n}"}
            for n in range(3)
        ]
        path = workspace.root / "bx" / "data" / f"{code}.json.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(json.dumps(rows, ensure_ascii=False).encode()))
    return workspace


def test_other_languages_have_a_table_each_with_their_own_outputs(
    make_project: MakeProject,
) -> None:
    workspace = parallel(make_project)
    done = collect(workspace)
    assert done.languages == {"en": 4, "km": 3, "zh": 3}
    assert tables_of(workspace) == {"en.parquet", "zh.parquet", "km.parquet"}
    rows = [row.example for row in table.read(workspace.stage("sources", "zh"))]
    assert [(row.id, row.language, row.output) for row in rows] == [
        (f"alpaca-{n}", "zh", f"zh {n}") for n in range(3)
    ]
    assert rows[0].provenance.source == "bx-zh"
    assert collect(workspace) == done


def test_ids_that_a_target_has_already_are_told(make_project: MakeProject) -> None:
    seen = Seen()
    with reading(seen):
        done = collect(parallel(make_project, languages="km,vi"))
    assert done.shared == {"zh": 3, "km": 3}
    assert seen.notes == [
        "3 rows of km have the id of an English row: they stand in place of its translation"
    ]


def test_a_table_that_is_lost_is_made_again_and_one_too_many_goes(
    make_project: MakeProject,
) -> None:
    workspace = parallel(make_project)
    collect(workspace)
    workspace.stage("sources", "km").unlink()
    assert collected(workspace)[1]
    assert tables_of(workspace) == {"en.parquet", "zh.parquet", "km.parquet"}
    fewer = parallel(make_project)
    recipe = fewer.recipe.model_copy(update={"sources": {"alpaca": fewer.recipe.sources["alpaca"]}})
    collect(Workspace(fewer.root, recipe, fewer.recipe_folder))
    assert tables_of(workspace) == {"en.parquet"}


def mixed(make_project: MakeProject, **recipe: Any) -> Workspace:
    """Return a project with a collection of three languages and of rows that have none."""
    workspace = make_project(
        2, sources={"mix": {"files": ["m.json"], "language": "auto"}}, **recipe
    )
    texts = [TEXTS["zh"], TEXTS["en"], "6 + 3 = ?", TEXTS["km"], TEXTS["zh"], TEXTS["en"]]
    texts += ["Quina és la capital de Catalunya i quants habitants hi viuen avui dia?"]
    write(workspace.root / "m.json", *({"instruction": text} for text in texts))
    return workspace


def test_rows_are_sorted_by_language_and_what_none_takes_is_set_aside(
    make_project: MakeProject,
) -> None:
    workspace = mixed(make_project)
    seen = Seen()
    with reading(seen):
        done = collect(workspace)
    assert done.languages == {"en": 2, "km": 1, "zh": 2}
    assert ids_of(workspace, "zh") == ["mix-0", "mix-4"]
    assert ids_of(workspace, "en") == ["mix-1", "mix-5"]
    aside = [row.example for row in table.read(workspace.stage("sources", SET_ASIDE))]
    assert [row.id for row in aside] == ["mix-2", "mix-6"]
    assert aside[0].missing == "its language cannot be told: there are no words"
    assert aside[1].missing.startswith("its language is not among those known here: ca ")
    told = {"its language cannot be told": 1, "its language is not among those known here": 1}
    assert done.set_aside == told
    assert sum(done.languages.values()) + sum(told.values()) == 7
    assert seen.warnings[0].startswith("2 rows are set aside in ")
    assert collect(workspace) == done


def test_rows_that_no_language_takes_are_no_dataset(make_project: MakeProject) -> None:
    sources = {"x": {"files": ["alpaca.json"], "language": "auto"}}
    workspace = make_project(3, sources=sources)
    for _ in range(2):
        with pytest.raises(DataError, match="no language takes any of the 3 rows: its language"):
            collect(workspace)
    assert ids_of(workspace, SET_ASIDE) == ["x-0", "x-1", "x-2"]


def test_a_limit_counts_the_rows_of_each_language(make_project: MakeProject) -> None:
    workspace = mixed(make_project, limit=1)
    assert collect(workspace).languages == {"en": 1, "km": 1, "zh": 1}
    assert ids_of(workspace, "zh") == ["mix-0"]


def test_a_recipe_without_english_has_an_empty_english_table(make_project: MakeProject) -> None:
    sources = {"zh": {"files": ["alpaca.json"], "language": "zh"}}
    done = collect(workspace := make_project(3, sources=sources))
    assert (done.rows, done.languages) == (0, {"zh": 3})
    assert ids_of(workspace, "en") == []
    assert collect(workspace) == done


def test_later_turns_are_counted_and_said(make_project: MakeProject) -> None:
    workspace = make_project(0, sources={"share": {"files": ["s.json"]}})
    said = [{"from": who, "value": f"{who} says it"} for who in ("human", "gpt") * 3]
    write(
        workspace.root / "s.json",
        {"id": "a", "conversations": said},
        {"id": "b", "conversations": [{"from": "system", "value": "x"}, *said[:4]]},
        {"id": "c", "conversations": said[:2]},
        {"id": "d", "conversations": []},
    )
    seen = Seen()
    with reading(seen):
        done = collect(workspace)
    one = done.collections["share"]
    assert (one.shape, one.rows) == ("sharegpt", {"en": 3})
    assert one.left_out == {"later turns": 6, "system messages": 1}
    assert one.shortened == {"later turns": 2, "system messages": 1}
    assert one.set_aside == {"the conversation has no question": 1}
    why = "were left out: an example is one instruction and its answer"
    assert f"share: 6 later turns in 2 rows {why}" in seen.warnings
    facts = table.info(done.path)
    assert facts is not None
    assert facts.facts["collections"]["share"]["left_out"]["later turns"] == 6


def test_english_rows_carry_their_known_defects(make_project: MakeProject) -> None:
    sources = {
        "mine": {"files": ["d.json"]},
        "zh": {"files": ["z.json"], "language": "zh"},
    }
    workspace = make_project(0, sources=sources)
    picture = {"instruction": "Describe the attached picture.", "input": "", "output": ""}
    write(workspace.root / "d.json", picture, {"instruction": "Add 2 and 3.", "output": "5"})
    write(workspace.root / "z.json", picture)
    done = collect(workspace)
    rows = list(table.read(done.path))
    expected = [marks(row.example) for row in rows]
    assert [row.flags for row in rows] == expected
    assert expected[0]
    counted = Counter(flag.check for flags in expected for flag in flags)
    assert done.defects == counted
    facts = table.info(done.path)
    assert facts is not None
    assert facts.facts["defects"] == counted
    assert next(table.read(workspace.stage("sources", "zh"))).flags == ()


def test_no_files_and_no_rows_are_said(make_project: MakeProject) -> None:
    with pytest.raises(ConfigError, match="names no sources"):
        collect(make_project(0, sources={}))
    for _ in range(2):  # the empty table of the first time is no excuse
        with pytest.raises(DataError, match=r"alpaca\.json hold no rows"):
            collect(make_project(0))
    with pytest.raises(DataError, match=r"absent\.json does not exist"):
        collect(make_project(0, sources={"x": {"files": ["absent.json"]}}))


def test_real_collections_become_tables(make_project: MakeProject) -> None:
    files = {
        "dolly": "dolly/dolly_6400.jsonl.gz",
        "seeds": "seed_tasks/seed_tasks.en.jsonl",
        "zh": "alpaca_translated/zh_hikariming_15323_18279.jsonl.gz",
    }
    for file in files.values():
        if not (SHARED / file).exists():
            pytest.skip(f"real data is not beside the repository: {file}")
    sources: dict[str, Any] = {name: {"files": [str(SHARED / at)]} for name, at in files.items()}
    sources["zh"]["language"] = "zh"
    workspace = make_project(0, sources=sources)
    done: Collected = collect(workspace)
    assert done.languages == {"en": 6575, "zh": 2957}
    shapes = {name: one.shape for name, one in done.collections.items()}
    assert shapes == {"dolly": "dolly", "seeds": "self-instruct", "zh": "alpaca"}
    ids = ids_of(workspace, "en")
    assert ids[:6400] == [f"dolly-{number}" for number in range(6400)]
    assert ids[6400] == "seed_task_0"

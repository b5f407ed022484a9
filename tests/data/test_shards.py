"""Shards on several machines, merged, are the run that one machine would have made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from bactrian.cli import main
from bactrian.data.ask import Shard
from bactrian.data.providers import spending
from bactrian.errors import ConfigError
from bactrian.ledger import key_of
from bactrian.workspace import Workspace, open_workspace

MakeProject = Callable[..., Workspace]
RECIPE = {
    "languages": "en,vi,km",
    "translate": {"using": "fake", "price": {"characters": 20.0}},
    "respond": {"using": "fake", "price": {"input": 0.15, "output": 0.6}},
    "build": {"validation": 5},
}


@pytest.fixture
def folders(make_project: MakeProject) -> Callable[[str], Path]:
    """Return a maker of folders with the same rows, a quarter of which come back broken."""

    def make(name: str) -> Path:
        workspace = make_project(0, name, **RECIPE)
        rows = [
            {
                "instruction": f"Tell {'a fragile' if n % 4 == 0 else 'the'} camel `x({n})`.",
                "input": f"See number {n}" if n % 3 else "",
                "output": f"{n}",
            }
            for n in range(60)
        ]
        (workspace.root / "alpaca.json").write_bytes(orjson.dumps(rows))
        return workspace.root

    return make


def verb(*words: object) -> int:
    try:
        main([str(word) for word in words])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def published(root: Path) -> dict[str, bytes]:
    dataset = open_workspace(root).dataset
    paths = [*dataset.glob("data/*/*.parquet"), *dataset.glob("stages/*/*.parquet")]
    paths.append(dataset / "README.md")
    return {str(path.relative_to(dataset)): path.read_bytes() for path in paths}


def keys(script: Any) -> set[str]:
    sent = [key_of(request) for request in script.clear()]
    assert len(sent) == len(set(sent)), "asked twice in one run"
    return set(sent)


def test_three_shards_are_one_run(folders: Any, script: Any) -> None:
    whole = folders("whole")
    assert verb("build", whole) == 0
    everything = keys(script)
    parts = [folders(f"part-{number}") for number in (1, 2, 3)]
    centre = folders("centre")
    paid: list[set[str]] = []
    for stage in ("translate", "respond"):
        for number, part in enumerate(parts, start=1):
            assert verb(stage, part, "--shard", f"{number}/3") == 0
            paid.append(keys(script))
        # a dataset's folder, a workspace and a folder of ledgers name the same
        places = (parts[0], parts[1] / "datasets/toy", parts[2] / "datasets/toy/ledger")
        assert verb("ledger", "merge", centre, *places) == 0
        for place in (centre, *parts):
            if place != centre:
                assert verb("ledger", "merge", place, centre) == 0
            assert verb("translate", place) == 0
        assert script.sent == [], "the tables follow from what is merged"
    assert verb("build", centre) == 0
    assert script.sent == []
    assert published(centre) == published(whole)
    assert sum(map(len, paid)) == len(everything), "something was paid for twice"
    assert set.union(*paid) == everything
    assert all(len(part) > len(everything) / 6 / 2 for part in paid), "a shard got nothing"
    one, other = (
        sum(sums.cost_usd for sums in spending(open_workspace(root))) for root in (whole, centre)
    )
    assert one == pytest.approx(other)


def test_what_a_shard_asks_does_not_shift_when_rows_are_added(folders: Any, script: Any) -> None:
    few, many = folders("few"), folders("many")
    for root, limit in ((few, 30), (many, 60)):
        assert verb("translate", root, "--shard", "2/4", "--limit", limit) == 0
        if root == few:
            first = keys(script)
    assert 10 < len(first) < 45
    assert first < keys(script)


def test_a_shard_of_one_is_everything(folders: Any, script: Any) -> None:
    assert verb("translate", folders("one"), "--shard", "1/1") == 0
    one = keys(script)
    assert verb("translate", folders("all")) == 0
    assert one == keys(script)


def test_a_shard_writes_no_table_but_the_whole_afterwards_does(folders: Any, script: Any) -> None:
    root = folders("part")
    vi = open_workspace(root).stage("translated", "vi")
    assert verb("translate", root, "--shard", "1/2", "--languages", "vi") == 0
    assert not vi.exists()
    first = keys(script)
    assert verb("translate", root, "--languages", "vi") == 0
    assert vi.exists()
    assert not first & keys(script), "the rest, and nothing again"


def test_answers_that_two_machines_paid_for_are_both_counted(folders: Any, script: Any) -> None:
    first, second = folders("first"), folders("second")
    for root in (first, second):
        assert verb("translate", root, "--languages", "vi", "--limit", 10) == 0
    cost = sum(sums.cost_usd for sums in spending(open_workspace(first)))
    for _ in range(2):
        assert verb("ledger", "merge", first, second) == 0
        (total,) = spending(open_workspace(first))
        assert total.charges == total.answers
        assert total.cost_usd == pytest.approx(2 * cost)


@pytest.mark.parametrize("told", ["0/4", "5/4", "a/b", "1/0", "2", "/", "1/4/2", "-1/4", "1.5/4"])
def test_what_is_no_part_of_a_whole_is_refused(
    folders: Any, script: Any, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match="is no part of a whole"):
        Shard.parse(told)
    assert verb("translate", folders("wrong"), f"--shard={told}") == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines == [
        f"error: --shard {told} is no part of a whole",
        "hint: write --shard 1/4 to 4/4",
    ]
    assert script.sent == []

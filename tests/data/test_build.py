"""The dataset folder: split by id, nothing lost, the same bytes, and readable by others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bactrian import languages, table
from bactrian.data.build import SPLITS, build, validation_ids
from bactrian.data.check import check_rows
from bactrian.data.collect import collect
from bactrian.errors import DataError
from bactrian.events import Event, reading
from bactrian.schema import Example
from bactrian.table import Row
from bactrian.workspace import Workspace, open_workspace

MakeProject = Callable[..., Workspace]
MakeDataset = Callable[..., Workspace]
BOTH = (languages.get("vi"), languages.get("km"))
ROWS = 30
EMPTY = {"vi": {3, 7, 11}, "km": {7, 20}}
"""Rows without output, by language: rejected."""


@pytest.fixture
def dataset(make_project: MakeProject) -> MakeDataset:
    """Return a maker of workspaces whose rows are checked."""

    def make(folder: str = "project", rows: int = ROWS, validation: int = 6) -> Workspace:
        told = {"validation": validation}
        workspace = make_project(rows, folder, build=told, languages="vi,km")
        collect(workspace)
        for language in BOTH:
            code = language.code
            made = [
                Row(
                    Example(
                        f"alpaca-{number}",
                        code,
                        f"{language.native} {number}",
                        "",
                        "" if number in EMPTY[code] else f"{language.native} answer {number}",
                    )
                )
                for number in range(rows)
            ]
            table.write(workspace.stage("answered", code), made, "responses")
            check_rows(workspace, language)
        return workspace

    return make


def ids(workspace: Workspace, code: str, split: str) -> set[str]:
    found = [row.example.id for row in table.read(workspace.split(code, split))]
    assert len(found) == len(set(found))
    return set(found)


def numbered(numbers: set[int]) -> set[str]:
    return {f"alpaca-{number}" for number in numbers}


def test_nothing_is_lost(dataset: MakeDataset) -> None:
    workspace = dataset()
    built = build(workspace, BOTH)
    assert built.path == workspace.dataset
    for language, count in zip(BOTH, built.counts, strict=True):
        code = language.code
        assert count.language == code
        assert count.rows == ROWS == count.train + count.validation + count.rejected
        assert count.rejected == len(EMPTY[code]) == sum(count.reasons.values())
        assert count.reasons == {"empty": len(EMPTY[code])}
        found = {split: ids(workspace, code, split) for split in SPLITS}
        assert set.union(*found.values()) == numbered(set(range(ROWS)))
        told = (count.train, count.validation, count.rejected)
        assert tuple(len(found[split]) for split in SPLITS) == told


def test_validation_ids_are_the_same_everywhere_and_never_trained_on(dataset: MakeDataset) -> None:
    workspace = dataset()
    build(workspace, BOTH)
    held_out = validation_ids(workspace, BOTH)
    assert len(held_out) == 6
    for code in ("vi", "km"):
        rejected = ids(workspace, code, "rejected")
        assert ids(workspace, code, "validation") == held_out - rejected
    trained = ids(workspace, "vi", "train") | ids(workspace, "km", "train")
    assert not trained & held_out


def test_an_id_that_was_kept_nowhere_is_not_held_out(dataset: MakeDataset) -> None:
    assert "alpaca-7" not in validation_ids(dataset(validation=28), BOTH)


def test_a_language_built_alone_holds_out_what_all_of_them_do(dataset: MakeDataset) -> None:
    workspace = dataset()
    together = validation_ids(workspace, BOTH)
    assert validation_ids(workspace, BOTH[:1]) == validation_ids(workspace, BOTH[1:]) == together


def test_the_seed_decides_and_the_order_of_the_rows_does_not(dataset: MakeDataset) -> None:
    workspace = dataset()
    chosen = validation_ids(workspace, BOTH)
    assert validation_ids(workspace, BOTH[::-1]) == chosen
    other = open_workspace(workspace.root, ("seed=1",))
    assert validation_ids(other, BOTH) != chosen
    assert chosen != numbered(set(range(6)))


def test_rejected_rows_say_why_and_the_others_are_clean(dataset: MakeDataset) -> None:
    workspace = dataset()
    build(workspace, BOTH)
    for code in EMPTY:
        rejected = list(table.read(workspace.split(code, "rejected")))
        assert {row.example.id for row in rejected} == numbered(EMPTY[code])
        assert all(row.flags[0].check == "empty" and row.rejected for row in rejected)
        for split in ("train", "validation"):
            assert not any(row.rejected for row in table.read(workspace.split(code, split)))


def published(folder: Path) -> dict[str, bytes]:
    paths = [*folder.glob("data/*/*"), folder / "README.md"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_built_twice_in_two_folders_it_is_the_same_bytes(dataset: MakeDataset) -> None:
    first, second = dataset("first"), dataset("second")
    one, two = (published(build(made, BOTH).path) for made in (first, second))
    assert len(one) == 2 * 3 + 1
    assert one == two


def test_finished_work_is_recognised_and_a_lost_file_made_again(dataset: MakeDataset) -> None:
    class Seen:
        def __init__(self) -> None:
            self.made: list[str] = []

        def see(self, event: Event) -> None:
            self.made += [Path(event.facts["path"]).name] if event.kind == "made" else []

    workspace = dataset()
    before = published(build(workspace, BOTH).path)
    seen = Seen()
    with reading(seen):
        build(workspace, BOTH)
        assert seen.made == []
        lost = workspace.split("vi", "validation")
        lost.unlink()
        build(workspace, BOTH)
    assert seen.made == [lost.name]
    assert published(workspace.dataset) == before


def test_rows_that_changed_are_split_again(dataset: MakeDataset) -> None:
    build(dataset(), BOTH)
    workspace = dataset(rows=ROWS + 3)
    assert [count.rows for count in build(workspace, BOTH).counts] == [ROWS + 3] * 2
    held_out = validation_ids(workspace, BOTH)
    everything = numbered(set(range(ROWS + 3)))
    assert ids(workspace, "vi", "train") == everything - held_out - numbered(EMPTY["vi"])


def test_without_validation_all_is_for_training(dataset: MakeDataset) -> None:
    counts = build(dataset(validation=0), BOTH).counts
    assert [count.validation for count in counts] == [0, 0]
    assert [count.train for count in counts] == [27, 28]


@pytest.mark.parametrize("validation", [29, 30, 2000])
def test_validation_that_leaves_nothing_to_train_on_is_refused(
    dataset: MakeDataset, validation: int
) -> None:
    workspace = dataset(validation=validation)
    told = rf"build\.validation = {validation} leaves none of the 29 ids"
    with pytest.raises(DataError, match=told):
        build(workspace, BOTH)
    assert not workspace.split("vi", "train").exists()
    assert not (workspace.dataset / "README.md").exists()


def test_a_dataset_without_rows_is_refused(dataset: MakeDataset) -> None:
    workspace = dataset()
    for code in EMPTY:
        table.write(workspace.stage("checked", code), [], "nothing", {"reasons": {}})
    with pytest.raises(DataError, match="there are no rows"):
        build(workspace, BOTH)


def test_a_dataset_whose_every_row_is_rejected_is_refused(
    dataset: MakeDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = set(range(ROWS))
    monkeypatch.setattr("test_build.EMPTY", {}, raising=False) if False else None
    EMPTY_BEFORE = dict(EMPTY)
    EMPTY.update(vi=every, km=every)
    try:
        workspace = dataset(validation=0)
    finally:
        EMPTY.update(EMPTY_BEFORE)
    with pytest.raises(DataError, match="none of the 30 instructions passed the checks"):
        build(workspace, BOTH)


def test_checks_come_first(dataset: MakeDataset) -> None:
    workspace = dataset()
    workspace.stage("checked", "km").unlink()
    with pytest.raises(DataError, match="Khmer is not checked yet"):
        build(workspace, BOTH)


def test_load_dataset_reads_the_folder_offline(
    dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "1")
    for name in ("HF_HOME", "HF_DATASETS_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    import datasets

    # another test may have imported it before the environment was set
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    workspace = dataset()
    folder = build(workspace, BOTH).path
    for code in ("vi", "km"):
        found = datasets.load_dataset(str(folder), code, cache_dir=str(tmp_path / "cache"))
        assert {split: rows.num_rows for split, rows in found.items()} == {
            split: len(ids(workspace, code, split)) for split in ("train", "validation")
        }
        assert found["train"].column_names[:4] == ["instruction", "input", "output", "id"]
        assert set(found["validation"]["id"]) == ids(workspace, code, "validation")
    assert datasets.get_dataset_config_names(str(folder)) == ["vi", "km"]

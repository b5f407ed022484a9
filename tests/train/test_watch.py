"""Which checkpoint is gone on from, what is said of it, and who says where a training stands."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bactrian.events import Event, reading

pytest.importorskip("torch")

from bactrian.train.keep import BEST, WHOLE, mark
from bactrian.train.processes import Processes
from bactrian.train.tally import Tally
from bactrian.train.watch import Watch, checkpoint_of, go_on


class Heard:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def see(self, event: Event) -> None:
        self.events.append(event)

    def texts(self, kind: str) -> list[str]:
        return [event.facts["text"] for event in self.events if event.kind == kind]


def checkpoint(folder: Path, step: int, *, world: int = 1) -> Path:
    found = folder / f"checkpoint-{step}"
    found.mkdir()
    (found / "optimizer.pt").write_bytes(b"values" * step)
    mark(found, {"tally": [[1.5], [step]], "world": world})
    return found


def test_the_newest_whole_one_is_taken_and_what_was_cut_off_is_swept_away(tmp_path: Path) -> None:
    checkpoint(tmp_path, 8)
    whole = checkpoint(tmp_path, 10)
    half = checkpoint(tmp_path, 12)
    (half / WHOLE).unlink()
    heard = Heard()
    with reading(heard):
        assert checkpoint_of(tmp_path, "train toy") == whole
    assert not half.exists()
    assert heard.events == []
    assert checkpoint_of(tmp_path / "nowhere", "train toy") is None


def test_a_damaged_one_is_said_and_the_one_before_it_taken(tmp_path: Path) -> None:
    before, last = checkpoint(tmp_path, 2), checkpoint(tmp_path, 4)
    (last / "optimizer.pt").write_bytes(b"half")
    heard = Heard()
    with reading(heard):
        assert checkpoint_of(tmp_path, "train toy") == before
        (before / "optimizer.pt").unlink()
        assert checkpoint_of(tmp_path, "train toy") is None
    assert heard.texts("warning") == [
        f"train toy: {last} is damaged (optimizer.pt has 4 of 24 bytes) and removed; going on "
        "from step 2",
        f"train toy: {before} is damaged (optimizer.pt is missing) and removed; going on from the "
        "beginning",
    ]


def trainer(folder: Path, processes: Processes) -> Any:
    plan = SimpleNamespace(
        epoch_at=lambda step: step / 4,
        rows_of=lambda step: np.array([0, 1]),
        data=SimpleNamespace(lengths=np.array([3, 4])),
    )
    return SimpleNamespace(
        processes=processes,
        tally=Tally(["zh"]),
        args=SimpleNamespace(output_dir=str(folder), seed=0),
        job=SimpleNamespace(plan=plan),
        first=1,
    )


@pytest.mark.parametrize("world", [1, 2])
def test_another_number_of_processes_is_said(tmp_path: Path, world: int) -> None:
    (tmp_path / BEST).write_bytes(b"of a step that was lost")
    found, heard = checkpoint(tmp_path, 4, world=world), Heard()
    one = trainer(tmp_path, Processes())
    with reading(heard):
        go_on(one, found)
    assert one.tally.state() == [[1.5], [4.0]]
    assert not (tmp_path / BEST).exists(), "the checkpoint had none"
    assert len(heard.texts("decision")) == world - 1
    assert all("written by 2 processes, and there is 1 now" in t for t in heard.texts("decision"))


@pytest.mark.parametrize("rank", [0, 1])
def test_the_first_process_alone_tells_where_a_training_stands(tmp_path: Path, rank: int) -> None:
    watch, heard = Watch("train toy", trainer(tmp_path, Processes(rank, 2))), Heard()
    state = SimpleNamespace(global_step=1, max_steps=9, epoch=None)
    with reading(heard):
        watch.on_train_begin(watch.trainer.args, state, None)
        assert state.epoch == 0.25, "known right after going on"
        state.global_step = 2
        watch.on_step_end(watch.trainer.args, state, SimpleNamespace())
    assert state.epoch == 0.5
    assert [event.kind for event in heard.events] == ["progress"] * (rank == 0)
    for event in heard.events:
        assert (event.facts["done"], event.facts["total"]) == (2, 9)
        assert event.facts["tokens_per_second"] > 0
        assert event.facts["seconds_left"] >= 0

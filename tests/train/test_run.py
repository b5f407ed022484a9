"""From rows to a folder: finished, refused, killed and gone on, on a real (tiny) base."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import BactrianError, ConfigError, DataError
from bactrian.events import Event, reading
from bactrian.models import adapters, base
from bactrian.train import run
from bactrian.train.forecast import forecast
from bactrian.train.run import train
from bactrian.workspace import Workspace

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

MakeWorkspace = Callable[..., Workspace]
KILLED_AT_STEP = """
import os, signal, sys
from pathlib import Path
from bactrian.events import reading
from bactrian.train.run import train
from bactrian.workspace import open_workspace

class Kill:
    def see(self, event):
        if event.kind == "progress" and event.facts["done"] == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)

with reading(Kill()):
    train(open_workspace(Path(sys.argv[1]), ("train.log_steps=3",)), "toy")
"""


class Told:
    """Keeps the sentences of an event kind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.texts: list[str] = []

    def see(self, event: Event) -> None:
        if event.kind == self.kind:
            self.texts.append(event.facts["text"])


def tensors(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    found: dict[str, Any] = load_file(folder / adapters.WEIGHTS)
    return found


def test_a_training_ends_in_a_folder_that_is_whole(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace("zh,vi")
    told = forecast(workspace, "toy")
    done = train(workspace, "toy")
    assert done.fresh
    assert done.folder == workspace.adapter("toy")
    assert {path.name for path in done.folder.iterdir()} == {
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "bactrian.json",
        "training.json",
    }
    assert not [path.name for path in done.folder.parent.iterdir() if "toy" in path.name[1:]]
    assert adapters.facts_of(done.folder) == done.facts
    assert (done.facts.steps, done.facts.tokens) == (told.steps, told.tokens)
    assert (told.languages, told.rows) == (("zh", "vi"), 24)
    history = json.loads((done.folder / "training.json").read_text())
    losses = [entry for entry in history if "loss" in entry]
    assert [entry["step"] for entry in losses] == list(range(1, told.steps + 1))
    assert losses[-1]["loss"] < losses[0]["loss"]
    assert done.facts.losses.keys() == {"zh", "vi"}
    card = (done.folder / "README.md").read_text()
    assert "license: " not in card
    assert f'base_model: "{done.facts.base}"' in card
    assert "Chinese (zh), Vietnamese (vi)" in card


def test_finished_work_is_found_and_loads_nothing(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = make_workspace("zh", "train.max_steps=1")
    first = train(workspace, "toy")

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the base was loaded for nothing")

    monkeypatch.setattr(run, "of", refuse)
    again = train(make_workspace("zh", "train.max_steps=1", "train.log_steps=7"), "toy")
    assert not again.fresh
    assert (again.facts, again.verified) == (first.facts, first.verified)


@pytest.mark.parametrize("override", ["seed=1", "train.max_steps=2", "train.lora.alpha=4"])
def test_another_recipe_is_another_adapter(make_workspace: MakeWorkspace, override: str) -> None:
    first = train(make_workspace("zh", "train.max_steps=1"), "toy")
    before = tensors(first.folder)
    second = train(make_workspace("zh", "train.max_steps=1", override), "toy")
    assert second.fresh
    assert second.facts.made_from != first.facts.made_from
    after = tensors(second.folder)
    assert "alpha" in override or any(not torch.equal(before[name], after[name]) for name in before)


def test_other_data_is_another_adapter(make_workspace: MakeWorkspace) -> None:
    first = train(make_workspace("zh", "train.max_steps=1"), "toy")
    rows = {"zh": [(f"a{number}", "", f"b{number}") for number in range(6)]}
    assert train(make_workspace("zh", "train.max_steps=1", rows=rows), "toy").fresh
    assert first.facts.made_from != train(make_workspace("zh", rows=rows), "toy").facts.made_from


def test_the_same_recipe_gives_the_same_bits(make_workspace: MakeWorkspace, tmp_path: Path) -> None:
    one = train(make_workspace("zh", root=tmp_path / "one"), "toy")
    two = train(make_workspace("zh", root=tmp_path / "two"), "toy")
    weights = [(done.folder / adapters.WEIGHTS).read_bytes() for done in (one, two)]
    assert weights[0] == weights[1]


def test_one_base_serves_many_trainings(make_workspace: MakeWorkspace, tmp_path: Path) -> None:
    names = 'train.adapters={zh = "zh", both = "zh,vi"}'
    workspace = make_workspace("zh,vi", "train.max_steps=2", names)
    loaded = base.load(workspace.recipe.train.base)
    train(workspace, "both", lambda: loaded)
    shared = train(workspace, "zh", lambda: loaded)
    alone = train(make_workspace("zh,vi", "train.max_steps=2", names, root=tmp_path / "b"), "zh")
    assert (shared.folder / adapters.WEIGHTS).read_bytes() == (
        alone.folder / adapters.WEIGHTS
    ).read_bytes()


def test_killed_and_started_again_it_ends_as_if_never_killed(
    make_workspace: MakeWorkspace, tmp_path: Path
) -> None:
    workspace = make_workspace("zh,vi", "train.log_steps=3", root=tmp_path / "killed")
    script = tmp_path / "kill.py"
    script.write_text(textwrap.dedent(KILLED_AT_STEP))
    killed = subprocess.run(
        [sys.executable, str(script), str(workspace.root), "5"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (killed.returncode, killed.stdout, killed.stderr) == (-9, "", "")
    assert not workspace.adapter("toy").exists()

    # a checkpoint that was being written when the kill came
    (scratch,) = (workspace.adapter("toy").parent / ".toy.training").iterdir()
    half = Path(shutil.copytree(scratch / "checkpoint-4", scratch / "checkpoint-5"))
    (half / "whole").unlink()
    (half / "optimizer.pt").write_bytes(b"half")

    notes = Told("note")
    with reading(notes):
        resumed = train(workspace, "toy")
    assert "train toy: going on from step 4" in notes.texts
    whole = train(make_workspace("zh,vi", "train.log_steps=3", root=tmp_path / "whole"), "toy")
    assert whole.facts.steps > 5
    assert workspace.recipe.train.lora.dropout > 0
    expected = tensors(whole.folder)
    found = tensors(resumed.folder)
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], weights) for name, weights in expected.items())
    for name in ("training.json", "adapter_config.json"):
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_an_unfinished_training_of_another_recipe_is_kept_and_told(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*given: Any) -> None:
        (given[-1] / "checkpoint-2").mkdir()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("bactrian.train.engine.learn", stopped)
        train(make_workspace("zh", "train.max_steps=1"), "toy")
    workspace = make_workspace("zh", "train.max_steps=1", "train.learning_rate=1e-4", "seed=3")
    (before,) = workspace.adapter("toy").with_name(".toy.training").iterdir()
    warnings = Told("warning")
    with reading(warnings), monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("bactrian.train.engine.learn", stopped)
        train(workspace, "toy")
    (told,) = warnings.texts
    assert "toy.seed 0, now 3; toy.train.learning_rate 0.01, now 0.0001" in told
    assert str(before) in told
    assert before.is_dir()
    train(workspace, "toy")
    assert not before.exists()


def test_a_training_that_diverges_leaves_no_adapter(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = ("train.learning_rate=1e30", "train.max_steps=6", "train.save_steps=100")
    workspace = make_workspace("zh", *told)
    loaded = base.load(workspace.recipe.train.base)
    names = set(loaded.model.state_dict())
    with pytest.raises(ConfigError, match="the loss is not a number") as caught:
        train(workspace, "toy", lambda: loaded)
    assert "train.learning_rate" in caught.value.hint
    assert not workspace.adapter("toy").exists()
    assert set(loaded.model.state_dict()) == names, "the base has its layers back"
    assert left_in(workspace) <= {".tokens", ".lock"}


def test_a_checkpoint_of_what_diverged_is_not_written(make_workspace: MakeWorkspace) -> None:
    """Also where the loss would be reported much later."""
    seldom = ("train.log_steps=1000", "train.save_steps=1", "train.max_steps=6")
    workspace = make_workspace("zh", "train.learning_rate=1e30", "train.clip=0", *seldom)
    with pytest.raises(ConfigError, match=r"\(step \d, in zh\)"):
        train(workspace, "toy")
    kept = [*workspace.adapter("toy").parent.glob(".toy.training/*/checkpoint-*/learning.*")]
    assert kept
    assert not workspace.adapter("toy").exists()


def left_in(workspace: Workspace) -> set[str]:
    """What a training that was refused left where adapters are."""
    folder = workspace.adapter("toy").parent
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


@pytest.mark.parametrize("damage", ["gone", "empty", "too long", "no response"])
def test_a_language_without_rows_is_refused(make_workspace: MakeWorkspace, damage: str) -> None:
    rows = {
        "gone": [("a", "", "b")] * 6,
        "empty": [],
        "too long": [("a " * 500, "", "b")] * 6,
        "no response": [("a", "", " ")] * 6,
    }[damage]
    workspace = make_workspace("zh,vi", "train.max_tokens=400", rows={"vi": rows})
    if damage == "gone":
        workspace.split("vi", "train").unlink()
    with pytest.raises(DataError, match="vi") as caught:
        train(workspace, "toy")
    assert not workspace.adapter("toy").exists()
    problem = caught.value.problem
    said = {
        "gone": "does not exist",
        "empty": "has no rows",
        "too long": "vi: no rows to train on (3 longer than 400 tokens, 0 without",
        "no response": "vi: no rows to train on (0 longer than 400 tokens, 3 without",
    }
    assert said[damage] in problem


def test_rows_left_out_are_told(make_workspace: MakeWorkspace) -> None:
    rows = [("a", "", "b")] * 6 + [("a " * 500, "", "b")] + [("a", "", "")] * 2
    warnings = Told("warning")
    with reading(warnings):
        train(make_workspace("vi", "train.max_tokens=400", rows={"vi": rows}), "toy")
    assert warnings.texts == [
        "toy: rows that are too long and left out: vi 1",
        "toy: rows that have no response and are left out: vi 2",
    ]


@pytest.mark.parametrize(
    ("overrides", "name", "problem"),
    [
        ((), "tyo", "the recipe has no adapter tyo"),
        (('train.adapters={base = "zh"}',), "base", "cannot be called base"),
        (('train.adapters={"a.b" = "zh"}',), "a.b", "cannot be the name of an adapter"),
        (('train.lora.targets=["q_porj"]',), "toy", "q_porj"),
        (("train.base=/nowhere/at/all",), "toy", "neither a folder"),
    ],
)
def test_a_recipe_that_cannot_be_meant_is_refused(
    make_workspace: MakeWorkspace, overrides: tuple[str, ...], name: str, problem: str
) -> None:
    workspace = make_workspace("zh", *overrides)
    with pytest.raises(BactrianError, match=problem):
        train(workspace, name)
    assert not workspace.adapter(name).exists()


def test_the_history_is_there_before_the_folder_is(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = make_workspace("zh", "train.max_steps=1")
    rename = Path.rename
    seen: list[set[str]] = []

    def listen(self: Path, target: Path) -> Path:
        if target == workspace.adapter("toy"):
            seen.append({path.name for path in self.iterdir()})
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", listen)
    train(workspace, "toy")
    assert len(seen) == 1
    assert {"training.json", "README.md", "bactrian.json"} <= seen[0]


@pytest.mark.parametrize("style", ["alpaca", "chat"])
def test_every_prompt_style_trains(make_workspace: MakeWorkspace, style: str) -> None:
    done = train(make_workspace("zh", "train.max_steps=1", f"train.prompt={style}"), "toy")
    assert done.facts.prompt == style
    assert f"Style `{style}`" in (done.folder / "README.md").read_text()


def test_a_full_disk_at_a_checkpoint_is_told(
    make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598")

    monkeypatch.setattr("torch.save", refuse)
    with pytest.raises(BactrianError, match="no space left on the disk"):
        train(make_workspace("zh"), "toy")

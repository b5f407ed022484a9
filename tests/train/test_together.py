"""Several adapters in one pass over the base are those that would have been trained apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import ConfigError
from bactrian.events import Event, reading
from bactrian.models import adapters
from bactrian.train import run
from bactrian.train.run import Trained, train, train_several
from bactrian.workspace import Workspace

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

MakeWorkspace = Callable[..., Workspace]
NAMES = ["zh", "vi", "km", "ar", "multi"]
ADAPTERS = 'train.adapters={zh = "zh", vi = "vi", km = "km", ar = "ar", multi = "vi,zh"}'
TOLD = (
    ADAPTERS,
    "train.together=true",
    "train.dtype=float32",
    "train.lora.dropout=0",
    "train.batch_tokens=500",
    "train.clip=0.05",  # less than any gradient here has: it is at work in every step
    "train.weight_decay=0.1",  # would shrink an adapter that is touched after its last step
    "train.log_steps=3",
    "train.eval_steps=4",
    "train.save_steps=2",
)


def rows(sentences: dict[str, list[str]]) -> dict[str, list[tuple[str, str, str]]]:
    """3 held-out rows and 3 to 9 others: adapters of different lengths."""
    counts = {"zh": 12, "vi": 8, "km": 6, "ar": 10}
    return {
        code: [
            (sentences[code][place % 5][:12], "", sentences[code][(place + place // 5) % 5][:18])
            for place in range(count)
        ]
        for code, count in counts.items()
    }


@pytest.fixture
def make(make_workspace: MakeWorkspace, sentences: dict[str, list[str]]) -> MakeWorkspace:
    def made(root: Path, *more: str) -> Workspace:
        return make_workspace("zh,vi,km,ar", *TOLD, *more, rows=rows(sentences), root=root)

    return made


class StopAt:
    """Interrupts a training after a step, as Ctrl-C does."""

    def __init__(self, step: int) -> None:
        self.step = step

    def see(self, event: Event) -> None:
        if event.kind == "progress" and event.facts.get("done") == self.step:
            task = event.facts["task"]
            if task.startswith("train "):
                raise KeyboardInterrupt


def weights(done: Trained) -> dict[str, Any]:
    from safetensors.torch import load_file

    found: dict[str, Any] = load_file(done.folder / adapters.WEIGHTS)
    return found


def reported(done: Trained) -> list[dict[str, float]]:
    """The history, without what only a training has and not an adapter of it."""
    history = json.loads((done.folder / "training.json").read_text(encoding="utf-8"))
    return [
        {
            name: value
            for name, value in entry.items()
            if name in ("step", "epoch", "loss") or name.startswith(("loss_", "validation_"))
            if name != "epoch" or "loss" in entry
        }
        for entry in history
    ]


def assert_same(one: Trained, other: Trained) -> None:
    assert (one.name, one.facts.made_from) == (other.name, other.facts.made_from)
    assert (one.facts.steps, one.facts.tokens) == (other.facts.steps, other.facts.tokens)
    assert dict(one.facts.losses) == pytest.approx(dict(other.facts.losses), abs=1e-5)
    found, expected = weights(one), weights(other)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-5)
    for entry, alone in zip(reported(one), reported(other), strict=True):
        assert entry == pytest.approx(alone, abs=2e-5)
    name = "adapter_config.json"
    assert (one.folder / name).read_bytes() == (other.folder / name).read_bytes()


def test_together_they_are_what_they_are_apart(
    make: MakeWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart = make(tmp_path / "apart")
    alone = {name: train(apart, name) for name in NAMES}
    assert len({done.facts.steps for done in alone.values()}) >= 3, "of different lengths"

    whole = make(tmp_path / "whole")
    done = train_several(whole, NAMES)
    assert [one.name for one in done] == NAMES
    assert all(one.fresh for one in done)
    for one in done:
        assert_same(one, alone[one.name])
    left = [path.name for path in (tmp_path / "whole" / "adapters").iterdir()]
    assert sorted(name for name in left if "training" in name or "unfinished" in name) == []

    stopped = make(tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt), reading(StopAt(3)):
        train_several(stopped, NAMES)
    assert not stopped.adapter("zh").exists()
    for one in train_several(stopped, [*reversed(NAMES), "zh"]):  # in another order, one twice
        (twin,) = (other for other in done if other.name == one.name)
        assert one.fresh
        name = adapters.WEIGHTS
        assert (one.folder / name).read_bytes() == (twin.folder / name).read_bytes()
        assert (one.folder / "training.json").read_bytes() == (
            twin.folder / "training.json"
        ).read_bytes()

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the base was loaded for nothing")

    monkeypatch.setattr(run, "of", refuse)
    assert not train(whole, "multi").fresh, "made together, it is found by itself"
    assert not any(one.fresh for one in train_several(apart, NAMES)), "and the other way round"


def test_a_finished_one_is_not_trained_again(make: MakeWorkspace, tmp_path: Path) -> None:
    workspace = make(tmp_path / "some", "train.max_steps=2")
    first = train(workspace, "vi")
    before = (first.folder / adapters.WEIGHTS).stat().st_mtime_ns
    done = {one.name: one for one in train_several(workspace, ["zh", "vi", "km"])}
    assert {name: one.fresh for name, one in done.items()} == {
        "zh": True,
        "vi": False,
        "km": True,
    }
    assert (first.folder / adapters.WEIGHTS).stat().st_mtime_ns == before


def test_held_out_rows_are_scored_by_their_own_adapter(make: MakeWorkspace, tmp_path: Path) -> None:
    """Also where only one of the adapters has any, which is not the first."""
    workspace = make(tmp_path / "few", "train.max_steps=3")
    for code in ("zh", "km", "ar"):
        workspace.split(code, "validation").unlink()
    together = {one.name: one for one in train_several(workspace, ["ar", "km", "vi"])}
    other = make(tmp_path / "other", "train.max_steps=3")
    alone = train(other, "vi")
    assert_same(together["vi"], alone)
    assert not any("validation_km" in entry for entry in reported(together["km"]))


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ("train.patience=2", "train.patience = 2 stops one training"),
        ("train.lora.variant=dora", "rows of several adapters cannot go through"),
    ],
)
def test_what_cannot_be_shared_is_refused(
    make: MakeWorkspace, tmp_path: Path, told: str, problem: str
) -> None:
    workspace = make(tmp_path / "refused", told)
    with pytest.raises(ConfigError, match=problem) as said:
        train_several(workspace, ["zh", "km"])
    assert "together = false" in said.value.hint
    left = {path.name for path in (tmp_path / "refused").glob("adapters/*")}
    assert left <= {".tokens", ".lock"}, left


def test_a_loss_that_is_no_number_names_adapter_language_and_step(
    make: MakeWorkspace, tmp_path: Path
) -> None:
    seldom = ("train.log_steps=2", "train.save_steps=100", "train.warmup=0", "train.clip=0")
    workspace = make(tmp_path / "lost", "train.learning_rate=1e30", *seldom)
    with pytest.raises(
        ConfigError, match=r"not a number any more \(step 2, in ar/ar, km/km\)"
    ) as said:
        train_several(workspace, ["km", "ar"])
    assert "learning_rate" in said.value.hint
    left = {path.name for path in (tmp_path / "lost" / "adapters").iterdir()}
    assert left <= {".tokens", ".lock"}, left

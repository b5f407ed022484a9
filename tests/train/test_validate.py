"""Losses on held-out rows while training: right, kept, and without effect on the adapter."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from bactrian.events import Event, reading
from bactrian.models import adapters, base, prompts
from bactrian.train.prepare import prepare
from bactrian.train.run import train
from bactrian.train.validate import Patience
from bactrian.workspace import Workspace

MakeWorkspace = Callable[..., Workspace]


def test_the_loss_is_that_of_the_plain_model(make_workspace: MakeWorkspace) -> None:
    from bactrian import table

    workspace = make_workspace("zh,vi", "train.max_steps=1", "train.dtype=float32")
    done = train(workspace, "toy")
    history = json.loads((done.folder / "training.json").read_text(encoding="utf-8"))
    found = next(entry for entry in history if "validation_zh" in entry)
    loaded = base.load(workspace.recipe.train.base, dtype="float32")
    for code in ("zh", "vi"):
        rows = [row.example for row in table.read(workspace.split(code, "validation"))]
        prepared = prepare(rows, loaded.tokenizer, prompts.get("bactrian"), 1024)
        nats, count = 0.0, 0
        for index in range(len(prepared)):
            tokens, prompt, _ = prepared.row(index)
            ids = torch.tensor(tokens).long()[None]
            with torch.no_grad():
                logits = loaded.model(ids).logits[0, prompt - 1 : -1]
            nats += float(cross_entropy(logits, ids[0, prompt:], reduction="sum"))
            count += len(tokens) - prompt
        assert found[f"validation_{code}"] == pytest.approx(nats / count, rel=1e-4)


def test_it_is_measured_at_the_start_on_the_way_and_at_the_end(
    make_workspace: MakeWorkspace,
) -> None:
    workspace = make_workspace("zh,vi", "train.max_steps=4", "train.eval_steps=3")
    done = train(workspace, "toy")
    history = json.loads((done.folder / "training.json").read_text(encoding="utf-8"))
    steps = [entry["step"] for entry in history if "validation_zh" in entry]
    assert steps == [0, 3, 4]
    assert all("validation_vi" in entry for entry in history if "validation_zh" in entry)


def test_measuring_leaves_the_adapter_as_it_is(make_workspace: MakeWorkspace) -> None:
    often = train(make_workspace("zh", "train.max_steps=3", "train.eval_steps=1"), "toy")
    weights = (often.folder / adapters.WEIGHTS).read_bytes()
    workspace = make_workspace("zh", "train.max_steps=3", "train.eval_rows=0")
    assert not train(workspace, "toy").fresh, "how often is measured changes nothing"
    (workspace.adapter("toy") / "bactrian.json").unlink()
    never = train(workspace, "toy")
    assert never.fresh
    assert (never.folder / adapters.WEIGHTS).read_bytes() == weights
    history = json.loads((never.folder / "training.json").read_text(encoding="utf-8"))
    assert not any("validation_zh" in entry for entry in history)


@pytest.mark.parametrize(("watched", "loss"), [("mean", 2.0), ("worst", 3.0)])
def test_what_patience_watches(watched: str, loss: float) -> None:
    assert Patience(1, watched).of({"zh": 1.0, "vi": 3.0}) == loss


UP = ("train.schedule=constant", "train.warmup=0.0", "train.learning_rate=0.3")
"""A rate at which held-out losses rise soon, and that does not depend on the number of steps."""


@pytest.mark.parametrize("watched", ["mean", "worst"])
def test_it_stops_in_time_and_keeps_the_best(
    make_workspace: MakeWorkspace, tmp_path: Path, watched: str
) -> None:
    """Stopped, killed before it could stop, and trained to the best step and no further."""
    every = ("train.eval_steps=1", "train.epochs=9", "train.patience=2")
    told = (*UP, *every, f"train.stop_on={watched}")
    stopped = train(make_workspace("zh,vi", *told, root=tmp_path / "stopped"), "toy")
    history = json.loads((stopped.folder / "training.json").read_text(encoding="utf-8"))
    losses = [
        Patience(2, watched).of({code: entry[f"validation_{code}"] for code in ("zh", "vi")})
        for entry in history
        if "validation_zh" in entry
    ]
    best = losses.index(min(losses))
    assert best > 0, "the test needs a loss that falls before it rises"
    assert stopped.facts.steps == len(losses) - 1 == best + 2

    class Killed(Exception):
        pass

    class Kill:
        def see(self, event: Event) -> None:
            if event.kind == "progress" and event.facts["done"] == stopped.facts.steps:
                raise Killed

    workspace = make_workspace("zh,vi", *told, root=tmp_path / "killed")
    with pytest.raises(Killed), reading(Kill()):
        train(workspace, "toy")
    resumed = train(workspace, "toy")
    assert (resumed.folder / "training.json").read_bytes() == (
        stopped.folder / "training.json"
    ).read_bytes()

    few = (*UP, "train.eval_rows=0", f"train.max_steps={best}")
    exact = train(make_workspace("zh,vi", *few, root=tmp_path / "exact"), "toy")
    weights = [(done.folder / adapters.WEIGHTS).read_bytes() for done in (exact, stopped, resumed)]
    assert weights[1] == weights[0]
    assert weights[2] == weights[0]

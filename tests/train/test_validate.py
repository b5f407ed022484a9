"""Losses on held-out rows while training: right, kept, and without effect on the adapter."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import torch
from torch.nn.functional import cross_entropy

from bactrian.models import adapters, base, prompts
from bactrian.models.head import split
from bactrian.train.prepare import prepare
from bactrian.train.run import train
from bactrian.train.validate import Validation
from bactrian.workspace import Workspace

MakeWorkspace = Callable[..., Workspace]


def test_the_loss_is_that_of_the_plain_model(make_workspace: MakeWorkspace) -> None:
    from bactrian import table

    workspace = make_workspace("zh,vi")
    loaded = base.load(workspace.recipe.train.base, dtype="float32")
    rows = [
        row.example
        for code in ("zh", "vi")
        for row in table.read(workspace.split(code, "validation"))
    ]
    prepared = prepare(rows, loaded.tokenizer, prompts.get("bactrian"), 1024)
    found = Validation(split(loaded.model), prepared, every=1, batch_tokens=900).measure()
    for language, code in enumerate(prepared.names):
        nats, count = 0.0, 0
        for index in range(len(prepared)):
            tokens, prompt, mine = prepared.row(index)
            if mine != language:
                continue
            ids = torch.from_numpy(tokens).long()[None]
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

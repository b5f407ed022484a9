"""A workspace with an adapter and real sentences, and what an evaluation of it leaves."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bactrian.evaluate.store import open_store
from bactrian.workspace import Workspace

SETTINGS = (
    'eval.tasks=["held-out", "xcopa", "confusion"]',
    'eval.data={xcopa = "xcopa"}',
    'eval.languages={xcopa = "zh,vi"}',
    "eval.batch_tokens=300",
    "eval.answers=3",
    "eval.answer_tokens=4",
    "eval.samples=1",
    "train.dtype=float32",
)


@pytest.fixture(scope="session")
def adapter(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that does something, made without training."""
    torch = pytest.importorskip("torch")
    peft = pytest.importorskip("peft")
    from bactrian.models import adapters, base

    folder = tmp_path_factory.mktemp("spread") / "toy"
    loaded = base.load(str(tiny_base), dtype="float32")
    config = peft.LoraConfig(
        task_type="CAUSAL_LM", r=4, target_modules=["q_proj"], init_lora_weights=False
    )
    with adapters.hushed(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        peft.get_peft_model(loaded.model, config).save_pretrained(folder)
    return folder


@pytest.fixture
def made(
    make_workspace: Callable[..., Workspace],
    sentences: Mapping[str, Sequence[str]],
    adapter: Path,
    tmp_path: Path,
) -> Callable[..., Workspace]:
    """Return a maker of workspaces with the adapter ``toy`` and questions of unequal numbers."""

    def make(name: str, *overrides: str) -> Workspace:
        workspace = make_workspace("zh,vi", *SETTINGS, *overrides, root=tmp_path / name)
        folder = workspace.root / "xcopa"
        folder.mkdir()
        for code, count in (("zh", 20), ("vi", 3)):
            texts = sentences[code]
            told = (
                {
                    "premise": f"{texts[number % 5]} {number}.",
                    "choice1": texts[(number + 1) % 5],
                    "choice2": texts[(number + 2) % 5],
                    "question": "effect" if number % 2 else "cause",
                    "label": number % 2,
                    "idx": number,
                }
                for number in range(count)
            )
            rows = (json.dumps(row, ensure_ascii=False) + "\n" for row in told)
            (folder / f"{code}.jsonl").write_text("".join(rows), "utf-8")
        shutil.copytree(adapter, workspace.adapter("toy"))
        return workspace

    return make


@pytest.fixture
def left() -> Callable[[Workspace], dict[str, Any]]:
    """Return what reads the files of an evaluation, those of SQLite as sorted rows."""

    def read(workspace: Workspace) -> dict[str, Any]:
        folder = workspace.results
        with open_store(folder / "scores.sqlite") as store:
            store.publish(folder / "scores.jsonl")
        with closing(sqlite3.connect(folder / "answers.sqlite")) as answers:
            written = answers.execute("SELECT * FROM answers ORDER BY 1, 2, 3").fetchall()
        names = ("scores.jsonl", "items.parquet", "confusion.jsonl", "answers.json")
        results = json.loads((folder / "results.json").read_text("utf-8"))
        del results["environment"]
        files = {name: (folder / name).read_bytes() for name in names}
        return {**files, "written": written, "results": results}

    return read


@pytest.fixture(scope="session")
def kept() -> dict[str, Any]:
    """What one process leaves, once it is known."""
    return {}


@pytest.fixture
def alone(
    made: Callable[..., Workspace],
    left: Callable[[Workspace], dict[str, Any]],
    kept: dict[str, Any],
) -> dict[str, Any]:
    """What one process of one thread leaves."""
    import torch

    from bactrian.evaluate.run import evaluate

    if not kept:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            evaluate(workspace := made("alone"), ["toy"])
        finally:
            torch.set_num_threads(threads)
        kept.update(left(workspace))
    return kept

"""A prompt style of the user's own in an evaluation: asked with, signed, and held to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bactrian.errors import AdapterError
from bactrian.evaluate.tasks.held_out import HeldOut
from bactrian.models.adapters import AdapterFacts
from bactrian.workspace import Workspace

pytest.importorskip("torch")

from bactrian.evaluate import run

WORDS = 'name = "own"\nwith_input = "<{instruction}|{input}>"\nwithout_input = "<{instruction}>"\n'
FACTS = AdapterFacts(
    name="zh",
    languages=("zh",),
    prompt="own",
    base="x",
    base_revision="",
    base_fingerprint="0",
    made_from="0",
    steps=1,
    tokens=1,
    seconds=1.0,
    losses={},
    template={"with_input": "<{instruction}|{input}>", "without_input": "<{instruction}>"},
)


@pytest.fixture
def workspace(make_workspace: Callable[..., Workspace]) -> Workspace:
    made = make_workspace("zh", 'train.prompt="own.toml"')
    (made.recipe_folder / "own.toml").write_text(WORDS, encoding="utf-8")
    return made


def test_held_out_rows_are_asked_in_the_users_words(workspace: Workspace) -> None:
    task = HeldOut(workspace)
    contexts = [item.context for item in task.items(workspace.languages[0])]
    assert contexts
    assert all(text.startswith("<") and text.endswith(">") for text in contexts)
    ((_, mark), _) = task.rules.facts
    assert mark.startswith("own-")
    (workspace.recipe_folder / "own.toml").write_text(WORDS.replace("<", "["), encoding="utf-8")
    assert HeldOut(workspace).rules.facts != task.rules.facts


def test_results_belong_to_the_words_and_adapters_are_held_to_them(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "adapter_hash", lambda folder: "0")
    told = {"zh": workspace.adapter("zh")}
    told["zh"].mkdir(parents=True)
    monkeypatch.setattr(run, "facts_of", lambda folder: FACTS)
    before = run._made_from(workspace, told)
    assert run._made_from(workspace, told) == before
    monkeypatch.setattr(run, "facts_of", lambda folder: replace(FACTS, template=None))
    with pytest.raises(AdapterError, match=r"prompt style own, the recipe says own-\w{8}"):
        run._made_from(workspace, told)
    path: Path = workspace.recipe_folder / "own.toml"
    path.write_text(WORDS.replace("<", "["), encoding="utf-8")
    monkeypatch.setattr(run, "facts_of", lambda folder: FACTS)
    with pytest.raises(AdapterError, match="style own-") as caught:
        run._made_from(workspace, told)
    assert "bactrian.json" in caught.value.hint
    assert run._made_from(workspace, {}) != before

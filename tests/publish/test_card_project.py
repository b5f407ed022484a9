"""What a project still knows of an adapter stands on its card; nothing of the machine does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_adapter import write_adapter

from bactrian.models.adapters import AdapterFacts, facts_of
from bactrian.publish.card import known, project
from bactrian.publish.card.known import Asked
from bactrian.publish.card.page import card

pytest.importorskip("huggingface_hub")


def test_a_project_tells_where_it_comes_from(
    tmp_path: Path, make_workspace: Callable[..., Any]
) -> None:
    from bactrian import runs
    from bactrian.events import emit

    told = ('sources.alpaca.licence="CC-BY-NC-4.0"', 'sources.alpaca.files=["/home/ann/a.json"]')
    workspace = make_workspace("zh,vi", *told, "train.base=some/base")
    folder = write_adapter(workspace.adapter("toy"), languages=("zh", "vi"))
    with runs.run(workspace.runs, "train", workspace.recipe, ["bactrian"]):
        emit("made", path=str(folder), tensors=4)
    subject = known.adapter(folder, Asked(project=workspace))
    text = card(subject)
    for words in (
        "- alpaca: a.json",
        "- translated by recorded",
        "| data: alpaca | cc-by-nc-4.0 |",
        "learning_rate = 0.01",
        "bactrian train .",
        "| versions | bactrian ",
        "| zh | 12 |",
        "a held-out row",
    ):
        assert words in text, words
    assert "/home" not in text
    assert str(tmp_path) not in text
    stale = tuple(replace(one, content="another") for one in subject.facts)
    found = project.data_of(workspace, project.trained(workspace, folder, facts(folder)), stale)
    assert found.changed == ("zh", "vi")


def facts(folder: Path) -> AdapterFacts:
    """Return what the folder says; it is one of ours."""
    told = facts_of(folder)
    assert told is not None
    return told


def test_a_row_is_shown_unless_it_is_not_to_be(make_workspace: Callable[..., Any]) -> None:
    workspace = make_workspace("zh,vi", "train.base=some/base")
    folder = write_adapter(workspace.adapter("toy"), languages=("zh", "vi"))
    shown = known.adapter(folder, Asked(project=workspace))
    assert shown.example is not None
    assert shown.example[0] in card(shown)
    kept = known.adapter(folder, Asked(project=workspace, example=False))
    assert kept.example is None
    assert "with its two places" in card(kept)

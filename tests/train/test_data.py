"""The rows of a workspace: in the order asked for, as many as asked for, and what is left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bactrian.errors import DataError
from bactrian.events import Event, reading
from bactrian.languages import parse
from bactrian.models import base, prompts
from bactrian.train.data import content_of, held_out_rows, tell, training_rows
from bactrian.train.encoding import Encoder
from bactrian.train.shorten import Limits
from bactrian.workspace import Workspace

pytest.importorskip("transformers")
MakeWorkspace = Callable[..., Workspace]


def encoder(workspace: Workspace, **limits: Any) -> Encoder:
    tokenizer = base.tokenizer_of(base.locate(workspace.recipe.train.base))
    return Encoder(tokenizer, prompts.BACTRIAN, Limits(**{"max_tokens": 1000, **limits}))


def test_rows_come_in_the_order_of_the_languages(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace("zh,vi")
    for codes in ("zh,vi", "vi,zh"):
        rows = training_rows(workspace, parse(codes), encoder(workspace))
        assert rows.names == tuple(codes.split(","))
        assert rows.languages.tolist() == [0] * 12 + [1] * 12


def test_a_limit_takes_the_first_rows_of_each(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace("zh,vi", "limit=4")
    rows = training_rows(workspace, workspace.languages, encoder(workspace))
    whole = make_workspace("zh,vi")
    every = training_rows(whole, whole.languages, encoder(whole))
    assert rows.languages.tolist() == [0] * 4 + [1] * 4
    for mine, place in zip(range(8), (0, 1, 2, 3, 12, 13, 14, 15), strict=True):
        assert rows.row(mine)[0].tolist() == every.row(place)[0].tolist()


def test_the_prompt_counts_where_the_recipe_says_so(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace("zh", "train.train_on_inputs=true")
    rows = training_rows(workspace, workspace.languages, encoder(workspace))
    assert (rows.targets == rows.lengths - 1).all()


def test_held_out_rows_are_few_and_of_languages_that_have_some(
    make_workspace: MakeWorkspace,
) -> None:
    workspace = make_workspace("zh,vi", "train.eval_rows=2")
    workspace.split("vi", "validation").unlink()
    found = held_out_rows(workspace, workspace.languages, encoder(workspace))
    assert found is not None
    assert (found.names, len(found)) == (("zh",), 2)
    workspace.split("zh", "validation").unlink()
    assert held_out_rows(workspace, workspace.languages, encoder(workspace)) is None
    none = make_workspace("zh", "train.eval_rows=0")
    assert held_out_rows(none, none.languages, encoder(none)) is None


def test_held_out_rows_that_are_all_too_long_are_none(make_workspace: MakeWorkspace) -> None:
    rows = {"zh": [("a" * 500, "", "b")] * 3 + [("a", "", "b")] * 3}
    workspace = make_workspace("zh", rows=rows)
    short = encoder(workspace, max_tokens=60, overlong="refuse")
    assert held_out_rows(workspace, workspace.languages, short) is None
    assert len(training_rows(workspace, workspace.languages, short)) == 3


def test_other_rows_have_another_hash(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace("zh,vi")
    zh, vi = (content_of(workspace, language) for language in workspace.languages)
    assert zh != vi
    make_workspace("zh", rows={"zh": [("a", "", "b")] * 6})
    assert content_of(workspace, workspace.languages[0]) != zh


def test_a_language_that_was_not_built_is_told(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace("zh")
    with pytest.raises(DataError, match="does not exist") as said:
        content_of(workspace, parse("km")[0])
    assert "bactrian build" in said.value.hint
    assert "km" in said.value.hint


class Warnings:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def see(self, event: Event) -> None:
        self.texts.append(event.facts["text"])


def test_what_is_cut_or_left_out_is_told_by_language(make_workspace: MakeWorkspace) -> None:
    rows = {
        "zh": [("a", "", "b")] * 6 + [("a", "c" * 200, "b"), ("a", "", " ")],
        "vi": [("a", "", "b")] * 6 + [("a" * 300, "", "b")] * 2,
    }
    workspace = make_workspace("zh,vi", rows=rows)
    found = training_rows(workspace, workspace.languages, encoder(workspace, max_tokens=90))
    warnings = Warnings()
    with reading(warnings):
        tell("toy", found)
    assert warnings.texts == [
        "toy: rows that are shortened to fit train.max_tokens: zh 1",
        "toy: rows that are too long and left out: vi 2",
        "toy: rows that have no response and are left out: zh 1",
    ]

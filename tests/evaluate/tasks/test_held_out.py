"""The answers that were held out, asked for as in training."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bactrian import languages
from bactrian.errors import ConfigError, DataError
from bactrian.evaluate.tasks import Rules
from bactrian.evaluate.tasks.held_out import HeldOut, with_rows
from bactrian.events import Event, reading
from bactrian.models.base import locate, tokenizer_of
from bactrian.workspace import Workspace

pytest.importorskip("torch")

MakeWorkspace = Callable[..., Workspace]
ALL = [one.code for one in languages.parse("all")]
ROWS = [("{a}", "", "b"), ("c", "{d}", " e "), ("f", "", "g")]


class Heard:
    """Keeps what is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def see(self, event: Event) -> None:
        self.texts.append(str(event.facts.get("text", "")))


def test_an_item_is_a_held_out_row_under_the_prompt_of_training(
    make_workspace: MakeWorkspace,
) -> None:
    task = HeldOut(make_workspace("vi", rows={"vi": ROWS}))
    assert task.rules == Rules("bits_per_byte", "apart", (("prompt", "bactrian"), ("eos", "no")))
    items = list(task.items(languages.get("vi")))
    assert [item.id for item in items] == ["validation-1", "validation-2", "validation-3"]
    assert items[0].context == "### Input:\n{a}\n\n### Output:\n"
    assert items[1].context == "### Input:\nc\n\n{d}\n\n### Output:\n"
    assert [item.options for item in items] == [("b",), (" e ",), ("g",)]


def test_chat_asks_by_the_tokenizers_template(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace("vi", "train.prompt=chat", rows={"vi": ROWS})
    tokenizer = tokenizer_of(locate(workspace.recipe.train.base))
    first = next(iter(HeldOut(workspace, tokenizer).items(languages.get("vi"))))
    assert first.context == "<s>[user]\n{a}\n[assistant]\n"
    with pytest.raises(ConfigError, match="no chat template"):
        list(HeldOut(workspace).items(languages.get("vi")))


def test_the_recipe_chooses_languages_and_number(make_workspace: MakeWorkspace) -> None:
    task = HeldOut(make_workspace("zh,vi", "limit=2"))
    assert [language.code for language in task.languages()] == ["zh", "vi"]
    assert len(list(task.items(languages.get("zh")))) == 2
    one = HeldOut(make_workspace("zh,vi", 'eval.languages={"held-out" = "vi"}'))
    assert [language.code for language in one.languages()] == ["vi"]


@pytest.mark.parametrize("damage", ["gone", "empty"])
def test_a_language_without_held_out_rows_is_refused(
    make_workspace: MakeWorkspace, damage: str
) -> None:
    workspace = make_workspace("vi", rows={"vi": []})
    if damage == "gone":
        workspace.split("vi", "validation").unlink()
    with pytest.raises(DataError, match=r"validation.*(has no rows|does not exist)") as caught:
        list(HeldOut(workspace).items(languages.get("vi")))
    assert "build.validation" in caught.value.hint


def test_all_is_every_language_that_the_dataset_has(make_workspace: MakeWorkspace) -> None:
    make_workspace("zh,vi")
    all_of_them = make_workspace("zh,vi", 'languages="all"', rows=dict.fromkeys(ALL, ()))
    for code, rows in (("km", ROWS), ("vi", ROWS)):
        make_workspace(code, rows={code: rows})
    found, absent = with_rows(all_of_them, "held-out")
    assert {one.code for one in found} == {"km", "vi"}
    assert len(absent) == len(ALL) - 2
    with reading(heard := Heard()):
        assert HeldOut(all_of_them).languages() == found
    assert heard.texts[0].startswith("held-out: no held-out rows in af, ar")
    named = make_workspace("zh,vi", 'languages="zh,vi"', rows={"zh": [], "vi": ROWS})
    assert with_rows(named, "held-out") == (named.languages, []), "what is named is refused by name"

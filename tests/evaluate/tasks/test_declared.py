"""A task in a file of ten lines, with everything that can be wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from bactrian import languages
from bactrian.errors import BactrianError, ConfigError, DataError
from bactrian.evaluate.tasks import BLANK, Item
from bactrian.evaluate.tasks.finding import blank, items, tasks
from bactrian.recipe import Eval, Recipe
from bactrian.workspace import Workspace

ASK = Callable[..., Any]
TEN_LINES = """
name = "capitals"
version = "1"
data = "{language}.jsonl"
languages = "de,th"
fields = ["land"]
[columns]
options = ["a", "b"]
gold = "answer"
[templates.cloze]
context = "{question}{colon} {land}\\n{answer}{colon}"
"""
GOOD: dict[str, Any] = {
    "name": "capitals",
    "version": "1",
    "data": "{language}.jsonl",
    "languages": "de,th",
    "fields": ["land"],
    "columns": {"options": ["a", "b"], "gold": "answer"},
    "templates": {"cloze": {"context": "{question}{colon} {land}\n{answer}{colon}"}},
}
LABELS: dict[str, Any] = {
    "name": "mood",
    "version": "1",
    "data": "{language}.tsv",
    "metric": "f1",
    "fields": ["text"],
    "columns": {"gold": "label", "id": "id", "group": "source", "cluster": "pair"},
    "templates": {"cloze": {"context": "{text}\n{mood}{colon}"}},
    "words": {"de": {"mood": "Laune"}, "th": {"mood": "อารมณ์"}},
    "labels": {"de": {"good": "gut", "bad": "schlecht"}, "th": {"good": "ดี", "bad": "แย่"}},
}
ROWS = [{"land": "Peru", "a": "Lima", "b": "Rom", "answer": 0}]


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., Any]:
    """Return a maker of the task of a file, written as TOML."""

    def make(told: dict[str, Any] | str, limit: int = 0, **data: str) -> Any:
        text = told if isinstance(told, str) else tomli_w.dumps(told)
        (tmp_path / "mine.toml").write_text(text, "utf-8")
        recipe = Recipe(languages="all", limit=limit, eval=Eval(tasks=("mine.toml",), data=data))
        (found,) = tasks(Workspace(tmp_path, recipe, tmp_path))
        return found

    return make


def put(folder: Path, rows: list[dict[str, Any]], name: str = "de.jsonl") -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def asked(task: Any, language: str = "de") -> list[Item]:
    return list(items(task, languages.get(language)))


def test_ten_lines_are_a_task(ask: ASK, tmp_path: Path) -> None:
    put(tmp_path, [*ROWS, {"land": "Italien", "a": "Lima", "b": "Rom", "answer": "B"}])
    task = ask(TEN_LINES)
    assert (task.name, [one.code for one in task.languages()]) == ("capitals", ["de"])
    first, second = asked(task)
    assert first == Item("0", "Frage: Peru\nAntwort:", (" Lima", " Rom"), 0, ("Lima", "Rom"))
    assert second.gold == 1
    assert dict(task.rules.facts)["prompt"] == "1"
    assert blank(task, languages.get("de")) is None
    assert len(asked(ask(TEN_LINES, limit=1))) == 1


@pytest.mark.parametrize(
    ("value", "start", "gold"),
    [(1, 0, 1), ("1", 0, 1), (2, 1, 1), ("2", 1, 1), ("B", 0, 1), ("b", 1, 1), ("Rom", 0, 1)],
)
def test_the_right_option_is_a_number_a_letter_or_a_text(
    ask: ASK, tmp_path: Path, value: Any, start: int, gold: int
) -> None:
    put(tmp_path, [{**ROWS[0], "answer": value}])
    (found,) = asked(ask({**GOOD, "count_from": start}))
    assert found.gold == gold


def test_a_list_of_options_and_letters(ask: ASK, tmp_path: Path) -> None:
    put(tmp_path, [{"land": "Peru", "cities": ["Lima", "Rom", "Bonn"], "answer": 2}])
    told = {**GOOD, "form": "letter", "columns": {"options": "cities"}}
    context = "{land}\n{options}\n{answer}{colon}"
    told["templates"] = {"letter": {"context": context, "option": "{space}{letter}"}}
    (found,) = asked(ask(told))
    assert found.context == "Peru\nA. Lima\nB. Rom\nC. Bonn\nAntwort:"
    assert (found.options, found.gold) == ((" A", " B", " C"), 2)


def test_labels_are_translated_and_asked_after_nothing(ask: ASK, tmp_path: Path) -> None:
    (tmp_path / "th.tsv").write_text("id\ttext\tlabel\tsource\tpair\nx\tก\tbad\ts\tp\n")
    task = ask(LABELS)
    (found,) = asked(task, "th")
    assert found == Item("x", "ก\nอารมณ์:", (" ดี", " แย่"), 1, ("ดี", "แย่"), (), "s", "p")
    empty = blank(task, languages.get("th"))
    assert empty is not None
    assert (empty.id, empty.context) == (BLANK, "อารมณ์:")


def test_the_data_may_be_named_in_the_recipe(ask: ASK, tmp_path: Path) -> None:
    put(tmp_path / "elsewhere", ROWS)
    with pytest.raises(DataError, match=r"de\.jsonl does not exist"):
        asked(ask(GOOD))
    assert len(asked(ask(GOOD, capitals="elsewhere"))) == 1


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"nmae": "x"}, "unknown key nmae"),
        ({"columns": {"option": "a"}}, "unknown key columns.option"),
        ({"name": "a b"}, "name = 'a b'"),
        ({"metric": "bleu"}, "metric = 'bleu'"),
        ({"columns": {"gold": "answer"}}, "options are missing"),
        ({"metric": "f1"}, "f1 is for labels, and there are none"),
        ({"form": "letter"}, "there is no template for letter"),
        ({"templates": {"cloze": {"context": "{ladn}"}}}, "unknown placeholder {ladn}"),
        ({"templates": {"cloze": {"context": "{answer}"}}}, "context has no {land}"),
        ({"words": {"th": {"answer": "Answer"}}}, "words.th.answer has letters of Latn"),
        ({"languages": "de,xx"}, 'unknown language "xx"'),
        ({"version": ""}, "version is lacking"),
    ],
)
def test_a_file_that_is_not_in_order_is_refused(
    ask: ASK, changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(BactrianError) as caught:
        ask({**GOOD, **changes})
    assert problem in caught.value.problem


@pytest.mark.parametrize("key", ["name", "version", "data", "fields", "templates"])
def test_what_a_file_has_to_say_is_asked_for(ask: ASK, key: str) -> None:
    with pytest.raises(ConfigError, match=f"{key} is lacking"):
        ask({name: value for name, value in GOOD.items() if name != key})


def test_a_file_that_is_no_toml_or_not_there_is_refused(ask: ASK, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not TOML"):
        ask("name = ")
    recipe = Recipe(languages="de", eval=Eval(tasks=("none.toml",)))
    with pytest.raises(ConfigError, match=r"none\.toml does not exist"):
        tasks(Workspace(tmp_path, recipe, tmp_path))


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"answer": 2}, "line 2: answer is 2, which is none of the options: Lima, Rom"),
        ({"answer": -1}, "line 2: answer is -1, which is none"),
        ({"answer": "Bonn"}, "line 2: answer is 'Bonn', which is none"),
        ({"answer": True}, "line 2: answer is True, which is none"),
        ({"answer": None}, "line 2: answer is None, which is none"),
        ({"a": ""}, "line 2: a is no text"),
        ({"land": 3}, "line 2: land is no text"),
    ],
)
def test_a_row_that_is_not_in_order_is_named(
    ask: ASK, tmp_path: Path, row: dict[str, Any], problem: str
) -> None:
    put(tmp_path, [*ROWS, {**ROWS[0], **row}])
    with pytest.raises(DataError) as caught:
        asked(ask(GOOD))
    assert problem in caught.value.problem


def test_the_same_id_twice_is_named(ask: ASK, tmp_path: Path) -> None:
    put(tmp_path, [{**ROWS[0], "id": "x"}, {**ROWS[0], "id": "x"}])
    told = {**GOOD, "columns": {**GOOD["columns"], "id": "id"}}
    with pytest.raises(DataError, match="capitals de: the id x is there twice"):
        asked(ask(told))


def test_a_column_that_is_lacking_is_named_with_those_there(ask: ASK, tmp_path: Path) -> None:
    put(tmp_path, [{"land": "Peru", "a": "Lima"}])
    with pytest.raises(DataError, match="b is lacking") as caught:
        asked(ask(GOOD))
    assert caught.value.hint == "there is land, a"

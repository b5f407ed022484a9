"""The roads of a row through translation: each ends somewhere and says so."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson
import pytest

from bactrian import languages, table
from bactrian.data.ask import Asked, ask, need
from bactrian.data.build import build
from bactrian.data.check import check_rows
from bactrian.data.collect import collect
from bactrian.data.providers import engage
from bactrian.data.respond import responding
from bactrian.data.translate import translating
from bactrian.providers import Answer, NoAnswer, Request
from bactrian.schema import Example
from bactrian.workspace import Workspace, open_workspace

MakeProject = Callable[..., Workspace]
VIETNAMESE, ENGLISH = languages.get("vi"), languages.get("en")
PLAIN = {"instruction": "Name three colours.", "output": "Red, green, blue."}
CODE = {
    "instruction": "Explain what `sum(x)` does.",
    "input": "See https://a.org/b?c=1 for more.",
    "output": "It adds.",
}
PROGRAM = {
    "instruction": "Write a Python function that sorts a list with `sorted()`.",
    "output": "```python\ndef f(x):\n    return sorted(x)\n```",
}
RHYME = {"instruction": "Find a word that rhymes with 'storm'.", "output": "Warm."}
GRAMMAR = {
    "instruction": "Correct the grammar.",
    "input": "He go to school.",
    "output": "He goes to school.",
}
FRAGILE = {"instruction": "Explain `f(x)` to a fragile camel.", "output": "Gladly."}
TORN = {
    "instruction": "Tell what `g(x)` does.",
    "input": "A fragile text with https://a.org/b in it.",
    "output": "Much.",
}
ROWS = (PLAIN, CODE, PROGRAM, RHYME, GRAMMAR)


class Capitals:
    """Translates into capitals; drops the signs of texts about what is fragile."""

    name, batch = "capitals:m", 4

    def __init__(self, *, whole: bool = False) -> None:
        self.whole = whole
        self.sent: list[str] = []
        self.silent: set[str] = set()

    def request(self, texts: Sequence[str], source: Any, target: Any) -> Request:
        return {"engine": self.name, "target": target.code, "texts": list(texts)}

    async def send(self, requests: Sequence[Request]) -> list[Answer | NoAnswer]:
        return [self.answer(request["texts"]) for request in requests]

    def answer(self, texts: list[str]) -> Answer | NoAnswer:
        self.sent += texts
        if self.silent & set(texts):
            return NoAnswer("refused by the script")
        said = [
            re.sub(r"\[X\d+X\]", "", text.upper()) if "fragile" in text else text.upper()
            for text in texts
        ]
        return Answer(orjson.dumps(said).decode())


class Chat:
    """Answers with the number of letters."""

    name, batch = "counting:m", 4

    def __init__(self) -> None:
        self.sent: list[str] = []

    def request(self, row: Any, language: Any) -> Request:
        content = f"{row.instruction}\n{row.input}"
        return {"target": language.code, "messages": [{"role": "user", "content": content}]}

    async def send(self, requests: Sequence[Request]) -> list[Answer]:
        asked = [request["messages"][0]["content"] for request in requests]
        self.sent += asked
        return [Answer(str(len(text)), tokens_out=3) for text in asked]


def project(
    make_project: MakeProject, rows: Iterable[dict[str, str]] = ROWS, **recipe: Any
) -> Workspace:
    workspace = make_project(0, **recipe)
    numbered = [{"id": f"alpaca-{number}", **row} for number, row in enumerate(rows)]
    (workspace.root / "alpaca.json").write_bytes(orjson.dumps(numbered))
    collect(workspace)
    return workspace


def translated(workspace: Workspace, using: Any, code: str = "vi") -> tuple[Asked, list[Example]]:
    language = languages.get(code)
    done = ask(translating(workspace, language, engage("translate", workspace, using)))
    return done, [row.example for row in table.read(done.path)]


# -- programming -----------------------------------------------------------------------------------


def test_programming_stays_in_english_and_keeps_its_answer(make_project: MakeProject) -> None:
    workspace, using, model = project(make_project), Capitals(), Chat()
    done, rows = translated(workspace, using)
    assert (done.rows, done.answered, done.missing) == (5, 5, 0)
    row = rows[2]
    assert (row.language, row.kept, row.output) == ("vi", "programming", PROGRAM["output"])
    assert row.instruction == PROGRAM["instruction"]
    assert row.provenance.translator == ""
    assert not any("function" in text for text in using.sent)
    answered = ask(responding(workspace, VIETNAMESE, engage("respond", workspace, model)))
    assert (answered.rows, answered.missing) == (5, 0)
    assert len(model.sent) == 4
    assert [row.example for row in table.read(answered.path)][2] == row
    checked = check_rows(workspace, VIETNAMESE)
    assert (checked.rows, checked.rejected) == (5, 0), "an English row is read as English"


def test_programming_that_is_dropped_says_why_and_nothing_is_missing(
    make_project: MakeProject,
) -> None:
    workspace, using = project(make_project, translate={"programming": "drop"}), Capitals()
    for code in ("vi", "en"):
        done, rows = translated(workspace, using, code)
        assert (done.rows, done.missing) == (5, 0)
        assert [row.id for row in rows if row.missing] == ["alpaca-2"]
        assert rows[2].missing == "left out: programming"
        assert (rows[2].instruction, rows[2].output) == ("", "")
    asked = len(using.sent)
    assert translated(workspace, using)[0].filled == (), "dropped rows are no reason to run again"
    assert len(using.sent) == asked
    model = Chat()
    assert ask(responding(workspace, VIETNAMESE, engage("respond", workspace, model))).missing == 0
    checked = check_rows(workspace, VIETNAMESE)
    assert (checked.rows, checked.rejected, checked.reasons) == (5, 1, {"missing": 1})


def test_programming_that_is_protected_is_translated_around_its_code(
    make_project: MakeProject,
) -> None:
    workspace, using = project(make_project, translate={"programming": "protect"}), Capitals()
    _, rows = translated(workspace, using)
    assert rows[2].instruction == "WRITE A PYTHON FUNCTION THAT SORTS A LIST WITH `sorted()`."
    assert (rows[2].kept, rows[2].output) == ("", "")
    assert not any("sorted" in text for text in using.sent)


# -- what translation destroys ---------------------------------------------------------------------


def test_destroyed_tasks_are_translated_and_flagged(make_project: MakeProject) -> None:
    workspace = project(make_project)
    done, rows = translated(workspace, Capitals())
    assert rows[4].instruction == "CORRECT THE GRAMMAR."
    assert rows[4].input == "HE GO TO SCHOOL."
    flags = [[flag.check for flag in row.flags] for row in table.read(done.path)]
    assert flags[3] == ["destroyed-rhyme"]
    assert flags[4] == ["destroyed-grammar"]


def test_destroyed_tasks_may_stay_in_english(make_project: MakeProject) -> None:
    workspace = project(make_project, translate={"destroyed": "keep"})
    _, rows = translated(workspace, Capitals())
    assert [row.kept for row in rows] == [
        "",
        "",
        "programming",
        "destroyed-rhyme",
        "destroyed-grammar",
    ]
    assert (rows[4].instruction, rows[4].output) == (GRAMMAR["instruction"], GRAMMAR["output"])


def test_destroyed_tasks_may_keep_what_they_are_about(make_project: MakeProject) -> None:
    workspace, using = project(make_project, translate={"destroyed": "adapt"}), Capitals()
    _, rows = translated(workspace, using)
    assert rows[3].instruction == "FIND A WORD THAT RHYMES WITH 'storm'."
    assert (rows[4].instruction, rows[4].input) == ("CORRECT THE GRAMMAR.", "He go to school.")
    assert [row.kept for row in rows[3:]] == ["", ""]
    assert [row.output for row in rows[3:]] == ["", ""], "answered anew"
    assert not any("storm" in text or "school" in text for text in using.sent)


@pytest.mark.parametrize("how", ["a whole translator", "protect = false"])
def test_a_translator_of_whole_texts_adapts_what_it_can(
    make_project: MakeProject, how: str
) -> None:
    using = Capitals(whole=how == "a whole translator")
    told = {"destroyed": "adapt", "protect": using.whole}
    _, rows = translated(project(make_project, translate=told), using)
    assert rows[1].instruction == "EXPLAIN WHAT `SUM(X)` DOES.", "nothing is protected"
    # a part of the instruction cannot stay, so all of the row does
    assert (rows[3].instruction, rows[3].kept) == (RHYME["instruction"], "destroyed-rhyme")
    assert rows[3].output == RHYME["output"]
    assert (rows[4].instruction, rows[4].input) == ("CORRECT THE GRAMMAR.", "He go to school.")
    assert not any("school" in text for text in using.sent)


# -- rows that are there in the language -----------------------------------------------------------


def collected(make_project: MakeProject, own: list[dict[str, str]], **recipe: Any) -> Workspace:
    """Return a workspace with three English rows and some in Vietnamese."""
    sources = {
        "alpaca": {"files": ["alpaca.json"], "licence": "CC-BY-NC-4.0"},
        "own": {"files": ["own.json"], "language": "vi", "licence": "CC-BY-4.0"},
    }
    workspace = make_project(0, sources=sources, **recipe)
    (workspace.root / "own.json").write_bytes(orjson.dumps(own))
    return project(lambda rows, **_: workspace, (PLAIN, CODE, GRAMMAR))


def test_rows_of_the_language_follow_as_they_are(make_project: MakeProject) -> None:
    own = [
        {"id": "own-1", "instruction": "Kể tên ba màu.", "output": "Đỏ, xanh, vàng."},
        {"id": "own-2", "instruction": "Thủ đô của Pháp?", "output": ""},
    ]
    workspace, using, model = collected(make_project, own), Capitals(), Chat()
    done, rows = translated(workspace, using)
    assert [row.id for row in rows] == ["alpaca-0", "alpaca-1", "alpaca-2", "own-1", "own-2"]
    assert (rows[3].instruction, rows[3].output) == ("Kể tên ba màu.", "Đỏ, xanh, vàng.")
    assert rows[3].provenance.licence == "CC-BY-4.0"
    assert (done.rows, done.answered, done.missing) == (5, 5, 0)
    assert not any("màu" in text for text in using.sent)
    ask(responding(workspace, VIETNAMESE, engage("respond", workspace, model)))
    assert len(model.sent) == 4, "three translated ones, and the one that lacks an answer"
    assert any("Thủ đô" in text for text in model.sent)
    checked = check_rows(workspace, VIETNAMESE)
    assert (checked.rows, checked.kept) == (5, 5)
    english, _ = translated(workspace, using, "en")
    assert english.rows == 3, "they are no English rows"


def test_rows_of_the_language_stand_in_place_of_translations(make_project: MakeProject) -> None:
    own = [{"id": "alpaca-1", "instruction": "Giải thích đi.", "output": "Nó cộng."}]
    workspace, using = collected(make_project, own), Capitals()
    _, rows = translated(workspace, using)
    assert [row.id for row in rows] == ["alpaca-0", "alpaca-2", "alpaca-1"]
    assert rows[2].instruction == "Giải thích đi."
    assert not any("Explain" in text for text in using.sent), "nobody pays for what is there"
    ask(responding(workspace, VIETNAMESE, engage("respond", workspace, Chat())))
    assert check_rows(workspace, VIETNAMESE).rows == 3
    khmer, _ = translated(workspace, using, "km")
    assert khmer.rows == 3
    told = need(translating(workspace, VIETNAMESE, engage("translate", workspace, Capitals())))
    assert (told.rows, told.present, told.missing) == (2, 2, 0)


def test_a_limit_holds_for_both_tables(make_project: MakeProject) -> None:
    own = [
        {"id": f"own-{n}", "instruction": f"Câu hỏi số {n}?", "output": f"{n}"} for n in range(4)
    ]
    workspace = open_workspace(collected(make_project, own).root, ("limit=2",))
    collect(workspace)
    _, rows = translated(workspace, Capitals())
    assert [row.id for row in rows] == ["alpaca-0", "alpaca-1", "own-0", "own-1"]
    ask(responding(workspace, VIETNAMESE, engage("respond", workspace, Chat())))
    assert check_rows(workspace, VIETNAMESE).rows == 4


# -- counts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("programming", ["english", "drop", "protect"])
@pytest.mark.parametrize("destroyed", ["flag", "keep", "adapt"])
def test_every_count_adds_up_on_every_road(
    make_project: MakeProject, programming: str, destroyed: str
) -> None:
    told = {"programming": programming, "destroyed": destroyed}
    many = (*ROWS, PLAIN, FRAGILE, CODE, TORN, RHYME, PROGRAM)
    workspace = project(make_project, many, translate=told, build={"validation": 2})
    using, model = Capitals(), Chat()
    using.silent = {"Name three colours."}
    both = (VIETNAMESE, ENGLISH)
    for language in both:
        done, rows = translated(workspace, using, language.code)
        assert done.rows == len(many) == done.answered + done.missing
        assert [row.id for row in rows] == [f"alpaca-{number}" for number in range(len(many))]
        ends = Counter(
            "missing" if row.missing else "kept" if row.kept else "translated" for row in rows
        )
        assert ends.total() == len(many)
        asked = ask(responding(workspace, language, engage("respond", workspace, model)))
        assert asked.rows == len(many)
        checked = check_rows(workspace, language)
        assert checked.rows == len(many) == checked.kept + checked.rejected
        assert sum(checked.reasons.values()) == checked.rejected
        assert checked.reasons.get("missing", 0) == ends["missing"]
        expected = 2 if language is VIETNAMESE else 0  # the silent row is there twice
        assert done.missing == expected
        assert ends["missing"] == expected + (2 if programming == "drop" else 0)
    for count in build(workspace, both).counts:
        assert count.rows == len(many) == count.train + count.validation + count.rejected

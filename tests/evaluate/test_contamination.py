"""Items that stand in the training rows, in scripts with and without spaces."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bactrian.evaluate.contamination import (
    dirty_of,
    met_in_training,
    notes_of,
    overlaps,
    training_rows,
    without_rows,
)
from bactrian.evaluate.tasks import Item
from bactrian.workspace import Workspace

WORDS = [f"word{n}" for n in range(40)]
THAI = "มนุษย์ทั้งปวงเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ"
CHINESE = "人人生而自由在尊严和权利上一律平等他们赋有理性和良心并应以兄弟关系的精神相对待"
ARABIC = "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق وقد وهبوا عقلا وضميرا وعليهم أن يعامل بعضهم بعضا"  # noqa: E501


def item(name: str, context: str, option: str = " yes") -> Item:
    return Item(name, context, (option, " no"), 0)


def dirty(items: list[Item], rows: list[str], language: str = "en") -> set[str]:
    (found,) = overlaps({("t", language): items}, rows)
    assert found.items == len(items)
    return set(found.dirty)


def sentence(start: int, stop: int) -> str:
    return " ".join(WORDS[start:stop])


def test_thirteen_words_in_a_row_are_an_overlap_and_twelve_are_not() -> None:
    question = item("q", sentence(0, 20))
    assert dirty([question], [f"something before {sentence(4, 17)} and after"]) == {"q"}
    assert dirty([question], [f"something before {sentence(4, 16)} and after"]) == set()


def test_case_punctuation_and_lines_do_not_hide_a_text() -> None:
    question = item("q", sentence(0, 14))
    row = ", ".join(WORDS[:7]).upper() + "!\n«" + sentence(7, 14) + "»"
    assert dirty([question], [row]) == {"q"}


@pytest.mark.parametrize(("language", "told"), [("th", THAI), ("zh", CHINESE), ("ar", ARABIC)])
def test_every_script_has_its_own_unit(language: str, told: str) -> None:
    question = item("q", told)
    assert dirty([question], [f"abc {told} xyz"], language) == {"q"}
    assert dirty([question], [told[: len(told) // 6], told[-len(told) // 6 :]], language) == set()


def test_a_short_text_has_to_be_there_as_a_whole() -> None:
    question = item("q", sentence(0, 9))
    assert dirty([question], [sentence(0, 9)]) == {"q"}
    assert dirty([question], [sentence(0, 8)]) == set()


def test_the_right_answer_counts_and_a_wrong_one_does_not() -> None:
    right = Item("right", "?", (sentence(0, 15), "no"), 0)
    wrong = Item("wrong", "?", (sentence(20, 35), "yes"), 1)
    assert dirty([right, wrong], [sentence(0, 15), sentence(20, 35)]) == {"right"}


def test_a_text_that_is_too_short_says_so() -> None:
    (found,) = overlaps({("xcopa", "et"): [item("a", "too short"), item("b", sentence(0, 9))]}, [])
    assert found.short == {"a"}
    assert (found.task, found.language) == ("xcopa", "et")


def test_the_words_of_a_prompt_are_nobodys_overlap() -> None:
    prompt = sentence(0, 15)
    own = [" ".join(f"own{n}x{k}" for k in range(15)) for n in range(30)]
    items = [item(str(n), f"{prompt} {words}") for n, words in enumerate(own)]
    assert dirty(items, [f"{prompt} whatever follows"]) == set()
    assert dirty(items, [f"{prompt} whatever follows", own[7]]) == {"7"}


def test_rows_are_streamed_past_items_of_all_tasks() -> None:
    def rows() -> Iterator[str]:
        yield sentence(0, 14)
        yield THAI

    parts = {
        ("a", "en"): [item("1", sentence(0, 14))],
        ("b", "th"): [item("1", THAI), item("2", CHINESE)],
    }
    first, second = overlaps(parts, rows())
    assert (set(first.dirty), set(second.dirty)) == ({"1"}, {"1"})


def test_the_rows_of_a_workspace_are_those_it_trains_on(
    make_workspace: Callable[..., Workspace],
) -> None:
    long = sentence(0, 20)
    rows = [("held out", "", "x")] * 3 + [("ask", long, "answer")]
    workspace = make_workspace("vi,zh", rows={"vi": rows})
    found = list(training_rows(workspace))
    assert any(long in row for row in found)
    assert not any("held out" in row for row in found)
    items = {("t", "vi"): [item("q", long), item("short", "a b"), item("clean", sentence(20, 40))]}
    met = met_in_training(workspace, items)
    assert dirty_of(met) == {("t", "vi"): frozenset({"q"})}
    assert list(notes_of(met)) == [
        "t vi: 1 of 3 items stand in the training rows; 1 are too short to tell"
    ]


def test_languages_without_training_rows_are_told(make_workspace: Callable[..., Workspace]) -> None:
    workspace = make_workspace("vi,zh,km", rows={"zh": []})
    workspace.split("km", "train").unlink()
    assert without_rows(workspace) == ["zh", "km"]
    assert len(list(training_rows(workspace))) == 12, "those that are there are read"

"""What a sentence is about, in 52 languages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian import languages
from bactrian.errors import DataError
from bactrian.evaluate.tasks import BLANK
from bactrian.evaluate.tasks.finding import blank, items

MakeTask = Callable[..., Any]
HEADER = "index_id\tsplit\tcategory\ttext\n"


@pytest.mark.parametrize("name", ["km.tsv", "khm_Khmr.tsv"])
def test_a_sentence_is_asked_in_these_very_words(
    make_task: MakeTask, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text(HEADER + "1\ttrain\thealth\tx\n5\ttest\tsports\tកីឡា។\n")
    task = make_task("sib200", "km")
    (found,) = items(task, languages.get("km"))
    assert (found.id, found.context, found.gold) == ("5", "កីឡា។\nប្រធានបទ:", 3)
    assert found.options[found.gold] == " កីឡា"
    assert len(found.options) == 7
    empty = blank(task, languages.get("km"))
    assert empty is not None
    assert (empty.id, empty.context, empty.options) == (BLANK, "ប្រធានបទ:", found.options)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("5\ttest\tmusic\tx\n", "category is 'music', none of science/technology, travel"),
        ("x\ttest\tsports\tx\n", "index_id is 'x', no whole number"),
        ("5\ttest\tsports\n", "3 columns, not 4"),
    ],
)
def test_a_malformed_line_is_named(
    make_task: MakeTask, tmp_path: Path, line: str, problem: str
) -> None:
    (tmp_path / "vi.tsv").write_text(HEADER + line)
    with pytest.raises(DataError, match=f"line 2: {problem}"):
        list(items(make_task("sib200", "vi"), languages.get("vi")))


def test_all_52_languages_ask_the_same_204(make_task: MakeTask, shared: Any) -> None:
    task = make_task("sib200", data=shared("flores_sib200"))
    found = {language.code: list(items(task, language)) for language in task.languages()}
    assert len(found) == 52
    first = [(item.id, item.gold) for item in found["en"]]
    assert len(first) == 204
    assert Counter(gold for _, gold in first) == {0: 51, 1: 40, 2: 30, 3: 25, 4: 22, 5: 19, 6: 17}
    for several in found.values():
        assert [(item.id, item.gold) for item in several] == first

"""Sentences by themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bactrian import languages
from bactrian.evaluate.tasks import Item, Rules
from bactrian.evaluate.tasks.finding import blank, items

MakeTask = Callable[..., Any]


def test_a_sentence_stands_after_nothing(make_task: MakeTask, tmp_path: Path) -> None:
    lines = "1\ttrain\thealth\tก\n5\ttest\tsports\tข\n"
    (tmp_path / "th.tsv").write_text("index_id\tsplit\tcategory\ttext\n" + lines)
    thai = languages.get("th")
    task = make_task("flores", "th")
    assert list(items(task, thai)) == [Item("5", "", ("ข",))]
    assert task.rules == Rules("bits_per_byte", "together", (("prompt", "none"), ("split", "test")))
    assert blank(task, thai) is None
    every = make_task("flores:all", "th")
    assert (every.name, [item.id for item in items(every, thai)]) == ("flores:all", ["1", "5"])


def test_every_sentence_of_every_language_is_there(make_task: MakeTask, shared: Any) -> None:
    task = make_task("flores:all", data=shared("flores_sib200"))
    told = task.languages()
    assert len(told) == 52
    for code in ("km", "ps", "zh"):
        assert sum(1 for _ in items(task, languages.get(code))) == 1004

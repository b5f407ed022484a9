"""The file of answers: kept, told apart by who wrote them, never written over."""

from __future__ import annotations

from pathlib import Path

import pytest

from bactrian.errors import RunError
from bactrian.evaluate.confusion.answers import Written, open_answers

ANSWER = Written("1", "ភ្នំពេញ\n北京", 7, True)


def test_answers_are_there_after_closing_and_stay_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "results" / "answers.sqlite"
    with open_answers(path) as answers:
        answers.put("base", "asked", [ANSWER])
    with open_answers(path) as answers:
        answers.put("base", "asked", [Written("1", "another", 1, False)])
        assert answers.get("base", "asked") == {"1": ANSWER}
        assert answers.get("adapter", "asked") == {}
        assert answers.get("base", "other prompts") == {}


def test_a_file_that_is_none_is_refused_with_the_next_step(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    path.write_bytes(b"no database at all, but longer than its header is" * 9)
    with pytest.raises(RunError, match="has no answers"), open_answers(path):
        pass

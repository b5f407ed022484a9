"""Languages, places and limits, the same for every benchmark."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian import events, languages
from bactrian.errors import ConfigError
from bactrian.evaluate.tasks.reading import Hub, Record

MakeTask = Callable[..., Any]


class Heard:
    """Keeps what is said."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def see(self, event: Any) -> None:
        self.texts.append(str(event.facts.get("text", "")))


def codes(task: Any) -> list[str]:
    return [language.code for language in task.languages()]


def put(folder: Path, *names: str) -> None:
    told = {"premise": "P.", "choice1": "A.", "choice2": "B.", "question": "cause", "label": 0}
    for name in names:
        (folder / f"{name}.jsonl").write_text(json.dumps({**told, "idx": 0}))


def test_languages_are_those_named_else_those_of_the_recipe(make_task: MakeTask) -> None:
    assert codes(make_task("xcopa", "km", languages="zh,et,th")) == ["zh", "et", "th"]
    with events.reading(heard := Heard()):
        assert codes(make_task("xcopa", "zh,km,vi")) == ["zh", "vi"]
    assert heard.texts == ["xcopa: not in km"]
    assert codes(make_task("xcopa:letter", "km", languages="zh")) == ["zh"]


@pytest.mark.parametrize(
    ("told", "languages", "problem"),
    [
        ("zh", "zh,km", r"xcopa has no Khmer \(km\)"),
        ("km,my", "", "xcopa has none of the recipe's languages"),
        ("all", "", "there are no data of xcopa in any language"),
    ],
)
def test_a_language_that_it_does_not_have_is_refused(
    make_task: MakeTask, told: str, languages: str, problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        make_task("xcopa", told, languages=languages).languages()


@pytest.mark.parametrize("how", ["recipe", "task"])
def test_all_is_every_language_of_the_task_that_is_at_hand(
    make_task: MakeTask, tmp_path: Path, how: str
) -> None:
    put(tmp_path, "ht", "zh")
    told = ("all", "") if how == "recipe" else ("km", "all")
    with events.reading(heard := Heard()):
        found = codes(make_task("xcopa", told[0], languages=told[1]))
    assert found == ["ht", "zh"]
    assert "xcopa: no data for et, it, id, qu, sw, ta, th, tr, vi" in heard.texts


def test_the_limit_counts_questions_of_a_language(make_task: MakeTask, shared: Any) -> None:
    task = make_task("exams", limit=3, data=shared("exams"))
    assert [len(list(task.items(language))) for language in task.languages()] == [3] * 12


def test_where_the_data_lie_has_to_be_said(make_task: MakeTask) -> None:
    with pytest.raises(ConfigError, match="does not say where the data of exams lie") as caught:
        make_task("exams", "bg", data="").folder()
    assert caught.value.hint == '[eval.data] exams = "folder", or "hub" with network = true'
    with pytest.raises(ConfigError, match="does not say where") as caught:
        make_task("sentimentx", "ru", data="").folder()
    assert caught.value.hint == '[eval.data] sentimentx = "folder"'


def test_the_hub_needs_the_network_and_the_benchmark_on_it(make_task: MakeTask) -> None:
    with pytest.raises(ConfigError, match="needs the network"):
        make_task("exams", "bg", data="hub").folder()
    assert make_task("exams", "bg", data="hub", network=True).folder() is None
    task = make_task("sentimentx", "ru", data="hub", network=True)
    with pytest.raises(ConfigError, match="sentimentx is not on the Hub"):
        task.questions(task.languages()[0])


@pytest.mark.parametrize(
    ("name", "language", "places"),
    [
        ("xcopa", "th", [("cambridgeltl/xcopa", "th", "test")]),
        ("xstorycloze", "my", [("juletxara/xstory_cloze", "my", "eval")]),
        ("xwinograd", "ja", [("Muennighoff/xwinograd", "jp", "test")]),
        ("sib200", "fa", [("Davlan/sib200", "pes_Arab", "test")]),
        ("flores", "zh", [("Davlan/sib200", "zho_Hans", "test")]),
        (
            "flores:all",
            "km",
            [("Davlan/sib200", "khm_Khmr", split) for split in ("train", "validation", "test")],
        ),
        (
            "exams",
            "mk",
            [
                ("mhardalov/exams", "multilingual", split)
                for split in ("train", "validation", "test")
            ],
        ),
    ],
)
def test_each_is_asked_of_the_hub_by_the_names_it_has_there(
    make_task: MakeTask,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    language: str,
    places: list[tuple[str, str, str]],
) -> None:
    asked: list[tuple[str, str, str]] = []

    def fake(place: Hub) -> list[Record]:
        asked.append((place.id, place.config, place.split))
        return []

    task = make_task(name, language, data="hub", network=True)
    monkeypatch.setattr(sys.modules[type(task).__module__], "from_hub", fake)
    assert list(task.items(languages.get(language))) == []
    assert asked == places

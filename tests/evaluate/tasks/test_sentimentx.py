"""Labels in the language, the paper's sizes, and a sample that is the same everywhere."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian import languages
from bactrian.errors import DataError
from bactrian.evaluate.tasks import BLANK, Item
from bactrian.evaluate.tasks.finding import blank, items

MakeTask = Callable[..., Any]


def asked(task: Any, language: str) -> list[Item]:
    return list(items(task, languages.get(language)))


def put(path: Path, *told: dict[str, Any]) -> None:
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in told), "utf-8")


def row(id: str = "1", label: str = "neutral", **more: Any) -> dict[str, Any]:
    told = {"lang": "ja", "source": "jrte-pn", "split": "test", "text": f"駅{id}。"}
    return {**told, "id": id, "label": label, **more}


def test_a_text_is_asked_in_these_very_words(make_task: MakeTask, tmp_path: Path) -> None:
    put(tmp_path / "all.jsonl", row(), row("2", split="train"), row("3", lang="en"))
    (found,) = asked(make_task("sentimentx"), "ja")
    assert found.context == "駅1。\n感情："
    assert found.options == found.texts == ("肯定的", "中立的", "否定的")
    assert (found.id, found.gold, found.cluster) == ("1", 1, "")


def test_the_labels_are_asked_after_nothing_as_well(make_task: MakeTask) -> None:
    task = make_task("sentimentx")
    found = blank(task, languages.get("ru"))
    assert found is not None
    assert (found.id, found.context) == (BLANK, "Тональность:")
    assert found.options == (" положительная", " нейтральная", " отрицательная")
    assert task.rules.metric == "f1"


def test_nusax_is_parallel_and_sources_keep_their_ids_apart(
    make_task: MakeTask, tmp_path: Path
) -> None:
    nusax = [row("7", lang=code, source="nusax") for code in ("jav", "sun", "id")]
    tass = [row("7", lang="es", split="dev", source=f"tass2020-{place}") for place in ("cr", "pe")]
    put(tmp_path / "all.jsonl", *nusax, *tass)
    task = make_task("sentimentx")
    for code in ("jv", "su", "id"):
        assert [(item.id, item.cluster) for item in asked(task, code)] == [("7", "nusax/7")]
    assert [item.id for item in asked(task, "es")] == ["tass2020-cr/7", "tass2020-pe/7"]


def test_a_file_of_ones_own_is_read(make_task: MakeTask, tmp_path: Path) -> None:
    put(tmp_path / "sw.jsonl", {"id": "a", "text": "Nzuri", "label": "positive"})
    (found,) = asked(make_task("sentimentx"), "sw")
    assert (found.context, found.gold) == ("Nzuri\nHisia:", 0)
    put(tmp_path / "sw.jsonl", {"id": "a", "text": "Nzuri", "label": "good"})
    with pytest.raises(DataError, match="label is 'good', none of positive, neutral, negative"):
        asked(make_task("sentimentx"), "sw")


def test_the_sample_does_not_depend_on_the_order_of_the_lines(
    make_task: MakeTask, tmp_path: Path
) -> None:
    told = [row(str(number), lang="ru", source="SentiRuEval-2016-banks") for number in range(1500)]
    put(tmp_path / "all.jsonl", *told)
    first = asked(make_task("sentimentx"), "ru")
    put(tmp_path / "all.jsonl", *reversed(told))
    second = asked(make_task("sentimentx"), "ru")
    assert len(first) == 1000
    assert first == second[::-1]


SIZES = {
    "ar": (619, (257, 191, 171)),
    "en": (400, (151, 96, 153)),
    "es": (1000, None),
    "id": (400, (151, 96, 153)),
    "ja": (553, (336, 139, 78)),
    "jv": (400, (151, 96, 153)),
    "ru": (1000, None),
    "su": (400, (151, 96, 153)),
    "sw": (748, (224, 444, 80)),
}
SAMPLES = {"es": "e0a9e6c7a8e144d6", "ru": "e52a64c89d2d336f"}
"""Hash of the ids that are asked, in their order: another sample is another benchmark."""


def test_the_real_sets_have_the_papers_sizes(make_task: MakeTask, shared: Any) -> None:
    task = make_task("sentimentx", data=shared("sentimentx"))
    assert [language.code for language in task.languages()] == sorted(SIZES)
    for code, (size, by_label) in SIZES.items():
        found = asked(task, code)
        assert len(found) == size
        if by_label:
            assert Counter(item.gold for item in found) == dict(enumerate(by_label))


@pytest.mark.parametrize("code", sorted(SAMPLES))
def test_the_sample_is_the_published_one(make_task: MakeTask, shared: Any, code: str) -> None:
    found = asked(make_task("sentimentx", data=shared("sentimentx")), code)
    ids = "\n".join(item.id for item in found)
    assert hashlib.blake2b(ids.encode(), digest_size=8).hexdigest() == SAMPLES[code]

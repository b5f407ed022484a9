"""The exact strings of XCOPA's questions, lm-eval's beside ours, and files not in order."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian import languages
from bactrian.errors import BactrianError, DataError
from bactrian.evaluate.tasks import Item, Rules, wording

MakeTask = Callable[..., Any]
WORDS = wording.builtin("xcopa").words


def record(**fields: Any) -> dict[str, Any]:
    told = {"premise": "P.", "choice1": "One.", "choice2": "Two.", "question": "cause"}
    return {**told, "label": 1, "idx": 7, **fields}


def put(folder: Path, language: str, *records: dict[str, Any]) -> None:
    lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records)
    (folder / f"{language}.jsonl").write_text(lines, "utf-8")


def asked(task: Any, language: str) -> list[Item]:
    return list(task.items(languages.get(language)))


TABLE = [
    # language, premise, question, choice1, context, first option
    (
        "zh",
        "我的身体在草地上投下阴影。",
        "cause",
        "太阳升起了。",
        "我的身体在草地上投下阴影，因为",
        "太阳升起了。",
    ),
    ("zh", "男子打开了水龙头。", "effect", "水流了。", "男子打开了水龙头，所以", "水流了。"),
    (
        "th",  # no full stop: the premise keeps its last letter
        "ร่างของฉันทอดเงาลงบนพื้นหญ้า",
        "cause",
        "พระอาทิตย์กำลังขึ้น",
        "ร่างของฉันทอดเงาลงบนพื้นหญ้าเพราะ",
        "พระอาทิตย์กำลังขึ้น",
    ),
    ("th", "เขาเปิดก๊อกน้ำ", "effect", "น้ำไหล", "เขาเปิดก๊อกน้ำดังนั้น", "น้ำไหล"),
    (
        "et",
        "Mu keha heitis rohule varju.",
        "cause",
        "Päike oli tõusmas.",
        "Mu keha heitis rohule varju sest",
        " päike oli tõusmas.",
    ),
    (
        "et",
        "Mees keeras kraani lahti!",
        "effect",
        "Õhk puhus.",
        "Mees keeras kraani lahti seetõttu",
        " õhk puhus.",
    ),
    ("tr", "Kapı açıldı.", "cause", "Işık yandı.", "Kapı açıldı çünkü", " ışık yandı."),
    (
        "tr",
        "Kapı açıldı.",
        "effect",
        "İnsanlar girdi.",
        "Kapı açıldı bu yüzden",
        " insanlar girdi.",
    ),
    ("ta", "அவன் வந்தான்", "cause", "மழை.", "அவன் வந்தான் காரணமாக", " மழை."),
    ("it", " La porta . ", "cause", " Io. ", "La porta perché", " io."),
]


@pytest.mark.parametrize(("language", "premise", "question", "choice", "context", "option"), TABLE)
def test_a_question_is_asked_in_these_very_words(
    make_task: MakeTask,
    tmp_path: Path,
    language: str,
    premise: str,
    question: str,
    choice: str,
    context: str,
    option: str,
) -> None:
    put(tmp_path, language, record(premise=premise, question=question, choice1=choice))
    (found,) = asked(make_task("xcopa", language), language)
    assert (found.context, found.options[0]) == (context, option)
    assert found.texts[0] == option.strip()
    assert (found.id, found.gold, len(found.options), found.cluster) == ("7", 1, 2, "7")


def test_letter_and_hybrid_show_the_options(make_task: MakeTask, tmp_path: Path) -> None:
    put(tmp_path, "th", record(premise="ก", choice1="ข", choice2="ค"))
    put(tmp_path, "zh", record(premise="甲。", choice1="乙。", choice2="丙。"))
    (letter,) = asked(make_task("xcopa:letter"), "th")
    assert letter.context == "กเพราะ\nA. ข\nB. ค\nคำตอบ:"
    assert (letter.options, letter.texts) == ((" A", " B"), ("A", "B"))
    (hybrid,) = asked(make_task("xcopa:hybrid"), "zh")
    assert hybrid.context == "甲，因为\nA. 乙。\nB. 丙。\n答案："
    assert hybrid.options == ("乙。", "丙。")


def test_the_rules_say_how_it_is_asked(make_task: MakeTask) -> None:
    words = ("words", wording.builtin("xcopa").mark)
    task = make_task("xcopa:letter")
    facts = (("prompt", "native-1"), words, ("form", "letter"), ("shots", "0"))
    assert task.rules == Rules("acc", "together", facts)
    assert task.parallel
    assert dict(make_task("xcopa@lm-eval").rules.facts)["prompt"] == "lm-eval-1.0"


def test_the_languages_are_those_of_the_benchmark() -> None:
    assert set(WORDS) == {"et", "ht", "id", "it", "qu", "sw", "ta", "th", "tr", "vi", "zh"}


# -- as lm-evaluation-harness has it ----------------------------------------------------------

FAULTS = [
    # language, premise, choice, what lm-eval 0.4.13 makes of them
    ("th", "เขาเปิดก๊อกน้ำ", "น้ำไหล", "เขาเปิดก๊อกน้ เพราะ", " น้ำไหล"),
    ("ta", "அவன் வந்தான்", "மழை.", "அவன் வந்தான காரணமாக", " மழை."),
    ("tr", "Kapı açıldı.", "Işık yandı.", "Kapı açıldı çünkü", " işık yandı."),
    ("tr", "Kapı açıldı.", "İnsan.", "Kapı açıldı çünkü", " i̇nsan."),
    ("zh", "水流了。", "他笑了。", "水流了 因为", " 他笑了。"),
]


@pytest.mark.parametrize(("language", "premise", "choice", "context", "option"), FAULTS)
def test_the_other_protocol_keeps_the_faults(
    make_task: MakeTask,
    tmp_path: Path,
    language: str,
    premise: str,
    choice: str,
    context: str,
    option: str,
) -> None:
    put(tmp_path, language, record(premise=premise, choice1=choice))
    (found,) = asked(make_task("xcopa@lm-eval", language), language)
    assert found.pairs()[0] == (context, option)
    assert found.texts[0] == option[1:], "acc_norm divides by the length without the space"


@pytest.mark.parametrize("language", sorted(WORDS))
def test_every_string_is_lm_evals_own(
    make_task: MakeTask, shared: Any, harness: Any, tmp_path: Path, language: str
) -> None:
    theirs = harness("xcopa")
    (path,) = sorted((shared("xcopa") / "data" / language).glob(f"*.{language}.jsonl"))[:1]
    (tmp_path / f"{language}.jsonl").write_bytes(path.read_bytes())
    ours = asked(make_task("xcopa@lm-eval", language), language)
    told = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert len(ours) == len(told) >= 100
    for found, document in zip(ours, told, strict=True):
        context = theirs[f"doc_to_text_{language}"](document)
        choices = theirs["doc_to_choice"](document)
        assert found.pairs() == tuple((context, f" {choice}") for choice in choices)
        assert (found.texts, found.gold) == (tuple(choices), document["label"])


@pytest.mark.parametrize("language", sorted(WORDS))
def test_the_real_questions_are_whole(
    make_task: MakeTask, shared: Any, tmp_path: Path, language: str
) -> None:
    (path,) = sorted((shared("xcopa") / "data" / language).glob(f"*.{language}.jsonl"))[:1]
    (tmp_path / f"{language}.jsonl").write_bytes(path.read_bytes())
    lines = path.read_text("utf-8").splitlines()
    words = WORDS[language]
    for found, line in zip(asked(make_task("xcopa", language), language), lines, strict=True):
        told = json.loads(line)
        stem = found.context.removesuffix(words["before"] + words[told["question"]])
        assert stem.rstrip() == stem
        assert told["premise"].strip().startswith(stem)
        assert len(told["premise"].strip()) - len(stem) <= 2, "at most a full stop is gone"
        assert not any(option.endswith(" ") for option in found.options)


# -- files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["zh.jsonl", "zh/test.zh.jsonl", "data/zh/test.zh.jsonl"])
def test_every_way_of_keeping_the_files_is_read(
    make_task: MakeTask, tmp_path: Path, place: str
) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record(idx=number)) + "\n" for number in range(5)))
    assert [found.id for found in asked(make_task("xcopa"), "zh")] == ["0", "1", "2", "3", "4"]
    assert len(asked(make_task("xcopa", limit=2), "zh")) == 2


MALFORMED = [
    (b'{"premise": ', "no JSON"),
    (b"[1]\n", "this is no record"),
    (b"\xff\xfe\n", "not UTF-8"),
    (json.dumps({"premise": "P."}).encode(), "question is lacking"),
    (json.dumps(record(label=-1)).encode(), "label is -1, neither 0 nor 1"),
    (json.dumps(record(label=None)).encode(), "label is None, no whole number"),
    (json.dumps(record(question="why")).encode(), "question is 'why', neither cause nor effect"),
    (json.dumps(record(premise=" ")).encode(), "premise is no text"),
    (json.dumps(record(choice2=None)).encode(), "choice2 is no text"),
]


@pytest.mark.parametrize(("line", "problem"), MALFORMED)
def test_a_malformed_line_is_named(
    make_task: MakeTask, tmp_path: Path, line: bytes, problem: str
) -> None:
    path = tmp_path / "zh.jsonl"
    path.write_bytes(json.dumps(record()).encode() + b"\n" + line)
    with pytest.raises(DataError) as caught:
        asked(make_task("xcopa"), "zh")
    assert caught.value.problem.startswith(f"{path}, line 2: {problem}")


@pytest.mark.parametrize(("data", "problem"), [("", "does not say where"), ("x", "no xcopa in")])
def test_data_that_is_nowhere_is_told(make_task: MakeTask, data: str, problem: str) -> None:
    with pytest.raises(BactrianError, match=problem):
        asked(make_task("xcopa", "zh", data=data), "zh")

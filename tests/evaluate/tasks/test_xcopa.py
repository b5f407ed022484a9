"""The exact strings of XCOPA's questions, and files that are not in order."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian import languages
from bactrian.errors import BactrianError, ConfigError, DataError
from bactrian.evaluate.tasks.xcopa import Xcopa, item, prompts
from bactrian.recipe import Eval, Recipe
from bactrian.workspace import Workspace

SHARED = Path(__file__).parents[4] / "shared" / "data" / "xcopa" / "data"


def record(**fields: Any) -> dict[str, Any]:
    told = {"premise": "P.", "choice1": "One.", "choice2": "Two.", "question": "cause"}
    return {**told, "label": 1, "idx": 7, **fields}


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
    language: str, premise: str, question: str, choice: str, context: str, option: str
) -> None:
    told = record(premise=premise, question=question, choice1=choice)
    found = item(told, prompts()[1][language], language)
    assert (found.context, found.options[0]) == (context, option)
    assert found.texts[0] == option.strip()
    assert (found.id, found.gold, len(found.options)) == ("7", 1, 2)


def test_the_languages_are_those_of_the_benchmark() -> None:
    assert set(prompts()[1]) == {"et", "ht", "id", "it", "qu", "sw", "ta", "th", "tr", "vi", "zh"}


@pytest.mark.parametrize("language", sorted(prompts()[1]))
def test_the_real_questions_are_whole(language: str) -> None:
    paths = sorted((SHARED / language).glob(f"*.{language}.jsonl"))
    if not paths:
        pytest.skip(f"real data is not beside the repository: XCOPA in {language}")
    lines = [line for path in paths for line in path.read_text("utf-8").splitlines()]
    words = prompts()[1][language]
    for line in lines:
        told = json.loads(line)
        found = item(told, words, language)
        stem = found.context.removesuffix(words.before + words.of(told["question"]))
        assert stem.rstrip() == stem
        assert told["premise"].strip().startswith(stem)
        assert len(told["premise"].strip()) - len(stem) <= 2, "at most a full stop is gone"
        assert not any(option.endswith(" ") for option in found.options)
    assert len(lines) in (100, 500, 600)


MakeTask = Callable[..., Xcopa]


@pytest.fixture
def make_task(tmp_path: Path) -> MakeTask:
    def make(spec: str = "", *, told: str = "zh,vi", data: str = "xcopa", limit: int = 0) -> Xcopa:
        recipe = Recipe(
            languages=told,
            limit=limit,
            eval=Eval(
                languages={"xcopa": spec} if spec else {}, data={"xcopa": data} if data else {}
            ),
        )
        return Xcopa(Workspace(tmp_path, recipe, tmp_path))

    return make


def test_languages_are_those_named_or_those_it_has(make_task: MakeTask) -> None:
    def codes(task: Xcopa) -> list[str]:
        return [language.code for language in task.languages()]

    assert codes(make_task("zh,et,th")) == ["zh", "et", "th"]
    assert codes(make_task(told="zh,km,vi")) == ["zh", "vi"]
    with pytest.raises(ConfigError, match=r"xcopa has no Khmer \(km\)") as caught:
        make_task("zh,km").languages()
    assert "zh" in caught.value.hint


@pytest.mark.parametrize("place", ["zh.jsonl", "zh/test.zh.jsonl"])
def test_both_ways_of_keeping_the_files_are_read(
    make_task: MakeTask, tmp_path: Path, place: str
) -> None:
    path = tmp_path / "xcopa" / place
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(record(idx=number)) + "\n" for number in range(5)))
    items = list(make_task().items(languages.get("zh")))
    assert [found.id for found in items] == ["0", "1", "2", "3", "4"]
    assert len(list(make_task(limit=2).items(languages.get("zh")))) == 2


MALFORMED = [
    (b'{"premise": ', "Expecting value"),
    (b"\n", "Expecting value"),
    (b"[1]\n", "this is no record"),
    (b"7\n", "this is no record"),
    (b'"premise"\n', "this is no record"),
    (b"\xff\xfe\n", "not UTF-8"),
    (json.dumps({"premise": "P."}).encode(), "choice1 is lacking"),
    (json.dumps(record(label=-1)).encode(), "label is -1, neither 0 nor 1"),
    (json.dumps(record(label="0")).encode(), "label is '0', neither 0 nor 1"),
    (json.dumps(record(question="why")).encode(), "question is 'why', neither cause nor effect"),
    (json.dumps(record(premise=" ")).encode(), "premise is no text"),
    (json.dumps(record(choice2=None)).encode(), "choice2 is no text"),
]


@pytest.mark.parametrize(("line", "problem"), MALFORMED)
def test_a_malformed_line_is_named(
    make_task: MakeTask, tmp_path: Path, line: bytes, problem: str
) -> None:
    path = tmp_path / "xcopa" / "zh.jsonl"
    path.parent.mkdir()
    path.write_bytes(json.dumps(record()).encode() + b"\n" + line)
    with pytest.raises(DataError) as caught:
        list(make_task().items(languages.get("zh")))
    assert caught.value.problem.startswith(f"{path}, line 2: {problem}")


@pytest.mark.parametrize(("data", "problem"), [("", "does not say where"), ("x", "no XCOPA in")])
def test_data_that_is_nowhere_is_told(make_task: MakeTask, data: str, problem: str) -> None:
    with pytest.raises(BactrianError, match=problem):
        list(make_task(data=data).items(languages.get("zh")))

"""Four sentences and two endings, in both layouts and both protocols."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian import languages
from bactrian.errors import DataError
from bactrian.evaluate.tasks import Item

MakeTask = Callable[..., Any]
HEADER = (
    "InputStoryid\tInputSentence1\tInputSentence2\tInputSentence3\tInputSentence4\t"
    "RandomFifthSentenceQuiz1\tRandomFifthSentenceQuiz2\tAnswerRightEnding\n"
)


def asked(task: Any, language: str) -> list[Item]:
    return list(task.items(languages.get(language)))


def story(*sentences: str, answer: int = 2) -> dict[str, Any]:
    keys = [f"input_sentence_{number}" for number in range(1, 5)]
    keys += ["sentence_quiz1", "sentence_quiz2"]
    return {
        "story_id": "s1",
        **dict(zip(keys, sentences, strict=True)),
        "answer_right_ending": answer,
    }


ZH = story("一。", "二。", "三。", "四。", "五。", "六。")
MY = story("က။", "ခ။", "ဂ။", "ဃ။", "င။", "စ။")


@pytest.mark.parametrize(
    ("name", "told", "language", "context", "options"),
    [
        ("xstorycloze", ZH, "zh", "一。二。三。四。", ("五。", "六。")),
        ("xstorycloze@lm-eval", ZH, "zh", "一。 二。 三。 四。", (" 五。", " 六。")),
        ("xstorycloze", MY, "my", "က။ ခ။ ဂ။ ဃ။", (" င။", " စ။")),
        (
            "xstorycloze:letter",
            ZH,
            "zh",
            "一。二。三。四。\nA. 五。\nB. 六。\n答案：",
            ("A", "B"),
        ),
        (
            "xstorycloze:hybrid",
            MY,
            "my",
            "က။ ခ။ ဂ။ ဃ။\nA. င။\nB. စ။\nအဖြေ:",
            (" င။", " စ။"),
        ),
    ],
)
def test_a_story_is_told_in_these_very_words(
    make_task: MakeTask,
    tmp_path: Path,
    name: str,
    told: dict[str, Any],
    language: str,
    context: str,
    options: tuple[str, ...],
) -> None:
    (tmp_path / f"{language}.jsonl").write_text(json.dumps(told))
    (found,) = asked(make_task(name), language)
    assert (found.id, found.gold, found.cluster) == ("s1", 1, "s1")
    assert (found.context, found.options) == (context, options)


@pytest.mark.parametrize(
    "name", ["ar.tsv", "spring2016.val.ar.tsv.split_20_80_eval.tsv", "storycloze.ar.20.tsv"]
)
def test_the_published_table_is_read(make_task: MakeTask, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(HEADER + 'x\tA "b.\tB.\tC.\tD.\tE.\tF.\t1\n')
    (found,) = asked(make_task("xstorycloze"), "ar")
    assert (found.context, found.gold) == ('A "b. B. C. D.', 0)


def test_the_english_sample_is_read(make_task: MakeTask, shared: Any) -> None:
    task = make_task("xstorycloze", "en", data=shared("storycloze_en"))
    found = asked(task, "en")
    assert len(found) == 200
    assert {item.gold for item in found} == {0, 1}
    first = next(iter(found))
    assert first.context.startswith("Rick grew up in a troubled household. He never found")
    assert first.options == (" He is happy now.", " He joined a gang.")


def test_the_languages_are_the_papers_ten_and_english(make_task: MakeTask) -> None:
    told = make_task("xstorycloze", languages="ar,es,eu,hi,id,my,ru,sw,te,zh,en").languages()
    assert len(told) == 11


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("x\tA.\tB.\tC.\tD.\tE.\tF.\t3\n", "AnswerRightEnding is 3, neither 1 nor 2"),
        ("x\tA.\tB.\tC.\tD.\tE.\tF.\t\n", "AnswerRightEnding is '', no whole number"),
        ("x\tA.\tB.\t\tD.\tE.\tF.\t1\n", "InputSentence3 is no text"),
        ("x\tA.\tB.\n", "3 columns, not 8"),
    ],
)
def test_a_malformed_story_is_named(
    make_task: MakeTask, tmp_path: Path, line: str, problem: str
) -> None:
    (tmp_path / "ar.tsv").write_text(HEADER + line)
    with pytest.raises(DataError, match=f"line 2: {problem}"):
        asked(make_task("xstorycloze"), "ar")


def test_every_string_is_lm_evals_own(make_task: MakeTask, tmp_path: Path) -> None:
    """Its YAML file rendered by jinja, spaces at the ends and all."""
    from importlib.util import find_spec

    jinja2, yaml = pytest.importorskip("jinja2"), pytest.importorskip("yaml")
    spec = find_spec("lm_eval")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("lm_eval is not installed")
    path = Path(spec.submodule_search_locations[0], "tasks", "xstorycloze", "default_ar.yaml")
    theirs = yaml.safe_load(path.read_text("utf-8"))
    told = story(" 一。", "二。 ", "三 {{x}}。", "四。\u3000", "五。 ", " 六。", answer=1)
    (tmp_path / "zh.jsonl").write_text(json.dumps(told))
    (found,) = asked(make_task("xstorycloze@lm-eval"), "zh")
    context = jinja2.Template(theirs["doc_to_text"], keep_trailing_newline=True).render(told)
    endings = (told["sentence_quiz1"], told["sentence_quiz2"])
    assert found.pairs() == tuple((context, f" {ending}") for ending in endings)
    assert str(found.gold) == jinja2.Template(theirs["doc_to_target"]).render(told)

"""What stands after the name of a task."""

from __future__ import annotations

import pytest

from bactrian.errors import ConfigError
from bactrian.evaluate.tasks.naming import FORMS, Variant, parts, variant

BOTH = ("native", "lm-eval")


@pytest.mark.parametrize(
    ("name", "stem", "told"),
    [
        ("xcopa", "xcopa", ""),
        ("held-out", "held-out", ""),
        ("exams:letter", "exams", ":letter"),
        ("xcopa@lm-eval", "xcopa", "@lm-eval"),
        ("xcopa:cloze@lm-eval", "xcopa", ":cloze@lm-eval"),
        ("lm_eval:belebele_tam_Taml", "lm_eval", ":belebele_tam_Taml"),
        ("lm_eval:a@b:c", "lm_eval", ":a@b:c"),
    ],
)
def test_a_name_is_taken_apart_at_its_first_mark(name: str, stem: str, told: str) -> None:
    assert parts(name) == (stem, told)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("", Variant("exams", "cloze", "native")),
        (":cloze", Variant("exams", "cloze", "native")),
        (":letter", Variant("exams:letter", "letter", "native")),
        ("@lm-eval", Variant("exams@lm-eval", "cloze", "lm-eval")),
        (":cloze@lm-eval", Variant("exams@lm-eval", "cloze", "lm-eval")),
        (":hybrid@native", Variant("exams:hybrid", "hybrid", "native")),
    ],
)
def test_what_is_the_default_does_not_stand_in_the_name(told: str, expected: Variant) -> None:
    assert variant("exams", told, FORMS, BOTH) == expected


@pytest.mark.parametrize(
    ("told", "problem", "hint"),
    [
        (":leter", "exams has no form leter", "did you mean letter?"),
        ("@lmeval", "exams has no protocol lmeval", "did you mean lm-eval?"),
        (":letter@lm-eval", "as a cloze only", "write exams@lm-eval"),
    ],
)
def test_what_means_nothing_gets_what_is_near(told: str, problem: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        variant("exams", told, FORMS, BOTH)
    assert caught.value.hint == hint

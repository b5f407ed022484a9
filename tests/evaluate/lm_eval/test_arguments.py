"""What stands after ``--model_args``: understood, spread over models, refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from bactrian.errors import ConfigError
from bactrian.evaluate.lm_eval.arguments import names, read, spread


def test_a_line_for_lm_evals_own_model_is_understood() -> None:
    told = read(
        {
            "pretrained": "base",
            "peft": "adapter",
            "revision": "main",
            "dtype": "float32",
            "batch_size": "auto:4",
            "max_batch_size": 64,
            "device": "cpu",
            "add_bos_token": True,
            "max_length": 512,
            "trust_remote_code": False,
        }
    )
    assert (told.peft, told.revision, told.rows) == ("adapter", "", 8)


@pytest.mark.parametrize(
    ("size", "rows"), [(1, 1), ("4", 4), (16, 16), ("auto", 8), ("auto:2", 8), (0, 1)]
)
def test_a_batch_size_is_for_answers_only(size: object, rows: int) -> None:
    assert read({"pretrained": "base", "batch_size": size}).rows == rows


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (None, ()),
        ("", ()),
        ("a", ("a",)),
        ("base; a;b;a", ("base", "a", "b")),
        (["a", "b"], ("a", "b")),
        (7, ("7",)),
    ],
)
def test_adapters_are_named_in_one_line(told: object, found: tuple[str, ...]) -> None:
    assert names(told) == found


def test_each_adapter_is_a_model_and_so_is_the_base() -> None:
    told = {"pretrained": "x", "dtype": "float32", "adapters": "base;a;b"}
    assert spread(told) == [
        {"pretrained": "x", "dtype": "float32"},
        {"pretrained": "x", "dtype": "float32", "peft": "a"},
        {"pretrained": "x", "dtype": "float32", "peft": "b"},
    ]
    assert spread({"pretrained": "x"}) == [{"pretrained": "x"}]
    assert spread({"pretrained": "x", "peft": "a"}) == [{"pretrained": "x", "peft": "a"}]
    assert read({"pretrained": "x", "adapters": "a"}).peft == "a"
    assert read({"pretrained": "x", "adapters": "base"}).peft == ""
    assert read({"pretrained": 7}).pretrained == "7"


@pytest.mark.parametrize(
    ("told", "problem", "hint"),
    [
        ({}, "model_args lack pretrained", "pretrained=FOLDER"),
        ({"pretrained": "x", "adaptors": "a"}, "unknown model argument adaptors", "adapters"),
        ({"pretrained": "x", "dtype": "float8"}, "dtype", "computed in"),
        ({"pretrained": "x", "max_length": "long"}, "max_length = 'long'", "tokens"),
        ({"pretrained": "x", "trust_remote_code": True}, "runs no code", "--model hf"),
        ({"pretrained": "x", "peft": "a", "adapters": "b"}, "both peft and adapters", "alone"),
        ({"pretrained": "x", "adapters": "a;b"}, "2 adapters are 2 models", "bactrian-lm-eval"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(
    told: dict[str, Any], problem: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(told)
    assert problem in caught.value.problem
    assert hint in caught.value.hint


def test_a_mistake_is_found_before_the_first_model_has_run() -> None:
    with pytest.raises(ConfigError, match="unknown model argument ranks"):
        spread({"pretrained": "x", "adapters": "a;b", "ranks": 4})
    with pytest.raises(ConfigError, match="both peft and adapters"):
        spread({"pretrained": "x", "adapters": "a;b", "peft": "c"})

"""What stands under [translate.options]: known keys of the right type, or an error."""

from __future__ import annotations

from typing import Any

import pytest

from bactrian.errors import ConfigError
from bactrian.providers.options import model, read
from bactrian.recipe import Translate


def test_what_is_said_takes_the_place_of_the_usual() -> None:
    section = Translate(options={"batch": 5})
    assert read(section, batch=1, context=True) == {"batch": 5, "context": True}


@pytest.mark.parametrize(
    ("options", "problem", "hint"),
    [
        ({"bach": 5}, "unknown key options.bach", "did you mean batch?"),
        ({"batch": "5"}, "options.batch = '5' is not a whole number", "it is 1"),
        ({"batch": True}, "options.batch = True is not a whole number", "it is 1"),
        ({"context": 1}, "options.context = 1 is not true or false", "it is True"),
        ({"targets": "pt"}, "options.targets = 'pt' is not a table", "it is {}"),
    ],
)
def test_what_cannot_be_meant_is_named(options: Any, problem: str, hint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read(Translate(options=options), batch=1, context=True, targets={})
    assert raised.value.problem == problem
    assert raised.value.hint.startswith(hint)


def test_a_model_that_is_not_named_is_the_usual_one() -> None:
    assert model(Translate(), "nmt") == "nmt"
    assert model(Translate(model=""), "nmt") == "nmt"
    assert model(Translate(model="mine"), "nmt") == "mine"

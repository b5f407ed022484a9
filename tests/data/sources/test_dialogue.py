"""One example of a conversation: what is taken, what is counted, what is unusable."""

from __future__ import annotations

import pytest

from bactrian.data.sources.dialogue import ROLES, Role, Turn, example_of, role_of
from bactrian.data.sources.shape import Misfit, Taken


def talk(said: str) -> list[Turn]:
    """Return turns from ``u1 a2 s3 t4``."""
    roles: dict[str, Role] = {"u": "user", "a": "assistant", "s": "system", "t": "tool"}
    return [Turn(roles[word[0]], word) for word in said.split()]


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ("u1 a2", Taken("u1", "", "a2")),
        ("u1", Taken("u1")),
        ("u1 a2 u3", Taken("u1", "", "a2", left_out={"later turns": 1})),
        ("u1 a2 u3 a4 u5 a6", Taken("u1", "", "a2", left_out={"later turns": 4})),
        ("u1 u2 a3 a4 u5", Taken("u1\n\nu2", "", "a3\n\na4", left_out={"later turns": 1})),
        ("s1 u2 s3 a4", Taken("u2", "", "a4", left_out={"system messages": 2})),
        ("a1 u2 a3", Taken("u2", "", "a3", left_out={"openings": 1})),
        ("u1 a2 t3 a4", Taken("u1", "", "a2", left_out={"later turns": 2})),
    ],
)
def test_the_first_question_and_its_answer(said: str, taken: Taken) -> None:
    assert example_of(talk(said)) == taken


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", "the conversation has no question"),
        ("s1 a2", "the conversation has no question"),
        ("u1 t2 a3", "the first answer is a tool call"),
    ],
)
def test_what_makes_no_example_says_why(said: str, why: str) -> None:
    assert example_of(talk(said), "x-1").unusable == why
    assert example_of(talk(said), "x-1").id == "x-1"


def test_roles_are_known_in_any_case_and_others_are_refused() -> None:
    assert {role_of(name.upper()) for name in ROLES} == {"user", "assistant", "system", "tool"}
    with pytest.raises(Misfit) as misfit:
        role_of("narrator")
    assert "human" in misfit.value.hint

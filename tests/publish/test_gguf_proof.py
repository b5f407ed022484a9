"""When answers of llama.cpp and of the model are the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from bactrian.errors import RunError
from bactrian.publish.gguf import proof

np = pytest.importorskip("numpy")

END, WORDS = 2, 6


class Ended:
    """llama.cpp's server, which writes what it was told to write."""

    def __init__(self, written: Sequence[int], first: Any) -> None:
        self.written = list(written)
        self.first = first

    def distribution(self, prompt: Sequence[int], vocabulary: int, letter: int) -> Any:
        return self.first

    def greedy(self, prompt: Sequence[int], count: int) -> list[int]:
        return self.written


class Words:
    """A tokenizer with one sign that ends a text."""

    all_special_ids = (END,)

    def __call__(self, text: str, *, add_special_tokens: bool) -> dict[str, list[int]]:
        return {"input_ids": [5]}


def step(token: int, gap: float) -> Any:
    """Log-probabilities in which ``token`` is likelier than all others by ``gap`` nats."""
    told = np.zeros(WORDS)
    told[token] = gap
    return told - np.log(np.exp(told).sum())


def answer(tokens: Sequence[int], gap: float = 3.0) -> Any:
    from bactrian.publish.gguf.reference import Answer

    steps = tuple(step(token, gap) for token in tokens)
    return Answer((1, 4), steps[0], tuple(tokens), steps)


@pytest.mark.parametrize(
    ("written", "same", "ties"),
    [
        ([3, 4, 5], 1, 0),
        ([3, 4], 0, 0),  # it ended where the model goes on
        ([3], 0, 0),
    ],
)
def test_an_answer_goes_as_far_as_the_models(written: list[int], same: int, ties: int) -> None:
    wanted = answer([3, 4, 5])
    found = proof.prove_logits(Ended(written, wanted.first), [wanted], Words(), None)  # type: ignore[arg-type]
    assert (found.same, found.ties) == (same, ties)


@pytest.mark.parametrize("written", [[3, END], [3]])
def test_an_end_is_the_same_with_and_without_its_token(written: list[int]) -> None:
    wanted = answer([3, END, 4, 5])
    found = proof.prove_logits(Ended(written, wanted.first), [wanted], Words(), 0.1)  # type: ignore[arg-type]
    assert (found.same, found.ties) == (1, 0)


def test_two_tokens_as_likely_are_a_tie_and_another_is_refused() -> None:
    near, far = answer([3, 4], gap=0.05), answer([3, 4], gap=3.0)
    found = proof.prove_logits(Ended([3, 5], near.first), [near], Words(), 0.1)  # type: ignore[arg-type]
    assert (found.same, found.ties) == (0, 1)
    with pytest.raises(RunError, match="answers 1 of 1 prompts by other tokens"):
        proof.prove_logits(Ended([3, 5], far.first), [far], Words(), 0.1)  # type: ignore[arg-type]

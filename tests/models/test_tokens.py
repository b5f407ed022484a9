"""One way from a prompt to ids, whatever a tokenizer adds of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bactrian.models.tokens import open_ended, prompt_ids

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def tokenizer(tiny_base: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_base)


TABLE = [
    # text, what the tokenizer gave, what is kept
    ("Say it.", [0, 7, 8], [0, 7, 8]),
    ("Say it.", [0, 7, 8, 1], [0, 7, 8]),
    ("Say it.</s>", [0, 7, 8, 1], [0, 7, 8, 1]),
    ("<s>Say it.", [0, 0, 7, 8], [0, 7, 8]),
    ("<s>Say it.", [0, 7, 8], [0, 7, 8]),
    ("Say it.", [0, 0, 7, 8], [0, 0, 7, 8]),
    ("", [], []),
    ("", [1], []),
]


@pytest.mark.parametrize(("text", "given", "kept"), TABLE)
def test_a_prompt_begins_once_and_stays_open(text: str, given: list[int], kept: list[int]) -> None:
    tokenizer = SimpleNamespace(bos_token="<s>", bos_token_id=0, eos_token="</s>", eos_token_id=1)
    assert open_ended(tokenizer, text, given) == kept


def test_a_tokenizer_without_bos_and_eos_loses_nothing() -> None:
    bare = SimpleNamespace(bos_token=None, bos_token_id=None, eos_token=None, eos_token_id=None)
    assert open_ended(bare, "a", [3, 3]) == [3, 3]


def test_many_prompts_are_encoded_as_each_alone(
    tokenizer: Any, sentences: Mapping[str, Sequence[str]]
) -> None:
    texts = [told[0] for told in sentences.values()]
    assert prompt_ids(tokenizer, texts) == [tokenizer(text)["input_ids"] for text in texts]


def test_ids_are_those_of_generation(tiny_base: Path, tokenizer: Any) -> None:
    from bactrian.models import base, generation, prompts

    model = base.load(str(tiny_base)).model
    for name in prompts.NAMES:
        text = prompts.get(name, tokenizer).render("Say it.", "{hei}")
        (ids,) = prompt_ids(tokenizer, [text])
        assert ids == generation.encode(model, tokenizer, text)
        assert ids.count(tokenizer.bos_token_id) == 1

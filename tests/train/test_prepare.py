"""Rows become tokens with an exact boundary, in every script, and none goes missing unsaid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import ConfigError, DataError
from bactrian.models import base, generation, prompts
from bactrian.schema import Example
from bactrian.train import encoding
from bactrian.train.prepare import prepare

pytest.importorskip("transformers")

LONG = 1000


@pytest.fixture(scope="module")
def tokenizer(tiny_base: Path) -> Any:
    return base.tokenizer_of(base.locate(str(tiny_base)))


@pytest.fixture
def examples(sentences: Mapping[str, Sequence[str]]) -> list[Example]:
    return [
        Example("flores-1", code, told[0], told[1] if number % 2 else "", told[2])
        for number, (code, told) in enumerate(sentences.items())
    ]


def test_all_52_languages_come_back_from_their_tokens(
    tokenizer: Any, examples: list[Example]
) -> None:
    found = prepare(examples, tokenizer, prompts.BACTRIAN, LONG)
    assert len(found) == len(examples) == 52
    assert found.names == tuple(example.language for example in examples)
    for index, example in enumerate(examples):
        tokens, prompt, language = found.row(index)
        assert found.names[language] == example.language
        asked = prompts.BACTRIAN.render(example.instruction, example.input)
        assert tokenizer.decode(tokens[1:prompt]) == asked
        assert tokenizer.decode(tokens[prompt:-1]) == example.output
        assert tokens[-1] == tokenizer.eos_token_id
        assert list(tokens).count(tokenizer.eos_token_id) == 1


@pytest.mark.parametrize("style", prompts.NAMES)
def test_the_prompt_is_the_one_that_is_generated_from(
    style: str, tiny_base: Path, tokenizer: Any, examples: list[Example]
) -> None:
    model = base.load(str(tiny_base)).model
    chosen = prompts.get(style, tokenizer)
    found = prepare(examples[:9], tokenizer, chosen, 5000)
    for index, example in enumerate(examples[:9]):
        tokens, prompt, _ = found.row(index)
        asked = chosen.render(example.instruction, example.input)
        context = tokenizer(asked)["input_ids"]
        if len(context) < 1024:
            assert tokens[:prompt].tolist() == generation.encode(model, tokenizer, asked)


def test_the_boundary_holds_where_a_token_would_span_it(tokenizer: Any) -> None:
    pairs = (word for word in tokenizer.get_vocab() if len(word) == 2 and word.isalpha())
    first, second = next(word for word in pairs if word.isascii())

    class Bare:
        name = "bare"

        def render(self, instruction: str, input: str = "") -> str:
            return instruction

    found = prepare([Example("1", "en", first, "", second)], tokenizer, Bare(), LONG)
    assert found.row(0)[0].tolist() == [
        *tokenizer.encode(first),
        *tokenizer.encode(second, add_special_tokens=False),
        tokenizer.eos_token_id,
    ]


def test_a_tokenizer_that_ends_every_text_does_not_end_the_prompt(tiny_base: Path) -> None:
    from tokenizers import processors

    own = base.tokenizer_of(base.locate(str(tiny_base)))
    own.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    assert own("a")["input_ids"][-1] == 1
    found = prepare([Example("1", "en", "a", "", "b")], own, prompts.BACTRIAN, LONG)
    assert found.row(0)[0].tolist().count(1) == 1


def test_rows_left_out_are_counted_by_language_and_add_up(
    tokenizer: Any, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "GROUP", 7)
    rows = [
        *examples,
        Example("empty-1", "km", "a", "", ""),
        Example("empty-2", "km", "a", "", " \n"),
        Example("empty-3", "zh", "a", "", ""),
        Example("long-1", "af", "a", "", "b " * 600),
        Example("long-2", "af", "a", "", "b " * 600),
    ]
    found = prepare(iter(rows), tokenizer, prompts.BACTRIAN, 600)
    assert found.empty == {"km": 2, "zh": 1}
    assert found.too_long["af"] >= 2
    assert len(found) + sum(found.too_long.values()) + sum(found.empty.values()) == len(rows)
    assert found.lengths.max() <= 600
    assert found.lengths.sum() == sum(len(ids) for ids in found.tokens.blocks)
    kept = [found.names[found.row(index)[2]] for index in range(len(found))]
    assert kept == [row.language for row in examples if row.language in kept], "in their order"


def test_the_limit_is_of_whole_rows(tokenizer: Any, examples: list[Example]) -> None:
    (length,) = prepare(examples[:1], tokenizer, prompts.BACTRIAN, 5000).lengths
    assert len(prepare(examples[:1], tokenizer, prompts.BACTRIAN, int(length))) == 1
    with pytest.raises(DataError, match="1 longer than"):
        prepare(examples[:1], tokenizer, prompts.BACTRIAN, int(length) - 1)


def test_a_tokenizer_without_an_end_is_refused(tiny_base: Path, examples: list[Example]) -> None:
    own = base.tokenizer_of(base.locate(str(tiny_base)))
    own.eos_token = None
    with pytest.raises(ConfigError, match="no EOS token"):
        prepare(examples, own, prompts.BACTRIAN, LONG)


def test_nothing_to_train_on_is_refused(tokenizer: Any) -> None:
    with pytest.raises(DataError, match=r"there are no rows to train on"):
        prepare([], tokenizer, prompts.BACTRIAN, LONG)

"""Rows become ids with an exact boundary and one EOS at the end, and each has one fate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import ConfigError
from bactrian.models import prompts
from bactrian.schema import Example
from bactrian.train import encoding
from bactrian.train.encode_texts import TextEncoder
from bactrian.train.encoding import Encoded, Encoder, check_room, grouped
from bactrian.train.shorten import Limits

transformers = pytest.importorskip("transformers")

WIDE = Limits(5000)


@pytest.fixture(scope="module")
def tokenizer(tiny_base: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(tiny_base)


@pytest.fixture(scope="module")
def slow() -> Any:
    return transformers.ByT5Tokenizer()


@pytest.fixture
def examples(sentences: Mapping[str, Sequence[str]]) -> list[Example]:
    return [
        Example(f"flores-{number}", code, told[0], told[1] if number % 2 else "", told[2])
        for number, (code, told) in enumerate(sentences.items())
    ]


def rows(found: Encoded) -> list[tuple[list[int], int]]:
    """Return (ids, tokens of the prompt) of each row that was kept."""
    ends = found.lengths.cumsum().tolist()
    return [
        (found.ids[end - length : end].tolist(), prompt)
        for end, length, prompt in zip(
            ends, found.lengths.tolist(), found.prompts.tolist(), strict=True
        )
    ]


@pytest.mark.parametrize("style", prompts.NAMES)
def test_rows_are_prompt_response_and_one_end(
    style: str, tokenizer: Any, examples: list[Example]
) -> None:
    chosen = prompts.get(style, tokenizer)
    found = Encoder(tokenizer, chosen, WIDE).encode(examples)
    assert found.fates == ("whole",) * 52
    asked = [chosen.render(example.instruction, example.input) for example in examples]
    texts = TextEncoder(tokenizer)
    after = texts.responses([example.output for example in examples])
    pairs = zip(texts.prompts(asked), after, strict=True)
    end = tokenizer.eos_token_id
    assert rows(found) == [([*one, *two, end], len(one)) for one, two in pairs]
    assert found.ids.dtype == found.lengths.dtype == found.prompts.dtype == "int32"


def test_every_row_has_one_fate_and_no_limit_is_passed(
    tokenizer: Any, examples: list[Example]
) -> None:
    blank = [
        Example("e-1", "km", "a", "", ""),
        Example("e-2", "km", "a", "", " \n"),
        Example("e-3", "fa", "a", "", "\u200c\u200f\u00ad"),
    ]
    for limit in (80, 200, 400, 600, 2000):
        found = Encoder(tokenizer, prompts.BACTRIAN, Limits(limit)).encode([*examples, *blank])
        fates = Counter(found.fates)
        assert len(found.fates) == 55
        assert fates["empty"] == 3
        assert len(found.lengths) == fates["whole"] + fates["shortened"]
        assert found.lengths.sum() == len(found.ids)
        assert all(ids[-1] == tokenizer.eos_token_id for ids, _ in rows(found))
        assert all(ids.count(tokenizer.eos_token_id) == 1 for ids, _ in rows(found))
        assert not len(found.lengths) or found.lengths.max() <= limit
        refusing = replace(Limits(limit), overlong="refuse")
        refused = Encoder(tokenizer, prompts.BACTRIAN, refusing).encode([*examples, *blank])
        assert "shortened" not in refused.fates
        assert Counter(refused.fates)["too_long"] == fates["too_long"] + fates["shortened"]
        whole = [fate for fate in found.fates if fate == "whole"]
        assert [fate for fate in refused.fates if fate == "whole"] == whole


def test_a_shortened_row_keeps_its_headings(tokenizer: Any, examples: list[Example]) -> None:
    encoder = Encoder(tokenizer, prompts.ALPACA, Limits(700))
    found = encoder.encode(examples)
    assert Counter(found.fates)["shortened"] > 5
    kept = [
        example
        for example, fate in zip(examples, found.fates, strict=True)
        if fate in ("whole", "shortened")
    ]
    for (ids, prompt), example in zip(rows(found), kept, strict=True):
        text = tokenizer.decode(ids[1:prompt])
        assert text.startswith("Below is an instruction")
        assert f"### Instruction:\n{example.instruction}\n" in text
        assert text.endswith("\n\n### Response:\n")
        assert example.output.startswith(tokenizer.decode(ids[prompt:-1]))


@pytest.mark.parametrize("kind", ["tokenizer", "slow"])
def test_sources_end_as_texts_and_targets_with_one_end(
    kind: str, request: pytest.FixtureRequest, examples: list[Example]
) -> None:
    own = request.getfixturevalue(kind)
    limits = Limits(200, 300, encoder_decoder=True)
    found = Encoder(own, prompts.BACTRIAN, limits).encode(examples)
    assert {"shortened", "whole"} <= set(found.fates)
    fates = zip(examples, found.fates, strict=True)
    kept = [(example, fate) for example, fate in fates if fate in ("whole", "shortened")]
    for (ids, prompt), (example, fate) in zip(rows(found), kept, strict=True):
        source, target = ids[:prompt], ids[prompt:]
        assert len(source) <= 300
        assert len(target) <= 200
        assert target[-1] == own.eos_token_id
        assert target.count(own.eos_token_id) == 1
        if fate == "whole":
            asked = prompts.BACTRIAN.render(example.instruction, example.input)
            assert source == own(asked)["input_ids"]
            text = own(example.output)["input_ids"]
            assert target == (text if text[-1] == own.eos_token_id else [*text, own.eos_token_id])
        elif kind == "slow":
            assert source[-1] == own.eos_token_id, "a source that is cut ends as one"


def test_the_key_follows_what_ids_follow_from(tokenizer: Any, slow: Any) -> None:
    encoders = [
        Encoder(tokenizer, prompts.BACTRIAN, WIDE),
        Encoder(tokenizer, prompts.ALPACA, WIDE),
        Encoder(tokenizer, prompts.get("chat", tokenizer), WIDE),
        Encoder(tokenizer, replace(prompts.BACTRIAN, after="\n\n### Answer:\n"), WIDE),
        Encoder(tokenizer, replace(prompts.ALPACA, preface_with_input=""), WIDE),
        Encoder(tokenizer, prompts.BACTRIAN, Limits(5001)),
        Encoder(tokenizer, prompts.BACTRIAN, Limits(5000, overlong="refuse")),
        Encoder(tokenizer, prompts.BACTRIAN, Limits(5000, 400)),
        Encoder(tokenizer, prompts.BACTRIAN, Limits(5000, encoder_decoder=True)),
        Encoder(slow, prompts.BACTRIAN, WIDE),
    ]
    assert len({encoder.key for encoder in encoders}) == len(encoders)
    again = Encoder(tokenizer, replace(prompts.BACTRIAN, name="my own"), WIDE, 5000)
    assert again.key == encoders[0].key, "a name changes no id"


def test_a_tokenizer_without_an_end_is_refused(tiny_base: Path) -> None:
    own = transformers.AutoTokenizer.from_pretrained(tiny_base)
    own.eos_token = None
    with pytest.raises(ConfigError, match="no EOS token"):
        Encoder(own, prompts.BACTRIAN, WIDE)


def test_a_tokenizer_of_another_base_is_refused(tokenizer: Any, examples: list[Example]) -> None:
    largest = int(Encoder(tokenizer, prompts.BACTRIAN, WIDE).encode(examples).ids.max())
    Encoder(tokenizer, prompts.BACTRIAN, WIDE, largest + 1).encode(examples)
    short = Encoder(tokenizer, prompts.BACTRIAN, WIDE, largest)
    with pytest.raises(ConfigError, match=f"the id {largest}, .* ends at {largest - 1}"):
        short.encode(examples)
    with pytest.raises(ConfigError, match=r"the id 1, .* ends at 0"):
        Encoder(tokenizer, prompts.BACTRIAN, WIDE, 1)


@pytest.mark.parametrize(
    ("limits", "setting"),
    [
        (Limits(20), "max_tokens = 20"),
        (Limits(5000, 20, encoder_decoder=True), "max_source_tokens = 20"),
        (Limits(20, encoder_decoder=True), "max_tokens = 20"),
    ],
)
def test_limits_that_the_style_alone_fills_are_refused(
    tokenizer: Any, limits: Limits, setting: str
) -> None:
    encoder = Encoder(tokenizer, prompts.ALPACA, limits)
    taken = encoder.template_tokens()
    assert taken > 20
    with pytest.raises(ConfigError, match=rf"{setting} .* style alpaca alone takes {taken} tok"):
        check_room(encoder)


def test_a_limit_that_leaves_a_token_is_taken(tokenizer: Any) -> None:
    taken = Encoder(tokenizer, prompts.ALPACA, WIDE).template_tokens()
    check_room(Encoder(tokenizer, prompts.ALPACA, Limits(taken + 2)))
    with pytest.raises(ConfigError):
        check_room(Encoder(tokenizer, prompts.ALPACA, Limits(taken + 1)))


def test_groups_hold_every_row_once(
    examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "GROUP", 10)
    found = list(grouped(iter(examples)))
    assert [len(group) for group in found] == [10, 10, 10, 10, 10, 2]
    assert [example for group in found for example in group] == examples
    assert list(grouped([])) == []

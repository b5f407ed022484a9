"""Text put together from tokens that hold bytes, never showing half a character."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bactrian.models import generation
from bactrian.models.generation import TextSoFar

pytest.importorskip("transformers")

HALF = "\ufffd"

TEXTS = {
    "Khmer": "កម្ពុជា ជាប្រទេសមួយ។",
    "Burmese": "မြန်မာစာ",
    "Chinese": "骆驼有两个驼峰。",
    "Tamil": "ஒட்டகம் பாலைவனத்தில் வாழ்கிறது.",
    "Arabic": "الجمل سفينة الصحراء.",
    "emoji": "🐪🐫 and 👩‍🔬!",
    "Latin": "A camel, twice — naïve café.",
}


def byte_level() -> Any:
    """A tokenizer of the kind of GPT-2 and SmolLM2: one token a byte, merged nowhere."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocab = {"<s>": 0, "</s>": 1}
    for letter in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocab[letter] = len(vocab)
    inner = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")


def byte_fallback() -> Any:
    """A tokenizer of the kind of LLaMA: words where it has them, bytes everywhere else."""
    from tokenizers import Tokenizer, decoders, models, normalizers
    from transformers import PreTrainedTokenizerFast

    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2}
    for byte in range(256):
        vocab[f"<0x{byte:02X}>"] = len(vocab)
    for letter in "▁acelmdtw,.!":
        vocab[letter] = len(vocab)
    inner = Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token="<unk>", byte_fallback=True))
    inner.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    inner.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


@pytest.fixture(params=["byte-level", "byte-fallback"])
def any_tokenizer(request: pytest.FixtureRequest) -> Iterator[Any]:
    yield byte_level() if request.param == "byte-level" else byte_fallback()


@pytest.mark.parametrize("language", TEXTS)
def test_text_from_bytes_is_never_broken(any_tokenizer: Any, language: str) -> None:
    text = TEXTS[language]
    so_far = TextSoFar(generation.decoder(any_tokenizer))
    shown = [so_far.add(token) for token in any_tokenizer(text)["input_ids"]]

    assert shown[-1] == text
    assert not any(HALF in piece for piece in shown)
    assert all(text.startswith(piece) for piece in shown)
    # each character as soon as its last byte is there: no waiting for a space
    assert len(set(shown) - {""}) == len(text)


def test_half_a_character_at_the_end_is_left_out(any_tokenizer: Any) -> None:
    so_far = TextSoFar(generation.decoder(any_tokenizer))
    for token in any_tokenizer("កខ")["input_ids"][:-1]:
        so_far.add(token)

    assert so_far.text == "ក"


def test_bytes_that_are_no_character_do_not_stop_the_text(any_tokenizer: Any) -> None:
    khmer = any_tokenizer("ក")["input_ids"]
    so_far = TextSoFar(generation.decoder(any_tokenizer))
    for token in [*khmer, khmer[-1], *any_tokenizer("mad")["input_ids"]]:
        so_far.add(token)

    assert so_far.text.startswith("ក")
    assert HALF in so_far.text
    assert so_far.text.endswith("mad")


def test_special_tokens_cost_no_space() -> None:
    tokenizer = byte_fallback()
    words = tokenizer("camel twa")["input_ids"]
    gap = next(i for i in range(1, len(words)) if tokenizer.decode(words[: i + 1]) == "camel ")
    so_far = TextSoFar(generation.decoder(tokenizer))
    for token in [*words[:gap], 1, 1, *words[gap:]]:
        so_far.add(token)

    assert so_far.text == "camel twa"

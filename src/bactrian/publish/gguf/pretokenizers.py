"""How a byte-level tokenizer cuts text before its merges, and llama.cpp's name for that way.

A file only names the way; llama.cpp has the expressions built in. The name is found by what
tokenizer.json says, not by the vocabulary, so that a tokenizer of one's own is recognised too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

Step = tuple[str, ...]

_LETTERS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_CASED = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+@|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*@"
)
_CASED_REST = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_SHORT = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"

BYTES: Step = ("bytes",)
BYTES_CUT: Step = ("bytes", "cut")
"""Cut as GPT-2 does on the way to bytes."""
DIGITS: Step = ("digits",)
"""Each digit by itself."""

LLAMA3 = f"{_SHORT}|{_LETTERS}|\\p{{N}}{{1,3}}|{_REST}"
QWEN2 = f"{_SHORT}|{_LETTERS}|\\p{{N}}|{_REST}"
TEKKEN = f"{_CASED.replace('@', '')}|\\p{{N}}|{_CASED_REST}"
GPT4O = f"{_CASED.replace('@', _SHORT + '?')}|\\p{{N}}{{1,3}}|{_CASED_REST}"
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"

KNOWN: Mapping[tuple[Step, ...], str] = MappingProxyType(
    {
        (BYTES_CUT,): "gpt-2",
        (DIGITS, BYTES_CUT): "smollm",
        (("cut", BLOOM), BYTES): "bloom",
        (("cut", LLAMA3), BYTES): "llama-bpe",
        (("cut", QWEN2), BYTES): "qwen2",
        (("cut", TEKKEN), BYTES): "tekken",
        (("cut", GPT4O), BYTES): "gpt-4o",
    }
)
WITHOUT_WHOLE_WORDS = MappingProxyType({"llama-bpe": "smaug-bpe"})
"""The same cuts for a tokenizer that does not look a whole word up before it merges."""
OTHERS = (
    *KNOWN.values(), "smaug-bpe", "granite-embed-multi-97m", "tiny_aya", "qwen35", "exaone-moe",
    "deepseek-llm", "deepseek-coder", "deepseek-v3", "falcon", "mpt", "starcoder", "refact",
    "command-r", "stablelm2", "olmo", "dbrx", "poro-chat", "jais", "viking", "chatglm-bpe",
    "exaone", "minerva-7b", "gpt3-finnish", "superbpe", "trillion", "hunyuan", "seed-coder",
    "llama4", "default",
)  # fmt: skip
"""Names that llama.cpp knows, tried in this order where the one of ``KNOWN`` is absent or unequal.

llama.cpp's own ``tekken`` and ``gpt-4o`` leave out the marks of Arabic and of Indic scripts, which
the expressions they stand for count as letters; the name of another model that counts them fits.
"""


def steps(told: Mapping[str, Any] | None) -> tuple[Step, ...]:
    """Return the steps of a ``pre_tokenizer`` in tokenizer.json, in a form to compare."""
    if told is None:
        return ()
    if told["type"] == "Sequence":
        return tuple(step for one in told["pretokenizers"] for step in steps(one))
    if told["type"] == "ByteLevel":
        return (BYTES_CUT if told.get("use_regex", True) else BYTES,)
    if told["type"] == "Digits" and told.get("individual_digits"):
        return (DIGITS,)
    if told["type"] == "Split" and "Regex" in told["pattern"] and not told.get("invert"):
        return (("cut", told["pattern"]["Regex"]),)
    return ((str(told["type"]), str(sorted(told.items()))),)


def recognised(tokenizer: Mapping[str, Any]) -> str | None:
    """Return llama.cpp's name for the cuts of a tokenizer.json, None where they are another's."""
    name = KNOWN.get(steps(tokenizer["pre_tokenizer"]))
    whole_words = tokenizer["model"].get("ignore_merges")
    return name if whole_words or name is None else WITHOUT_WHOLE_WORDS.get(name, name)


def is_byte_level(tokenizer: Mapping[str, Any]) -> bool:
    """Whether the vocabulary is of bytes, written as GPT-2 writes them."""
    return any(step[0] == "bytes" for step in steps(tokenizer["pre_tokenizer"]))


def is_byte(token: str) -> bool:
    """Whether a token is SentencePiece's name of a byte, such as <0x0A>."""
    return re.fullmatch(r"<0x[0-9A-F]{2}>", token) is not None

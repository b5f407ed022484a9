"""Prompts as token ids, the same ones in training, scoring and use. Knows nothing of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def prompt_ids(tokenizer: Any, prompts: Sequence[str]) -> list[list[int]]:
    """Return the ids of each prompt: begun as the tokenizer begins a text, open at the end."""
    encoded = tokenizer(list(prompts), add_special_tokens=True)["input_ids"]
    return [
        open_ended(tokenizer, prompt, ids) for prompt, ids in zip(prompts, encoded, strict=True)
    ]


def open_ended(tokenizer: Any, text: str, ids: Sequence[int]) -> list[int]:
    """Return the ids without what a tokenizer adds to a text that is not to stand alone."""
    kept = list(ids)
    begin, end = tokenizer.bos_token, tokenizer.eos_token
    if begin and text.startswith(begin) and kept[:2] == [tokenizer.bos_token_id] * 2:
        del kept[0]  # chat templates write the begin token, and the tokenizer adds another
    if kept and end and kept[-1] == tokenizer.eos_token_id and not text.endswith(end):
        kept.pop()  # some tokenizers close every text; an answer has to follow this one
    return kept

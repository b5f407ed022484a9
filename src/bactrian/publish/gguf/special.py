"""The tokens that stand around a text, as a tokenizer really sets them."""

from __future__ import annotations

from typing import Any

from bactrian.errors import ConfigError

PREFIX = "tokenizer.ggml."
PROBE = "a b"
ROLES = {
    "bos_token_id": "bos_token_id",
    "eos_token_id": "eos_token_id",
    "unk_token_id": "unknown_token_id",
    "pad_token_id": "padding_token_id",
}


def special_keys(tokenizer: Any) -> dict[str, Any]:
    """Return ids of special tokens, and which of them every text begins and ends with.

    The tokenizer is asked: what its configuration says of it is often not what it does. Raises
    ConfigError for one that adds other tokens than BOS and EOS.
    """
    keys: dict[str, Any] = {}
    for role, key in ROLES.items():
        if (number := getattr(tokenizer, role)) is not None:
            keys[PREFIX + key] = int(number)
    before, after = _around(tokenizer)
    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    if before not in ([], [begin]) or after not in ([], [end]):
        names = tokenizer.convert_ids_to_tokens([*before, *after])
        raise ConfigError(
            f"the tokenizer sets {' '.join(names)} around a text: llama.cpp can set BOS and EOS",
            "see post_processor in the base's tokenizer.json",
        )
    return keys | {f"{PREFIX}add_bos_token": bool(before), f"{PREFIX}add_eos_token": bool(after)}


def _around(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return the ids that are added before and behind a text."""
    bare = tokenizer(PROBE, add_special_tokens=False)["input_ids"]
    whole = tokenizer(PROBE, add_special_tokens=True)["input_ids"]
    for start in range(len(whole) - len(bare) + 1):
        if whole[start : start + len(bare)] == bare:
            return list(whole[:start]), list(whole[start + len(bare) :])
    return list(whole), []

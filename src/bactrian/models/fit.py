"""Whether a tokenizer and a model belong together, and what stands in for what they lack.

Nothing is ever added: a new [PAD] would be a row of the embedding that no adapter carries, and
that every later reader of the vocabulary stumbles over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bactrian.errors import ConfigError
from bactrian.events import emit

ENDS = ("</s>", "<eos>", "<|endoftext|>", "<|end_of_text|>", "<|im_end|>", "<|eot_id|>", "[EOS]")
"""How the end of a text is written by the families of bases."""


SPACE = "▁"
"""SentencePiece's sign for a space, which transformers puts into an empty vocabulary."""
FEW = 2000
"""Tokens above which a vocabulary is not looked through: no model has so many special ones."""


@dataclass(frozen=True, slots=True)
class Fit:
    """The tokens that training needs beside those of the text."""

    end: int
    """Id that ends an answer."""
    pad: int
    """Id that fills rows up; it is masked by place, so it may be a token of the text too."""
    pad_token: str
    """How it is written."""
    start: int | None = None
    """Id that begins an answer in an encoder-decoder, None for causal models."""


def fit(tokenizer: Any, model: Any = None) -> Fit:
    """Return what a tokenizer and a model are trained with; without a model, the tokenizer alone.

    Says as an event what fills up the rows where the tokenizer has no padding token. Raises
    ConfigError for a tokenizer without EOS or with more ids than the model has rows, and for an
    encoder-decoder that does not say how answers begin.
    """
    end = _end(tokenizer)
    pad, pad_token = tokenizer.pad_token_id, tokenizer.pad_token
    if pad is None or not pad_token:
        pad, pad_token = end, tokenizer.eos_token
        emit(
            "decision",
            text=f"the tokenizer has no padding token: rows are filled up with {pad_token}, masked "
            "there and learnt at the end of answers; no token is added",
        )
    start = None
    if model is not None:
        _check_rows(tokenizer, model)
        start = _start(model)
        _compare_ends(tokenizer, model)
    return Fit(end, pad, pad_token, start)


def check_words(tokenizer: Any, folder: Path) -> None:
    """Raise ConfigError for a tokenizer of nothing but special tokens.

    transformers 5 makes one in silence where a folder names its class and lacks the vocabulary's
    file (LlamaTokenizer, T5Tokenizer, GPT2Tokenizer and more).
    """
    if len(tokenizer) > FEW:
        return
    special = {*tokenizer.get_added_vocab(), *tokenizer.all_special_tokens, SPACE}
    if not set(tokenizer.get_vocab()) - special:
        raise ConfigError(
            f"the tokenizer in {folder} knows no words",
            "put the vocabulary's file beside tokenizer_config.json, as the base was published: "
            "tokenizer.json, or tokenizer.model",
        )


def name_end(tokenizer: Any, told: Iterable[int]) -> None:
    """Have a tokenizer without EOS end texts with a token that the model's files name as one.

    ``told`` are the ids in config.json and generation_config.json. Galactica's tokenizer names no
    token at all; LLaMA's first folders name empty ones, and an id that is none in their
    configuration, so that only tokens that are written as ends count.
    """
    if has_end(tokenizer):
        return
    for number in told:
        token = tokenizer.convert_ids_to_tokens(number) if number < ids_of(tokenizer) else None
        if token in ENDS:
            tokenizer.eos_token = token
            emit(
                "decision",
                text=f"the tokenizer names no EOS: {token} is taken, which the model's files name",
            )
            return


def ends_in(folder: Path) -> list[int]:
    """Return the ids that generation_config.json and config.json of a folder name as EOS."""
    found: list[int] = []
    for name in ("generation_config.json", "config.json"):
        path = folder / name
        told = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        ends = told.get("eos_token_id")
        found += [end for end in (ends if isinstance(ends, list) else [ends]) if end is not None]
    return found


def has_end(tokenizer: Any) -> bool:
    """Whether EOS is a token of its own; an empty or unknown one counts as none."""
    end = tokenizer.eos_token_id
    return end is not None and bool(tokenizer.eos_token) and end != tokenizer.unk_token_id


def ids_of(tokenizer: Any) -> int:
    """Return one more than the largest id that the tokenizer gives."""
    return max(tokenizer.get_vocab().values(), default=-1) + 1


def _end(tokenizer: Any) -> int:
    if not has_end(tokenizer):
        vocabulary = tokenizer.get_vocab()
        near = next((token for token in ENDS if token in vocabulary), "</s>")
        raise ConfigError(
            "the base's tokenizer has no EOS token, so the model could not learn to stop",
            "name one in the base's tokenizer_config.json, such as "
            f'"eos_token": "{near}", or use another base',
        )
    return int(tokenizer.eos_token_id)


def _check_rows(tokenizer: Any, model: Any) -> None:
    """Every id needs a row of the embedding; further rows are padding of the matrix, and fine."""
    ids = ids_of(tokenizer)
    rows = int(model.get_input_embeddings().weight.shape[0])
    if ids > rows:
        raise ConfigError(
            f"the tokenizer does not match the model: it has {ids} ids, the embedding {rows} rows",
            "use the tokenizer that the base was published with; a [PAD] that was added to it can "
            "be taken out, none is needed here",
        )


def _start(model: Any) -> int | None:
    config = model.config
    if not getattr(config, "is_encoder_decoder", False):
        return None
    settings = getattr(model, "generation_config", None)
    start = getattr(config, "decoder_start_token_id", None)
    if start is None:
        start = getattr(settings, "decoder_start_token_id", None)
    if start is None:
        raise ConfigError(
            f"{type(model).__name__}: the configuration does not say how an answer begins",
            "write decoder_start_token_id into its config.json, as its authors say (T5: 0)",
        )
    return int(start)


def _compare_ends(tokenizer: Any, model: Any) -> None:
    """Say where generation stops at another token than the one that is learnt."""
    told = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    told = model.config.get_text_config(decoder=True).eos_token_id if told is None else told
    ends = told if isinstance(told, list | tuple) else [told]
    if told is not None and tokenizer.eos_token_id not in ends:
        emit(
            "warning",
            text=f"the model's configuration names {told} as EOS, the tokenizer "
            f"{tokenizer.eos_token_id} ({tokenizer.eos_token}): the tokenizer's is learnt",
        )

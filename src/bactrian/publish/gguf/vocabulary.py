"""A tokenizer as llama.cpp reads it: tokens with their types, and scores or merges.

Two ways of merging are written: by bytes (``gpt2``, with merges and named cuts) and SentencePiece's
(``llama``, with scores). Where a tokenizer can be read in several ways, they are tried in order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bactrian.errors import ConfigError
from bactrian.models.fit import ids_of
from bactrian.publish.gguf import pretokenizers
from bactrian.publish.gguf.special import special_keys

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""Types of tokens as llama.cpp counts them."""
PREFIX = "tokenizer.ggml."
SENTENCEPIECE = "tokenizer.model"
NEVER = -1e6
"""Score of a piece that no merge makes: below that of every one that a merge does."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """One way in which llama.cpp can be told of a tokenizer."""

    model: str
    """llama (SentencePiece by scores) or gpt2 (bytes by merges)."""
    pre: str
    """Name of the cuts before merging."""
    keys: Mapping[str, Any]
    """Everything that a GGUF file says of it, with whole names."""
    sure: bool = True
    """Whether the tokenizer itself names this way; others are for trying."""

    @property
    def name(self) -> str:
        """How a person tells it from other ways."""
        return f"{self.model} ({self.pre})"


def readings(
    tokenizer: Any, rows: int, folder: Path, asked: Sequence[str] = ()
) -> Iterator[Vocabulary]:
    """Yield the ways to write a tokenizer for an embedding of so many rows, the likeliest first.

    ``folder`` may hold SentencePiece's own file, whose scores are taken where it reads the texts
    ``asked`` as the tokenizer does. Raises ConfigError for a tokenizer with more ids than rows, and
    for kinds that llama.cpp has no way for.
    """
    told = _json(tokenizer)
    if (ids := ids_of(tokenizer)) > rows:
        raise ConfigError(
            f"the tokenizer has {ids} ids and the embedding {rows} rows: llama.cpp would refuse it",
            "take the added token out of the tokenizer, or resize the embedding to fit and train",
        )
    tokens = _tokens(told, rows)
    common = {
        f"{PREFIX}tokens": tokens,
        f"{PREFIX}token_type": _types(told, tokens),
        **special_keys(tokenizer),
    }
    merges = [one if isinstance(one, str) else " ".join(one) for one in told["model"]["merges"]]
    if pretokenizers.is_byte_level(told):
        known = pretokenizers.recognised(told)
        common |= {f"{PREFIX}merges": merges}
        if known is not None:
            yield _named("gpt2", known, common)
        for pre in pretokenizers.OTHERS:
            if pre != known:
                yield _named("gpt2", pre, common, sure=False)
    elif told["model"].get("byte_fallback"):
        common |= {
            f"{PREFIX}scores": _scores(tokens, merges, _own(tokenizer, tokens, folder, asked)),
            f"{PREFIX}add_space_prefix": _begins_with_space(tokenizer),
        }
        yield _named("llama", "default", common)
    else:
        raise ConfigError(
            "the tokenizer works neither on bytes nor with a fallback to them",
            "a GGUF file cannot hold it: use bactrian export merged or bactrian export vllm",
        )


def _named(model: str, pre: str, common: Mapping[str, Any], *, sure: bool = True) -> Vocabulary:
    return Vocabulary(model, pre, {f"{PREFIX}model": model, f"{PREFIX}pre": pre, **common}, sure)


def _json(tokenizer: Any) -> dict[str, Any]:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    told: dict[str, Any] = json.loads(backend.to_str()) if backend is not None else {}
    if told.get("model", {}).get("type") != "BPE":
        kind = told.get("model", {}).get("type", type(tokenizer).__name__)
        raise ConfigError(
            f"the tokenizer is of the kind {kind}, which is not written as GGUF here",
            "supported is BPE, of bytes or of SentencePiece; use bactrian export merged instead",
        )
    return told


def _tokens(told: Mapping[str, Any], rows: int) -> list[str]:
    """Return a name for every row; rows beyond the tokenizer's ids are called [PAD…]."""
    by_id = {number: token for token, number in told["model"]["vocab"].items()}
    by_id |= {added["id"]: added["content"] for added in told["added_tokens"]}
    return [by_id.get(row, f"[PAD{row}]") for row in range(rows)]


def _types(told: Mapping[str, Any], tokens: Sequence[str]) -> list[int]:
    ids = set(told["model"]["vocab"].values())
    added = {one["id"]: one["special"] for one in told["added_tokens"]}
    unknown = told["model"].get("unk_token")
    fallback = bool(told["model"].get("byte_fallback"))
    types = []
    for row, token in enumerate(tokens):
        kind = NORMAL if row in ids else UNUSED
        if fallback and pretokenizers.is_byte(token):
            kind = BYTE
        if row in added:
            kind = CONTROL if added[row] else USER_DEFINED
        if token == unknown and fallback:
            kind = UNKNOWN
        types.append(kind)
    return types


def _scores(tokens: Sequence[str], merges: Sequence[str], own: Any) -> list[float]:
    """Return SentencePiece's own scores where there are, else ranks of merges.

    llama.cpp joins the neighbours whose piece has the highest score; a tokenizer joins those of the
    earliest merge. So the score of a piece is its merge's rank, counted downwards from 0.
    """
    if own is not None:
        known = [float(own.get_score(row)) for row in range(own.get_piece_size())]
        return [*known, *[0.0] * (len(tokens) - len(known))]
    ranks: dict[str, int] = {}
    for rank, merge in enumerate(merges):
        left, _, right = merge.partition(" ")
        ranks.setdefault(left + right, rank)
    return [-float(ranks[token]) if token in ranks else NEVER for token in tokens]


def _own(tokenizer: Any, tokens: Sequence[str], folder: Path, asked: Sequence[str]) -> Any:
    """Return SentencePiece's reader of a folder; None where there is no file, or not of these
    pieces, or where the tokenizer reads texts otherwise than it.

    transformers 5 makes its merges in the order of the pieces, not of their scores: LLaMA's runs of
    spaces, which SentencePiece joins last of all, it joins first, and did so in training.
    """
    from importlib.util import find_spec

    path = folder / SENTENCEPIECE
    if not path.is_file() or find_spec("sentencepiece") is None:
        return None
    from sentencepiece import SentencePieceProcessor

    own = SentencePieceProcessor(model_file=str(path))
    size = own.get_piece_size()
    if size > len(tokens) or any(own.id_to_piece(row) != tokens[row] for row in range(size)):
        return None
    wanted = tokenizer(list(asked), add_special_tokens=False)["input_ids"] if asked else []
    return own if own.encode(list(asked)) == wanted else None


def _begins_with_space(tokenizer: Any) -> bool:
    """Whether a space is put before a text that has none."""
    said = tokenizer.convert_ids_to_tokens(tokenizer("a", add_special_tokens=False)["input_ids"])
    return bool(said) and said[0].startswith("▁")

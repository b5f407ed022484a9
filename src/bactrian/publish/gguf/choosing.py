"""Finds the way to write a tokenizer that llama.cpp reads as transformers does, by asking it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bactrian.errors import ConfigError, MissingExtra
from bactrian.events import emit
from bactrian.models.llamacpp import installed
from bactrian.publish.gguf.asking import asking
from bactrian.publish.gguf.proof import composes, different
from bactrian.publish.gguf.storage import Stored
from bactrian.publish.gguf.vocabulary import Vocabulary, readings
from bactrian.publish.gguf.writing import write

WIDTH = 32
"""Of the model without weights that carries a vocabulary to llama.cpp."""


def vocabulary_of(
    tokenizer: Any, rows: int, folder: Path, asked: Sequence[str], *, prove: bool = True
) -> Vocabulary:
    """Return the first way that gives equal ids for all texts, tried before anything is written.

    Without llama.cpp, or without ``prove``, the one way that the tokenizer names is taken. Raises
    ConfigError where no way does, MissingExtra where trying is needed and llama.cpp is absent.
    """
    ways = readings(tokenizer, rows, folder, asked)
    first = next(ways)
    if not prove or not installed():
        if not first.sure:
            raise MissingExtra(
                "the base's tokenizer cuts text in a way that is not known here by name; "
                "llama.cpp is needed to find out which of its ways is equal",
                "pip install 'bactrian[llama-cpp]', and leave --no-proof out",
            )
        return first
    wrong: list[str] = []
    for tries, way in enumerate(chain([first], ways)):
        found = _wrong(way, rows, tokenizer, asked)
        if found == []:
            if tries:
                emit("decision", text=f"the tokenizer is written as {way.name}: ids are equal")
            return way
        wrong = found if found is not None and not wrong else wrong
    told = f", such as {wrong[0][:60]!r}" if wrong else ""
    raise ConfigError(
        f"llama.cpp reads texts{told} otherwise than the base's tokenizer in every way it knows",
        "use bactrian export merged or bactrian export vllm: they keep the tokenizer as it is",
    )


def _wrong(way: Vocabulary, rows: int, tokenizer: Any, asked: Sequence[str]) -> list[str] | None:
    """Return the texts that are read otherwise, None where llama.cpp does not know the way."""
    with TemporaryDirectory(prefix="bactrian-") as folder:
        path = Path(folder) / "vocabulary.gguf"
        _carry(way, rows, path)
        try:
            with asking(path) as server:
                return different(server, tokenizer, asked, composed=composes(tokenizer))
        except ConfigError:
            return None


def _carry(way: Vocabulary, rows: int, path: Path) -> None:
    """Write a LLaMA of one layer and no weights with the vocabulary, some megabytes large."""
    import torch

    square = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    layer = [Stored(f"blk.0.{name}.weight", (WIDTH, WIDTH), "f16") for name in square]
    norms = [
        Stored(name, (WIDTH,), "f32")
        for name in ("output_norm.weight", "blk.0.attn_norm.weight", "blk.0.ffn_norm.weight")
    ]
    tensors = [Stored("token_embd.weight", (rows, WIDTH), "f16"), *norms, *layer]
    shapes = {one.name: one.shape for one in tensors}
    keys = {
        "block_count": 1, "context_length": 64, "embedding_length": WIDTH, "vocab_size": rows,
        "feed_forward_length": WIDTH, "attention.head_count": 1, "attention.head_count_kv": 1,
        "attention.layer_norm_rms_epsilon": 1e-5, "rope.dimension_count": WIDTH,
    }  # fmt: skip
    told = {f"llama.{key}": value for key, value in keys.items()} | dict(way.keys)
    write(path, "llama", told, tensors, lambda name: torch.zeros(shapes[name]))

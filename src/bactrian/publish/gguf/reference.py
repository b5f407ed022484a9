"""What the model itself answers in float32: base with its adapter through PEFT, not through us."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from bactrian.models import adapters
from bactrian.models.base import Base, load
from bactrian.models.tokens import prompt_ids
from bactrian.publish.source import Source

NUMBER = 4
"""Bytes of float32."""
SPARE = 1 << 30
"""Bytes of memory that are left to everything else."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What follows one prompt."""

    prompt: tuple[int, ...]
    first: Any
    """Log-probability of every token after the prompt, numpy [vocabulary]."""
    tokens: tuple[int, ...]
    """The likeliest continuation."""
    steps: tuple[Any, ...]
    """Log-probabilities at each of them, numpy [vocabulary] each; the first is ``first``."""


def model_of(source: Source) -> tuple[Any, Base]:
    """Return the model in float32 with the adapters attached, and its base."""
    base = load(str(source.base.folder), dtype="float32")
    if not source.adapters:
        return base.model, base
    (chosen,) = source.adapters
    with warnings.catch_warnings():
        # of merging an embedding that the head shares: here the two are told apart
        warnings.filterwarnings("ignore", r"Model has `tie_word_embeddings=True`", UserWarning)
        return adapters.attach(base, {"exported": chosen.folder}), base


def answers(
    model: Any, tokenizer: Any, prompts: Sequence[str], count: int, longest: int
) -> list[Answer]:
    """Return what follows each prompt: ``count`` tokens, of prompts cut to ``longest`` ids."""
    return [
        _answer(model, ids[:longest], count) for ids in prompt_ids(tokenizer, prompts)
    ]  # fmt: skip


def memory_needed(parameters: int, file: int) -> int:
    """Return bytes for the model in float32 beside a file that llama.cpp holds in memory."""
    return NUMBER * parameters + file + SPARE


def _answer(model: Any, prompt: Sequence[int], count: int) -> Answer:
    steps, tokens, cache = [], [], None
    following = list(prompt)
    with torch.inference_mode():
        for _ in range(count):
            given = torch.tensor([following], device=model.device)
            said = model(input_ids=given, past_key_values=cache, use_cache=True)
            cache = said.past_key_values
            steps.append(said.logits[0, -1].double().log_softmax(-1).cpu().numpy())
            tokens.append(int(steps[-1].argmax()))
            following = tokens[-1:]
    return Answer(tuple(prompt), steps[0], tuple(tokens), tuple(steps))

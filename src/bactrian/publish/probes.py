"""Short tasks in many scripts, and how far two models lie apart on them.

A greeting in a dozen scripts: what a merge, an export or a dtype spoils in one tokenizer's
rare corner shows here. Knows nothing of adapters or of how a model was made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bactrian.models.prompts import PromptStyle
from bactrian.models.tokens import prompt_ids

STEPS = 6
"""Greedy tokens that each model writes after each prompt."""
PROBES: Mapping[str, str] = {
    "Latin": "Hello!",
    "Latin, marked": "Xin chào!",
    "Cyrillic": "Привет!",
    "Arabic": "مرحبا!",
    "Devanagari": "नमस्ते!",
    "Tamil": "வணக்கம்!",
    "Thai": "สวัสดี",
    "Khmer": "សួស្តី!",
    "Ethiopic": "ሰላም!",
    "Han": "你好!",
    "Kana": "こんにちは!",
    "Hangul": "안녕!",
}
"""A greeting, by the script it is written in: short, since every model has to read it twice."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a model says to the probes, greedily."""

    tokens: Any
    """[probes, steps], on the CPU."""
    logits: Any
    """[steps, probes, vocab] in float32, on the CPU: before each of the tokens."""


@dataclass(frozen=True, slots=True)
class Apart:
    """How far one model lies from another on the probes."""

    difference: float
    """Largest |difference| of two logits, over the steps before which both wrote the same."""
    same_tokens: int
    """Tokens that are the same, before the first that is not."""
    tokens: int
    """All of them."""
    spread: float
    """Standard deviation of the logits: what a difference is to be held against."""
    differing: tuple[str, ...]
    """Scripts in which another token was written."""


def hear(model: Any, tokenizer: Any, style: PromptStyle, *, steps: int = STEPS) -> Heard:
    """Let a model answer the probes in a prompt style, without ever stopping early.

    Rows are filled up on the left, masked; encoder-decoders read the prompt and answer it.
    """
    import torch
    from transformers import GenerationConfig

    rows = prompt_ids(tokenizer, [style.render(text) for text in PROBES.values()])
    ids, mask = _padded(rows)
    start = getattr(model.config, "decoder_start_token_id", None)
    model.generation_config = GenerationConfig(decoder_start_token_id=start)
    told = GenerationConfig(
        max_new_tokens=steps,
        do_sample=False,
        num_beams=1,
        pad_token_id=0,
        decoder_start_token_id=start,
        output_logits=True,
        return_dict_in_generate=True,
    )
    with torch.inference_mode():
        answer = model.generate(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            generation_config=told,
        )
    logits = torch.stack(answer.logits).float().cpu()
    return Heard(answer.sequences[:, -steps:].cpu(), logits)


def apart(one: Heard, other: Heard) -> Apart:
    """Compare two models; logits are compared as long as both have read the same text."""
    import torch

    columns = min(one.logits.shape[-1], other.logits.shape[-1])
    same = (one.tokens == other.tokens).long().cumprod(dim=1).bool()
    read = torch.cat([torch.ones_like(same[:, :1]), same[:, :-1]], dim=1).T
    differences = (one.logits[..., :columns] - other.logits[..., :columns]).abs().amax(-1)
    scripts = tuple(PROBES)
    return Apart(
        difference=float(differences[read].max()),
        same_tokens=int(same.sum()),
        tokens=same.numel(),
        spread=float(one.logits.std()),
        differing=tuple(scripts[row] for row in (~same.all(1)).nonzero().flatten().tolist()),
    )


def _padded(rows: Sequence[Sequence[int]]) -> tuple[Any, Any]:
    """Return ids and mask [rows, longest], filled up on the left with 0."""
    import torch

    longest = max(map(len, rows))
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, longest - len(row) :] = torch.tensor(row)
        mask[place, longest - len(row) :] = 1
    return ids, mask

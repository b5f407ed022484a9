"""Lets a model answer several prompts at once, greedily.

Knows token ids and text. Knows nothing of prompt styles, adapters or languages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bactrian.models.generation import (
    Generated,
    GenerationSettings,
    TextSoFar,
    decoder,
    decoding,
    end_tokens,
)


def batches(lengths: Sequence[int], more: int, budget: int) -> Iterator[tuple[int, ...]]:
    """Yield places of prompts that are answered together, the longest first.

    ``lengths`` are tokens of each prompt, ``more`` the longest answer; a batch has at most
    ``budget`` tokens, padding and answers included, and at least one prompt.
    """
    order = sorted(range(len(lengths)), key=lambda place: (-lengths[place], place))
    start = 0
    while start < len(order):
        rows = max(1, budget // (lengths[order[start]] + more))
        yield tuple(order[start : start + rows])
        start += rows


def takes_padding(model: Any) -> bool:
    """Return whether tokens before a prompt that are masked leave its answer as it is.

    Recurrent models read them all the same.
    """
    return not getattr(model, "_is_stateful", False)


def generate_together(
    model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], most: int
) -> list[Generated]:
    """Return the greedy answers of at most ``most`` tokens to prompts of token ids, in order.

    A prompt and its answer have to fit the context.
    """
    import torch

    ends = end_tokens(model, tokenizer)
    edge = max(map(len, prompts))
    ids = torch.full((len(prompts), edge), ends[0] if ends else 0)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, edge - len(prompt) :] = torch.tensor(list(prompt))
        mask[row, edge - len(prompt) :] = 1
    settings = GenerationSettings(temperature=0, beams=1, max_tokens=most)
    with torch.inference_mode():
        written = model.generate(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            generation_config=decoding(settings, most, ends),
        )
    return [_read(tokenizer, row, ends) for row in written[:, edge:].tolist()]


def _read(tokenizer: Any, tokens: list[int], ends: Sequence[int]) -> Generated:
    end = next((place for place, token in enumerate(tokens) if token in ends), None)
    so_far = TextSoFar(decoder(tokenizer))
    for token in tokens[:end]:
        so_far.add(token)
    kept = len(tokens) if end is None else end
    return Generated(so_far.text, kept, "length" if end is None else "stop")

"""Greedy answers to the probes: of transformers with PEFT, of llama.cpp, of Meta's formulas."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

Answers = list[list[int]]
"""Token ids of each answer, in the order of the probes."""


def base_of(adapter: Path) -> str:
    """Return what the adapter calls its base."""
    return str(_asked(adapter)[0].base.id)


def of_base_and_adapter(adapter: Path, count: int) -> Answers:
    """Return what PEFT's model answers in float32, base and adapter apart."""
    from bactrian.models import adapters
    from bactrian.models.base import load

    base = load(_asked(adapter)[0].base.id, dtype="float32")
    model = adapters.attach(base, {"one": adapter})
    return _ended(_written(model, _prompts(adapter), count), adapter)


def of_folder(folder: Path, adapter: Path, count: int) -> Answers:
    """Return what a merged folder answers in float32."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return _ended(_written(model.eval(), _prompts(adapter), count), adapter)


def of_gguf(file: Path, over: Path | None, adapter: Path, count: int) -> Answers:
    """Return what llama.cpp answers from a file, with an adapter's file over it where named."""
    from bactrian.publish.gguf.asking import asking

    with asking(file, over) as server:
        return _ended([server.greedy(prompt, count) for prompt in _prompts(adapter)], adapter)


def of_state_dict(folder: Path, adapter: Path, count: int) -> Answers:
    """Return what the formulas of LLaMA's paper answer from ``consolidated.00.pth`` alone."""
    from meta_reference import greedy

    return _ended([greedy(folder, prompt, count) for prompt in _prompts(adapter)], adapter)


def parting(folder: Path, adapter: Path, found: Answers, wanted: Answers) -> float:
    """Return the largest gap, in nats, at which an answer leaves the wanted one; 0 where none does.

    What the model of ``folder`` thinks of both tokens there, computed in float32.
    """
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    end = _asked(adapter)[1].eos_token_id
    largest = 0.0
    for prompt, one, other in zip(_prompts(adapter), found, wanted, strict=True):
        if one == other:
            continue
        pairs = zip([*one, end], [*other, end], strict=False)
        place, (a, b) = next((place, pair) for place, pair in enumerate(pairs) if len({*pair}) > 1)
        with torch.inference_mode():
            logits = model(torch.tensor([[*prompt, *other[:place]]])).logits[0, -1]
        largest = max(largest, float(logits[b] - logits[a]))
    return largest


def _ended(answers: Answers, adapter: Path) -> Answers:
    """Return the answers up to EOS, which is left out: some programs write it, some do not."""
    end = _asked(adapter)[1].eos_token_id
    return [one[: one.index(end)] if end in one else one for one in answers]


@cache
def _asked(adapter: Path) -> tuple[Any, Any]:
    """Return base and adapter, not loaded, and the tokenizer."""
    from bactrian.models.base import tokenizer_of
    from bactrian.publish.source import open_source

    source = open_source({adapter: 1.0})
    return source, tokenizer_of(source.base)


def _prompts(adapter: Path) -> Answers:
    from bactrian.models import prompts
    from bactrian.models.tokens import prompt_ids
    from bactrian.publish.probes import PROBES

    source, tokenizer = _asked(adapter)
    style = prompts.style(source.prompt, tokenizer)
    return [list(ids) for ids in prompt_ids(tokenizer, [style.render(t) for t in PROBES.values()])]


def _written(model: Any, prompts: Answers, count: int) -> Answers:
    """Return the likeliest token after another, each from a whole forward pass."""
    import torch

    answers = []
    for prompt in prompts:
        ids = list(prompt)
        with torch.inference_mode():
            for _ in range(count):
                ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        answers.append(ids[len(prompt) :])
    return answers

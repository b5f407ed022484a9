"""The least CPU time that a set of questions can take: its products at the machine's own peak.

Counted are the linear layers at every token of the tries, attention along the branches left out,
and the head at every state that something is asked of. Knows nothing of engines.
"""

from __future__ import annotations

import time
from functools import cache
from statistics import median
from typing import Any

from benchmarks.evaluation.bases import LLAMA

ROWS = 1024


def seconds(cell: dict[str, Any]) -> float:
    """Return the seconds that the LLaMA-like model's products take at the measured peak."""
    return work(cell["tokens"], cell["states"]) / peak()


def work(tokens: int, states: int) -> float:
    """Return the floating-point operations of so many tokens and so many states at the head."""
    width, inner = LLAMA["hidden_size"], LLAMA["intermediate_size"]
    layers = LLAMA["num_hidden_layers"] * (4 * width * width + 3 * width * inner)
    return 2.0 * (tokens * layers + states * width * LLAMA["vocab_size"])


@cache
def peak() -> float:
    """Return operations a second of one thread in the product that a layer spends most on."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    width, inner = LLAMA["hidden_size"], LLAMA["intermediate_size"]
    rows, weight = torch.randn(ROWS, width), torch.randn(inner, width)
    found = rows.new_empty(ROWS, inner)
    taken = []
    for _ in range(40):
        start = time.process_time()
        torch.mm(rows, weight.t(), out=found)
        taken.append(time.process_time() - start)
    torch.set_num_threads(before)
    return 2.0 * ROWS * width * inner / median(taken[10:])

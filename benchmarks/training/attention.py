"""Our CPU attention beside torch's own kernel: CPU time of forward and backward, one thread.

    OMP_NUM_THREADS=1 python benchmarks/training/attention.py [--dtype bfloat16] [--repeats 9]

Both take turns, A/B/A/B, on the same tensors of about 3,072 tokens; what counts is the ratio of the
medians. ALiBi is what BLOOM needs: torch's kernel gets it as a bias [heads, length, length], made
once. The packed row is cut into documents of the lengths of Bactrian-X (Li et al. 2023, Table 1).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from collections.abc import Callable, Sequence
from math import log
from typing import Any

TOKENS = 3072
SHAPES = ((64, 4, 4), (64, 9, 3), (64, 16, 16), (128, 8, 8), (128, 32, 8))
"""Width of a head, heads, key heads."""
LENGTHS = (40, 96, 160, 320, 768, 1024)
KINDS = ("plain", "ALiBi", "window", "packed")


def documents(seed: int = 0) -> list[int]:
    """Return lengths that fill a row: prompts of 45 tokens and responses of 134 on average."""
    drawn = random.Random(seed)
    found: list[int] = []
    while sum(found) < TOKENS:
        prompt = drawn.lognormvariate(log(45) - 0.32, 0.8)
        response = drawn.lognormvariate(log(134) - 0.5, 1.0)
        found.append(min(768, max(4, round(prompt + response)), TOKENS - sum(found)))
    return [length for length in found if length]


def interleaved(ways: Sequence[Callable[[], Any]], repeats: int) -> list[float]:
    """Return the median CPU milliseconds of each way, all of them taking turns."""
    spent: list[list[float]] = [[] for _ in ways]
    for turn in range(repeats + 2):
        for way, times in zip(ways, spent, strict=True):
            began = time.process_time()
            way()
            if turn >= 2:  # two turns to warm up
                times.append((time.process_time() - began) * 1e3)
    return [statistics.median(times) for times in spent]


def measure(dtype: str, shape: tuple[int, int, int], length: int, kind: str, repeats: int) -> Any:
    """Return one row of the table."""
    import torch

    from bactrian.models.attention import blocks, sdpa
    from bactrian.models.attention.families import slopes
    from bactrian.models.attention.scores import Documents, Scores

    width, heads, keys = shape
    packed = Documents(documents()) if kind == "packed" else None
    rows, tokens = (1, packed.tokens) if packed else (max(1, TOKENS // length), length)
    scores = Scores(
        width**-0.5,
        window=length // 2 if kind == "window" else None,
        slopes=slopes(heads) if kind == "ALiBi" else None,
    )
    states = [
        torch.randn(rows, tokens, number, width).to(getattr(torch, dtype)).transpose(1, 2)
        for number in (heads, keys, keys)
    ]
    leaves = [tensor.requires_grad_() for tensor in states]
    slope = torch.randn(rows, tokens, heads, width).to(leaves[0].dtype)

    def both(attend: Callable[..., Any]) -> Callable[[], Any]:
        return lambda: torch.autograd.grad(attend(*leaves, scores, packed), leaves, slope)

    theirs, ours = interleaved([both(sdpa.attend), both(blocks.attend)], repeats)
    return {
        "dtype": dtype,
        "heads": f"{heads}/{keys} x {width}",
        "rows": kind if packed else f"{rows} x {length}, {kind}",
        "torch_ms": round(theirs, 2),
        "ours_ms": round(ours, 2),
        "torch/ours": round(theirs / ours, 2),
    }


def main() -> None:
    """Print the table, one JSON object a line."""
    import torch

    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    asked.add_argument("--repeats", type=int, default=9)
    asked.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    asked.add_argument("--shapes", type=int, nargs="+", default=range(len(SHAPES)))
    asked.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    told = asked.parse_args()
    torch.set_num_threads(1)
    print(json.dumps({"torch": torch.__version__, "load": os.getloadavg()[0]}))
    for shape in (SHAPES[place] for place in told.shapes):
        for kind in told.kinds:
            for length in told.lengths if kind != "packed" else (0,):
                if kind == "ALiBi" and shape[1] != shape[2]:
                    continue  # BLOOM has a key head for each head
                print(
                    json.dumps(measure(told.dtype, shape, length, kind, told.repeats)), flush=True
                )


if __name__ == "__main__":
    main()

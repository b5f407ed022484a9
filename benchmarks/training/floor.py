"""The least time that a useful token can take: the matrix products, at this machine's own peak.

    PYTHONPATH=. python -m benchmarks.training.floor --model llama --threads 1

Per useful token of one epoch of ``shapes.rows``, in floating point operations (2 a multiply-add):

body       4 x the parameters of all blocks' linear layers: forward, and the gradient of the input;
           they are frozen, so there is no gradient of the weights
LoRA       6 x its parameters: forward, gradient of the input, gradient of the weights
attention  7 x n x width x layers, n tokens a row (averaged over tokens): causal scores and values
           forward 2, backward 5, because a fused kernel makes the scores again
head       4 x width x vocabulary at response positions only: logits, and the gradient of the
           hidden states

Body, LoRA and attention are divided by the rate at which this machine multiplies the body's own
shapes (forward and backward, weighted by their operations), the head by the best rate of its own
shape over several ways to cut it into pieces. Rates are the best of several repeats, in the same
dtype. Everything else that a training does (norms, activations, softmax, embeddings, optimizer,
data) counts as nothing, so 100 % cannot be reached.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from typing import Any

from benchmarks.training import meter as metering
from benchmarks.training import shapes

CHUNKS = (128, 256, 512)
"""Rows of the head at once."""
TILES = (2048, 8192, 0)
"""Words of the vocabulary at once; 0 is all of them."""
HEAD_ROWS = 512
"""Rows over which a way to cut the head is timed."""
SQUARE = {"cpu": 1024, "cuda": 8192}
"""Rows and columns of the square product whose rate is told beside the shapes' own."""


@dataclass(frozen=True)
class Work:
    """Operations of one useful token."""

    body: float
    lora: float
    attention: float
    head: float


def work(shape: shapes.Shape, rows: list[shapes.Row], rank: int) -> Work:
    """Return the operations of an average useful token of these rows."""
    tokens = sum(len(row.ids) for row in rows)
    response = sum(row.response for row in rows)
    met = sum(len(row.ids) ** 2 for row in rows) / tokens  # tokens a row, averaged over tokens
    return Work(
        body=4.0 * shape.layers * sum(linear.parameters for linear in shape.block),
        lora=6.0 * shape.lora_parameters(rank),
        attention=7.0 * met * shape.width * shape.layers,
        head=4.0 * shape.width * shape.vocabulary * response / tokens,
    )


def seconds(work: Work, body_rate: float, head_rate: float) -> float:
    """Return the floor of one useful token; rates in operations a second."""
    return (work.body + work.lora + work.attention) / body_rate + work.head / head_rate


def body_rate(shape: shapes.Shape, tokens: int, device: str) -> float:
    """Return operations a second of the block's products, forward and backward."""
    import torch

    total = spent = 0.0
    for linear in shape.block:
        inputs = torch.randn(tokens, linear.inputs, device=device, dtype=torch.bfloat16)
        weight = torch.randn(linear.outputs, linear.inputs, device=device, dtype=torch.bfloat16)
        outputs = inputs @ weight.t()
        spent += _best(partial(torch.mm, inputs, weight.t(), out=outputs), device)
        spent += _best(partial(torch.mm, outputs, weight, out=inputs), device)
        total += 4.0 * tokens * linear.parameters
    return total / spent


def head_rate(shape: shapes.Shape, device: str) -> tuple[float, int, int]:
    """Return operations a second of the head's two products, and the rows and words at once."""
    import torch

    hidden = torch.randn(HEAD_ROWS, shape.width, device=device, dtype=torch.bfloat16)
    weight = torch.randn(shape.vocabulary, shape.width, device=device, dtype=torch.bfloat16)
    operations = 4.0 * HEAD_ROWS * shape.width * shape.vocabulary
    found = []
    for rows, words in product(CHUNKS, TILES):
        took = _best(_head(hidden, weight, rows, words or len(weight)), device, repeats=3)
        found.append((operations / took, rows, words))
    return max(found)


def _head(hidden: Any, weight: Any, rows: int, words: int) -> Callable[[], None]:
    """Return logits and gradient of all rows, cut into pieces; each cut once."""
    import torch

    logits = torch.empty(rows, words, device=hidden.device, dtype=hidden.dtype)
    gradient = torch.empty(rows, hidden.shape[1], device=hidden.device, dtype=hidden.dtype)

    def products() -> None:
        for start in range(0, len(hidden), rows):
            chunk = hidden[start : start + rows]
            for first in range(0, len(weight), words):
                tile = weight[first : first + words]
                out = logits if len(tile) == words else logits.new_empty(rows, len(tile))
                torch.mm(chunk, tile.t(), out=out)
                torch.mm(out, tile, out=gradient)

    return products


def square_rate(device: str, size: int) -> float:
    """Return operations a second of a square product, the peak that a share of peak is of."""
    import torch

    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in "ab")
    out = torch.empty_like(left)
    return 2.0 * size**3 / _best(lambda: torch.mm(left, right, out=out), device, repeats=20)


def _best(call: Callable[[], Any], device: str, repeats: int = 7) -> float:
    """Return the least seconds of several calls, after one that is not counted.

    Of CPU with one thread, as all rates of the bench are; of the clock otherwise.
    """
    import torch

    alone = device == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    call()
    taken = []
    for _ in range(repeats):
        if device != "cpu":
            torch.cuda.synchronize()
        began = clock()
        call()
        if device != "cpu":
            torch.cuda.synchronize()
        taken.append(clock() - began)
    return min(taken)


def main() -> None:
    """Measure the rates, print the floor."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--model", default="llama")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=3072, help="tokens of a micro-batch")
    parser.add_argument("--rank", type=int, default=shapes.RANK)
    told = parser.parse_args()
    torch.set_num_threads(told.threads)
    torch.manual_seed(0)
    shape = shapes.SHAPES[told.model]
    needed = work(shape, shapes.rows(shape.vocabulary), told.rank)
    body = body_rate(shape, told.tokens, told.device)
    head, rows, words = head_rate(shape, told.device)
    metering.told(
        {
            "contender": "floor",
            "model": told.model,
            "device": told.device,
            "threads": told.threads,
            "body_gflops": round(body / 1e9, 1),
            "head_gflops": round(head / 1e9, 1),
            "square_gflops": round(square_rate(told.device, SQUARE[told.device]) / 1e9, 1),
            "head_rows": rows,
            "head_words": words,
            "mflop_per_token": {name: round(n / 1e6, 2) for name, n in asdict(needed).items()},
            "useful_per_s": round(1 / seconds(needed, body, head), 1),
        }
    )


if __name__ == "__main__":
    main()

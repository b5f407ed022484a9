"""The head and its loss alone: ours, the ways it replaces, and the matrix products' own peak.

    PYTHONPATH=. python -m benchmarks.training.cross_entropy [--threads 1] [--all] [--seconds 2]

Nats of n response positions and the gradient of their hidden states, head frozen. All contenders
of a shape take turns, and so do the bare products h W^T and p W (the faster of several cuts); times
are CPU time on one thread, wall time on more and on a GPU; medians. ``floor`` figures are the
products' time over ours. Errors are those of 128 rows against full logits in float64.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from benchmarks.training.report import Figure

CUTS = ((512, 2048), (1024, 1024), (1024, 4096), (0, 1024))
"""Rows (0: all) and words of the products whose best is the floor."""
ERROR_ROWS = 128


@dataclass(frozen=True)
class Shape:
    """A head, how many rows meet it, and the share of the floor to reach."""

    vocabulary: int
    width: int
    dtype: str
    rows: int
    share: float | None = None

    @property
    def name(self) -> str:
        """As the figures call it."""
        return f"ce-{self.vocabulary}x{self.width}-{self.dtype}"


SHAPES = (
    Shape(32_000, 256, "bfloat16", 2048, 0.9),
    Shape(250_880, 256, "bfloat16", 1024, 0.8),
    Shape(32_000, 256, "float32", 1024, 0.9),
    Shape(250_880, 256, "float32", 512, 0.8),
)
MORE = (
    Shape(49_152, 576, "bfloat16", 2048),
    Shape(49_152, 576, "float32", 512),
    Shape(128_256, 2048, "bfloat16", 1024),
    Shape(128_256, 2048, "float32", 256),
    Shape(250_880, 4096, "bfloat16", 1024),
)
Way = Callable[[Any, Any, Any], Any]
"""(hidden, weight, targets) -> the sum of nats, differentiable in hidden."""


def ours(hidden: Any, weight: Any, targets: Any) -> Any:
    """bactrian.models.cross_entropy."""
    import torch
    from torch.nn.utils import skip_init

    from bactrian.models.cross_entropy import token_nats
    from bactrian.models.head import Head

    linear = skip_init(torch.nn.Linear, 1, 1, bias=False)
    linear.weight = torch.nn.Parameter(weight, requires_grad=False)
    return token_nats(hidden, targets, Head(linear, 1.0, None)).sum()


def full(hidden: Any, weight: Any, targets: Any) -> Any:
    """All logits at once, as models do it."""
    from torch.nn.functional import cross_entropy

    return cross_entropy((hidden @ weight.t()).float(), targets, reduction="sum")


def of_torch(hidden: Any, weight: Any, targets: Any) -> Any:
    """torch's own chunked function, since 2.13."""
    from torch import nn

    return nn.functional.linear_cross_entropy(
        hidden, weight, targets, reduction="sum", options=nn.LinearCrossEntropyOptions()
    )


def in_chunks(hidden: Any, weight: Any, targets: Any) -> Any:
    """256 rows at a time with float32 logits, the gradient in the forward: the usual own way."""
    import torch

    total, gradients = torch.zeros((), device=hidden.device), torch.empty_like(hidden)
    with torch.no_grad():
        for start in range(0, len(hidden), 256):
            rows = slice(start, start + 256)
            logits = (hidden[rows] @ weight.t()).float()
            at = targets[rows].unsqueeze(1)
            sums = logits.logsumexp(1, keepdim=True)
            total += (sums - logits.gather(1, at)).sum()
            slopes = logits.sub_(sums).exp_()
            slopes.scatter_(1, at, slopes.gather(1, at) - 1)
            gradients[rows] = slopes.to(weight.dtype) @ weight
    return total + ((hidden - hidden.detach()) * gradients).sum()


def of_liger(hidden: Any, weight: Any, targets: Any) -> Any:
    """Liger's fused linear cross-entropy."""
    ops = import_module("liger_kernel.ops.fused_linear_cross_entropy")
    given = (None, None, -100, 0.0, 0.0, "sum")
    return ops.LigerFusedLinearCrossEntropyFunction.apply(hidden, weight, targets, *given)[0]


def of_cut(hidden: Any, weight: Any, targets: Any) -> Any:
    """Apple's cut-cross-entropy."""
    cut = import_module("cut_cross_entropy")
    return cut.linear_cross_entropy(hidden, weight, targets, reduction="sum")


def contenders(device: str) -> dict[str, Way]:
    """Return what can run here."""
    from torch.nn import functional

    found: dict[str, Way] = {"ours": ours, "full-logits": full, "chunks-of-256-rows": in_chunks}
    if hasattr(functional, "linear_cross_entropy"):
        found["torch-linear-cross-entropy"] = of_torch
    if device == "cuda" and find_spec("liger_kernel"):
        found["liger"] = of_liger
    if device == "cuda" and find_spec("cut_cross_entropy"):
        found["cut-cross-entropy"] = of_cut
    return found


def loss_and_gradient(way: Way, hidden: Any, weight: Any, targets: Any) -> tuple[Any, Any]:
    """Return the sum of nats and the gradient of ``hidden``."""
    hidden = hidden.detach().requires_grad_()
    total = way(hidden, weight, targets)
    total.backward()
    return total.detach(), hidden.grad


def products(hidden: Any, weight: Any, rows: int, words: int) -> None:
    """Run h W^T and p W of all rows and words, cut into pieces; nothing else."""
    import torch

    rows, words = min(rows or len(hidden), len(hidden)), min(words, len(weight))
    terms = torch.empty(rows, words, dtype=weight.dtype, device=weight.device)
    part = torch.empty(rows, weight.shape[1], dtype=weight.dtype, device=weight.device)
    for first in range(0, len(hidden) - rows + 1, rows):
        for start in range(0, len(weight) - words + 1, words):
            piece = weight[start : start + words]
            torch.mm(hidden[first : first + rows], piece.t(), out=terms)
            torch.mm(terms, piece, out=part)


def seconds(run: Callable[[], Any], device: str, threads: int) -> float:
    """Return the time of one run."""
    import torch

    clock = time.process_time if device == "cpu" and threads == 1 else time.perf_counter
    if device == "cuda":
        torch.cuda.synchronize()
    began = clock()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return clock() - began


def errors(way: Way, hidden: Any, weight: Any, targets: Any) -> tuple[float, float]:
    """Return relative errors of loss and gradient against float64."""
    some, chosen = hidden[:ERROR_ROWS], targets[:ERROR_ROWS]
    wanted, gradient = loss_and_gradient(full64, some, weight, chosen)
    total, found = loss_and_gradient(way, some, weight, chosen)
    off = (found.double() - gradient).norm() / gradient.norm()
    return float((total.double() - wanted).abs() / wanted), float(off)


def full64(hidden: Any, weight: Any, targets: Any) -> Any:
    """All logits at once in float64."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(hidden.double() @ weight.double().t(), targets, reduction="sum")


def measure(shape: Shape, device: str, threads: int, budget: float) -> Iterator[Figure]:
    """Yield the figures of one shape."""
    import torch

    draw = torch.Generator().manual_seed(0)
    dtype = getattr(torch, shape.dtype)
    hidden = torch.randn(shape.rows, shape.width, generator=draw).to(device, dtype)
    weight = torch.randn(shape.vocabulary, shape.width, generator=draw)
    weight = weight.mul_(0.8 / shape.width**0.5).to(device, dtype)
    targets = torch.randint(0, shape.vocabulary, (shape.rows,), generator=draw).to(device)
    ways = contenders(device)
    runs: dict[str, Callable[[], Any]] = {
        name: partial(loss_and_gradient, way, hidden, weight, targets) for name, way in ways.items()
    }
    runs["ours-nats-only"] = partial(ours, hidden, weight, targets)
    cuts = {f"cut{cut}": partial(products, hidden, weight, *cut) for cut in CUTS}
    took = _in_turn({**runs, **cuts}, partial(seconds, device=device, threads=threads), budget)
    floor = min(took.pop(name) for name in cuts)
    rate = 4e-9 * shape.rows * shape.width * shape.vocabulary / floor
    yield Figure(f"{shape.name}-products-gflops", rate)
    for name, value in took.items():
        yield Figure(f"{shape.name}-{name}-us-a-row", value / shape.rows * 1e6)
    yield Figure(f"{shape.name}-ours-floor", floor / took["ours"], shape.share, at_most=False)
    for name, way in ways.items():
        of_loss, of_gradient = errors(way, hidden, weight, targets)
        limit = 1e-5 if name == "ours" and shape.dtype == "float32" else None
        yield Figure(f"{shape.name}-{name}-loss-error", of_loss, limit)
        yield Figure(f"{shape.name}-{name}-gradient-error", of_gradient, limit)


def _in_turn(
    runs: dict[str, Callable[[], Any]], timed: Callable[..., float], budget: float
) -> dict[str, float]:
    """Return the median time of each, all run in turn until each had ``budget`` seconds."""
    for run in runs.values():
        run()  # the first run of each allocates
    took: dict[str, list[float]] = {name: [] for name in runs}
    spent = 0.0
    while spent < budget * len(runs) or len(took[next(iter(took))]) < 3:
        for name, run in runs.items():
            took[name].append(timed(run))
            spent += took[name][-1]
    return {name: statistics.median(values) for name, values in took.items()}


def main() -> None:
    """Print a line a figure: name, value, limit, ok or short."""
    import torch

    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--all", action="store_true", help="larger widths too")
    options.add_argument("--seconds", type=float, default=1.0, help="of each contender")
    options.add_argument("--only", default="", help="shapes whose name contains this")
    told = options.parse_args()
    torch.set_num_threads(told.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for shape in (*SHAPES, *MORE) if told.all else SHAPES:
        if told.only in shape.name:
            for figure in measure(shape, device, told.threads, told.seconds):
                print(figure.line(), flush=True)


if __name__ == "__main__":
    main()

"""Chooses the fastest way to score that gives what the plain model gives.

A few requests go through the plain model one at a time, and through each way: rows of tries first,
then padded rows with the head at the scored positions only, then the model's own logits. What
disagrees is not used, and a warning says so. Knows no texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from bactrian.events import emit
from bactrian.models.head import Split, split
from bactrian.models.scoring.requests import Request
from bactrian.models.scoring.rows import padded
from bactrian.models.scoring.scorers import Scorer

CLOSE = 1e-3
"""Accepted distance of a way from the plain model, as a share of the spread."""
CLOSE_HALF = 0.06
"""In half precision and with quantised weights, where every shape of a product rounds anew."""
NOISE = 3.0
"""There a way may also be so many times as far off as the model's own padded rows are."""


def scorer(model: Any) -> Scorer:
    """Return a scorer of a causal model, plain or with PEFT's layers inside.

    Later changes of its active adapter count; the test was made with the one that is active now.
    """
    from bactrian.models.attention.agreement import quiet

    parts = split(model)
    plain = Scorer(parts, "plain")
    with quiet(parts.causal):
        asked = _probes(parts)
        own = [_plainly(parts, request) for request in asked]
        limit = _limit(plain, asked, own)
        for name, candidate in _candidates(parts):
            fault = _fault(candidate, asked, own, limit)
            if not fault:
                return candidate
            emit(
                "warning",
                text=f"{type(parts.causal).__name__}: {name} are not used to score, {fault}",
            )
    return plain


def _limit(plain: Scorer, asked: Sequence[Request], own: Sequence[float]) -> float:
    """Return the accepted distance: half precision's own noise counts where there is such."""
    if _is_exact(plain.parts):
        return CLOSE
    logits = Scorer(replace(plain.parts, fast=False), "plain")
    (batch,) = padded(asked, len(asked) * max(map(len, asked)))
    found = dict(zip(batch.requests, logits.score(batch), strict=True))
    noise = _distance([found[index].nats for index in range(len(asked))], own, asked)
    return max(CLOSE_HALF, NOISE * noise)


def _candidates(parts: Split) -> Iterator[tuple[str, Scorer]]:
    """Yield the fast ways to score by what they are called, fastest first."""
    if not parts.fast:
        return
    from bactrian.models.attention import trees, trees_cuda, ways
    from bactrian.models.attention.state import Attention

    device = parts.head.linear.weight.device
    kernels = {"packed rows": trees.attend}
    if device.type == "cuda":
        kernels = {"packed rows by flex_attention": trees_cuda.attend, **kernels}
    for name, kernel in kernels.items():
        attention = Attention((ways.ALWAYS,), fast=True)
        attention.tree_kernel = kernel
        yield name, Scorer(parts, "packed", attention)
    yield "padded rows", Scorer(parts, "padded")


def _fault(candidate: Scorer, asked: Sequence[Request], own: Sequence[float], limit: float) -> str:
    """Return what is wrong with a way, or nothing."""
    from bactrian.models.attention.install import FAILURES

    attention = candidate._attention
    try:
        found = candidate.likelihoods(asked, sum(map(len, asked)))
    except FAILURES as error:
        return str(error).strip().partition("\n")[0] or type(error).__name__
    if attention is not None and not attention.calls:
        return "its layers do not look attention up by name"
    if attention is not None and (strange := attention.untold - attention.windows):
        return f"its layers do not tell of their window of {max(strange)} tokens"
    distance = _distance([one.nats for one in found], own, asked)
    if not distance <= limit:  # NaN as well
        return f"they differ from the plain model by {distance:.3f} of the spread"
    return ""


def _distance(found: Sequence[float], own: Sequence[float], asked: Sequence[Request]) -> float:
    """Return the root mean square difference a token, as a share of the spread of the plain one."""
    import torch

    counts = torch.tensor([len(request.continuation) for request in asked]).double()
    ours, plain = (torch.tensor(values).double() / counts for values in (found, own))
    return float((ours - plain).square().mean().sqrt() / plain.std().clamp_min(1e-9))


def _is_exact(parts: Split) -> bool:
    import torch

    full = (torch.float32, torch.float64)
    return parts.causal.dtype in full and not getattr(parts.causal, "is_quantized", False)


def _plainly(parts: Split, request: Request) -> float:
    """Return the log-likelihood that the plain model gives one request by itself."""
    import torch

    device = parts.head.linear.weight.device
    ids = torch.tensor([request.read], device=device)
    targets = torch.tensor(request.continuation, device=device)
    with torch.inference_mode():
        logits = parts.causal(input_ids=ids, use_cache=False).logits[0, -len(targets) :]
        chosen = logits.float().log_softmax(-1).gather(1, targets[:, None])
    return float(chosen.double().sum())


def _probes(parts: Split) -> list[Request]:
    """Return requests that share stems, part early or late, and reach past the model's window."""
    from bactrian.models.attention.agreement import LONGEST

    config = parts.causal.config.get_text_config()
    vocabulary = parts.causal.get_input_embeddings().weight.shape[0]

    def some(first: int, count: int) -> tuple[int, ...]:
        return tuple((place * 7919 + 31) % vocabulary for place in range(first, first + count))

    fitting = min(
        LONGEST.get(parts.head.linear.weight.device.type, 576),
        getattr(config, "max_position_embeddings", None) or 576,
    )
    window = getattr(config, "sliding_window", None) or 0
    length = max(24, window + 8 if window + 24 <= fitting else 0)
    length = max(2, min(length, fitting - 12))
    stem, other = some(1, length), some(5000, 17)
    options = [Request(stem, some(100 * place, 3 + place)) for place in range(5)]
    twigs = [Request((*stem[:9], *some(700 * place, 4)), some(77, 5)) for place in range(3)]
    return [*options, *twigs, Request(other, some(900, 6)), Request(some(300, 1), some(800, 2))]

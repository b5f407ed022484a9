"""Attention on a CPU: square blocks of scores that stay in the cache, those to come left out.

torch's own CPU kernel spends most of a training step in its backward pass. Here nothing is kept
but queries, keys, values, the result and one number a query, as there; scores are computed again.
What is subtracted from a score (the log of the sum) and added to it (ALiBi) rides along as further
columns of the product, so that it costs no pass over the scores. Half-precision values are
multiplied in half precision and summed, exponentiated and kept in float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from bactrian.models.attention.parts import Call, Edge, Part, flat, room
from bactrian.models.attention.scores import Documents, Scores

LOWEST = -80.0
"""exp of less is no normal float32, and slow; it is nothing beside the row's largest share."""


Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@torch.compiler.disable  # type: ignore[misc,untyped-decorator,unused-ignore]
def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scores: Scores,
    documents: Documents | None,
) -> torch.Tensor:
    """Return the mixed values [rows, length, heads, width].

    ``query`` [rows, heads, length, width], ``key`` and ``value`` [rows, key heads, length, width];
    with ``documents`` there is one row, and each document sees itself only.
    """
    mixed: torch.Tensor = _Attend.apply(query, key, value, scores, documents)
    return mixed


def handles(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scores: Scores,
    documents: Documents | None,
) -> bool:
    """Whether this is the way here: not for dropout, nor where torch's kernel does it all."""
    if scores.dropout or query.device.type != "cpu" or (scores.cap and scores.slopes is not None):
        return False
    return documents is not None or not _wholly_by_torch(query, key, value, scores)


class _Attend(torch.autograd.Function):  # type: ignore[misc,unused-ignore]
    """Attention that computes its scores again in the backward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scores: Scores,
        documents: Documents | None,
    ) -> torch.Tensor:
        if _plain(query, key, value, scores):
            mixed, logs = _by_torch(query, key, value, scores.scale, documents)
        else:
            mixed, logs = _by_blocks(Call(query, key, value, scores, documents))
        ctx.save_for_backward(query, key, value, mixed, logs)
        ctx.told = scores, documents
        return mixed.view(query.shape[0], query.shape[2], *mixed.shape[1:])

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[misc,untyped-decorator,unused-ignore]
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, mixed, logs = ctx.saved_tensors
        scores, documents = ctx.told
        told = slope, (mixed, logs), scores, documents
        back = _back_by_torch if _wholly_by_torch(query, key, value, scores) else _back_by_blocks
        return *back((query, key, value), *told), None, None


def _back_by_blocks(
    given: Tensors,
    slope: torch.Tensor,
    kept: tuple[torch.Tensor, torch.Tensor],
    scores: Scores,
    documents: Documents | None,
) -> Iterator[torch.Tensor]:
    """Yield the gradients of queries, keys and values."""
    call = Call(*given, scores, documents)
    slopes = [states.new_empty(len(states) + 1, *states.shape[1:]) for states in call.states]
    with products(given[0].dtype):
        for part in call.parts():
            _unmix(part, (flat(slope), *kept), slopes)
    rows, _, length, _ = given[0].shape
    for found in slopes:
        yield found[:-1].unflatten(0, (rows, length)).transpose(1, 2)


def _back_by_torch(
    given: Tensors,
    slope: torch.Tensor,
    kept: tuple[torch.Tensor, torch.Tensor],
    scores: Scores,
    documents: Documents | None,
) -> Iterator[torch.Tensor]:
    """Yield the gradients of queries, keys and values."""
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
    rows, _, length, _ = given[0].shape
    mixed, logs = (states.view(rows, length, *states.shape[1:]).transpose(1, 2) for states in kept)
    slope = slope.transpose(1, 2)
    parts = []
    for at in _spans(documents, length):
        states = (states[:, :, at] for states in (slope, *given, mixed))
        parts.append(kernel(*states, logs[:, :, at, 0], 0.0, True, scale=scores.scale))
    for found in zip(*parts, strict=True):
        yield torch.cat(found, dim=2) if len(found) > 1 else found[0]


def _spans(documents: Documents | None, length: int) -> list[slice]:
    return [slice(0, length)] if documents is None else documents.spans


def _plain(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scores: Scores) -> bool:
    """Whether torch's kernel computes these scores; its forward pass is the faster one."""
    bare = scores.cap is None and scores.slopes is None and scores.sees_all(query.shape[2])
    return bare and query.shape[-1] == value.shape[-1] and query.dtype != torch.float16


def _wholly_by_torch(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scores: Scores
) -> bool:
    """Whether torch's backward kernel is the faster one, too: it has no matrix units' products."""
    return query.dtype != torch.bfloat16 and _plain(query, key, value, scores)


def _by_torch(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scale: float,
    documents: Documents | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mixed values [tokens, heads, width] and the sums' logs [tokens, heads, 1]."""
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    rows, heads, length, _ = query.shape
    # what is kept has its place before what is not: no holes are left between
    mixed = query.new_empty(rows, length, heads, value.shape[-1])
    kind = torch.float64 if query.dtype == torch.float64 else torch.float32
    logs = query.new_empty(rows, length, heads, dtype=kind)
    for at in _spans(documents, length):
        states = (query[:, :, at], key[:, :, at], value[:, :, at])
        part, part_logs = kernel(*states, 0.0, True, scale=scale)
        mixed[:, at] = part.transpose(1, 2)
        logs[:, at] = part_logs.transpose(1, 2)
    return flat(mixed), flat(logs).unsqueeze(-1)


def _by_blocks(call: Call) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the same as ``_by_torch``, of any scores."""
    query, _, value = call.states
    mixed = query.new_empty(len(query) + 1, query.shape[1], value.shape[-1])
    logs = query.new_empty(len(query) + 1, query.shape[1], 1, dtype=call.kind)
    with products(query.dtype):
        for part in call.parts():
            _mix(part, mixed, logs)
    return mixed[:-1], logs[:-1]


def _mix(part: Part, mixed: torch.Tensor, logs: torch.Tensor) -> None:
    """Fill in the part's rows of ``mixed`` [tokens, heads, width] and ``logs`` [tokens, heads, 1].

    The largest score and the sum of a query's shares follow it from block to block.
    """
    query, key = part.queries(None), part.keys(columns=False)
    value = part.values(columns=False)
    found = room("found", (*query.shape[:3], value.shape[-1]), query.dtype)
    sums = room("sums", (*query.shape[:3], 1), query.dtype)
    square = room("shares", (query.shape[1], query.shape[2], key.shape[2]), query.dtype)
    for at in range(len(query)):
        peak = None
        for back in part.reach(at):
            score = torch.bmm(query[at], key[at - back].transpose(1, 2), out=square)
            part.bend(score)
            peak = _mix_in(score, value[at - back], peak, (found[at], sums[at]), part.edge(back))
        found[at].div_(sums[at])
        sums[at].log_().add_(peak)
    part.put(found, mixed)
    part.put(sums, logs)


def _mix_in(
    score: torch.Tensor,
    value: torch.Tensor,
    peak: torch.Tensor | None,
    into: tuple[torch.Tensor, torch.Tensor],
    edge: Edge | None,
) -> torch.Tensor:
    """Add one block's shares to the means and their sums; return the largest scores so far.

    ``score`` is overwritten; without a ``peak`` it is the queries' first block.
    """
    mean, total = into
    if edge is not None:
        score.add_(edge.hidden)
    top = score.amax(-1, keepdim=True)
    if peak is not None:
        top = torch.maximum(peak, top)
        fade = (peak - top).clamp_(LOWEST).exp_()
        mean.mul_(fade)
        total.mul_(fade)
    score.sub_(top).clamp_(min=LOWEST).exp_()
    if edge is not None:
        score.mul_(edge.seen)
    here = score.sum(-1, keepdim=True)
    total.copy_(here) if peak is None else total.add_(here)
    _add(mean, score, value, peak is None)
    return top


def _unmix(
    part: Part,
    told: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    slopes: Sequence[torch.Tensor],
) -> None:
    """Fill in the part's rows of the gradients of queries, keys and values."""
    slope, logs = part.upstream(*told[:2]), part.logs(told[2])
    query, key, value = part.queries(logs), part.keys(columns=True), part.values(columns=True)
    found = [
        room(name, states.shape, states.dtype)
        for name, states in (("by query", query), ("by key", key), ("by value", value))
    ]
    square = (key.shape[1], key.shape[2], query.shape[2])
    shares, pulls = room("shares", square, query.dtype), room("pulls", square, query.dtype)
    for at in range(len(query)):
        for back in part.reach(at):
            to = at - back
            share = torch.bmm(key[to], query[at].transpose(1, 2), out=shares)
            bent = part.bend(share)
            if bent is not None:  # the logs are no columns then
                share.sub_(logs[at].transpose(1, 2))
            share.clamp_(LOWEST, 0.0).exp_()
            edge = part.edge(back)
            if edge is not None:
                share.mul_(edge.seen_by_keys)
            pull = torch.bmm(value[to], slope[at].transpose(1, 2), out=pulls).mul_(share)
            if bent is not None:
                pull.mul_(bent)
            first = at == to  # the first one for these queries, and for these keys
            _add(found[2][to], share, slope[at], first)
            _add(found[1][to], pull, query[at], first)
            _add(found[0][at], pull.transpose(1, 2), key[to], first)
    factors = (part.before * part.after, part.after, 1.0)  # queries hold the first one already
    for factor, states, into in zip(factors, found, slopes, strict=True):
        part.put(states if factor == 1.0 else states.mul_(factor), into)


def _add(into: torch.Tensor, left: torch.Tensor, right: torch.Tensor, first: bool) -> None:
    """Add a product, or begin with it."""
    if first:
        torch.bmm(left, right, out=into)
    else:
        torch.baddbmm(into, left, right, out=into)


@contextmanager
def products(kind: torch.dtype) -> Iterator[None]:
    """Multiply float32 matrices as bfloat16 ones where the model's numbers are no finer than that.

    Sums stay float32. The setting is the process's own and comes back; autocast is off inside.
    """
    with torch.autocast("cpu", enabled=False):
        if kind != torch.bfloat16:
            yield
            return
        setting = torch.backends.mkldnn.matmul
        before = setting.fp32_precision
        setting.fp32_precision = "bf16"
        try:
            yield
        finally:
            setting.fp32_precision = before

"""Linear layers with low-rank adapters beside them, as one autograd step: values and gradients.

y = x Wᵀ + b + s (drop(x) Aᵀ) Bᵀ for one layer, or for several that read the same x. Everything is
multiplied in the base's dtype; A and B stay what they are (float32 master weights) and get their
gradients in that dtype. Kept for the backward pass are x itself and drop(x) Aᵀ, nothing else: the
dropout's mask is drawn again from its seed. Knows nothing of PEFT, modules or rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import torch

from bactrian.models.lora_layers.masks import Masks, kept_share, masked


@dataclass(frozen=True, slots=True)
class Share:
    """Adapters of one shape at work on the positions ``first`` to ``end`` (not included)."""

    first: int
    end: int
    rows: tuple[int, ...]
    """Number of the adapter of each row, where the positions are rows of one length; else empty."""
    places: tuple[int, ...]
    """Which of the call's layers have these adapters; an A and a B for each."""
    scales: tuple[float, ...]
    """alpha / rank of each."""
    dropout: float
    """Share of x that the adapter does not see; one draw for all layers, as they read one x."""

    @property
    def adapters(self) -> int:
        """How many there are."""
        return max(self.rows, default=0) + 1

    def whole(self, scale: float) -> float:
        """Return a layer's scale made up for what was dropped."""
        return scale / kept_share(self.dropout)

    def of(self, x: torch.Tensor) -> torch.Tensor:
        """Return the share's part of x [positions, width]: by row, where there are rows."""
        part = x[self.first : self.end]
        return part.view(len(self.rows), -1, x.shape[1]) if self.rows else part

    def by_row(self, factors: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return one adapter's factor as it is, or each row's own of several."""
        return torch.stack([factors[one] for one in self.rows]) if self.rows else factors[0]

    def by_adapter(self, slopes: torch.Tensor) -> Sequence[torch.Tensor]:
        """Return the slope of each adapter's factor, the sum over its rows."""
        if not self.rows:
            return [slopes]
        fine = torch.promote_types(slopes.dtype, torch.float32)
        total = slopes.new_zeros(self.adapters, *slopes.shape[1:], dtype=fine)
        rows = torch.tensor(self.rows, device=slopes.device)
        total.index_add_(0, rows, slopes.to(fine))
        return list(total)


@dataclass(frozen=True, slots=True)
class Call:
    """What one pass through the layers computes, beside its tensors."""

    dtype: torch.dtype
    transposed: tuple[bool, ...]
    """Of each layer: whether its weight is kept [in, out] (GPT-2's Conv1D), not [out, in]."""
    shares: tuple[Share, ...]
    seed: int
    """Of the dropout's masks."""

    @property
    def factors(self) -> int:
        """How many A and B there are."""
        return sum(2 * share.adapters * len(share.places) for share in self.shares)

    def pairs(
        self, factors: Sequence[torch.Tensor]
    ) -> Iterator[tuple[Share, list[torch.Tensor], list[torch.Tensor]]]:
        """Yield every share with the A [.., rank, in] and B [.., out, rank] of its layers.

        They come in the call's dtype, for each row its own where the share has rows. ``factors``
        are A, B of every layer, for every adapter, for every share.
        """
        given = iter(factors)
        for share in self.shares:
            step = 2 * len(share.places)
            all_of_them = [next(given).to(self.dtype) for _ in range(step * share.adapters)]
            both = [share.by_row(all_of_them[place::step]) for place in range(step)]
            yield share, both[::2], both[1::2]

    def masks(self, x: torch.Tensor) -> Iterator[torch.Tensor | None]:
        """Yield the mask of each share's part of x [positions, in], the same at every call."""
        stream = None
        for share in self.shares:
            if not share.dropout:
                yield None
                continue
            stream = stream or Masks(self.seed, x.device)
            yield stream.draw(share.of(x).shape, share.dropout, x.dtype)


class Linears(torch.autograd.Function):
    """All layers of a call: ``apply(x, call, *weights, *biases, *factors)`` to a tuple of y.

    x [..., in]; weights as they lie; biases [out] or None; factors A, B of every share in turn.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, call: Call, *tensors: Any) -> tuple[torch.Tensor, ...]:
        layers = len(call.transposed)
        weights, biases, factors = _parted(tensors, layers)
        kept = x.to(call.dtype)
        flat = _flat(kept)
        with _in_its_dtype(kept):
            outputs = [
                _base(flat, weight.to(call.dtype), bias, transposed)
                for weight, bias, transposed in zip(weights, biases, call.transposed, strict=True)
            ]
            hidden = add_low_rank(outputs, flat, call, factors)
        ctx.save_for_backward(kept, *tensors, *hidden)
        ctx.set_materialize_grads(False)
        ctx.call, ctx.given = call, x.dtype
        return tuple(output.view(*x.shape[:-1], output.shape[1]) for output in outputs)

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor | None) -> tuple[Any, ...]:
        call, layers = ctx.call, len(ctx.call.transposed)
        kept, *tensors = ctx.saved_tensors
        count = 2 * layers + call.factors
        inputs, hidden = tensors[:count], tensors[count:]
        weights, _, factors = _parted(inputs, layers)
        with _in_its_dtype(kept):
            slopes = [None if one is None else _flat(one) for one in upstream]
            down = _through_base(slopes, weights, call) if ctx.needs_input_grad[0] else None
            found = low_rank_slopes(slopes, down, _flat(kept), call, (factors, hidden))
        if down is not None:
            down = down.view_as(kept).to(ctx.given)
        return down, None, *[None] * (2 * layers), *found


class Beside(torch.autograd.Function):
    """One layer whose base has been through its own forward: ``apply(x, y, call, *factors)``.

    x [..., in], y [..., out] the base's result; returns y with the low-rank part added.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, y: torch.Tensor, call: Call, *factors: torch.Tensor
    ) -> torch.Tensor:
        kept = x.to(call.dtype)
        output = y.to(call.dtype, copy=True).reshape(-1, y.shape[-1])
        with _in_its_dtype(kept):
            hidden = add_low_rank([output], _flat(kept), call, factors)
        ctx.save_for_backward(kept, *factors, *hidden)
        ctx.call, ctx.given = call, x.dtype
        return output.view_as(y)

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[Any, ...]:
        kept, *tensors = ctx.saved_tensors
        factors, hidden = tensors[: ctx.call.factors], tensors[ctx.call.factors :]
        with _in_its_dtype(kept):
            down = torch.zeros_like(_flat(kept)) if ctx.needs_input_grad[0] else None
            slopes = [_flat(upstream[0])]
            found = low_rank_slopes(slopes, down, _flat(kept), ctx.call, (factors, hidden))
        if down is not None:
            down = down.view_as(kept).to(ctx.given)
        return down, upstream[0], None, *found


def add_low_rank(
    outputs: Sequence[torch.Tensor], x: torch.Tensor, call: Call, factors: Sequence[torch.Tensor]
) -> list[torch.Tensor]:
    """Add every share's low-rank part to the ``outputs`` [positions, out], in place.

    Returns drop(x) Aᵀ of each share [.., positions, the ranks of its layers side by side], the
    kept values of x not yet divided by their share: the scale does that.
    """
    hidden = []
    for (share, downs, ups), mask in zip(call.pairs(factors), call.masks(x), strict=True):
        seen = share.of(x) if mask is None else masked(share.of(x), mask)
        inner = seen @ _stacked(downs).mT
        for place, scale, cut, up in zip(
            share.places, share.scales, _cuts(downs), ups, strict=True
        ):
            _add_product(share.of(outputs[place]), inner[..., cut], up.mT, share.whole(scale))
        hidden.append(inner)
    return hidden


def low_rank_slopes(
    slopes: Sequence[torch.Tensor | None],
    down: torch.Tensor | None,
    x: torch.Tensor,
    call: Call,
    kept: tuple[Sequence[torch.Tensor], Sequence[torch.Tensor]],
) -> list[torch.Tensor]:
    """Return the gradients of all A and B in their order, in their dtype.

    ``slopes`` are those of the outputs [positions, out]; the part of x's gradient that comes
    through the adapters is added to ``down`` [positions, in] in place, where there is one.
    ``kept`` are the factors and what ``add_low_rank`` returned.
    """
    factors, hidden = kept
    found: list[torch.Tensor] = []
    shares = zip(call.pairs(factors), call.masks(x), hidden, strict=True)
    for (share, downs, ups), mask, inner in shares:
        steep = torch.zeros_like(inner)
        of_ups = []
        for place, scale, cut, up in zip(
            share.places, share.scales, _cuts(downs), ups, strict=True
        ):
            slope, whole = slopes[place], share.whole(scale)
            if slope is None:
                of_ups.append(share.by_adapter(torch.zeros_like(up)))
                continue
            steep[..., cut] = (share.of(slope) @ up).mul_(whole)
            of_ups.append(share.by_adapter((share.of(slope).mT @ inner[..., cut]).mul_(whole)))
        if down is not None:
            _add_through(share.of(down), steep, _stacked(downs), mask)
        seen = share.of(x) if mask is None else masked(share.of(x), mask)
        stacked = (steep.mT @ seen).split([one.shape[-2] for one in downs], dim=-2)
        of_downs = [share.by_adapter(one) for one in stacked]
        for adapter in range(share.adapters):
            for of_down, of_up in zip(of_downs, of_ups, strict=True):
                found += [of_down[adapter], of_up[adapter]]
    return [slope.to(factor.dtype) for slope, factor in zip(found, factors, strict=True)]


def _add_product(
    total: torch.Tensor, left: torch.Tensor, right: torch.Tensor, scale: float = 1.0
) -> None:
    """Add scale * left @ right in place, matrices or one for each row."""
    if total.dim() == 3:
        total.baddbmm_(left, right, alpha=scale)
    else:
        total.addmm_(left, right, alpha=scale)


def _add_through(
    down: torch.Tensor, steep: torch.Tensor, stacked: torch.Tensor, mask: torch.Tensor | None
) -> None:
    """Add the gradient of x [.., positions, in] that came through A, in place."""
    if mask is None:
        _add_product(down, steep, stacked)
    else:
        down.add_(masked(steep @ stacked, mask))


def _base(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, transposed: bool
) -> torch.Tensor:
    """Return x [positions, in] through the frozen layer."""
    inward = weight if transposed else weight.t()
    return x @ inward if bias is None else torch.addmm(bias.to(x.dtype), x, inward)


def _through_base(
    slopes: Sequence[torch.Tensor | None], weights: Sequence[torch.Tensor], call: Call
) -> torch.Tensor | None:
    """Return the gradient of x [positions, in] that came through the frozen layers."""
    total = None
    for slope, weight, transposed in zip(slopes, weights, call.transposed, strict=True):
        if slope is None:
            continue
        outward = weight.to(call.dtype)
        outward = outward.t() if transposed else outward
        total = slope @ outward if total is None else total.addmm_(slope, outward)
    return total


def _stacked(downs: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the A of all layers below one another, [.., ranks, in]."""
    return downs[0] if len(downs) == 1 else torch.cat(list(downs), dim=-2)


def _cuts(downs: Sequence[torch.Tensor]) -> Iterator[slice]:
    """Yield each layer's columns of what the stacked A give."""
    ends = [0, *accumulate(one.shape[-2] for one in downs)]
    return (slice(*both) for both in pairwise(ends))


def _flat(x: torch.Tensor) -> torch.Tensor:
    return x.reshape(-1, x.shape[-1])


def _parted(tensors: Sequence[Any], layers: int) -> tuple[Any, Any, Any]:
    """Return weights, biases and factors."""
    return tensors[:layers], tensors[layers : 2 * layers], tensors[2 * layers :]


def _in_its_dtype(x: torch.Tensor) -> Any:
    """Keep an autocast that is on from choosing another dtype."""
    kind = x.device.type
    if torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return nullcontext()

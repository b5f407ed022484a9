"""Two Triton kernels: a row's highest logit and sum of exponentials, and the exponentials.

One program a row. The target takes no part in either. Imported only where Triton is.
"""

from __future__ import annotations

from typing import Any

import triton  # type: ignore[import-not-found,import-untyped,unused-ignore]
import triton.language as tl  # type: ignore[import-not-found,import-untyped,unused-ignore]

BLOCK = tl.constexpr(4096)


@triton.jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def sums(logits: Any, targets: Any, found: Any, vocabulary: Any, cap: tl.constexpr) -> None:
    """Write total and highest, float32 [n, 2], of contiguous ``logits`` [n, vocabulary]."""
    row = tl.program_id(0).to(tl.int64)
    target = tl.load(targets + row)
    highest = -3.4028234663852886e38
    total = 0.0
    for start in range(0, vocabulary, BLOCK):
        at = start + tl.arange(0, BLOCK)
        z = tl.load(logits + row * vocabulary + at, mask=at < vocabulary, other=0.0).to(tl.float32)
        if cap > 0:
            z = cap * (1 - 2 / (1 + tl.exp(2 * z / cap)))
        z = tl.where((at < vocabulary) & (at != target), z, float("-inf"))
        peak = tl.maximum(highest, tl.max(z, 0))
        total = total * tl.exp(highest - peak) + tl.sum(tl.exp(z - peak), 0)
        highest = peak
    tl.store(found + row * 2, total)
    tl.store(found + row * 2 + 1, highest)


@triton.jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def terms(logits: Any, targets: Any, found: Any, vocabulary: Any, cap: tl.constexpr) -> None:
    """Put exp(logit - highest) * slope of the cap in the place of ``logits``, 0 at the target."""
    row = tl.program_id(0).to(tl.int64)
    target = tl.load(targets + row)
    highest = tl.load(found + row * 2 + 1)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    place = logits + row * vocabulary + at
    z = tl.load(place, mask=at < vocabulary, other=0.0).to(tl.float32)
    slope = 1.0
    if cap > 0:
        bent = 1 - 2 / (1 + tl.exp(2 * z / cap))
        z = cap * bent
        slope = 1 - bent * bent
    term = tl.where(at == target, 0.0, tl.exp(z - highest) * slope)
    tl.store(place, term.to(logits.dtype.element_ty), mask=at < vocabulary)

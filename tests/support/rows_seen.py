"""Notes how many rows products are given, and compares what was scored with and without a trick."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest


def rows_seen(products: Iterable[tuple[str, Any]]) -> dict[str, list[int]]:
    """Have products note, by the name they are given, how many rows of x [..., in] they get."""
    seen: dict[str, list[int]] = {}
    for called, product in products:

        def note(x: Any, own: Any = product.forward, called: str = called) -> Any:
            seen.setdefault(called, []).append(x.numel() // x.shape[-1])
            return own(x)

        product.forward = note
    return seen


def assert_the_same(found: Sequence[Any], wanted: Sequence[Any]) -> None:
    """Compare log-likelihoods up to float32's rounding."""
    for mine, its in zip(found, wanted, strict=True):
        assert mine.nats == pytest.approx(its.nats, abs=1e-5)
        assert mine.greedy == its.greedy

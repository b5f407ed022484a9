"""Differences as lines for a terminal: one table for each pair of models, figures aligned."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from bactrian.schema import Difference

BITS = "bits_per_byte"
HEAD = ("task", "language", "metric", "n", "A", "B", "A - B", "95 %", "p", "Holm", "detectable", "")
WORDS = 3
"""Columns at the left that hold words; the others hold figures and stand at their right edge."""


def lines(differences: Sequence[Difference]) -> Iterator[str]:
    """Yield the tables, each after a line that says what A and B are.

    Shares and their differences are in per cent and percentage points, bits per byte in bits.
    """
    pairs = dict.fromkeys((one.model, one.against) for one in differences)
    for model, against in pairs:
        mine = [one for one in differences if (one.model, one.against) == (model, against)]
        yield f"A = {model}   B = {against}"
        rows = [HEAD, *(_row(one) for one in mine)]
        widths = [max(_columns(row[at]) for row in rows) for at in range(len(HEAD))]
        for row in rows:
            yield "  ".join(
                _cell(cell, widths[at], left=at < WORDS or at == len(HEAD) - 1)
                for at, cell in enumerate(row)
            ).rstrip()
        yield ""
    yield (
        "A, B in %, differences in points (bits_per_byte in bits). better, worse: the interval "
        "excludes 0 and p, by Holm over a task's languages, is below 5 %."
    )


def _cell(text: str, width: int, *, left: bool) -> str:
    blank = " " * (width - _columns(text))
    return text + blank if left else blank + text


def _columns(text: str) -> int:
    """Return how many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _row(one: Difference) -> tuple[str, ...]:
    small = one.metric == BITS
    signed = "+.4f" if small else "+.1f"
    return (
        f"{one.task} {one.group}".strip(),
        one.language,
        one.metric,
        f"{one.n:,}",
        _value(one.model_value, small),
        _value(one.against_value, small),
        _figure(one.value, signed, small),
        f"[{_figure(one.low, signed, small)}, {_figure(one.high, signed, small)}]",
        _chance(one.p),
        _chance(one.adjusted),
        "-" if one.detectable is None else _figure(one.detectable, signed[1:], small),
        "" if not one.clear else "better" if one.better else "worse",
    )


def _value(value: float | None, small: bool) -> str:
    return "-" if value is None else _figure(value, ".4f" if small else ".1f", small)


def _figure(value: float, form: str, small: bool) -> str:
    if not math.isfinite(value):
        return "+∞" if value > 0 else "-∞"
    scaled = value if small else 100 * value
    return format(scaled + 0.0 if round(scaled, 4) else 0.0, form)


def _chance(p: float | None) -> str:
    if p is None:
        return "-"
    return "<0.001" if p < 0.001 else f"{p:.3f}"

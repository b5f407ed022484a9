"""Which adapters compute which positions of a call. Knows nothing of gradients.

Rows of one length whose adapters have the same ranks are multiplied all at once, each row by its
own A and B (a third of the time of one adapter after another, measured with four to fifty rows);
other positions are computed adapter by adapter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from bactrian.models.lora_layers.products import Share
from bactrian.models.lora_layers.segments import Segment


class Shape(NamedTuple):
    """What adapters need to have in common to be multiplied at once."""

    places: tuple[int, ...]
    scales: tuple[float, ...]
    dropout: float
    ranks: tuple[int, ...]


def shared_out(
    layers: Sequence[Any], parts: Sequence[Segment], row_length: int
) -> tuple[list[Share], list[Any]]:
    """Return the shares of a call to these layers, and their A and B in the shares' order.

    ``row_length`` is 0 where the positions are not rows of one length.
    """
    shares: list[Share] = []
    factors: list[Any] = []
    for shape, run in _runs(layers, parts, row_length):
        names = list(dict.fromkeys(name for name, _, _ in run))
        first, end = run[0][1], run[-1][2]
        rows: list[int] = []
        if len(names) > 1:
            for name, start, stop in run:
                rows += [names.index(name)] * ((stop - start) // row_length)
        shares.append(Share(first, end, tuple(rows), shape.places, shape.scales, shape.dropout))
        for name in names:
            for place in shape.places:
                layer = layers[place]
                factors += [layer.lora_A[name].weight, layer.lora_B[name].weight]
    return shares, factors


def _runs(
    layers: Sequence[Any], parts: Sequence[Segment], row_length: int
) -> Iterator[tuple[Shape, list[Segment]]]:
    """Yield segments that follow one another and can be computed at once; one, without rows."""
    run: list[Segment] = []
    of_run = None
    for part in parts:
        shape = _shape(layers, part[0])
        joins = row_length and run and run[-1][2] == part[1] and shape == of_run
        if run and of_run and not joins:
            yield of_run, run
        run, of_run = [*run, part] if joins else [part], shape
    if run and of_run:
        yield of_run, run


def _shape(layers: Sequence[Any], adapter: str) -> Shape | None:
    """Return what the adapter is in these layers, None where it is in none."""
    places = tuple(place for place, one in enumerate(layers) if adapter in one.lora_A)
    having = [layers[place] for place in places]
    if not having:
        return None
    scales = tuple(float(layer.scaling[adapter]) for layer in having)
    ranks = tuple(len(layer.lora_A[adapter].weight) for layer in having)
    return Shape(places, scales, dropout_now(having[0], adapter), ranks)


def dropout_now(layer: Any, adapter: str) -> float:
    """Return the share of x that the layer drops for the adapter: none outside training."""
    if adapter not in layer.lora_dropout:
        return 0.0
    dropout = layer.lora_dropout[adapter]
    return float(getattr(dropout, "p", 0.0)) if dropout.training else 0.0

"""LoRA layers that read the same x, computed at once by the one that is called first.

The others hand out what it found. A layer whose state is none that products.py knows goes through
PEFT's own forward; one whose base is not a plain linear layer lets the base go first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

from bactrian.models.lora_layers.obstacles import adapter_obstacle, base_is_plain
from bactrian.models.lora_layers.products import Beside, Call, Linears
from bactrian.models.lora_layers.segments import Segment, Segments
from bactrian.models.lora_layers.shares import dropout_now, shared_out


class Batch:
    """How the rows of the batch in hand belong to adapters; one object for all layers."""

    def __init__(self) -> None:
        self.segments: Segments | None = None

    def parts(self, x: Any, active: Sequence[str]) -> list[Segment]:
        """Return the positions of x [..., in] that each adapter has; all, where none are told."""
        if self.segments is not None:
            return self.segments.positions(x.shape)
        return [(adapter, 0, x.numel() // x.shape[-1]) for adapter in active]

    def row_length(self, shape: Sequence[int]) -> int:
        """Return the positions of a row of x, 0 where it is not rows of one length."""
        told = self.segments
        return shape[1] if told and len(shape) == 3 and shape[0] == told.rows > 1 else 0


class Siblings:
    """One LoRA layer, or several of a module that read the same x."""

    def __init__(self, layers: Sequence[Any], batch: Batch) -> None:
        self.layers = tuple(layers)
        self.batch = batch
        self._own = tuple(layer.forward for layer in layers)
        self._obstacles: dict[tuple[int, str], str] = {}
        self._together = len(self.layers) > 1
        self._proven = False
        self.forget()

    def forget(self) -> None:
        """Let go of what no sibling has asked for."""
        self._x: Any = None
        self._state: tuple[Any, ...] = ()
        self._found: dict[int, Any] = {}

    def forward(self, place: int, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Return y [..., out] of the layer at ``place`` for x [..., in]."""
        layer = self.layers[place]
        if args or kwargs or not _at_work(layer):
            return self._own[place](x, *args, **kwargs)
        state = (torch.is_grad_enabled(), self.batch.segments, _version(x))
        if x is self._x and place in self._found and state == self._state:
            return self._handed_out(place)
        parts = self.batch.parts(x, layer.active_adapters)
        if not self._fits(place, parts):
            return self._own[place](x)
        if not base_is_plain(layer):
            y = layer.base_layer(x)
            call, factors = self._call([place], parts, x.shape, y.dtype)
            return Beside.apply(x, y, call, *factors)
        self._compute(place, x, parts)
        self._x, self._state = x, state
        return self._handed_out(place)

    def _handed_out(self, place: int) -> Any:
        output = self._found.pop(place)
        if not self._found:
            self._x, self._proven = None, True
        return output

    def _compute(self, place: int, x: Any, parts: Sequence[Segment]) -> None:
        """Find y of the layer at ``place``, and of its siblings where they read the same x."""
        if self._found and not self._proven:
            self._together = False  # they do not: cross-attention under a name of its own
        places = [place]
        if self._together:
            places = [one for one in range(len(self.layers)) if self._joins(one, place, parts)]
        bases = [self.layers[one].base_layer for one in places]
        dtype = _dtype(x, bases[0].weight)
        call, factors = self._call(places, parts, x.shape, dtype)
        weights = [base.weight for base in bases]
        biases = [base.bias for base in bases]
        outputs = Linears.apply(x, call, *weights, *biases, *factors)
        self._found = dict(zip(places, outputs, strict=True))

    def _joins(self, place: int, called: int, parts: Sequence[Segment]) -> bool:
        """Whether the layer at ``place`` can be computed with the one that was called."""
        layer, other = self.layers[place], self.layers[called]
        return place == called or (
            _at_work(layer)
            and base_is_plain(layer)
            and list(layer.active_adapters) == list(other.active_adapters)
            and not layer._forward_pre_hooks  # they may change x, or bring the weights here
            and self._fits(place, parts)
            and all(dropout_now(layer, name) == dropout_now(other, name) for name, _, _ in parts)
        )

    def obstacle(self, adapter: str) -> str:
        """Return what keeps this adapter from being computed here, empty where nothing does."""
        places = range(len(self.layers))
        return next((why for place in places if (why := self._obstacle(place, adapter))), "")

    def _obstacle(self, place: int, adapter: str) -> str:
        """Look once: wrappers put themselves around a model before its first pass, not later."""
        if (place, adapter) not in self._obstacles:
            layer = self.layers[place]
            why = adapter_obstacle(layer, adapter) if adapter in layer.lora_A else ""
            self._obstacles[place, adapter] = why
        return self._obstacles[place, adapter]

    def _fits(self, place: int, parts: Sequence[Segment]) -> bool:
        return not any(self._obstacle(place, adapter) for adapter, _, _ in parts)

    def _call(
        self,
        places: Sequence[int],
        parts: Sequence[Segment],
        shape: Sequence[int],
        dtype: torch.dtype,
    ) -> tuple[Call, list[Any]]:
        """Return what is to be computed, and the A and B that it takes."""
        layers = [self.layers[place] for place in places]
        shares, factors = shared_out(layers, parts, self.batch.row_length(shape))
        drops = any(share.dropout for share in shares)
        seed = int(torch.randint(2**62, ())) if drops else 0
        transposed = tuple(isinstance(layer.base_layer, Conv1D) for layer in layers)
        return Call(dtype, transposed, tuple(shares), seed), factors


def _at_work(layer: Any) -> bool:
    return not layer.disable_adapters and not layer.merged


def _dtype(x: Any, weight: Any) -> torch.dtype:
    """Return the dtype to multiply in: autocast's where it is on, else the base's."""
    kind = x.device.type
    if torch.is_autocast_enabled(kind) and weight.dtype != torch.float64:
        return torch.get_autocast_dtype(kind)
    return weight.dtype


def _version(x: Any) -> int:
    """Return a number that changes when x is written to."""
    return 0 if x.is_inference() else int(x._version)

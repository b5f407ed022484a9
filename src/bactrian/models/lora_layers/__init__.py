"""The LoRA layers of a PEFT model as cheap as their multiplications, for as long as a training.

PEFT multiplies A and B in float32 beside a base in bfloat16: casts of x and of the result for each
of queries, keys and values. Here everything is multiplied in the base's dtype, A and B stay float32
master weights, x is kept once for all layers that read it, and the rows of a batch may belong to
different adapters. What PEFT can do beyond that (DoRA, a bias in LoRA, other tuners) keeps its own
forward. Dropout has PEFT's probability; layers that read one x share the draw.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from bactrian.errors import ConfigError, did_you_mean
from bactrian.models.lora_layers.segments import Segment, segments

if TYPE_CHECKING:
    from bactrian.models.lora_layers.siblings import Batch, Siblings

ONE_INPUT: tuple[frozenset[str], ...] = (
    frozenset({"q_proj", "k_proj", "v_proj"}),
    frozenset({"q", "k", "v"}),
    frozenset({"query", "key", "value"}),
    frozenset({"q_lin", "k_lin", "v_lin"}),
    frozenset({"gate_proj", "up_proj"}),
    frozenset({"wi_0", "wi_1"}),
    frozenset({"w1", "w3"}),
)
"""Names of layers that read the same x where they stand side by side."""
CROSSED = ("cross", "EncDec", "encoder_attn")
"""In the path of attention whose keys and values come from elsewhere."""


class LoraLayers:
    """The LoRA layers of a model, and which rows of the batch in hand are whose."""

    def __init__(self, batch: Batch, groups: Sequence[Siblings], kept: Mapping[str, str]) -> None:
        self._batch = batch
        self._groups = groups
        self.kept = kept
        """Layers that keep PEFT's own forward, and why."""

    @property
    def computed(self) -> int:
        """How many layers are computed here."""
        return sum(len(group.layers) for group in self._groups)

    def rows(self, given: Sequence[Segment] | None, rows: int | None = None) -> None:
        """Say whose rows the next batches have: ``(adapter, first, row after the last)`` each.

        Rows are those of x [rows, length, width], or the tokens of one packed row [1, tokens,
        width]; rows in no segment go through the base alone; ``rows`` is how many there are where
        the last segment does not reach the end. None: the active adapter has all, as in PEFT.
        Holds until it is called again; call it before the forward pass and not between it and its
        backward pass. Adapters without rows get no gradient. Raises ConfigError for an adapter
        that is unknown or needs PEFT's own forward, ValueError for segments out of order.
        """
        if given is None:
            self._batch.segments = None
            return
        cut = segments(given, rows)
        self._check(sorted(cut.adapters))
        self._batch.segments = cut

    def _check(self, adapters: Sequence[str]) -> None:
        layers = [layer for group in self._groups for layer in group.layers]
        known = {name for layer in layers for name in layer.lora_A}
        for adapter in adapters:
            if adapter not in known:
                raise ConfigError(
                    f"rows for {adapter}, which is no adapter of this model",
                    did_you_mean(adapter, known),
                )
        found = dict(self.kept)
        if not found:
            for group in self._groups:
                found |= {adapter: why for adapter in adapters if (why := group.obstacle(adapter))}
        if found:
            place, why = next(iter(found.items()))
            raise ConfigError(
                f"rows of several adapters cannot go through {place} together ({why})",
                "train the adapters one after another: train.together = false",
            )


@contextmanager
def fast_lora(model: Any) -> Iterator[LoraLayers]:
    """Compute the model's LoRA layers here until the block ends, however it ends.

    Nothing but each layer's ``forward`` is replaced. Layers are looked at when they are called, so
    the model may be wrapped (DistributedDataParallel, FSDP) inside the block.
    """
    from bactrian.models.lora_layers.siblings import Batch, Siblings

    kept: dict[str, str] = {}
    batch = Batch()
    groups = [Siblings(layers, batch) for layers in _families(model, kept)]
    try:
        for group in groups:
            for place, layer in enumerate(group.layers):
                layer.forward = partial(group.forward, place)
        yield LoraLayers(batch, groups, kept)
    finally:
        for group in groups:
            group.forget()
            for layer in group.layers:
                vars(layer).pop("forward", None)


def _families(model: Any, kept: dict[str, str]) -> Iterator[list[Any]]:
    """Yield the layers that can be computed here, those that read one x together.

    Fills ``kept`` with what cannot, name to reason.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    from bactrian.models.lora_layers.obstacles import layer_obstacle

    for path, parent in model.named_modules():
        if isinstance(parent, AuxiliaryTrainingWrapper):
            kept[path] = "a module trained as a whole"
        able: dict[str, Any] = {}
        for name, layer in parent.named_children():
            if not isinstance(layer, BaseTunerLayer):
                continue
            if why := layer_obstacle(layer):
                kept[f"{path}.{name}"] = why
            else:
                able[name] = layer
        yield from _together(path, able)


def _together(path: str, layers: dict[str, Any]) -> Iterator[list[Any]]:
    """Yield a module's layers, those that read the same x in one list."""
    left = dict(layers)
    if not any(word in path for word in CROSSED):
        for names in ONE_INPUT:
            found = [left.pop(name) for name in list(left) if name in names]
            if found:
                yield found
    for layer in left.values():
        yield [layer]

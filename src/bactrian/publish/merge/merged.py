"""Base and adapters as one set of tensors, each made when it is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import isfinite, prod
from typing import Literal, get_args

import torch
from torch import Tensor

from bactrian.errors import ConfigError, RunError
from bactrian.models.base import config_of
from bactrian.models.quantize import stored_as
from bactrian.publish.merge.mix import Mix, check_shares
from bactrian.publish.merge.places import Places, places_of
from bactrian.publish.merge.plan import Made, plan
from bactrian.publish.merge.shards import stored_dtypes
from bactrian.publish.source import Source
from bactrian.publish.weights import FolderWeights

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
DTYPES: tuple[str, ...] = get_args(Dtype)


class MergedWeights:
    """Tensors of a base with adapters in them, read and computed one at a time.

    Every tensor of every adapter is in it, once. Tensors that no adapter touches are the base's.
    """

    def __init__(
        self, base: FolderWeights, places: Places, made: Mapping[str, Made], dtype: Dtype
    ) -> None:
        self.base = base
        self.places = places
        self.made = made
        """What adapters change, by the tensor's name in the folder."""
        shapes = dict(base.shapes) | {name: one.shape for name, one in made.items()}
        self.shapes: Mapping[str, tuple[int, ...]] = shapes
        stored = stored_dtypes(base)
        self.dtypes: Mapping[str, torch.dtype] = {
            name: _stored_as(stored[made[name].origin if name in made else name], dtype)
            for name in shapes
        }

    @property
    def untied(self) -> bool:
        """Whether the head has values of its own here and shares the embedding's in the base."""
        return any(name not in self.base.shapes for name in self.made)

    @property
    def rows(self) -> int | None:
        """Rows of the embedding where the adapter changed their number, else None."""
        changed = (one for one in self.made.values() if one.shape != self.base.shapes[one.origin])
        return next((one.shape[0] for one in changed), None)

    @property
    def parameters(self) -> int:
        """How many numbers all tensors have together."""
        return sum(map(prod, self.shapes.values()))

    @property
    def dtype(self) -> str:
        """What most of the numbers are stored in."""
        counted: Counter[torch.dtype] = Counter()
        for name, shape in self.shapes.items():
            counted[self.dtypes[name]] += prod(shape)
        return str(counted.most_common(1)[0][0]).removeprefix("torch.")

    @property
    def bytes(self) -> int:
        """What all tensors take on a disk."""
        return sum(prod(shape) * self.dtypes[name].itemsize for name, shape in self.shapes.items())

    def get(self, name: str) -> Tensor:
        """Return one tensor, the sum made in float32 and rounded once to its dtype.

        Raises RunError for values that the dtype cannot hold.
        """
        stored = self.dtypes[name]
        made = self.made.get(name)
        if made is None:
            plain: Tensor = self.base.get(name)
            return plain if plain.dtype == stored else _finite(plain.to(stored), name)
        weight = self.before(made)
        if made.mixed is None:
            return _finite(weight.to(stored), name)
        return _finite(made.mixed.apply(weight, torch.float32, stored), name)

    def exact(self, name: str) -> Tensor:
        """Return one tensor computed in float64, to hold what was written against."""
        made = self.made.get(name)
        if made is None:
            return self.base.get(name).double()
        weight = self.before(made)
        if made.mixed is None:
            return weight.double()
        return made.mixed.apply(weight, torch.float64, torch.float64)

    def before(self, made: Made) -> Tensor:
        """Return the tensor that a changed one begins as."""
        weight: Tensor = self.base.get(made.origin) if made.replaced is None else made.replaced()
        return weight


def merged_weights(
    source: Source,
    mix: Mix | None = None,
    *,
    dtype: Dtype = "auto",
) -> MergedWeights:
    """Return base and adapters as one set of tensors; nothing is computed before it is asked for.

    ``dtype`` is what floating-point tensors are rounded to, ``auto`` as the base stores each.
    Raises ConfigError for a quantised base and for shares that take nothing, AdapterError for what
    does not fit the base or cannot be merged.
    """
    check_shares([one.share for one in source.adapters])
    if kept := stored_as(config_of(source.base)):
        raise ConfigError(
            f"the weights of base {source.base.id} are quantised ({kept}): adding to them would "
            "round the adapter away",
            "name the base before its quantisation, or add --dequantise (said in the card)",
        )
    base = FolderWeights(source.base.folder)
    places = places_of(source.base, base.shapes)
    return MergedWeights(base, places, plan(source, mix or Mix(), base, places), dtype)


def _stored_as(stored: torch.dtype, dtype: Dtype) -> torch.dtype:
    wanted: torch.dtype = stored if dtype == "auto" else getattr(torch, dtype)
    return wanted if stored.is_floating_point else stored


def _finite(tensor: Tensor, name: str) -> Tensor:
    """Return the tensor; raises RunError where rounding made infinities of it."""
    low, high = torch.aminmax(tensor)  # in one pass; what is no number is passed on
    if tensor.is_floating_point() and not isfinite(float(low) + float(high)):
        kind = str(tensor.dtype).removeprefix("torch.")
        raise RunError(
            f"{name} holds values that {kind} cannot, after merging",
            "use --dtype bfloat16 or float32; if it is in float32 already, a weight of the base or "
            "of the adapter is broken: bactrian verify ADAPTER",
        )
    return tensor

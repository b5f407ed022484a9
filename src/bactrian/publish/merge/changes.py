"""What one adapter does to one tensor of the base, a few rows at a time. Knows no names or files.

LoRA (Hu et al. 2021) adds scale · B A; DoRA (Liu et al. 2024) then gives every output its own
length; biases, embeddings and heads may be saved whole; single rows of an embedding may be trained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Get = Callable[[], Tensor]
"""Reads a tensor of an adapter when it is needed."""
Rows = Callable[[slice, Tensor], Tensor]
"""The change of some rows, given these rows as they are; both [rows, …] in one dtype."""


class Change(Protocol):
    """Something that is added to a tensor of the base."""

    @property
    def by_columns(self) -> bool:
        """Whether it needs all of a column at once, so that rows are taken of W transposed."""

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether it can be added to a tensor of this shape."""

    def opened(self, dtype: torch.dtype, *, transposed: bool) -> Rows:
        """Read what is needed; the rows asked for are those of W, or of W ``transposed``."""


@dataclass(frozen=True, slots=True)
class LowRank:
    """scale · up @ down, and with ``magnitude`` each output brought to that length (DoRA)."""

    up: Get
    """[out, rank]"""
    down: Get
    """[rank, in]"""
    scale: float
    sides: tuple[int, int]
    """(out, in)"""
    magnitude: Get | None = None
    """[out]; the length of W + scale · up @ down along its inputs."""
    turned: bool = False
    """Whether W lies as [in, out]: GPT-2's layers, and embeddings."""

    @property
    def by_columns(self) -> bool:
        """DoRA's lengths are those of columns where W is turned."""
        return self.turned and self.magnitude is not None

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether W is out by in, or in by out where it is turned."""
        return tuple(shape) == (self.sides[::-1] if self.turned else self.sides)

    def opened(self, dtype: torch.dtype, *, transposed: bool) -> Rows:
        """Read the factors; the product is made for the rows that are asked for."""
        up, down = self.factors(dtype, transposed=transposed)
        length = None if self.magnitude is None else self.magnitude().to(dtype).flatten()

        def rows(where: slice, before: Tensor) -> Tensor:
            product = up[where] @ down
            if length is None:
                return product
            after = product.add_(before)
            after *= (length[where] / after.norm(dim=1)).unsqueeze(1)
            return after.sub_(before)

        return rows

    def factors(self, dtype: torch.dtype, *, transposed: bool) -> tuple[Tensor, Tensor]:
        """Return (left, right) whose product is the change without DoRA, the scale in the left."""
        up, down = self.up().to(dtype), self.down().to(dtype)
        if self.turned != transposed:
            up, down = down.T, up.T
        return up * self.scale, down


@dataclass(frozen=True, slots=True)
class Whole:
    """Another tensor in the place of the base's (modules_to_save, trained biases)."""

    saved: Get
    shape: tuple[int, ...]
    by_columns: bool = False

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether it is of the same shape."""
        return tuple(shape) == self.shape

    def opened(self, dtype: torch.dtype, *, transposed: bool) -> Rows:
        """Read the tensor; the change is what it has more than the base's."""
        saved = self.saved().to(dtype)
        saved = saved.T if transposed else saved
        return lambda where, before: saved[where] - before


@dataclass(frozen=True, slots=True)
class Shift:
    """A vector that is added to a bias (lora_bias), times ``scale``."""

    vector: Get
    scale: float
    length: int
    by_columns: bool = False

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether the bias is as long."""
        return tuple(shape) == (self.length,)

    def opened(self, dtype: torch.dtype, *, transposed: bool) -> Rows:
        """Read the vector."""
        vector = self.vector().to(dtype) * self.scale
        return lambda where, before: vector[where]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Some rows of an embedding in the place of the base's (trainable_token_indices)."""

    indices: tuple[int, ...]
    saved: Get
    """[indices, width]"""
    width: int
    by_columns: bool = False

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether every row is there, and as wide."""
        return len(shape) == 2 and self.width == shape[1] and max(self.indices) < shape[0]

    def opened(self, dtype: torch.dtype, *, transposed: bool) -> Rows:
        """Read the rows."""
        saved, indices = self.saved().to(dtype), torch.tensor(self.indices)

        def rows(where: slice, before: Tensor) -> Tensor:
            change = torch.zeros_like(before)
            if transposed:
                change[:, indices] = saved.T[where] - before[:, indices]
                return change
            inside = (indices >= where.start) & (indices < where.stop)
            here = indices[inside] - where.start
            change[here] = saved[inside] - before[here]
            return change

        return rows


def in_turn(changes: Sequence[Change], dtype: torch.dtype, *, transposed: bool) -> Rows:
    """Return the sum of an adapter's changes, each made to what the ones before it left."""
    opened = [change.opened(dtype, transposed=transposed) for change in changes]
    if len(opened) == 1:
        return opened[0]

    def rows(where: slice, before: Tensor) -> Tensor:
        now = before.clone()
        for change in opened:
            now += change(where, now)
        return now.sub_(before)

    return rows

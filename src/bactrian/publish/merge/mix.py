"""How the changes of several adapters become one, whatever their ranks.

All methods work on the products, scale · B A, not on the factors: (B1 + B2)(A1 + A2) has cross
terms that no adapter learnt, and factors of different ranks cannot be added at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal, get_args

import torch
from torch import Tensor

from bactrian.errors import ConfigError, did_you_mean
from bactrian.publish.merge.changes import Change, LowRank, Rows, in_turn

Method = Literal["linear", "svd", "ties", "dare"]
METHODS: tuple[str, ...] = get_args(Method)
BLOCK = 1 << 19
"""Numbers of a tensor that are worked on at a time: 2 MiB in float32, which stay in the cache.

Blocks of 64 MiB take 2 to 3 times the CPU, most of it for fresh pages. What dare draws depends on
it.
"""


@dataclass(frozen=True, slots=True)
class Mix:
    """The method and what it needs to know; the shares belong to the adapters."""

    method: Method = "linear"
    """linear: Σ share · change. svd: that, cut to ``rank``. ties: Yadav et al. 2023. dare: Yu et
    al. 2024, then linear."""
    density: float = 0.5
    """Part of each change that ties and dare keep."""
    rank: int = 0
    """Of svd; 0 takes the largest rank of the adapters."""
    seed: int = 0
    """Of dare."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            known = did_you_mean(self.method, METHODS)
            raise ConfigError(f"unknown method {self.method}", known)
        if not 0 < self.density <= 1:
            raise ConfigError(
                f"density {self.density} is not a part of the whole", "name one in (0, 1]"
            )
        if self.rank < 0:
            raise ConfigError(f"rank {self.rank} is below 1", "name one, or leave it out")


@dataclass(frozen=True, slots=True)
class Shared:
    """What one adapter does to a tensor, and how much of it is taken."""

    changes: tuple[Change, ...]
    share: float


@dataclass(frozen=True, slots=True)
class Mixed:
    """The one change that several make to a tensor of ``shape``."""

    parts: tuple[Shared, ...]
    mix: Mix
    shape: tuple[int, ...]
    key: str
    """The tensor's name: what dare draws depends on it and the seed alone."""

    @property
    def transposed(self) -> bool:
        """Whether rows are taken of W transposed."""
        return any(change.by_columns for part in self.parts for change in part.changes)

    def apply(self, weight: Tensor, dtype: torch.dtype, stored: torch.dtype) -> Tensor:
        """Return W + change, computed in ``dtype`` and rounded once to ``stored``.

        Beside ``weight`` and the result no more than ``BLOCK`` numbers a step are held; ties holds
        one change whole while it looks for what to trim, svd of DoRA the sum of all.
        """
        new = torch.empty(self.shape, dtype=stored)
        after = new.T if self.transposed else new
        for where, rows in self.blocks(weight, dtype):
            after[where] = rows
        return new

    def blocks(self, weight: Tensor, dtype: torch.dtype) -> Iterator[tuple[slice, Tensor]]:
        """Yield rows of W + change in ``dtype``, those of W transposed where it is so taken."""
        before = weight.T if self.transposed else weight
        change = self._rows(before, dtype)
        for where in _blocks(before.shape):
            block = before[where].to(dtype)
            yield where, block + change(where, block)

    def _rows(self, before: Tensor, dtype: torch.dtype) -> Rows:
        opened = [in_turn(part.changes, dtype, transposed=self.transposed) for part in self.parts]
        shares = [part.share for part in self.parts]
        if self.mix.method == "ties":
            return _ties(opened, shares, before, self.mix.density, dtype)
        if self.mix.method == "dare":
            return _linear(_dropped(opened, self.mix, self.key), shares)
        if self.mix.method == "svd" and (rank := self._cut()):
            return self._svd(_linear(opened, shares), before, dtype, rank)
        return _linear(opened, shares)

    def _cut(self) -> int:
        """Return the rank that is kept, 0 where there is no low rank to keep (a whole tensor)."""
        changes = [change for part in self.parts for change in part.changes]
        if not all(isinstance(change, LowRank) for change in changes):
            return 0
        ranks = [change.down().shape[0] for change in changes if isinstance(change, LowRank)]
        return min(self.mix.rank or max(ranks), *self.shape)

    def _svd(self, linear: Rows, before: Tensor, dtype: torch.dtype, rank: int) -> Rows:
        factors = self._factors(dtype)
        if factors is None:
            left, right = cut(_whole(linear, before, dtype), rank)
        else:
            left, right = cut_product(*factors, rank)
        return lambda where, block: left[where] @ right

    def _factors(self, dtype: torch.dtype) -> tuple[Tensor, Tensor] | None:
        """Return the factors of the weighted sum, None where a change has none (DoRA)."""
        lefts, rights = [], []
        for part in self.parts:
            for change in part.changes:
                if not isinstance(change, LowRank) or change.magnitude is not None:
                    return None
                left, right = change.factors(dtype, transposed=self.transposed)
                lefts.append(left * part.share)
                rights.append(right)
        return torch.cat(lefts, dim=1), torch.cat(rights)


def check_shares(shares: Sequence[float]) -> None:
    """Raise ConfigError for a share that takes nothing of an adapter, or that is no number."""
    for share in shares:
        if not isfinite(share) or share == 0:
            raise ConfigError(
                f"a share of {share:g} is no part of an adapter",
                "write ADAPTER=0.5, leave the share out (1), or leave the adapter out",
            )


def cut(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Return the two factors of the nearest matrix of ``rank``, the singular values in both."""
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    root = values[:rank].sqrt()
    return left[:, :rank] * root, root.unsqueeze(1) * right[:rank]


def cut_product(left: Tensor, right: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Return what ``cut`` of ``left @ right`` does, without making the product."""
    over, core_left = torch.linalg.qr(left)
    under, core_right = torch.linalg.qr(right.T)
    inner_left, inner_right = cut(core_left @ core_right.T, rank)
    return over @ inner_left, inner_right @ under.T


def _linear(opened: Sequence[Rows], shares: Sequence[float]) -> Rows:
    if len(opened) == 1 and shares[0] == 1:
        return opened[0]

    def rows(where: slice, before: Tensor) -> Tensor:
        total = torch.zeros_like(before)
        for change, share in zip(opened, shares, strict=True):
            total.add_(change(where, before), alpha=share)
        return total

    return rows


def _ties(
    opened: Sequence[Rows],
    shares: Sequence[float],
    before: Tensor,
    density: float,
    dtype: torch.dtype,
) -> Rows:
    """Trim each change to its largest values, elect a sign, and average those that have it."""
    limits = [_threshold(_whole(change, before, dtype), density) for change in opened]

    def rows(where: slice, block: Tensor) -> Tensor:
        trimmed = []
        for change, share, limit in zip(opened, shares, limits, strict=True):
            found = change(where, block)
            trimmed.append(torch.where(found.abs() >= limit, found, 0) * share)
        stacked = torch.stack(trimmed)
        agree = (stacked.sign() == stacked.sum(0).sign()) & (stacked != 0)
        count = agree.sum(0).clamp(min=1)
        return torch.where(agree, stacked, 0).sum(0) / count

    return rows


def _dropped(opened: Sequence[Rows], mix: Mix, key: str) -> list[Rows]:
    """Drop values at random and enlarge the others, so that the sum is expected to stay."""

    def dropping(change: Rows, number: int) -> Rows:
        def rows(where: slice, before: Tensor) -> Tensor:
            draws = torch.Generator().manual_seed(_seed(mix.seed, key, number, where.start))
            kept = torch.rand(before.shape, generator=draws) < mix.density
            return torch.where(kept, change(where, before) / mix.density, 0)

        return rows

    return [dropping(change, number) for number, change in enumerate(opened)]


def _seed(seed: int, *place: object) -> int:
    told = ":".join(map(str, (seed, *place)))
    return int.from_bytes(hashlib.blake2b(told.encode(), digest_size=7).digest())


def _threshold(change: Tensor, density: float) -> float:
    """Return the smallest size that is kept, so that ``density`` of the values are."""
    kept = max(1, int(density * change.numel()))
    sizes = change.abs_().flatten()
    return float(sizes.kthvalue(sizes.numel() - kept + 1).values)


def _whole(change: Rows, before: Tensor, dtype: torch.dtype) -> Tensor:
    new = torch.empty(before.shape, dtype=dtype)
    for where in _blocks(before.shape):
        new[where] = change(where, before[where].to(dtype))
    return new


def _blocks(shape: Sequence[int]) -> Iterator[slice]:
    total = shape[0]
    width = 1
    for size in shape[1:]:
        width *= size
    step = max(1, BLOCK // max(1, width))
    for start in range(0, total, step):
        yield slice(start, min(start + step, total))

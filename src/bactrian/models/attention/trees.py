"""Attention in rows of trees: every node sees its ancestors and itself, and nothing else.

A tree is tokens in depth-first order, several of them lie end to end in one row, and a position is
a depth: windows and ALiBi count ancestors, whatever lies between in the row. This is for scoring;
no training kernel is ever given a tree. Knows nothing of models or of what the tokens are for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, takewhile
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from bactrian.models.attention.scores import Scores

KEPT = 1 << 22
"""Numbers of one tree's bias that are kept for the layers to come; 16 MB."""
AT_ONCE = 1 << 24
"""Scores of heads computed at once, at most."""


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree of a row."""

    start: int
    """Its first token's place in the row."""
    trunk: int
    """Nodes at its beginning of which each follows the one before: plain causal attention."""
    deepest: int
    """The largest depth."""
    depths: torch.Tensor
    """int64 [nodes]."""
    ends: torch.Tensor
    """int64 [nodes]: the last node below each, counted in the tree."""

    def __len__(self) -> int:
        return len(self.depths)

    @property
    def span(self) -> slice:
        """Its place in the row."""
        return slice(self.start, self.start + len(self))


class Trees:
    """The trees of one row; what the layers share is made once."""

    def __init__(self, sizes: Sequence[int], depths: Sequence[int], ends: Sequence[int]) -> None:
        """Take nodes of each tree, then depth and last descendant of every node of the row.

        ``ends`` are counted in the row. Raises ValueError where they are no trees in depth-first
        order.
        """
        starts = list(accumulate(sizes, initial=0))
        if not sizes or min(sizes) < 1 or not starts[-1] == len(depths) == len(ends):
            raise ValueError("a row is made of trees of at least one node each")
        self.depths, self.ends = torch.tensor(depths), torch.tensor(ends)
        self.each = [self._tree(*span) for span in pairwise(starts)]
        self.deepest = int(self.depths.max())
        self._made: dict[Any, Any] = {}

    @property
    def tokens(self) -> int:
        """Tokens of the row."""
        return len(self.depths)

    def _tree(self, start: int, stop: int) -> Tree:
        depths, ends = self.depths[start:stop], self.ends[start:stop] - start
        place = torch.arange(stop - start)
        if bool((depths > place).any() or (ends < place).any() or (ends >= stop - start).any()):
            raise ValueError("a node comes after its ancestors and before its last descendant")
        chain = takewhile(lambda pair: pair[0] == pair[1], enumerate(depths.tolist()))
        return Tree(start, sum(1 for _ in chain), int(depths.max()), depths, ends)

    def keep(self, name: Any, make: Callable[[], Any]) -> Any:
        """Return what ``make()`` gave the first time it was asked for by this name."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


Kernel = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, Scores, Trees], torch.Tensor]


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scores: Scores, trees: Trees
) -> torch.Tensor:
    """Return the mixed values [1, length, heads, width], one tree after the other.

    ``query`` [1, heads, length, width], ``key`` and ``value`` [1, key heads, length, width].
    Dropout is not applied.
    """
    heads, length = query.shape[1:3]
    if heads != key.shape[1]:  # torch's fast kernel on a CPU has no groups
        key = key.repeat_interleave(heads // key.shape[1], 1)
        value = value.repeat_interleave(heads // value.shape[1], 1)
    mixed = query.new_empty(1, length, heads, value.shape[-1])
    for tree in trees.each:
        given = (query[:, :, tree.span], key[:, :, tree.span], value[:, :, tree.span])
        place = tree.start
        for part in _parts(*given, scores, (trees, tree)):
            mixed[:, place : place + part.shape[2]] = part.transpose(1, 2)
            place += part.shape[2]
    return mixed


def _parts(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scores: Scores,
    told: tuple[Trees, Tree],
) -> Iterator[torch.Tensor]:
    """Yield the mixed values [1, heads, nodes, width] of stretches of a tree, in order."""
    tree = told[1]
    bent = scores.cap is not None or scores.slopes is not None
    if bent or not scores.sees_all(tree.deepest + 1):
        yield _with_bias(query, key, value, scores, told)
        return
    trunk = tree.trunk
    chain = (query[:, :, :trunk], key[:, :, :trunk], value[:, :, :trunk])
    yield scaled_dot_product_attention(*chain, is_causal=True, scale=scores.scale)
    if trunk < len(tree):
        seen = _bias(told, trunk, scores, query)
        rest = query[:, :, trunk:]
        yield scaled_dot_product_attention(rest, key, value, attn_mask=seen, scale=scores.scale)


def _with_bias(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scores: Scores,
    told: tuple[Trees, Tree],
) -> torch.Tensor:
    """Compute a whole tree, some heads at once where it is a large one."""
    heads, nodes = query.shape[1:3]
    at_once = max(1, AT_ONCE // nodes**2)
    one = _capped if scores.cap is not None else _biased
    found = []
    for first in range(0, heads, at_once):
        part = slice(first, first + at_once)
        slopes = None if scores.slopes is None else scores.slopes[part]
        mine = Scores(scores.scale, scores.window, scores.cap, slopes)
        bias = _bias(told, 0, mine, query)
        found.append(one(query[:, part], key[:, part], value[:, part], scores, bias))
    return found[0] if len(found) == 1 else torch.cat(found, 1)


def _biased(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scores: Scores,
    bias: torch.Tensor,
) -> torch.Tensor:
    return scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=scores.scale)


def _capped(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scores: Scores,
    bias: torch.Tensor,
) -> torch.Tensor:
    """Compute every score: torch has no kernel that caps them."""
    cap = scores.cap or 1.0
    products = (query @ key.transpose(-1, -2)).float().mul_(scores.scale / cap)
    shares = products.tanh_().mul_(cap).add_(bias).softmax(-1)
    return shares.to(value.dtype) @ value


def _bias(told: tuple[Trees, Tree], first: int, scores: Scores, like: torch.Tensor) -> torch.Tensor:
    """Return what is added to the scores of nodes from ``first`` on, [1, 1 or heads, rest, nodes].

    Minus infinity stands where nothing is seen. What is small enough is kept for further layers.
    """
    trees, tree = told
    heads = 1 if scores.slopes is None else len(scores.slopes)

    def make() -> torch.Tensor:
        return _made(tree, first, scores, like)

    if heads * (len(tree) - first) * len(tree) > KEPT:
        return make()
    steep = None if scores.slopes is None else tuple(scores.slopes.tolist())
    name = (tree.start, first, scores.window, steep, like.dtype, str(like.device))
    found: torch.Tensor = trees.keep(name, make)
    return found


def _made(tree: Tree, first: int, scores: Scores, like: torch.Tensor) -> torch.Tensor:
    nodes = torch.arange(len(tree), device=like.device)
    depths, ends = tree.depths.to(like.device), tree.ends.to(like.device)
    back = depths[first:, None] - depths[None, :]
    at = nodes[first:, None]
    hidden = (nodes[None, :] > at) | (at > ends[None, :])
    if scores.window is not None:
        hidden |= back >= scores.window
    if scores.slopes is None:
        bias = torch.zeros(1, *back.shape, dtype=torch.float32, device=like.device)
    else:
        bias = -scores.slopes.to(like.device)[:, None, None] * back
    return bias.masked_fill_(hidden, float("-inf")).to(like.dtype)[None]

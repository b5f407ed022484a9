"""The ways to score a batch: a row of tries, padded rows, or the plain model. Knows no texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch

from bactrian.models.attention.state import Attention
from bactrian.models.attention.trees import Trees
from bactrian.models.head import Split
from bactrian.models.scoring.first_layer import Repeats, repeats
from bactrian.models.scoring.likelihoods import Found, Pairs, of_logits, token_likelihoods
from bactrian.models.scoring.requests import Likelihood, Request
from bactrian.models.scoring.rows import Batch


@dataclass(frozen=True, slots=True)
class Row:
    """A batch of tries as tensors; made once for all adapters."""

    ids: torch.Tensor
    """int64 [1, tokens]."""
    positions: torch.Tensor
    """int64 [1, tokens]: depths."""
    repeats: Repeats | None
    """Which of the tokens are alike, where that is of use."""
    trees: Trees
    at: torch.Tensor
    """int64 [states]: the places that something is asked of, each once."""
    pairs: Pairs
    owners: torch.Tensor
    """int64 [pairs]: whose each pair is, by its place in the batch; on the CPU."""


def row_of(batch: Batch, device: torch.device) -> Row:
    """Return a batch of tries as tensors on a device."""
    starts = list(accumulate(map(len, batch.tries), initial=0))
    asked = [
        (start + node, target, owner)
        for owner, (start, one) in enumerate(
            (start, one)
            for start, trie in zip(starts, batch.tries, strict=False)
            for one in trie.asked
        )
        for node, target in zip(one.nodes, one.targets, strict=True)
    ]
    asked.sort()
    places = sorted({place for place, _, _ in asked})
    number = {place: row for row, place in enumerate(places)}
    rows = torch.tensor([number[place] for place, _, _ in asked], dtype=torch.long)
    targets = torch.tensor([target for _, target, _ in asked], dtype=torch.long)
    owners = torch.tensor([owner for _, _, owner in asked], dtype=torch.long)
    trees, tokens = _trees(batch, starts)
    ids, depths = torch.tensor([tokens], device=device), trees.depths[None].to(device)
    return Row(
        ids,
        depths,
        repeats(ids[0], depths[0]),
        trees,
        torch.tensor(places, dtype=torch.long, device=device),
        Pairs(rows.to(device), targets.to(device)),
        owners,
    )


def _trees(batch: Batch, starts: Sequence[int]) -> tuple[Trees, list[int]]:
    """Return the trees of a row and its tokens; what fills it up is a branch of its own."""
    filled, blank = starts[-1], batch.blank
    fill = [0] * blank
    tokens = [token for trie in batch.tries for token in trie.tokens] + fill
    depths = [depth for trie in batch.tries for depth in trie.depths] + list(range(blank))
    ends = [
        start + end for start, trie in zip(starts, batch.tries, strict=False) for end in trie.ends
    ]
    ends += [filled + blank - 1] * blank
    sizes = [len(trie) for trie in batch.tries if len(trie)]
    return Trees([*sizes, *([blank] if blank else [])], depths, ends), tokens


def packed(parts: Split, attention: Attention, row: Row, count: int) -> list[Likelihood]:
    """Score a row of ``count`` requests; ``attention`` is the one that the model calls."""
    with torch.inference_mode(), attention.trees(row.trees):
        states = parts.body(
            input_ids=row.ids, position_ids=row.positions, use_cache=False
        ).last_hidden_state[0]
        found = token_likelihoods(states[row.at], row.pairs, parts.head)
    return _by_request(found, row.owners, count)


def padded(parts: Split, requests: Sequence[Request]) -> list[Likelihood]:
    """Score requests as rows padded on the right, without a mask: causal models see no padding.

    Where the head of ``parts`` is not its own, the model's own logits are taken.
    """
    device = parts.head.linear.weight.device
    read = [request.read for request in requests]
    length = max(1, *map(len, read))
    ids = torch.zeros((len(requests), length), dtype=torch.long)
    where = torch.zeros((len(requests), length), dtype=torch.bool)
    for row, (tokens, request) in enumerate(zip(read, requests, strict=True)):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        where[row, len(tokens) - len(request.continuation) : len(tokens)] = True
    targets = torch.tensor([token for request in requests for token in request.continuation])
    owners = torch.tensor(
        [owner for owner, request in enumerate(requests) for _ in request.continuation]
    )
    ids, where, targets = ids.to(device), where.to(device), targets.long().to(device)
    with torch.inference_mode():
        if parts.fast:
            pairs = Pairs(torch.arange(len(targets), device=device), targets)
            found = token_likelihoods(parts.hidden(ids)[where], pairs, parts.head)
        else:
            found = of_logits(parts.logits_at(ids, where), targets)
    return _by_request(found, owners.long(), len(requests))


def _by_request(found: Found, owners: torch.Tensor, count: int) -> list[Likelihood]:
    """Sum up in float64 on the CPU, where the order of a sum is always the same."""
    nats = torch.zeros(count, dtype=torch.float64)
    nats.index_add_(0, owners, found.nats.double().cpu())
    missed = torch.zeros(count).index_add_(0, owners, (~found.greedy).float().cpu())
    return [
        Likelihood(value, not others)
        for value, others in zip(nats.tolist(), missed.tolist(), strict=True)
    ]

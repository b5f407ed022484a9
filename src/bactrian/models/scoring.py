"""Log-likelihoods of texts given what stands before them. Knows nothing of tasks or answers.

Rows are sorted by length and cut into batches by a budget of tokens; the head runs at the scored
positions only, and the log-sum-exp is float32 whatever the weights are. The batches follow from the
requests alone, so that a run that goes on after a kill computes the very same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bactrian.models.head import Split
from bactrian.models.tokens import prompt_ids

HEAD_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One text to score: ``continuation`` given ``context``, both as token ids."""

    context: tuple[int, ...]
    """At least one token: the first one scored has to follow something."""
    continuation: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.context) + len(self.continuation)


@dataclass(frozen=True, slots=True)
class Cut:
    """A request that fits the model, and how many tokens of its context were left out."""

    request: Request
    dropped: int


def fit(request: Request, longest: int, keep_first: bool) -> Cut:
    """Cut a request from the left to ``longest`` tokens; the continuation is never cut.

    ``keep_first`` keeps the first token (BOS). Raises ValueError where the continuation alone is
    too long.
    """
    over = len(request) - longest
    if over <= 0:
        return Cut(request, 0)
    if len(request.continuation) >= longest:
        raise ValueError(f"{len(request.continuation)} tokens to score, {longest} fit")
    head = request.context[:1] if keep_first else ()
    tail = request.context[over + len(head) :]
    return Cut(Request((*head, *tail), request.continuation), over)


def encode(tokenizer: Any, context: str, continuation: str) -> tuple[Request, bool]:
    """Return token ids of a pair of texts, and whether a token spanned the join.

    Both are encoded together and cut at the context's length, white space between them being the
    continuation's, as lm-eval does; where that leaves the context's own tokens changed (a token
    spans the join), they are encoded apart.
    """
    stem = context.rstrip()
    continuation = context[len(stem) :] + continuation
    before, whole = prompt_ids(tokenizer, [stem, stem + continuation])
    if before and whole[: len(before)] == before and len(whole) > len(before):
        return Request(tuple(before), tuple(whole[len(before) :])), False
    return encode_apart(tokenizer, stem, continuation), bool(before)


def encode_apart(tokenizer: Any, context: str, continuation: str) -> Request:
    """Return token ids of both texts, each encoded alone, as prompt and response in training.

    A context without tokens becomes BOS, or EOS where there is none. Raises ValueError for a
    tokenizer with neither.
    """
    (before,) = prompt_ids(tokenizer, [context])
    if not before:
        begin = tokenizer.bos_token_id
        before = [tokenizer.eos_token_id if begin is None else begin]
        if before == [None]:
            raise ValueError("no context, and the tokenizer has neither BOS nor EOS to begin with")
    after = tokenizer(continuation, add_special_tokens=False)["input_ids"]
    return Request(tuple(before), tuple(after))


def batches(requests: Sequence[Request], budget: int) -> list[list[int]]:
    """Return indices of requests, longest first, cut so that rows x length stays in ``budget``."""
    order = sorted(range(len(requests)), key=lambda index: (-len(requests[index]), index))
    found: list[list[int]] = []
    for index in order:
        longest = len(requests[found[-1][0]]) if found else 0
        if found and (len(found[-1]) + 1) * longest <= budget:
            found[-1].append(index)
        else:
            found.append([index])
    return found


def score(parts: Split, requests: Sequence[Request]) -> list[float]:
    """Return the summed log-likelihood (nats) of each continuation; one batch."""
    import torch

    device = parts.head.linear.weight.device
    length = max(map(len, requests)) - 1
    ids = torch.zeros((len(requests), length), dtype=torch.long)
    where = torch.zeros((len(requests), length), dtype=torch.bool)
    for row, request in enumerate(requests):
        tokens = (*request.context, *request.continuation)[:-1]
        ids[row, : len(tokens)] = torch.tensor(tokens)
        where[row, len(tokens) - len(request.continuation) : len(tokens)] = True
    targets = torch.tensor([token for request in requests for token in request.continuation])
    with torch.inference_mode():
        nats = torch.cat(list(_nats(parts, ids.to(device), where.to(device), targets.to(device))))
    sums = nats.double().cpu().split([len(request.continuation) for request in requests])
    return [-float(part.sum()) for part in sums]


def _nats(parts: Split, ids: Any, where: Any, targets: Any) -> Iterator[Any]:
    """Yield -log p of the targets, some rows of the head at a time."""
    import torch
    from torch.nn.functional import cross_entropy

    if not parts.fast:
        yield cross_entropy(parts.logits_at(ids, where), targets, reduction="none")
        return
    hidden = parts.hidden(ids)[where]
    for chunk, target in zip(
        torch.split(hidden, HEAD_ROWS), torch.split(targets, HEAD_ROWS), strict=True
    ):
        yield cross_entropy(parts.head.logits(chunk), target, reduction="none")

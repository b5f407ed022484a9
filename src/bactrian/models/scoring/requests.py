"""What is scored: a continuation given a context, as token ids that fit the model.

Knows nothing of tasks, answers or how the score is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bactrian.models.tokens import prompt_ids


@dataclass(frozen=True, slots=True)
class Request:
    """One text to score: ``continuation`` given ``context``, both as token ids."""

    context: tuple[int, ...]
    """At least one token: the first one scored has to follow something."""
    continuation: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.context) + len(self.continuation)

    @property
    def read(self) -> tuple[int, ...]:
        """What the model is given: all but the last token, which nothing follows."""
        return (*self.context, *self.continuation)[:-1]


@dataclass(frozen=True, slots=True)
class Likelihood:
    """What a model says of one request."""

    nats: float
    """Log-likelihood, summed over the tokens of the continuation; not above 0."""
    greedy: bool
    """Whether no token of the vocabulary was likelier than any of the continuation's."""


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

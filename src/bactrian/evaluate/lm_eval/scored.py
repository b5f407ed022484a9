"""The one place where lm-eval's requests meet the scoring engine. Knows nothing of lm-eval."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bactrian.errors import AdapterError
from bactrian.models.scoring import Request, Scorer


@dataclass(frozen=True, slots=True)
class Found:
    """What the model gives one request."""

    place: int
    """Index of the request."""
    log_likelihood: float
    """Nats, summed over the continuation's tokens."""
    greedy: bool
    """Every token of the continuation is the likeliest one at its place."""


def score(engine: Scorer, requests: Sequence[Request], budget: int) -> Iterator[Found]:
    """Yield what the model gives each request, batch by batch.

    Raises AdapterError for a log-likelihood that is not a finite number.
    """
    with engine.at_work():
        for batch in engine.plan(requests, budget):
            for place, one in zip(batch.requests, engine.score(batch), strict=True):
                if not math.isfinite(one.nats):
                    raise AdapterError(
                        "a log-likelihood is no number",
                        "the weights are damaged, or the training diverged: "
                        "fetch or train them again",
                    )
                yield Found(place, one.nats, one.greedy)

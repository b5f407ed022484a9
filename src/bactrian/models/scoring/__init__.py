"""Log-likelihoods of texts given what stands before them. Knows nothing of tasks or answers.

``scorer(model)`` gives a ``Scorer``: ``plan`` makes batches of requests, ``score`` says of each
request of a batch how likely it is. Requests that begin alike share what is alike (``tries``),
several tries lie in one row (``rows``), attention sees ancestors only, and the head runs where
something is asked, a tile of the vocabulary at a time (``likelihoods``). Where that does not give
what the plain model gives, padded rows or the plain model are used.
"""

from __future__ import annotations

from collections.abc import Sequence

from bactrian.models.head import Split
from bactrian.models.scoring.choice import scorer
from bactrian.models.scoring.requests import (
    Cut,
    Likelihood,
    Request,
    encode,
    encode_apart,
    fit,
)
from bactrian.models.scoring.rows import Batch, batches
from bactrian.models.scoring.scorers import Scorer

__all__ = [
    "Batch",
    "Cut",
    "Likelihood",
    "Request",
    "Scorer",
    "batches",
    "encode",
    "encode_apart",
    "fit",
    "score",
    "scorer",
]


def score(parts: Split, requests: Sequence[Request]) -> list[float]:
    """Return the log-likelihood (nats) of each continuation, in padded rows; one batch."""
    from bactrian.models.scoring.ways import padded

    return [one.nats for one in padded(parts, requests)]

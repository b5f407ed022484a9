"""Requests through the engine: every one answered once, under its own number."""

from __future__ import annotations

from pathlib import Path

import pytest

from bactrian.evaluate.lm_eval.scored import score
from bactrian.models import base
from bactrian.models.scoring import Request, scorer

pytest.importorskip("torch")
REQUESTS = [
    Request((0, 5, 9), (40, 41)),
    Request((0, 7), (12,)),
    Request((0, 5, 9), (44, 60, 12)),
    Request((0, 5, 9), (40, 41)),
]


@pytest.mark.parametrize("budget", [1, 8, 4096])
def test_every_request_is_answered_once(budget: int, tiny_base: Path) -> None:
    engine = scorer(base.load(str(tiny_base), dtype="float32").model)
    found = {one.place: one for one in score(engine, REQUESTS, budget)}
    assert sorted(found) == [0, 1, 2, 3]
    whole = engine.likelihoods(REQUESTS, 4096)
    for place, told in enumerate(whole):
        assert found[place].log_likelihood == pytest.approx(told.nats, abs=1e-5)
        assert found[place].greedy is told.greedy
    assert found[0].log_likelihood == pytest.approx(found[3].log_likelihood, abs=1e-5)


def test_no_requests_are_no_answers(tiny_base: Path) -> None:
    engine = scorer(base.load(str(tiny_base), dtype="float32").model)
    assert list(score(engine, [], 4096)) == []

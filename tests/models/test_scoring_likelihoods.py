"""The head in tiles: the same numbers as a whole softmax, and never a whole row of logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from bactrian.models.head import Head, split  # noqa: E402
from bactrian.models.scoring import likelihoods  # noqa: E402
from bactrian.models.scoring.likelihoods import (  # noqa: E402
    Pairs,
    of_logits,
    token_likelihoods,
)

WORDS, WIDTH = 301, 16


def head_of(scale: float = 1.0, cap: float | None = None, bias: bool = False) -> Head:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        linear = torch.nn.Linear(WIDTH, WORDS, bias=bias)
        torch.nn.init.normal_(linear.weight, std=1.0)
    return Head(linear, scale, cap)


def asked(states: int = 23, pairs: int = 60) -> tuple[Any, Pairs]:
    maker = torch.Generator().manual_seed(4)
    hidden = torch.randn(states, WIDTH, generator=maker)
    rows = torch.randint(0, states, (pairs,), generator=maker).sort().values
    return hidden, Pairs(rows, torch.randint(0, WORDS, (pairs,), generator=maker))


def whole(hidden: Any, pairs: Pairs, head: Head) -> tuple[Any, Any]:
    logits = head.logits(hidden.double() if head.linear.weight.dtype == torch.float64 else hidden)
    nats = logits.double().log_softmax(-1)[pairs.rows, pairs.targets]
    return nats, logits.argmax(-1)[pairs.rows] == pairs.targets


@pytest.fixture
def tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likelihoods, "COLUMNS", 64)
    monkeypatch.setattr(likelihoods, "HEAD_ROWS", 5)


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize(
    "told",
    [{}, {"bias": True}, {"scale": 0.25}, {"cap": 3.0}, {"scale": 2.0, "cap": 3.0, "bias": True}],
)
def test_tiles_give_what_a_whole_softmax_gives(told: dict[str, Any]) -> None:
    head, (hidden, pairs) = head_of(**told), asked()
    with torch.inference_mode():
        likeliest = head.logits(hidden).argmax(-1)
        targets = torch.where(torch.arange(60) % 3 == 0, likeliest[pairs.rows], pairs.targets)
        pairs = replace(pairs, targets=targets)
        found = token_likelihoods(hidden, pairs, head)
        nats, greedy = whole(hidden, pairs, head)
    assert torch.allclose(found.nats.double(), nats, atol=1e-5)
    assert found.greedy.tolist() == greedy.tolist()
    assert 20 <= int(found.greedy.sum()) < 60
    assert found.nats.dtype == torch.float32


@pytest.mark.usefixtures("tiles")
def test_huge_logits_overflow_nothing() -> None:
    head, (hidden, pairs) = head_of(scale=1e4), asked()
    with torch.inference_mode():
        found = token_likelihoods(hidden, pairs, head)
        nats, _ = whole(hidden, pairs, head)
    assert torch.isfinite(found.nats).all()
    assert torch.allclose(found.nats.double(), nats, rtol=1e-5, atol=0.02)


def test_a_head_with_more_than_a_linear_layer_computes_its_own_logits() -> None:
    head, (hidden, pairs) = head_of(), asked()
    own = torch.nn.Sequential(head.linear)
    own.out_features, own.weight = WORDS, head.linear.weight
    with torch.inference_mode():
        found = token_likelihoods(hidden, pairs, replace(head, linear=own))
        plain = token_likelihoods(hidden, pairs, head)
    assert torch.allclose(found.nats, plain.nats, atol=1e-5)
    assert torch.equal(found.greedy, plain.greedy)


def test_nothing_asked_is_nothing_found() -> None:
    head, (hidden, _) = head_of(), asked()
    none = torch.empty(0, dtype=torch.long)
    found = token_likelihoods(hidden[:0], Pairs(none, none), head)
    assert found.nats.shape == found.greedy.shape == (0,)


def test_logits_that_are_there_are_read_the_same() -> None:
    head, (hidden, pairs) = head_of(), asked(60, 60)
    targets = pairs.targets
    with torch.inference_mode():
        found = of_logits(head.logits(hidden), targets)
        other = token_likelihoods(hidden, Pairs(torch.arange(60), targets), head)
    assert torch.allclose(found.nats, other.nats, atol=1e-5)


@pytest.mark.parametrize("name", ["bloom", "gemma2", "cohere", "granite", "gpt2"])
def test_scales_and_caps_of_real_heads_count(name: str, tiny: Callable[[str], Any]) -> None:
    model = tiny(name)
    parts = split(model)
    ids = torch.arange(40).view(2, 20) * 7 % 300
    with torch.inference_mode():
        logits = model(input_ids=ids, use_cache=False).logits.float().flatten(0, 1)
        pairs = Pairs(torch.arange(40), ids.flatten())
        found = token_likelihoods(parts.hidden(ids).flatten(0, 1), pairs, parts.head)
    told = logits.log_softmax(-1)[pairs.rows, pairs.targets]
    assert torch.allclose(found.nats, told, atol=1e-5)


def test_a_large_vocabulary_never_exists_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every product's result is a tile, whatever the number of states."""
    sizes: list[int] = []
    product = torch.mm

    def counted(*given: Any, out: Any) -> Any:
        sizes.append(out.numel())
        return product(*given, out=out)

    monkeypatch.setattr(torch, "mm", counted)
    head, (hidden, pairs) = head_of(), asked(2000, 3000)
    monkeypatch.setattr(likelihoods, "COLUMNS", 100)
    with torch.inference_mode():
        token_likelihoods(hidden, pairs, head)
    assert sum(sizes) == 2000 * WORDS
    assert max(sizes) <= likelihoods.HEAD_ROWS * 100

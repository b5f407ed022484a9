"""The first layer multiplies equal tokens once, where they come as equal states, and never else."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from rows_seen import assert_the_same, rows_seen

from bactrian.models.scoring import Request, scorer
from bactrian.models.scoring import scorers as module
from bactrian.models.scoring.first_layer import Repeated, deduplicated, repeats
from bactrian.models.scoring.layers import layers, of_attention

FAMILIES = {
    "llama": {"q_proj", "k_proj", "v_proj"},
    "bloom": {"query_key_value"},
    "mistral": {"q_proj", "k_proj", "v_proj"},
    "gemma2": {"q_proj", "k_proj", "v_proj"},
}
WORDS = 30


def repetitive(count: int) -> list[Request]:
    """Questions of forty tokens of thirty kinds, with an answer of three."""
    chance = random.Random(5)
    return [
        Request(
            tuple(chance.randrange(2, 2 + WORDS) for _ in range(40)),
            tuple(chance.randrange(2, 2 + WORDS) for _ in range(3)),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("name", FAMILIES)
def test_equal_tokens_are_multiplied_once_and_give_the_same(
    name: str, tiny: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny(name)
    ready = scorer(model)
    assert ready.way == "packed"
    asked = repetitive(6)
    first = layers(model.base_model)[0]
    seen = rows_seen((one, *of_attention(first, (one,))) for one in sorted(FAMILIES[name]))
    found = ready.likelihoods(asked, 4096)
    assert seen.keys() == FAMILIES[name]
    assert max(map(max, seen.values())) <= WORDS + 1  # and the token that fills the row up
    monkeypatch.setattr(module, "deduplicated", lambda *_: nullcontext())
    wanted = ready.likelihoods(asked, 4096)
    assert min(each[-1] for each in seen.values()) >= 6 * 40
    assert_the_same(found, wanted)


def test_states_that_know_their_place_are_all_computed() -> None:
    body, ids = _one_product(), torch.tensor([[4, 5, 4, 5, 4, 4]])
    states, repeated = torch.randn(1, 6, 3), Repeated()
    product = body.layers[0].self_attn.q_proj
    wanted = product(states)
    with deduplicated(body, repeated):
        for _ in range(2):
            with repeated.row(repeats(ids[0], torch.arange(6))):
                assert torch.equal(product(states), wanted)


def test_products_that_read_the_same_are_given_the_same() -> None:
    """So that LoRA layers that are computed together still are."""
    body, ids = _one_product(), torch.tensor([[4, 5, 4, 5, 4, 4]])
    words, repeated = torch.randn(8, 3), Repeated()
    attention = body.layers[0].self_attn
    given: list[torch.Tensor] = []
    for product in (attention.q_proj, attention.k_proj):

        def note(x: torch.Tensor, own: Any = product.forward) -> Any:
            given.append(x)
            return own(x)

        product.forward = note
    with deduplicated(body, repeated), repeated.row(repeats(ids[0], torch.arange(6))):
        x = words[ids]
        found = attention.q_proj(x)
        attention.k_proj(x)
        assert torch.allclose(found, x @ attention.q_proj.weight.t() + attention.q_proj.bias)
    assert given[0] is given[1]
    assert given[0].shape == (1, 2, 3)


def test_different_tokens_are_left_as_they_are() -> None:
    body, repeated = _one_product(), Repeated()
    product = body.layers[0].self_attn.q_proj
    x = torch.randn(1, 4, 3)
    with (
        deduplicated(body, repeated),
        repeated.row(repeats(torch.tensor([4, 5, 6, 7]), torch.arange(4))),
    ):
        assert torch.equal(product(x), torch.nn.functional.linear(x, product.weight, product.bias))


def test_a_new_model_at_work_is_looked_at_anew() -> None:
    body, repeated = _one_product(), Repeated()
    product = body.layers[0].self_attn.q_proj
    ids, words = torch.tensor([[4, 5, 4, 4]]), torch.randn(8, 3)
    with deduplicated(body, repeated), repeated.row(repeats(ids[0], torch.arange(4))):
        product(words[ids])
    states = torch.randn(1, 4, 3)
    with deduplicated(body, repeated), repeated.row(repeats(ids[0], torch.arange(4))):
        assert torch.equal(
            product(states), torch.nn.functional.linear(states, product.weight, product.bias)
        )


def test_equal_states_at_equal_places_prove_nothing() -> None:
    """A model that adds positions to its embeddings, and two questions that begin alike."""
    body, repeated = _one_product(), Repeated()
    product = body.layers[0].self_attn.q_proj
    words, places = torch.randn(8, 3), torch.randn(4, 3)
    rows = (
        (torch.tensor([[4, 5, 6, 4, 5, 6]]), torch.tensor([[0, 1, 2, 0, 1, 2]])),
        (torch.tensor([[4, 5, 4, 4, 5, 4]]), torch.tensor([[0, 1, 2, 0, 1, 2]])),
    )
    with deduplicated(body, repeated):
        for ids, positions in rows:
            x = words[ids] + places[positions]
            with repeated.row(repeats(ids[0], positions[0])):
                wanted = torch.nn.functional.linear(x, product.weight, product.bias)
                assert torch.allclose(product(x), wanted, atol=1e-6)


def test_what_is_computed_of_a_row_does_not_depend_on_those_before_it() -> None:
    """A run that was killed begins with another row, and has to end in the same bytes."""
    body, words = _one_product(), torch.randn(8, 3)
    product, seen = body.layers[0].self_attn.q_proj, []

    def note(x: torch.Tensor, own: Any = product.forward) -> Any:
        seen.append(x.shape[1])
        return own(x)

    product.forward = note
    moved = torch.tensor([[4, 5, 4, 4]]), torch.arange(4)[None]
    still = torch.tensor([[4, 4, 4, 4]]), torch.zeros(1, 4, dtype=torch.long)
    for order in ((moved, still), (still, moved)):
        repeated = Repeated()
        with deduplicated(body, repeated):
            for ids, positions in order:
                with repeated.row(repeats(ids[0], positions[0])):
                    product(words[ids])
    assert seen == [2, 4, 4, 2]


def _one_product() -> Any:
    attention = torch.nn.Module()
    attention.q_proj = torch.nn.Linear(3, 5)
    attention.k_proj = torch.nn.Linear(3, 5)
    layer = torch.nn.Module()
    layer.self_attn = attention
    body = torch.nn.Module()
    body.config = type("Config", (), {"num_hidden_layers": 1})
    body.layers = torch.nn.ModuleList([layer])
    return body

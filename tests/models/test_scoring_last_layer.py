"""The last layer works at the asked places alone, and nothing that is asked changes by it."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from rows_seen import assert_the_same, rows_seen

from bactrian.models.scoring import Request, scorer
from bactrian.models.scoring import scorers as module
from bactrian.models.scoring.last_layer import Asked, by_token, narrowed

FAMILIES = {
    "llama": {"down_proj", "o_proj", "q_proj"},
    "bloom": {"dense", "dense_4h_to_h"},
    "mistral": {"down_proj", "o_proj", "q_proj"},
    "gemma2": {"down_proj", "o_proj", "q_proj"},
}


def letters(count: int) -> list[Request]:
    """Questions of forty tokens with an answer of one, as options by letter are."""
    chance = random.Random(3)
    return [
        Request(tuple(chance.randrange(2, 300) for _ in range(40)), (5 + number,))
        for number in range(count)
    ]


def of_last_layer(model: Any, names: set[str]) -> list[tuple[str, Any]]:
    """Return the products of the second of two layers that are called so."""
    found = (
        (path.rpartition(".")[2], module) for path, module in model.named_modules() if ".1." in path
    )
    return [(called, module) for called, module in found if called in names]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_asked_places_alone_are_computed_and_give_the_same(
    name: str, tiny: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny(name)
    ready = scorer(model)
    assert ready.way == "packed"
    asked = letters(6)
    seen = rows_seen(of_last_layer(model, FAMILIES[name]))
    found = ready.likelihoods(asked, 4096)
    assert seen.keys() == FAMILIES[name]
    assert {rows for each in seen.values() for rows in each} == {6}
    monkeypatch.setattr(module, "narrowed", lambda *_: nullcontext())
    wanted = ready.likelihoods(asked, 4096)
    assert max(each[-1] for each in seen.values()) >= 6 * 40
    assert_the_same(found, wanted)


def test_where_nearly_all_is_asked_all_is_computed(tiny: Callable[[str], Any]) -> None:
    model = tiny("llama")
    ready = scorer(model)
    seen = rows_seen(of_last_layer(model, {"o_proj"}))
    ready.likelihoods([Request((3,), tuple(range(10, 40)))], 4096)
    (rows,) = seen["o_proj"]
    assert rows >= 30


def test_forwards_come_back_also_those_that_were_replaced_before(
    tiny: Callable[[str], Any],
) -> None:
    body = tiny("llama").base_model
    *_, output, mlp = by_token(body)
    own = mlp.forward
    mlp.forward = replaced = lambda x: own(x)
    with narrowed(body, Asked()):
        assert mlp.forward is not replaced
        assert "forward" in vars(output)
    assert mlp.forward is replaced
    assert "forward" not in vars(output)


def test_queries_with_lora_stay_with_keys_and_values(tiny: Callable[[str], Any]) -> None:
    peft = pytest.importorskip("peft")
    body = tiny("llama").base_model
    assert len(by_token(body)) == 3
    peft.inject_adapter_in_model(peft.LoraConfig(target_modules=["q_proj", "o_proj"]), body)
    assert len(by_token(body)) == 2


def test_a_layer_of_no_known_parts_is_left_alone() -> None:
    strange = torch.nn.Module()
    strange.config = SimpleNamespace(num_hidden_layers=2)
    strange.blocks = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)])
    assert by_token(strange) == []
    assert by_token(torch.nn.Linear(2, 2)) == []


def test_what_is_no_tensor_is_computed_whole() -> None:
    """A router gives its choices beside the states."""
    block = torch.nn.Module()
    block.mlp = torch.nn.Identity()
    body = torch.nn.Module()
    body.config = SimpleNamespace(num_hidden_layers=1)
    body.layers = torch.nn.ModuleList([block])
    x, asked = torch.randn(1, 8, 4), Asked()
    with narrowed(body, asked), asked.only(torch.tensor([1, 6]), 8):
        found = block.mlp(x)
        assert torch.equal(found[0, [1, 6]], x[0, [1, 6]])
        assert not found[0, [0, 2, 3, 4, 5, 7]].any()
    block.mlp.forward = lambda given: (given, "choices")
    with narrowed(body, asked), asked.only(torch.tensor([1, 6]), 8):
        states, choices = block.mlp(x)
    assert torch.equal(states, x)
    assert choices == "choices"

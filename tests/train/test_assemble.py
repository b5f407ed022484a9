"""What stands before the first step: how long rows may be, their order, what cannot be shared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bactrian.recipe import Recipe, Train
from bactrian.train.assemble import limits_of, planned, shape_of
from bactrian.train.prepared import Prepared, Tokens
from bactrian.train.shorten import Limits


def recipe(**train: Any) -> Recipe:
    return Recipe(seed=3, train=Train(**train))


def rows(encoder_decoder: bool = False) -> Prepared:
    count = 40
    lengths = np.arange(20, 20 + count, dtype=np.int32)
    return Prepared(
        names=("zh", "vi"),
        languages=(np.arange(count) % 2).astype(np.int16),
        prompts=(lengths * 3 // 4 if encoder_decoder else np.full(count, 5)).astype(np.int32),
        lengths=lengths,
        too_long={},
        shortened={},
        empty={},
        tokens=Tokens([np.zeros(int(lengths.sum()), dtype=np.int32)], ()),
        block=np.zeros(count, dtype=np.int32),
        begin=(np.cumsum(lengths) - lengths).astype(np.int64),
        encoder_decoder=encoder_decoder,
    )


def test_a_micro_batch_is_never_more_than_a_step() -> None:
    told = recipe(batch_tokens=1000, micro_batch_tokens=4096)
    assert shape_of(told, packing=False).micro_batch_tokens == 1000
    assert shape_of(recipe(), packing=True).packing


@pytest.mark.parametrize("told", [{"epochs": 2.5}, {"max_steps": 3}, {"batch_rows": 8}])
def test_the_recipe_decides_how_many_steps_there_are(told: dict[str, Any]) -> None:
    steps = planned(rows(), recipe(batch_tokens=400, **told), packing=False).steps
    expected = {"max_steps": 3, "batch_rows": 15}
    assert steps == next((expected[key] for key in told if key in expected), steps)
    assert steps > 2


def test_the_order_is_the_same_for_any_number_of_processes_and_any_packing() -> None:
    told = recipe(batch_tokens=400, micro_batch_tokens=150)
    ways = [
        planned(rows(), told, packing=packing, world=world)
        for packing in (False, True)
        for world in (1, 2, 5)
    ]
    for step in range(ways[0].steps):
        drawn = [sorted(way.rows_of(step).tolist()) for way in ways]
        assert all(one == drawn[0] for one in drawn)
    other = planned(rows(), replace_seed(told, 4), packing=False)
    assert sorted(other.rows_of(0).tolist()) != sorted(ways[0].rows_of(0).tolist())


def replace_seed(told: Recipe, seed: int) -> Recipe:
    return told.model_copy(update={"seed": seed})


def test_source_and_target_are_padded_apart() -> None:
    told = recipe(batch_tokens=400, micro_batch_tokens=200)
    paired = planned(rows(encoder_decoder=True), told, packing=False)
    assert paired.data.parts.shape[1] == 2
    assert (paired.data.parts.sum(axis=1) == rows().lengths).all()
    micro = paired.step(0)[0]
    expected = len(micro) * paired.data.parts[micro].max(axis=0).sum()
    assert paired.computed(micro) == expected <= 200


def test_limits_are_the_recipes() -> None:
    told = recipe(max_tokens=128, max_source_tokens=512, overlong="refuse")
    assert limits_of(told, encoder_decoder=True) == Limits(128, 512, "refuse", True)
    assert limits_of(recipe(), encoder_decoder=False).prompt_room(0) == 767

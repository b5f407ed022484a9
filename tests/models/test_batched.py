"""Several answers at once are the answers one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from bactrian.models import base
from bactrian.models.batched import batches, generate_together, takes_padding
from bactrian.models.generation import GenerationSettings, encode, generate

pytest.importorskip("torch")


def test_answers_together_are_those_one_by_one(
    tiny_base: Path, sentences: Mapping[str, Sequence[str]]
) -> None:
    loaded = base.load(str(tiny_base), dtype="float32")
    texts = [sentences[code][0][:length] for code, length in (("km", 40), ("en", 9), ("ar", 90))]
    ids = [encode(loaded.model, loaded.tokenizer, text) for text in texts]
    settings = GenerationSettings(temperature=0, beams=1, max_tokens=12)
    alone = [generate(loaded.model, loaded.tokenizer, text, settings) for text in texts]
    assert generate_together(loaded.model, loaded.tokenizer, ids, 12) == alone
    assert any(one.text for one in alone)


def test_batches_have_every_prompt_once_and_keep_to_the_budget() -> None:
    lengths = [5, 90, 7, 7, 30, 200]
    made = list(batches(lengths, 10, 120))
    assert sorted(place for batch in made for place in batch) == list(range(6))
    assert made[0] == (5,), "longer than the budget: by itself"
    for batch in made[1:]:
        assert (max(lengths[place] for place in batch) + 10) * len(batch) <= 120
    assert list(batches([], 10, 120)) == []


def test_recurrent_models_take_no_padding() -> None:
    assert takes_padding(SimpleNamespace())
    assert not takes_padding(SimpleNamespace(_is_stateful=True))

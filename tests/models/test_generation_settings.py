"""What can be asked of a generation, and how long an answer can be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from bactrian.models import generation
from bactrian.models.generation import GenerationSettings


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -0.1},
        {"top_p": 0},
        {"top_k": -1},
        {"beams": 5},
        {"beams": 0},
        {"max_tokens": 0},
        {"max_tokens": 2001},
        {"repetition_penalty": 0},
        {"no_repeat_ngram_size": 3},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GenerationSettings(**wrong)


def test_every_setting_explains_itself() -> None:
    for name, field in GenerationSettings.model_fields.items():
        assert field.description, name


def test_streaming_follows_one_beam() -> None:
    assert GenerationSettings(stream=True, beams=4).beams_used == 1
    assert GenerationSettings(stream=False, beams=4).beams_used == 4


@pytest.mark.parametrize(
    ("config", "stated", "expected"),
    [
        ({"max_position_embeddings": 2048}, 10**30, 2048),
        ({"seq_length": 1024}, 10**30, 1024),
        ({}, 512, 512),
        ({}, 10**30, None),
    ],
)
def test_context(config: dict[str, int], stated: int, expected: int | None) -> None:
    text = SimpleNamespace(**config)
    model: Any = SimpleNamespace(config=SimpleNamespace(get_text_config=lambda: text))
    tokenizer: Any = SimpleNamespace(model_max_length=stated)

    assert generation.context(model, tokenizer) == expected

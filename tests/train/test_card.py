"""The card of an adapter says what was done, and its front matter can be read by a machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bactrian import languages
from bactrian.models import prompts
from bactrian.models.adapters import AdapterFacts
from bactrian.recipe import Recipe, Source, Train
from bactrian.train.card import card

FACTS = AdapterFacts(
    name="multi",
    languages=("zh", "km"),
    prompt="alpaca",
    base="some/base",
    base_revision="",
    base_fingerprint="f",
    made_from="m",
    steps=24,
    tokens=12345,
    seconds=1.0,
    losses={"zh": 2.345678, "km": 1.0},
)
SOURCES = {"alpaca": Source(licence="CC-BY-NC-4.0")}
RECIPE = Recipe(seed=7, sources=SOURCES, train=Train(learning_rate=1e-3))
LANGUAGES = languages.parse("zh,km")


def test_the_front_matter_is_yaml_with_the_hubs_keys() -> None:
    yaml = pytest.importorskip("yaml")
    text = card(FACTS, RECIPE, LANGUAGES, prompts.ALPACA)
    _, front, _ = text.split("---\n", 2)
    assert yaml.safe_load(front) == {
        "base_model": "some/base",
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "license": "cc-by-nc-4.0",
        "language": ["zh", "km"],
    }


def test_a_language_called_no_stays_a_language() -> None:
    yaml = pytest.importorskip("yaml")
    text = card(FACTS, RECIPE, (replace(LANGUAGES[0], code="no"),), prompts.ALPACA)
    assert yaml.safe_load(text.split("---\n", 2)[1])["language"] == ["no"]


def test_the_card_says_what_was_done() -> None:
    text = card(FACTS, RECIPE, LANGUAGES, prompts.ALPACA)
    for words in (
        "# multi",
        "Chinese (zh), Khmer (km)",
        "| rank, alpha, dropout | 16, 16, 0.05 |",
        "| learning rate | 0.001, linear, warm-up 0.03 |",
        "| optimizer steps, tokens seen | 24, 12345 |",
        "| seed | 7 |",
        "| km | 1.000 |\n| zh | 2.346 |",
        "The data passes on the licence CC-BY-NC-4.0.",
        "    ### Instruction:\n    {instruction}\n",
        "    ### Response:\n",
    ):
        assert words in text, words


def test_without_a_licence_none_is_named() -> None:
    text = card(FACTS, Recipe(), LANGUAGES, prompts.BACTRIAN)
    assert "license" not in text
    assert "licence" not in text

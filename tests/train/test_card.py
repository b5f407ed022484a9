"""The card says what was done and nothing else, and its front matter can be read by a machine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bactrian import languages
from bactrian.markdown import ENDED, ISOLATED
from bactrian.models import prompts
from bactrian.models.adapters import AdapterFacts
from bactrian.models.templates import TemplateStyle
from bactrian.recipe import Lora, Recipe, Source, Train
from bactrian.train.card import Learnt, Made, Weights, card
from bactrian.train.history import Course

FACTS = AdapterFacts(
    name="multi",
    languages=("zh", "km"),
    prompt="alpaca",
    base="some/base",
    base_revision="abc123",
    base_fingerprint="f00d",
    made_from="m",
    steps=24,
    tokens=12345,
    seconds=1.0,
    losses={"zh": 2.345678, "km": 1.0},
)
SOURCES = {"alpaca": Source(licence="CC-BY-NC-4.0")}
RECIPE = Recipe(seed=7, sources=SOURCES, train=Train(learning_rate=1e-3))
LANGUAGES = languages.parse("zh,km")
MADE = Made(
    Weights(4096, 16384, "float32", 12, 16, ("k_proj", "q_proj")),
    "bfloat16+nf4",
    {"zh": Learnt("aaaa", 100, 3, 2), "km": Learnt("bbbb", 90, 0, 0)},
    {"zh": Course(3.5, 2.25)},
    loads="some/base",
)


def written(recipe: Recipe = RECIPE, made: Made = MADE, **facts: Any) -> str:
    return card(replace(FACTS, **facts), recipe, LANGUAGES, prompts.ALPACA, made)


def test_the_front_matter_is_yaml_with_the_hubs_keys() -> None:
    yaml = pytest.importorskip("yaml")
    _, front, _ = written().split("---\n", 2)
    assert yaml.safe_load(front) == {
        "base_model": "some/base",
        "base_model_relation": "adapter",
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "license": "cc-by-nc-4.0",
        "language": ["zh", "km"],
    }


@pytest.mark.parametrize("base", ['C:\\models\\"x"', "/مجلد/نموذج", "no"])
def test_a_base_of_any_name_is_read_back(base: str) -> None:
    yaml = pytest.importorskip("yaml")
    assert yaml.safe_load(written(base=base).split("---\n", 2)[1])["base_model"] == base


def test_a_language_called_no_stays_a_language() -> None:
    yaml = pytest.importorskip("yaml")
    told = (replace(LANGUAGES[0], code="no"),)
    text = card(FACTS, RECIPE, told, prompts.ALPACA, MADE)
    assert yaml.safe_load(text.split("---\n", 2)[1])["language"] == ["no"]


def test_the_card_says_what_was_done() -> None:
    text = written()
    for words in (
        "# multi",
        "Chinese (zh), Khmer (km)",
        "| base | `some/base` |",
        "| revision | `abc123` |",
        "| base, by its hash | `f00d` |",
        "| computed in | bfloat16+nf4 |",
        "| variant | lora |",
        "| rank, alpha, dropout | 12, 16, 0.05 |",
        "| targets | `k_proj`, `q_proj` |",
        "| parameters | 4,096 (16.4 kB, float32) |",
        "| learning rate | 0.001, linear, warm-up 0.03 of the steps |",
        "| batch | 16384 tokens on average, padding not counted |",
        "| languages drawn by | rows^(1/1) |",
        "| epochs | 3 |",
        "| optimizer steps, tokens seen | 24, 12345 |",
        "| longest example | 768 tokens |",
        "| longer ones | shortened |",
        "| loss on | response tokens only |",
        "| seed | 7 |",
        "| zh | 100 | 3 | 2 | 2.346 | 3.500 → 2.250 | `aaaa` |",
        "| km | 90 | 0 | 0 | 1.000 |  | `bbbb` |",
        "`--max-lora-rank 16`",
        "The data passes on the licence CC-BY-NC-4.0.",
        "    ### Instruction:\n    {instruction}\n",
        "    ### Response:\n",
        'PeftModel.from_pretrained(model, "this folder")',
        'AutoModelForCausalLM.from_pretrained("some/base", revision="abc123")',
    ):
        assert words in text, words


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ({"schedule": "cosine", "warmup_steps": 100}, "0.0003, cosine, warm-up 100 steps |"),
        ({"batch_rows": 128}, "| batch | 128 rows |"),
        ({"temperature": 3.3}, "| languages drawn by | rows^(1/3.3) |"),
        ({"max_steps": 9, "epochs": 0.5}, "| epochs | 0.5, at most 9 steps |"),
        ({"overlong": "refuse"}, "| longer ones | left out |"),
        ({"train_on_inputs": True}, "| loss on | all tokens |"),
        ({"lora": Lora(plus_ratio=16)}, "| LoRA+ ratio | 16 |"),
        ({"lora": Lora(variant="dora")}, "other programs may know plain LoRA only"),
    ],
)
def test_every_setting_is_the_recipes(train: dict[str, Any], words: str) -> None:
    assert words in written(Recipe(train=Train(**train)))
    assert words not in written()


def test_pissa_tells_of_its_double_rank() -> None:
    weights = replace(MADE.weights, rank=128, held=2048)
    text = written(
        Recipe(train=Train(lora=Lora(rank=64, variant="pissa"))), replace(MADE, weights=weights)
    )
    assert "a plain LoRA of twice its rank (128)" in text
    assert "`--max-lora-rank 128`" in text
    assert "| parameters | 4,096, 2,048 of them held (16.4 kB, float32) |" in text


def test_a_whole_model_has_a_card_of_a_model() -> None:
    yaml = pytest.importorskip("yaml")
    made = replace(MADE, weights=Weights(7_000_000_000, 14_000_000_000, "bfloat16"))
    text = written(Recipe(train=Train(adapter="none")), made)
    front = yaml.safe_load(text.split("---\n", 2)[1])
    assert (front["library_name"], front["base_model_relation"]) == ("transformers", "finetune")
    assert "| parameters | 7,000,000,000 (14 GB, bfloat16) |" in text
    assert 'from_pretrained("this folder")' in text
    for word in ("LoRA", "rank", "peft"):
        assert word not in text, word


def test_an_encoder_decoder_names_both_limits() -> None:
    recipe = Recipe(train=Train(max_tokens=128, max_source_tokens=512))
    text = written(recipe, replace(MADE, encoder_decoder=True))
    assert "| longest source | 512 tokens |\n| longest target | 128 tokens |" in text
    assert "AutoModelForSeq2SeqLM" in text
    assert "vLLM" not in text


def test_what_is_not_known_is_not_said() -> None:
    text = card(
        replace(FACTS, base_revision=""),
        Recipe(),
        LANGUAGES,
        prompts.BACTRIAN,
        replace(MADE, loads="", held_out={}),
    )
    for words in ("license", "licence", "revision", "→ 2"):
        assert words not in text, words
    assert 'from_pretrained("the base\'s folder")' in text


def test_what_runs_from_right_to_left_keeps_to_its_place() -> None:
    style = TemplateStyle("سؤال", "س: {instruction} {input}\nج: ", "س: {instruction}\nج: ")
    facts = replace(FACTS, name="عربي", prompt="سؤال")
    text = card(facts, RECIPE, LANGUAGES, style, MADE)
    assert f"# {ISOLATED}عربي{ENDED}\n" in text
    assert f"Style {ISOLATED}`سؤال`{ENDED}. The answer" in text
    assert "    س: {instruction} {input}\n    ج: " in text
    assert text.count(ISOLATED) == text.count(ENDED) == 2
    assert ISOLATED not in written()


def test_a_rank_beyond_vllms_is_told() -> None:
    weights = replace(MADE.weights, rank=1024)
    assert "ranks up to 512, and this one has 1024" in written(made=replace(MADE, weights=weights))

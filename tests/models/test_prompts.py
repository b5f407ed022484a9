"""The exact strings that models are asked with."""

from __future__ import annotations

from pathlib import Path

import pytest

from bactrian.errors import ConfigError
from bactrian.models import prompts

TABLE = [
    # style, instruction, input, prompt, where it is from
    (
        "bactrian",
        "Say it.",
        "hei",
        "### Input:\nSay it.\n\nhei\n\n### Output:\n",
        "Bactrian-X, templates/bactrian.json of 2 May 2023",
    ),
    ("bactrian", "Say it.", "", "### Input:\nSay it.\n\n### Output:\n", "the same, without input"),
    (
        "alpaca",
        "Say it.",
        "hei",
        "Below is an instruction that describes a task, paired with an input that provides further "
        "context. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nSay it.\n\n### Input:\nhei\n\n### Response:\n",
        "Stanford Alpaca, with input",
    ),
    (
        "alpaca",
        "Say it.",
        "",
        "Below is an instruction that describes a task. Write a response that appropriately "
        "completes the request.\n\n### Instruction:\nSay it.\n\n### Response:\n",
        "Stanford Alpaca, without input",
    ),
]


@pytest.mark.parametrize(("style", "instruction", "input", "prompt", "source"), TABLE)
def test_the_prompt_is_the_published_one(
    style: str, instruction: str, input: str, prompt: str, source: str
) -> None:
    assert prompts.get(style).render(instruction, input) == prompt, source


@pytest.mark.parametrize("style", ["bactrian", "alpaca"])
@pytest.mark.parametrize("text", ["{input} {0} {}", "%s %(a)s", "\\n {{x}}", "a\n\nb", "កម្ពុជា"])
def test_the_users_text_stays_as_it_is(style: str, text: str) -> None:
    found = prompts.get(style).render(text, text)
    assert found.count(text) >= 2
    assert found.replace(text, "X") == prompts.get(style).render("X", "X")


def test_white_space_is_no_input() -> None:
    assert prompts.BACTRIAN.render("Say it.", " \n") == prompts.BACTRIAN.render("Say it.")


def test_chat_is_one_user_turn_by_the_tokenizers_template(tiny_base: Path) -> None:
    from transformers import AutoTokenizer

    style = prompts.get("chat", AutoTokenizer.from_pretrained(tiny_base))
    assert style.name == "chat"
    assert style.render("Say it.", "{hei}") == "<s>[user]\nSay it.\n\n{hei}\n[assistant]\n"
    assert style.render("Say it.") == "<s>[user]\nSay it.\n[assistant]\n"


def test_chat_needs_a_template() -> None:
    class Bare:
        chat_template = None

        def apply_chat_template(
            self, conversation: object, *, tokenize: bool, add_generation_prompt: bool
        ) -> str:
            raise AssertionError("there is no template")

    for tokenizer in (None, Bare()):
        with pytest.raises(ConfigError, match="no chat template") as caught:
            prompts.get("chat", tokenizer)
        assert 'prompt = "bactrian"' in caught.value.hint


def test_an_unknown_style_is_refused_with_what_is_near() -> None:
    with pytest.raises(ConfigError, match="unknown prompt style alpacca") as caught:
        prompts.get("alpacca")
    assert caught.value.hint == "did you mean alpaca?"

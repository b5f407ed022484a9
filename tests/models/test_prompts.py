"""The exact strings that models are asked with."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from bactrian.errors import ConfigError
from bactrian.models import prompts
from bactrian.models.adapters import AdapterFacts

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
        "bactrian_seq2seq",
        "Say it.",
        "hei",
        "Say it.\nhei",
        "Bactrian-X, templates/bactrian_seq2seq.json of 28 May 2023",
    ),
    ("bactrian_seq2seq", "Say it.", "", "Say it.", "the same, without input"),
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


@pytest.mark.parametrize("style", ["bactrian", "alpaca", "bactrian_seq2seq"])
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
    assert caught.value.hint.startswith("did you mean alpaca? a style of your own is a TOML file")


def facts_of(told: prompts.Told) -> AdapterFacts:
    return AdapterFacts(
        name="zh",
        languages=("zh",),
        prompt=told.name,
        base="x",
        base_revision="",
        base_fingerprint="0",
        made_from="0",
        steps=1,
        tokens=1,
        seconds=1.0,
        losses={},
        template=told.template,
    )


@pytest.mark.parametrize("name", [*prompts.SECTION_STYLES, "own.toml"])
def test_an_adapter_is_asked_as_it_was_trained(name: str, tmp_path: Path) -> None:
    """Also where the TOML file is gone: its words are in the adapter's facts."""
    own = tmp_path / "own.toml"
    own.write_text(
        'name = "问答"\nwith_input = "问：{instruction}（{input}）答："\n'
        'without_input = "问：{instruction}答："\n',
        encoding="utf-8",
    )
    style = prompts.get(name, folder=tmp_path)
    facts = facts_of(prompts.told(name, tmp_path))
    own.unlink()
    kept = AdapterFacts(**json.loads(json.dumps(asdict(facts))))
    for given in ("{x}", ""):
        assert prompts.of(kept).render("说。", given) == style.render("说。", given)
    assert prompts.told_by(kept) == prompts.told_by(facts)
    if name == "own.toml":
        assert prompts.of(kept).name == "问答"
        assert style.render("说。", "{x}") == "问：说。（{x}）答："


def test_facts_of_older_folders_have_no_template() -> None:
    told = asdict(facts_of(prompts.Told("alpaca")))
    del told["template"]
    assert prompts.of(AdapterFacts(**told)) is prompts.ALPACA


def test_facts_of_a_newer_style_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown prompt style xml"):
        prompts.of(facts_of(prompts.Told("xml")))


def test_other_words_of_the_same_name_are_another_style() -> None:
    marks = {
        prompts.Told("own", {"with_input": words, "without_input": "b"}).mark for words in "ac"
    }
    assert len(marks) == 2
    assert all(mark.startswith("own-") for mark in marks)
    assert prompts.Told("alpaca").mark == "alpaca"


def test_the_name_of_a_built_in_style_is_taken(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(
        'name = "chat"\nwith_input = "{instruction}{input}"\nwithout_input = "{instruction}"\n'
    )
    with pytest.raises(ConfigError, match="chat is the name of a built-in style"):
        prompts.told("own.toml", tmp_path)

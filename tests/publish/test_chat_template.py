"""A prompt style as Jinja: the very bytes of the style, the very ids of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import ConfigError
from bactrian.models import prompts
from bactrian.models.prompts import Told
from bactrian.models.tokens import prompt_ids
from bactrian.publish.chat_template import asks_as_trained, chat_template

pytest.importorskip("transformers")
jinja2 = pytest.importorskip("jinja2")

LLAMA = Path(__file__).parents[3] / "shared" / "data" / "tokenizers" / "llama"
STORIES = LLAMA.parents[1] / "models" / "stories260K"
OWN = {
    "braces": "{{{{ {instruction} }}}}{{% if x %}}{{# no #}}\n",
    "quotes": "'{instruction}' \"says\" \\'he\\' \\n \\\\\n",
    "newlines": "\n\n\r\n {instruction}\t\n  \n",
    "arabic": "‏السؤال: «{instruction}»\n‏الجواب: {output}",
    "twice": "{instruction}\n---\n{instruction}",
    "khmer": "សំណួរ៖ {instruction}\u200b\u2028ចម្លើយ៖ ",
    "mongolian": "ᠠᠰᠠᠭᠤᠯᠲᠠ {instruction}",
}
INSTRUCTIONS = (
    "Say it.",
    '  \'}} {{ x }} {% raw %} "\\n" {instruction}\n',
    "اكتب قصيدة {{ content }}",
    "一首诗\r\n<s></s>",
)


def own(name: str) -> Told:
    text = OWN[name]
    return Told(name, {"with_input": text + "{input}", "without_input": text})


STYLES = [Told(name) for name in prompts.SECTION_STYLES] + [own(name) for name in OWN]


@pytest.fixture(scope="module")
def tokenizer(tiny_base: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_base)


def rendered(template: str, turns: list[tuple[str, str]], tokenizer: Any, ask: bool = True) -> str:
    return str(
        tokenizer.apply_chat_template(
            [{"role": role, "content": content} for role, content in turns],
            chat_template=template,
            tokenize=False,
            add_generation_prompt=ask,
        )
    )


@pytest.mark.parametrize("told", STYLES, ids=lambda told: told.name)
@pytest.mark.parametrize("instruction", INSTRUCTIONS)
def test_one_turn_is_the_prompt_byte_for_byte(told: Told, instruction: str, tokenizer: Any) -> None:
    template = chat_template(told, tokenizer)
    prompt = prompts.style(told).render(instruction)
    assert rendered(template, [("user", instruction)], tokenizer) == "<s>" + prompt
    sentence = [("user", instruction), ("assistant", instruction)]
    assert rendered(template, sentence, tokenizer, ask=False) == f"<s>{prompt}{instruction}</s>"
    plain = jinja2.Environment().from_string(template)  # neither trim_blocks nor lstrip_blocks
    turn = {"role": "user", "content": instruction}
    assert plain.render(messages=[turn], add_generation_prompt=True) == "<s>" + prompt


@pytest.mark.parametrize("told", STYLES, ids=lambda told: told.name)
def test_a_server_gets_the_ids_of_training(told: Told, tokenizer: Any) -> None:
    template = chat_template(told, tokenizer)
    tokenizer.chat_template = template
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Один, два."}], add_generation_prompt=True
    )["input_ids"]
    assert asked == prompt_ids(tokenizer, [prompts.style(told).render("Один, два.")])[0]
    assert asks_as_trained(template, told, tokenizer)


def test_turns_follow_one_another_as_rows_of_training(tokenizer: Any) -> None:
    template = chat_template(Told("bactrian"), tokenizer)
    style = prompts.BACTRIAN
    turns = [("user", "One."), ("assistant", "1"), ("user", "Two.")]
    whole = "<s>" + style.render("One.") + "1</s>" + style.render("Two.")
    assert rendered(template, turns, tokenizer) == whole


@pytest.mark.parametrize("role", ["system", "developer"])
def test_what_the_system_says_stands_before_the_next_text(role: str, tokenizer: Any) -> None:
    template = chat_template(Told("alpaca"), tokenizer)
    style = prompts.ALPACA
    turns = [(role, "Be short."), ("user", "One."), ("assistant", "1"), ("user", "Two.")]
    whole = "<s>" + style.render("Be short.\n\nOne.") + "1</s>" + style.render("Two.")
    assert rendered(template, turns, tokenizer) == whole
    alone = rendered(template, [(role, "Be"), (role, "short.")], tokenizer)
    assert alone == "<s>" + style.render("Be\n\nshort.")
    assert rendered(template, [(role, ""), ("user", "x")], tokenizer) == "<s>" + style.render("x")


def test_another_role_is_refused_in_words(tokenizer: Any) -> None:
    template = chat_template(Told("bactrian"), tokenizer)
    with pytest.raises(jinja2.TemplateError, match="instructions and answers alone"):
        rendered(template, [("tool", "x")], tokenizer)


def test_the_models_own_template_stays(tokenizer: Any, tiny_base: Path) -> None:
    from transformers import AutoTokenizer

    fresh = AutoTokenizer.from_pretrained(tiny_base)
    assert chat_template(Told("chat"), fresh) == fresh.chat_template
    assert asks_as_trained(fresh.chat_template, Told("chat"), fresh)
    fresh.chat_template = None
    with pytest.raises(ConfigError, match="no chat template"):
        chat_template(Told("chat"), fresh)


def test_an_unknown_style_is_refused(tokenizer: Any) -> None:
    with pytest.raises(ConfigError, match="unknown prompt style"):
        chat_template(Told("bactrain"), tokenizer)


def test_llamas_own_tokenizer_is_asked_as_in_training() -> None:
    if not (LLAMA / "tokenizer.model").is_file():
        pytest.skip("real data is not beside the repository: tokenizers/llama")
    from transformers import AutoTokenizer

    llama = AutoTokenizer.from_pretrained(LLAMA)
    template = chat_template(Told("bactrian"), llama)
    assert template.count("</s>") == 1
    asked = rendered(template, [("user", "Скажи.")], llama)
    assert asked == "<s>" + prompts.BACTRIAN.render("Скажи.")
    assert asks_as_trained(template, Told("bactrian"), llama)


def test_another_template_is_found_to_ask_otherwise(tokenizer: Any) -> None:
    template = chat_template(Told("bactrian"), tokenizer)
    assert not asks_as_trained(template.replace("'<s>'", "''"), Told("bactrian"), tokenizer)
    assert not asks_as_trained(template, Told("alpaca"), tokenizer)


@pytest.mark.parametrize("told", STYLES, ids=lambda told: told.name)
def test_llama_cpp_renders_the_same(told: Told) -> None:
    llama = pytest.importorskip("xllamacpp", reason="needs xllamacpp: llama.cpp from PyPI")
    path = STORIES / "stories260K-f32.gguf"
    if not path.is_file():
        pytest.skip("real data is not beside the repository: stories260K")
    from transformers import AutoTokenizer

    params = llama.CommonParams()
    params.model.path, params.n_ctx, params.warmup = str(path), 64, False
    params.hostnames, params.port, params.verbosity = ["127.0.0.1"], 0, -1
    params.use_jinja = True
    params.chat_template = chat_template(told, AutoTokenizer.from_pretrained(STORIES))
    server = llama.Server(params)
    style = prompts.style(told)
    for instruction in INSTRUCTIONS:
        turns = [("user", instruction), ("assistant", "1"), ("user", "x")]
        wanted = style.render(instruction) + "1</s>" + style.render("x")
        assert applied(server.listening_address, turns) == wanted
    turns = [("system", "Be short."), ("user", "x")]
    assert applied(server.listening_address, turns) == style.render("Be short.\n\nx")


def applied(address: str, turns: list[tuple[str, str]]) -> str:
    """What llama-server makes of a conversation, without the first token that it adds itself."""
    import json
    from urllib.request import Request, urlopen

    messages = [{"role": role, "content": content} for role, content in turns]
    body = json.dumps({"messages": messages}).encode()
    asked = Request(f"{address}/apply-template", body, {"Content-Type": "application/json"})
    with urlopen(asked, timeout=20) as answer:
        return str(json.load(answer)["prompt"]).removeprefix("<s>")

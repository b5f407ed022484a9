"""A prompt style as a chat template in Jinja: what servers and chat programs ask a model with.

Only what every reader of such templates knows is used (transformers, vLLM, llama.cpp): for, if,
set, ``~``. All text stands in quoted strings, so that nothing in it is read as Jinja.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from string import Formatter
from typing import Any

from bactrian.models import prompts
from bactrian.models.prompts import SectionStyle, Told
from bactrian.models.templates import TemplateStyle
from bactrian.models.tokens import prompt_ids

ESCAPES = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
"""Signs that a string of Jinja writes otherwise; those of every script stand as they are."""
INSTRUCTION = "text"
"""The template's own name for what the user says."""
PROBE = "A ب 水"


def chat_template(told: Told, tokenizer: Any) -> str:
    """Return the Jinja that asks in the style an adapter was trained with.

    One user message with ``add_generation_prompt`` gives the bytes of ``PromptStyle.render``, after
    the token that the tokenizer begins every text with, where it does (``<s>``): servers tokenise
    a rendered conversation without adding one, and llama.cpp takes it off again. An answer ends
    with EOS, and the next turn follows directly, as one training row after another. A system
    message, for which these styles have no place, stands before the user's next text with an empty
    line between, or is the user's text where none follows. Other roles (tools) raise an exception
    in the template. Style ``chat`` is the tokenizer's own template. Raises ConfigError for a style
    that is unknown, and for ``chat`` without a template.
    """
    style = prompts.style(told, tokenizer)
    if isinstance(style, SectionStyle):
        pieces: Iterable[tuple[str, bool]] = (
            (style.preface_without_input + style.before, True),
            (style.after, False),
        )
    elif isinstance(style, TemplateStyle):
        parsed = Formatter().parse(style.without_input)
        pieces = ((text, place == "instruction") for text, place, *_ in parsed)
    else:
        return own_template(tokenizer.chat_template)
    turn = _string(_begins(tokenizer)), _turn(pieces), _string(tokenizer.eos_token or "")
    return _whole(*turn)


def asks_as_trained(template: str, told: Told, tokenizer: Any) -> bool:
    """Whether a server that renders the template gets the token ids that training gave.

    A tokenizer may set a sign of space before a text, and none after ``<s>`` in front of it: such
    a model is asked best by finished prompts (/v1/completions).
    """
    style = prompts.style(told, tokenizer)
    wanted = prompt_ids(tokenizer, [style.render(PROBE)])[0]
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": PROBE}],
        chat_template=template,
        tokenize=False,
        add_generation_prompt=True,
    )
    return bool(tokenizer(text, add_special_tokens=False)["input_ids"] == wanted)


def own_template(told: str | Mapping[str, str]) -> str:
    """Return the template of a tokenizer, the default one where there are several."""
    if isinstance(told, str):
        return told
    return told["default"] if "default" in told else next(iter(told.values()))


def _whole(begins: str, turn: str, ends: str) -> str:
    """Return the template; ``aside.told`` keeps a system message until a user's text follows."""
    ask = f"{{{{ {turn} }}}}{{% set aside.told = '' %}}"
    return (
        "{% set aside = namespace(told='') %}"
        f"{{{{ {begins} }}}}"
        "{% for message in messages %}"
        "{% if message['role'] == 'system' or message['role'] == 'developer' %}"
        f"{_after_aside('aside.told')}"
        "{% elif message['role'] == 'user' %}"
        f"{_after_aside(INSTRUCTION)}{ask}"
        "{% elif message['role'] == 'assistant' %}"
        f"{{{{ message['content'] ~ {ends} }}}}"
        "{% else %}"
        "{{ raise_exception('this model was trained on instructions and answers alone: "
        "use the roles system, user and assistant') }}"
        "{% endif %}{% endfor %}"
        "{% if aside.told and add_generation_prompt %}"
        f"{{% set {INSTRUCTION} = aside.told %}}{ask}"
        "{% endif %}"
    )


def _after_aside(name: str) -> str:
    """Return the setting of a name to the message, after the one that is kept where there is."""
    return (
        "{% if aside.told %}"
        f"{{% set {name} = aside.told ~ '\\n\\n' ~ message['content'] %}}"
        "{% else %}"
        f"{{% set {name} = message['content'] %}}"
        "{% endif %}"
    )


def _turn(pieces: Iterable[tuple[str, bool]]) -> str:
    """Return an expression that joins literal texts, each followed by the user's or not."""
    joined: list[str] = []
    for literal, asks in pieces:
        joined += [_string(literal)] if literal else []
        joined += [INSTRUCTION] if asks else []
    return " ~ ".join(joined)


def _string(text: str) -> str:
    return "'" + "".join(ESCAPES.get(sign, sign) for sign in text) + "'"


def _begins(tokenizer: Any) -> str:
    """Return the special tokens that the tokenizer puts before every text, as they are written."""
    whole = tokenizer(PROBE, add_special_tokens=True)["input_ids"]
    bare = tokenizer(PROBE, add_special_tokens=False)["input_ids"]
    places = range(len(whole) - len(bare) + 1)
    first = next((place for place in places if whole[place:][: len(bare)] == bare), 0)
    return "".join(tokenizer.convert_ids_to_tokens(list(whole[:first])))

"""How an instruction and its input become the text before the answer. Knows nothing of tokens.

The style is saved with an adapter and used by every later verb, so that what a model is asked
is what it was trained on. Of a style of the user's own the words travel with the adapter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bactrian.errors import ConfigError, did_you_mean
from bactrian.models import templates

if TYPE_CHECKING:
    from bactrian.models.adapters import AdapterFacts


class PromptStyle(Protocol):
    """Renders everything that stands before the answer."""

    @property
    def name(self) -> str:
        """What the style is called in recipes and in ``bactrian.json``."""

    def render(self, instruction: str, input: str = "") -> str:
        """Return the prompt; the answer follows it directly."""


class ChatTemplated(Protocol):
    """A tokenizer with a chat template, as transformers' are."""

    def apply_chat_template(
        self, conversation: list[dict[str, str]], *, tokenize: bool, add_generation_prompt: bool
    ) -> str:
        """Render a conversation by the model's own template."""


@dataclass(frozen=True, slots=True)
class SectionStyle:
    """Sections with headings, as the Alpaca family writes them."""

    name: str
    before: str
    between: str
    after: str
    preface_with_input: str = ""
    preface_without_input: str = ""

    def render(self, instruction: str, input: str = "") -> str:
        """Return preface, heading, instruction (and input), and the heading of the answer."""
        if input.strip():
            body = f"{self.before}{instruction}{self.between}{input}{self.after}"
            return self.preface_with_input + body
        return f"{self.preface_without_input}{self.before}{instruction}{self.after}"


@dataclass(frozen=True, slots=True)
class ChatStyle:
    """The base model's own chat template, instruction and input in one user turn."""

    tokenizer: ChatTemplated
    name: str = "chat"

    def render(self, instruction: str, input: str = "") -> str:
        """Return the conversation up to where the assistant begins."""
        content = f"{instruction}\n\n{input}" if input.strip() else instruction
        return self.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )


BACTRIAN = SectionStyle(
    name="bactrian", before="### Input:\n", between="\n\n", after="\n\n### Output:\n"
)
"""Instruction and input share one section (Bactrian-X, templates/bactrian.json, 2 May 2023)."""

BACTRIAN_SEQ2SEQ = SectionStyle(name="bactrian_seq2seq", before="", between="\n", after="")
"""For encoder-decoders: the encoder reads it, the decoder answers.

Bactrian-X, templates/bactrian_seq2seq.json, 28 May 2023.
"""

ALPACA = SectionStyle(
    name="alpaca",
    preface_with_input=(
        "Below is an instruction that describes a task, paired with an input that provides "
        "further context. Write a response that appropriately completes the request.\n\n"
    ),
    preface_without_input=(
        "Below is an instruction that describes a task. "
        "Write a response that appropriately completes the request.\n\n"
    ),
    before="### Instruction:\n",
    between="\n\n### Input:\n",
    after="\n\n### Response:\n",
)
"""The prompt of Stanford Alpaca; adapters of that family expect these very words."""

SECTION_STYLES = {style.name: style for style in (BACTRIAN, ALPACA, BACTRIAN_SEQ2SEQ)}
NAMES = (*SECTION_STYLES, "chat")


@dataclass(frozen=True, slots=True)
class Told:
    """What is written down of a style: enough to make it again where the recipe is not at hand."""

    name: str
    template: Mapping[str, str] | None = None
    """``with_input`` and ``without_input`` of a style of the user's own, None for built-in ones."""

    @property
    def mark(self) -> str:
        """The name; of a style of the user's own with a hash, so that other words differ."""
        if self.template is None:
            return self.name
        return f"{self.name}-{templates.fingerprint(self.template)}"


def told(prompt: str, folder: Path | None = None) -> Told:
    """Return what ``train.prompt`` of a recipe in ``folder`` stands for; needs no tokenizer.

    Raises ConfigError for an unknown name, and for a TOML file that is no style.
    """
    if prompt in NAMES:
        return Told(prompt)
    if not prompt.endswith(".toml"):
        own = "a style of your own is a TOML file, see docs/train.md"
        raise ConfigError(f"unknown prompt style {prompt}", f"{did_you_mean(prompt, NAMES)} {own}")
    path = (folder or Path()) / Path(prompt).expanduser()
    name, template = templates.read(path)
    if name in NAMES:
        raise ConfigError(f"{path}: {name} is the name of a built-in style", "choose another name")
    return Told(name, template)


def get(
    name: str, tokenizer: ChatTemplated | None = None, folder: Path | None = None
) -> PromptStyle:
    """Return the style called ``name``, or that of the TOML file ``name`` (relative to ``folder``).

    ``chat`` needs the tokenizer that owns the template. Raises ConfigError as ``told`` does.
    """
    return style(told(name, folder), tokenizer)


def of(facts: AdapterFacts, tokenizer: ChatTemplated | None = None) -> PromptStyle:
    """Return the style that an adapter was trained with, whatever the recipe says now."""
    return style(told_by(facts), tokenizer)


def told_by(facts: AdapterFacts) -> Told:
    """Return what an adapter's ``bactrian.json`` says of its style."""
    return Told(facts.prompt, facts.template)


def common(facts: Iterable[AdapterFacts | None], prompt: str = "") -> Told:
    """Return the one style of several adapters, or ``prompt``, which goes before what they say.

    Adapters made elsewhere say nothing; where none says anything it is the usual one. Raises
    ConfigError where they were trained with different ones.
    """
    if prompt:
        return told(prompt)
    styles = {said.mark: said for said in map(told_by, filter(None, facts))}
    if len(styles) > 1:
        raise ConfigError(
            f"the adapters were trained with different prompts: {', '.join(sorted(styles))}",
            "take them apart, or choose one with --prompt",
        )
    return next(iter(styles.values()), Told(BACTRIAN.name))


def style(said: Told, tokenizer: ChatTemplated | None = None) -> PromptStyle:
    """Return the style that was written down; raises ConfigError where there is none like it."""
    if said.template is not None:
        return templates.TemplateStyle(said.name, **said.template)
    if said.name == "chat":
        if tokenizer is None or getattr(tokenizer, "chat_template", None) is None:
            raise ConfigError(
                "prompt style chat: the base model's tokenizer has no chat template",
                'use prompt = "bactrian", or a base with a chat template',
            )
        return ChatStyle(tokenizer)
    if said.name not in SECTION_STYLES:
        raise ConfigError(f"unknown prompt style {said.name}", did_you_mean(said.name, NAMES))
    return SECTION_STYLES[said.name]

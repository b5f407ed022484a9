"""How an instruction and its input become the text before the answer. Knows nothing of tokens.

The style is saved with an adapter and used by every later verb, so that what a model is asked
is what it was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bactrian.errors import ConfigError, did_you_mean


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

SECTION_STYLES = {style.name: style for style in (BACTRIAN, ALPACA)}
NAMES = (*SECTION_STYLES, "chat")


def get(name: str, tokenizer: ChatTemplated | None = None) -> PromptStyle:
    """Return the style called ``name``; ``chat`` needs the tokenizer that owns the template."""
    if name in SECTION_STYLES:
        return SECTION_STYLES[name]
    if name == "chat":
        if tokenizer is None or getattr(tokenizer, "chat_template", None) is None:
            raise ConfigError(
                "prompt style chat: the base model's tokenizer has no chat template",
                'use prompt = "bactrian", or a base with a chat template',
            )
        return ChatStyle(tokenizer)
    raise ConfigError(f"unknown prompt style {name}", did_you_mean(name, NAMES))

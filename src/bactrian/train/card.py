"""The README of an adapter folder, from what was measured and told; nothing is invented."""

from __future__ import annotations

from bactrian.languages import Language
from bactrian.models.adapters import AdapterFacts
from bactrian.models.prompts import PromptStyle
from bactrian.recipe import Recipe


def card(
    facts: AdapterFacts, recipe: Recipe, languages: tuple[Language, ...], style: PromptStyle
) -> str:
    """Return the card as Markdown with the Hub's YAML front matter."""
    codes = "\n".join(f'  - "{language.code}"' for language in languages)
    names = ", ".join(f"{language.name} ({language.code})" for language in languages)
    losses = "\n".join(f"| {code} | {loss:.3f} |" for code, loss in sorted(facts.losses.items()))
    lora, train = recipe.train.lora, recipe.train
    licences = ", ".join(f'"{licence.lower()}"' for licence in recipe.licences)
    passed_on = ", ".join(recipe.licences)
    if len(recipe.licences) > 1:
        licences = f"[{licences}]"
    licence_line = f"license: {licences}\n" if licences else ""
    prompt = style.render("{instruction}", "{input}").replace("\n", "\n    ")
    return f"""---
base_model: "{facts.base}"
library_name: peft
pipeline_tag: text-generation
{licence_line}language:
{codes}
---
# {facts.name}

A LoRA adapter for `{facts.base}` in {names}, trained with bactrian.

## Prompt

Style `{facts.prompt}`; the answer follows directly and ends with the tokenizer's EOS:

    {prompt}

## Training

| what | value |
|---|---|
| rank, alpha, dropout | {lora.rank}, {lora.alpha}, {lora.dropout} |
| learning rate | {train.learning_rate:g}, linear, warm-up {train.warmup:g} |
| optimizer steps, tokens seen | {facts.steps}, {facts.tokens} |
| batch | {train.batch_tokens} tokens, padding included |
| longest example | {train.max_tokens} tokens |
| loss on | response tokens only |
| seed | {recipe.seed} |

| language | last training loss (nats a token) |
|---|---|
{losses}

## Limits

What the data says, the adapter learns: translated instructions carry translation errors.
{f"The data passes on the licence {passed_on}." if passed_on else ""}
"""

"""The README of a dataset folder: what the Hub and ``load_dataset`` need, and what was counted."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from bactrian.languages import Language
from bactrian.recipe import Recipe

SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
)


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows of one language; ``train + validation + rejected == rows``."""

    language: str
    rows: int
    train: int
    validation: int
    rejected: int
    reasons: dict[str, int]
    """Rejected rows by the first check that rejected them."""


def card(recipe: Recipe, languages: tuple[Language, ...], counts: tuple[Counts, ...]) -> str:
    """Return the card as Markdown with the Hub's YAML front matter; every code is quoted."""
    kept = sum(count.train + count.validation for count in counts)
    size = next((name for limit, name in SIZES if kept < limit), "10M<n<100M")
    return f"""---
pretty_name: {_quoted(recipe.name)}
{_licence(recipe)}language:
{_lines(f'- "{language.code}"' for language in languages)}
multilinguality:
- translation
size_categories:
- "{size}"
task_categories:
- text-generation
configs:
{_lines(_config(language, recipe) for language in languages)}
---
# {recipe.name}

Instructions and responses in {len(languages)} languages, made with bactrian. The same `id` is the
same English instruction in every language; validation ids are the same in every language.

| column | meaning |
|---|---|
| instruction, input, output, id | as in Alpaca and Bactrian-X |
| source, licence | the collection of the English side, and the licence that it passes on |
| translator, translation_key, responder, response_key, date | who made what, and its ledger key |
| missing | why a translation or response is lacking (rejected rows only) |
| flags | what the checks found: check, severity, field, reason, evidence, start |

## Counts

| language | rows | train | validation | rejected | because of |
|---|---:|---:|---:|---:|---|
{_lines(_count(language, count) for language, count in zip(languages, counts, strict=True))}

Rejected rows are kept in `data/<language>/rejected-*.parquet` with their flags.

## Use

```python
from datasets import load_dataset

load_dataset("<this folder or its Hub id>", "{languages[0].code}")
```

## How it was made

Translations by `{recipe.translate.using}:{recipe.translate.model}`, responses by
`{recipe.respond.using}:{recipe.respond.model}`; English keeps the source's own responses.
Translated text carries translation errors; the checks find some of them, not all.
"""


def _licence(recipe: Recipe) -> str:
    licences = ", ".join(_quoted(licence.lower()) for licence in recipe.licences)
    if len(recipe.licences) > 1:
        licences = f"[{licences}]"
    return f"license: {licences}\n" if licences else ""


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a JSON string is one of YAML's


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines)


def _config(language: Language, recipe: Recipe) -> str:
    splits = ["train"] + (["validation"] if recipe.build.validation else [])
    files = "\n".join(
        f'  - split: {split}\n    path: "data/{language.code}/{split}-*.parquet"'
        for split in splits
    )
    return f'- config_name: "{language.code}"\n  data_files:\n{files}'


def _count(language: Language, count: Counts) -> str:
    why = ", ".join(f"{name} {rows}" for name, rows in sorted(count.reasons.items())) or "–"
    return (
        f"| {language.name} ({language.code}) | {count.rows} | {count.train} | "
        f"{count.validation} | {count.rejected} | {why} |"
    )

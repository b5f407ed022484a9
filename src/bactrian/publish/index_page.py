"""The page before many adapters: one table of languages, for one repository or for many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from bactrian.languages import Language
from bactrian.markdown import code, fenced, isolated, size, table
from bactrian.publish.card.front import licence_lines, listed
from bactrian.publish.card.licences import together
from bactrian.publish.card.page import licence_section
from bactrian.publish.card.subject import LanguageFacts, Subject

Way = Literal["subfolders", "repositories"]
HEAD = ("language", "name", "adapter", "rank", "rows", "held-out loss, before → after")


def index_page(title: str, subjects: Sequence[Subject], way: Way) -> str:
    """Return the README: front matter, the table, how one is opened, and what licence holds."""
    licence = together(subject.licence for subject in subjects)
    bases = dict.fromkeys(subject.base.id for subject in subjects)
    total = sum(subject.bytes for subject in subjects)
    parts = [
        "\n".join(_front(subjects)),
        f"# {isolated(title)}",
        f"{len(subjects)} LoRA adapters for {' and '.join(map(code, bases))}, {size(total)} "
        "together. Each has a card of its own, with its training and its evaluation.",
        table(HEAD, _rows(subjects, way)),
        "Losses are nats a token on held-out rows.",
        "## Use",
        fenced("\n".join(_use(subjects[0], way)), "python"),
        "## Licence",
        licence_section(licence),
    ]
    return "\n\n".join(parts) + "\n"


def _front(subjects: Sequence[Subject]) -> Iterator[str]:
    codes = dict.fromkeys(language.code for one in subjects for language in one.languages)
    bases = dict.fromkeys(one.base.id for one in subjects if one.base.on_hub)
    yield "---"
    yield from listed("base_model", list(bases))
    if bases:
        yield "base_model_relation: adapter"
    yield "library_name: peft"
    yield "pipeline_tag: text-generation"
    yield from licence_lines(together(one.licence for one in subjects))
    yield from listed("language", list(codes))
    yield from listed("datasets", list(dict.fromkeys(h for s in subjects for h in s.data.hub)))
    yield from listed("tags", ["bactrian", "lora", *(["multilingual"] if len(codes) > 1 else [])])
    yield "---"


def _rows(subjects: Sequence[Subject], way: Way) -> Iterator[tuple[str, ...]]:
    """Yield a row a language and adapter, by code; an adapter without languages has a row, too."""
    rows = [
        (language, subject) for subject in subjects for language in (subject.languages or (None,))
    ]
    for language, subject in sorted(
        rows, key=lambda row: (row[0].code if row[0] else "", row[1].name)
    ):
        yield _row(language, subject, way)


def _row(language: Language | None, subject: Subject, way: Way) -> tuple[str, ...]:
    code_of = language.code if language else ""
    known = {one.code: one for one in subject.facts}
    facts = known.get(code_of, LanguageFacts(code_of))
    return (
        code_of,
        f"{language.name}, {isolated(language.native)}" if language else "",
        _link(subject, way),
        str(subject.shape.rank) if subject.shape else "",
        facts.rows,
        facts.held_out,
    )


def _link(subject: Subject, way: Way) -> str:
    name = isolated(subject.name)
    if way == "subfolders":
        return f"[{name}]({subject.subfolder}/README.md)"
    if subject.repo:
        return f"[{name}](https://huggingface.co/{subject.repo})"
    return f"[{name}]({subject.name}/README.md)"


def _use(subject: Subject, way: Way) -> Iterator[str]:
    family = "AutoModelForSeq2SeqLM" if subject.encoder_decoder else "AutoModelForCausalLM"
    base = subject.base.id if subject.base.on_hub else "BASE"
    if not subject.base.on_hub:
        yield f"# BASE is the folder of {subject.base.id} on your machine"
    yield "from peft import PeftModel"
    yield f"from transformers import {family}"
    yield ""
    yield f'model = {family}.from_pretrained("{base}")'
    if way == "subfolders":
        told = f'"{subject.where}", subfolder="{subject.subfolder}"'
    else:
        told = f'"{subject.repo or subject.name}"'
    yield f"model = PeftModel.from_pretrained(model, {told})"

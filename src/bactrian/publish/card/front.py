"""The YAML at the head of a card, as the Hub reads it; every code and name is quoted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bactrian.markdown import quoted
from bactrian.publish.card.licences import Licence
from bactrian.publish.card.subject import Subject
from bactrian.publish.model_index import model_index

RELATIONS = {"adapter": "adapter", "merged": "finetune", "whole": "finetune", "gguf": "quantized"}
"""What the Hub calls the way from the base to the model."""
LIBRARIES = {"adapter": "peft", "merged": "transformers", "whole": "transformers", "gguf": "gguf"}
LLAMA_1 = ("other", "llama", "https://huggingface.co/huggyllama/llama-7b/blob/main/LICENSE")
"""LLaMA's first licence has no id on the Hub, which wants a name and a place then."""


def front(subject: Subject) -> str:
    """Return the front matter between its lines of dashes."""
    lines = ["---", *_base(subject), f"library_name: {LIBRARIES[subject.kind]}"]
    lines.append("pipeline_tag: text-generation")
    lines += licence_lines(subject.licence)
    lines += listed("language", [language.code for language in subject.languages])
    lines += listed("datasets", subject.data.hub)
    lines += listed("tags", list(_tags(subject)))
    if subject.evaluation is not None and subject.evaluation.found:
        lines.append(_yaml({"model-index": model_index(subject.name, subject.evaluation)}))
    return "\n".join([*lines, "---"])


def licence_lines(licence: Licence) -> Iterator[str]:
    """Yield ``license`` with one id or a list of them."""
    other, name, link = LLAMA_1
    ids = [other if one == "llama-1" else one for one in licence.ids]
    if len(ids) == 1:
        yield f"license: {quoted(ids[0])}"
    else:
        yield from listed("license", ids)
    if other in ids:
        yield f"license_name: {quoted(name)}"
        yield f"license_link: {quoted(link)}"


def listed(key: str, values: Sequence[str]) -> Iterator[str]:
    """Yield a list in YAML, nothing for an empty one."""
    if values:
        yield f"{key}:"
        yield from (f"  - {quoted(value)}" for value in values)


def _base(subject: Subject) -> Iterator[str]:
    """The Hub refuses a base that is none of its ids, so that one is told in the text alone."""
    if subject.base.on_hub:
        yield f"base_model: {quoted(subject.base.id)}"
        several = subject.exported is not None and len(subject.exported.parts) > 1
        relation = "merge" if subject.kind == "merged" and several else RELATIONS[subject.kind]
        yield f"base_model_relation: {relation}"


def _tags(subject: Subject) -> Iterator[str]:
    yield "bactrian"
    if subject.shape is not None:
        yield subject.shape.variant
    if len(subject.languages) > 1:
        yield "multilingual"
    if subject.kind == "gguf":
        yield "gguf"
    elif subject.encoder_decoder:
        yield "text2text-generation"


def _yaml(told: object) -> str:
    from huggingface_hub.utils import yaml_dump  # type: ignore[attr-defined]

    return str(yaml_dump(told, sort_keys=False)).rstrip()

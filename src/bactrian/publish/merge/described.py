"""What stands beside the weights of a merged model: settings, tokenizer, chat template.

Everything that transformers, vLLM and llama.cpp's converter read, and nothing of the base's that no
longer holds.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from bactrian.errors import AdapterError
from bactrian.models.base import Location, tokenizer_of
from bactrian.models.fit import ids_of
from bactrian.publish.chat_template import chat_template
from bactrian.publish.merge.merged import MergedWeights
from bactrian.publish.source import Source

TOKENIZER = (
    "tokenizer.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
)
"""Files that a tokenizer is made of, whichever of them there are."""
SETTINGS = "tokenizer_config.json"
TERMS = ("LICENSE*", "NOTICE*", "USE_POLICY*")
"""What a base asks to be kept with it."""
STALE = ("_name_or_path", "quantization_config", "transformers_version")
"""What a base's configuration says that is not so of the merged model."""
DERIVED = "_from_model_config"
"""With it transformers makes the generation settings anew from config.json."""


def write_config(weights: MergedWeights, base: Location, folder: Path) -> None:
    """Write the base's configuration with dtype, vocabulary and tying as they are now."""
    config = _json(base.folder / "config.json")
    for key in STALE:
        config.pop(key, None)
    config |= {"dtype": weights.dtype, "torch_dtype": weights.dtype}  # new readers, and old ones
    if weights.untied:
        config["tie_word_embeddings"] = False
    if weights.rows is not None:
        config["vocab_size"] = weights.rows
    _write(folder / "config.json", config)
    for terms in TERMS:
        for path in base.folder.glob(terms):
            shutil.copyfile(path, folder / path.name)


def write_tokenizer(weights: MergedWeights, source: Source, folder: Path) -> Any:
    """Copy the tokenizer's files, set the template that asks as in training; return the tokenizer.

    The base's own, or the adapter's where the adapter brings tokens. Raises AdapterError where that
    has none.
    """
    place = _home(weights, source)
    tokenizer = tokenizer_of(place)
    for name in TOKENIZER:
        if (place.folder / name).is_file():
            shutil.copyfile(place.folder / name, folder / name)
    settings = _json(place.folder / SETTINGS)
    settings.pop("name_or_path", None)
    if tokenizer.eos_token and not settings.get("eos_token"):
        settings["eos_token"] = tokenizer.eos_token  # named by the model's own files alone
    template = _template(source, tokenizer)
    if template:
        settings["chat_template"] = template  # some servers read this file, others the next
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    _write(folder / SETTINGS, settings)
    return tokenizer


def write_generation(base: Location, tokenizer: Any, folder: Path) -> None:
    """Write how answers are generated: as the base says, ending with the adapter's end token."""
    told = _json(base.folder / "generation_config.json")
    named = told.get("eos_token_id")
    ends = list(named) if isinstance(named, list) else [named]
    ends = [end for end in (tokenizer.eos_token_id, *ends) if end is not None]
    if unique := list(dict.fromkeys(ends)):
        told["eos_token_id"] = unique if len(unique) > 1 else unique[0]
    for key in ("bos_token_id", "pad_token_id"):
        if told.get(key) is None and (number := getattr(tokenizer, key)) is not None:
            told[key] = number
    for key in (*STALE, DERIVED):
        told.pop(key, None)
    _write(folder / "generation_config.json", told)


def _home(weights: MergedWeights, source: Source) -> Location:
    """Return where the tokenizer lies that knows every row of the embedding."""
    if weights.rows is None:
        return source.base
    adapter = source.adapters[0].folder
    if not (adapter / SETTINGS).is_file():
        raise AdapterError(
            f"{adapter} has an embedding of {weights.rows} rows, more or fewer than the base, and "
            "no tokenizer that says what they stand for",
            "put the tokenizer's files of the training beside the adapter: tokenizer.json, "
            "tokenizer_config.json",
        )
    found = replace(source.base, folder=adapter)
    if (ids := ids_of(tokenizer_of(found))) > weights.rows:
        raise AdapterError(
            f"the tokenizer in {adapter} has {ids} ids, its embedding {weights.rows} rows",
            "put the tokenizer of the training there",
        )
    return found


def _template(source: Source, tokenizer: Any) -> str:
    """Return the chat template of the adapters' style; none where chat is the style and none is."""
    if source.prompt.name == "chat" and not getattr(tokenizer, "chat_template", None):
        return ""
    return chat_template(source.prompt, tokenizer)


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return told


def _write(path: Path, told: dict[str, Any]) -> None:
    text = json.dumps(told, indent=2, ensure_ascii=False, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")

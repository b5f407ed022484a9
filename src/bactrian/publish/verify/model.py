"""A model's folder in transformers' format: weights, configuration, tokenizer, prompt."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bactrian.models.base import Location
from bactrian.publish import exported
from bactrian.publish.verify import base as bases
from bactrian.publish.verify import beside
from bactrian.publish.verify.finding import Damaged, Finding, Report, counted, fault, note, ok, some
from bactrian.publish.verify.header import WORDS, Entry, read_header
from bactrian.publish.verify.read import read_object
from bactrian.publish.verify.values import look
from bactrian.publish.weights import INDEX, WHOLE


def check(folder: Path) -> Report:
    """Return all that is found in a model's folder."""
    findings: list[Finding] = []
    config = _read(folder / "config.json", findings)
    entries = _entries(folder, findings)
    findings += beside.check(folder, weights=entries is not None)
    if entries:
        findings += _values(entries)
    if config is not None and entries:
        findings += _architecture(folder, config, entries)
        findings += beside.check_tokens(folder, _rows(entries))
    if config is not None:
        findings += _tokenizer(folder)
    findings += _made(folder)
    return Report(folder, "model", tuple(findings))


def _read(path: Path, findings: list[Finding]) -> dict[str, Any] | None:
    try:
        return read_object(path)
    except Damaged as damaged:
        findings.append(damaged.finding)
        return None


def _entries(folder: Path, findings: list[Finding]) -> dict[str, Entry] | None:
    """Return every tensor of the folder; None where there are none that can be read."""
    if not (folder / INDEX).is_file():
        if not (folder / WHOLE).is_file():
            if not any(folder.glob("*.bin")):
                findings.append(fault(f"it has no {WHOLE}", "fetch or export it again"))
            return None
        return _of_files(folder, (WHOLE,), findings)
    index = _read(folder / INDEX, findings)
    if index is None:
        return None
    placed = index.get("weight_map")
    if not isinstance(placed, dict) or not all(isinstance(one, str) for one in placed.values()):
        findings.append(fault(f"{INDEX} has no weight_map", "fetch or export it again"))
        return None
    found = _of_files(folder, tuple(dict.fromkeys(placed.values())), findings)
    if found is not None:
        strangers = {name for name, one in found.items() if placed.get(name) != one.file.name}
        lost = placed.keys() - found.keys()
        if wrong := strangers | lost:
            findings.append(
                fault(
                    f"{INDEX} and the shards differ in {counted(len(wrong), 'tensor')}: "
                    f"{some(wrong, 1)}",
                    "fetch or export it again: shards of two exports may lie mixed here",
                )
            )
    return found


def _of_files(
    folder: Path, names: tuple[str, ...], findings: list[Finding]
) -> dict[str, Entry] | None:
    found: dict[str, Entry] = {}
    for name in names:
        path = folder / name
        if Path(name).name != name or not path.is_file():
            findings.append(fault(f"the shard {name} is not here", "fetch or export it again"))
            continue
        try:
            found |= read_header(path)
        except Damaged as damaged:
            findings.append(damaged.finding)
    return found or None


def _values(entries: Mapping[str, Entry]) -> Iterator[Finding]:
    values = look(entries)
    broken = [name for name, one in values.items() if not one.finite]
    empty = [name for name, one in values.items() if one.zero and len(entries[name].shape) > 1]
    if broken:
        yield fault(
            f"{counted(len(broken), 'tensor')} with values that are not finite: {some(broken, 1)}",
            "export it again in a wider dtype (bfloat16 or float32), or look at the training",
        )
    if empty:
        yield fault(
            f"{counted(len(empty), 'matrix', 'matrices')} of nothing but zeros: {some(empty, 1)}",
            "fetch or export it again: a disk or a download may have left a hole",
        )
    if not broken and not empty:
        dtypes = sorted({WORDS.get(one.dtype, one.dtype) for one in entries.values()})
        size = sum(one.end - one.begin for one in entries.values())
        yield ok(
            f"{counted(len(entries), 'tensor')}, {size / 1e9:.2f} GB in {' and '.join(dtypes)}, "
            "all finite"
        )


def _rows(entries: Mapping[str, Entry]) -> int | None:
    ends = ("embed_tokens.weight", "word_embeddings.weight", "wte.weight", "shared.weight")
    return next((one.shape[0] for name, one in entries.items() if name.endswith(ends)), None)


def _architecture(
    folder: Path, config: Mapping[str, Any], entries: Mapping[str, Entry]
) -> Iterator[Finding]:
    """Hold the tensors against the model of the configuration, built without weights."""
    from bactrian.publish.merge.places import empty_model, places_of

    location = Location(str(folder), folder, "", "")
    try:
        bases.buildable(config)
        places = bases.guarded(lambda: places_of(location, entries))
        model, _ = bases.guarded(lambda: empty_model(location))
    except Damaged as damaged:
        yield damaged.finding
        return
    shapes = {name: tuple(one.shape) for name, one in model.state_dict().items()}
    wrong = {one: of for one, of in places.names.items() if shapes[one] != entries[of].shape}
    kept = {one for one, _ in model.named_parameters()}
    lacking = kept - places.names.keys() - places.tied.keys() - places.fused
    if wrong and not config.get("quantization_config"):
        one, of = min(wrong.items())
        yield fault(
            f"{counted(len(wrong), 'tensor')} of another size than config.json makes it: {of} is "
            f"{list(entries[of].shape)}, told is {list(shapes[one])}",
            "the files may be of two models: fetch or export it again",
        )
    if lacking:
        yield fault(
            f"{counted(len(lacking), 'tensor')} missing: {some(lacking, 1)}",
            "fetch or export it again: transformers would make random ones up",
        )
    if not lacking and not wrong:
        yield ok(f"fits its config.json: {type(model).__name__}")


def _tokenizer(folder: Path) -> Iterator[Finding]:
    names = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json")
    if not any((folder / name).is_file() for name in names):
        yield fault(
            "it has no tokenizer",
            "put the tokenizer of its base beside it, as alpaca-lora's export does not",
        )
        return
    template = (folder / "chat_template.jinja").is_file()
    told = folder / "tokenizer_config.json"
    if not template and told.is_file():
        try:
            template = bool(read_object(told).get("chat_template"))
        except Damaged as damaged:
            yield damaged.finding
            return
    if template:
        yield ok("tokenizer with a chat template")
    else:
        yield note(
            "its tokenizer has no chat template: servers do not know how to ask it",
            "vllm serve FOLDER --chat-template FILE, as bactrian export vllm --to DIR writes one",
        )


def _made(folder: Path) -> Iterator[Finding]:
    """Yield what the record of an export says."""
    try:
        record = exported.read(folder)
    except (ValueError, TypeError, KeyError, OSError, json.JSONDecodeError):
        yield fault(f"{exported.NAME} is not what bactrian wrote", "export it again")
        return
    if record is None:
        yield note(
            "nothing says how it wants to be asked: it was made elsewhere",
            "look into its card for the prompt",
        )
    else:
        parts = " + ".join(f"{part.share:g} {part.name}" for part in record.parts)
        yield ok(f"{record.kind} of {record.base} and {parts}, prompt style {record.prompt}")

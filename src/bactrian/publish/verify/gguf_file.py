"""A GGUF file, a model's or an adapter's: whole, finite, with a tokenizer that merges rightly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bactrian.publish.verify.finding import Damaged, Finding, Report, counted, fault, note, ok, some
from bactrian.publish.verify.gguf_read import Kept, Read, read_gguf
from bactrian.publish.verify.read import read_object
from bactrian.publish.verify.values import Values, values_in

PLAIN = {0: "F32", 1: "F16", 28: "F64", 30: "BF16"}
"""Kinds of tensors that are not quantised, under safetensors' names."""
SCALED = {2: 18, 3: 20, 6: 22, 7: 24, 8: 34}
"""Bytes a block of q4_0, q4_1, q5_0, q5_1, q8_0; each begins with its scale in float16."""
LETTERS = 3


def check(path: Path) -> Report:
    """Return all that is found in a GGUF file."""
    try:
        read = read_gguf(path)
    except Damaged as damaged:
        return Report(path, "GGUF file", (damaged.finding,))
    adapter = read.settings.get("general.type") == "adapter"
    values = _look(path, read)
    findings = [
        *_finite(read, values),
        *(_adapter(read, values) if adapter else _model(read)),
        *_record(path),
    ]
    return Report(path, "GGUF adapter" if adapter else "GGUF model", tuple(findings))


def _look(path: Path, read: Read) -> dict[str, Values]:
    """Return what the values are like of tensors whose kind is plain, or begins with a scale."""
    import numpy as np

    stored = np.memmap(path, dtype=np.uint8, mode="r")
    found = {}
    for name, one in read.tensors.items():
        part = stored[one.begin : one.end]
        if one.kind in PLAIN and len(part):
            found[name] = values_in(part, PLAIN[one.kind])
        elif one.kind in SCALED and len(part):
            scales = part.reshape(-1, SCALED[one.kind])[:, :2]
            found[name] = values_in(np.ascontiguousarray(scales).reshape(-1), "F16")
    return found


def _finite(read: Read, values: Mapping[str, Values]) -> Iterator[Finding]:
    broken = [name for name, one in values.items() if not one.finite]
    if broken:
        yield fault(
            f"{counted(len(broken), 'tensor')} with values that are not finite: {some(broken, 1)}",
            "look at what it was made of: bactrian verify FOLDER; float16 may be too narrow for it",
        )
        return
    kinds = sorted({_word(one.kind) for one in read.tensors.values()})
    told = f"{counted(len(read.tensors), 'tensor')} ({', '.join(kinds)})"
    rest = len(read.tensors) - len(values)
    yield ok(f"{told}, {'finite' if not rest else f'{len(values)} looked into, finite'}")


def _model(read: Read) -> Iterator[Finding]:
    settings, tensors = read.settings, read.tensors
    architecture = settings.get("general.architecture")
    if not isinstance(architecture, str):
        yield fault("it names no general.architecture", "export it again: bactrian export gguf")
        return
    yield from _layers(settings.get(f"{architecture}.block_count"), tensors)
    embedding = tensors.get("token_embd.weight")
    if embedding is None or len(embedding.shape) != 2:
        yield fault("it has no token_embd.weight", "export it again: bactrian export gguf")
        return
    yield from _tokenizer(settings, embedding)
    yield from _template(settings)


def _layers(told: Any, tensors: Mapping[str, Kept]) -> Iterator[Finding]:
    by_layer: dict[str, set[str]] = {}
    for name in tensors:
        if name.startswith("blk."):
            _, layer, part = name.split(".", 2) if name.count(".") > 1 else ("", "", "")
            by_layer.setdefault(layer, set()).add(part)
    if not isinstance(told, int) or told != len(by_layer):
        yield fault(
            f"it tells of {told} layers and has tensors of {len(by_layer)}", "export it again"
        )
    most: set[str] = set().union(*by_layer.values()) if by_layer else set()
    if lacking := [layer for layer, parts in by_layer.items() if parts != most]:
        first = lacking[0]
        yield note(
            f"{counted(len(lacking), 'layer')} with fewer tensors than others: blk.{first} lacks "
            f"{some(most - by_layer[first], 3)}",
            "nothing, where the architecture mixes kinds of layers; else export it again",
        )


def _tokenizer(settings: Mapping[str, Any], embedding: Kept) -> Iterator[Finding]:
    words, scores = settings.get("tokenizer.ggml.tokens"), settings.get("tokenizer.ggml.scores")
    kind = settings.get("tokenizer.ggml.model")
    if not isinstance(words, list) or not words:
        yield fault("it has no tokenizer", "export it again from a folder with its tokenizer")
        return
    if len(words) != embedding.shape[1]:
        yield fault(
            f"the tokenizer has {len(words):,} tokens and the embedding {embedding.shape[1]:,} "
            "rows: llama.cpp will not load it",
            "tokens were added without their rows, or rows without tokens: bactrian export gguf "
            "writes both alike",
        )
    spoken = [one for one in scores if one] if isinstance(scores, list) else []
    if kind == "llama" and len(set(spoken)) < LETTERS and len(words) > 1000:
        yield fault(
            "its SentencePiece tokenizer has flat scores, so llama.cpp merges in a wrong order and "
            "the model reads other tokens than it was trained on",
            "the converter had no tokenizer.model and made scores up: bactrian export gguf writes "
            "the order of merges",
        )
    ends = settings.get("tokenizer.ggml.eos_token_id")
    if not isinstance(ends, int) or not 0 <= ends < len(words):
        yield fault(
            f"its EOS is {'not told' if ends is None else ends}, so answers do not stop",
            "export it again with the tokenizer's EOS",
        )
    else:
        yield ok(f"tokenizer {kind}: {len(words):,} tokens, EOS {words[ends]}")


def _template(settings: Mapping[str, Any]) -> Iterator[Finding]:
    if settings.get("tokenizer.chat_template"):
        yield ok("it has a chat template, so chat programs ask it as it was trained")
    else:
        yield note(
            "it has no chat template: chat programs ask it in a way of their own",
            "export it with its prompt style: bactrian export gguf; or give one to llama-server: "
            "--chat-template-file",
        )


def _adapter(read: Read, values: Mapping[str, Values]) -> Iterator[Finding]:
    settings = read.settings
    if settings.get("adapter.type") != "lora" or not settings.get("adapter.lora.alpha"):
        yield fault(
            f"adapter.type is {settings.get('adapter.type')!r}, adapter.lora.alpha "
            f"{settings.get('adapter.lora.alpha')!r}",
            "export it again: bactrian export gguf-adapter",
        )
    sides: dict[str, dict[str, str]] = {}
    for name in read.tensors:
        place, _, side = name.rpartition(".")
        if side in ("lora_a", "lora_b"):
            sides.setdefault(place, {})[side] = name
    if not sides:
        yield fault("it holds no pair of lora_a and lora_b", "export it again")
        return
    if lonely := [place for place, found in sides.items() if len(found) < 2]:
        yield fault(f"only one of lora_a and lora_b: {some(lonely, 1)}", "export it again")
        return
    wrong = [place for place, found in sides.items() if not _fit(read, found)]
    if wrong:
        yield fault(f"A and B cannot be multiplied: {some(wrong, 1)}", "export it again")
    known = [found["lora_b"] for found in sides.values() if found["lora_b"] in values]
    if known and all(values[name].zero for name in known):
        yield fault("every lora_b is zero, so it does nothing", "look at the adapter it is made of")
    ranks = sorted({read.tensors[found["lora_a"]].shape[-1] for found in sides.values()})
    yield ok(
        f"{counted(len(sides), 'pair')} of rank {', '.join(map(str, ranks))}, alpha "
        f"{settings.get('adapter.lora.alpha')}, for {settings.get('general.architecture')}"
    )


def _fit(read: Read, found: Mapping[str, str]) -> bool:
    """Whether A [in, rank] and B [rank, out], innermost size first, share their rank."""
    down, up = read.tensors[found["lora_a"]].shape, read.tensors[found["lora_b"]].shape
    return len(down) == 2 and len(up) == 2 and down[1] == up[0]


def _record(path: Path) -> Iterator[Finding]:
    beside = path.with_name(f"{path.name}.json")
    if not beside.is_file():
        return
    try:
        told = read_object(beside)
    except Damaged as damaged:
        yield damaged.finding
        return
    yield ok(f"made by bactrian from {told.get('base')}, prompt style {told.get('prompt')}")


def _word(kind: int) -> str:
    from gguf import GGMLQuantizationType

    return str(GGMLQuantizationType(kind).name.lower())

"""Adapters of a tiny base, and what can be wrong with their folders: damages by name."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from bactrian.models import adapters

SIZES = {"q_proj": (32, 32), "k_proj": (16, 32), "v_proj": (16, 32), "o_proj": (32, 32)}
Edit = Callable[[Path], object]


def config(**changed: Any) -> dict[str, Any]:
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": 4,
        "lora_alpha": 8,
        "target_modules": sorted(SIZES),
        "bias": "none",
        **changed,
    }


def tensors() -> dict[str, Any]:
    torch.manual_seed(2)
    found = {}
    for layer in range(2):
        for name, (out, into) in SIZES.items():
            place = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            found[f"{place}.lora_A.weight"] = torch.randn(4, into)
            found[f"{place}.lora_B.weight"] = torch.randn(out, 4)
    return found


def edit(**changed: Any) -> Edit:
    def change(folder: Path) -> None:
        path = folder / "adapter_config.json"
        told = {**json.loads(path.read_text()), **changed}
        path.write_text(json.dumps({key: one for key, one in told.items() if one is not ...}))

    return change


def weights(change: Callable[[str, Any], tuple[str, Any] | None]) -> Edit:
    def rewrite(folder: Path) -> None:
        path = folder / adapters.WEIGHTS
        kept = [change(name, tensor) for name, tensor in load_file(path).items()]
        save_file({one[0]: one[1].contiguous() for one in kept if one}, path)

    return rewrite


def only(kind: str, change: Callable[[Any], Any]) -> Edit:
    return weights(lambda name, tensor: (name, change(tensor) if kind in name else tensor))


def heading(told: Callable[[dict[str, Any]], Any], length: int | None = None) -> Edit:
    def rewrite(folder: Path) -> None:
        path = folder / adapters.WEIGHTS
        content = path.read_bytes()
        (size,) = struct.unpack("<Q", content[:8])
        header = json.dumps(told(json.loads(content[8 : 8 + size]))).encode()
        size_told = len(header) if length is None else length
        path.write_bytes(struct.pack("<Q", size_told) + header + content[8 + size :])

    return rewrite


def moved(header: dict[str, Any]) -> dict[str, Any]:
    one = next(value for key, value in header.items() if key != "__metadata__")
    one["data_offsets"] = [place + 4 for place in one["data_offsets"]]
    return header


def cut(name: str, keep: int) -> Edit:
    def shorten(folder: Path) -> None:
        path = folder / name
        path.write_bytes(path.read_bytes()[:keep])

    return shorten


def write(name: str, content: bytes) -> Edit:
    return lambda folder: (folder / name).write_bytes(content)


def pickle(*, empty: bool) -> Edit:
    def save(folder: Path) -> None:
        kept = load_file(folder / adapters.WEIGHTS)
        torch.save({} if empty else kept, folder / "adapter_model.bin")
        (folder / adapters.WEIGHTS).unlink()

    return save


def link(target: str) -> Edit:
    def lead_out(folder: Path) -> None:
        (folder / adapters.WEIGHTS).rename(folder.parent / "elsewhere")
        (folder / adapters.WEIGHTS).symlink_to(target)

    return lead_out


def in_its_place(make: Callable[[Path], object]) -> Edit:
    def replace(folder: Path) -> None:
        (folder / adapters.WEIGHTS).unlink()
        make(folder / adapters.WEIGHTS)

    return replace


def facts(**changed: Any) -> Edit:
    def change(folder: Path) -> None:
        path = folder / "bactrian.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))

    return change


FIRST = "base_model.model.model.layers.0.self_attn.q_proj"
DAMAGED: dict[str, tuple[Edit, str]] = {
    "cut off": (cut(adapters.WEIGHTS, 9000), r"cut off: 9,000 bytes"),
    "cut in the heading": (cut(adapters.WEIGHTS, 100), "its heading has"),
    "empty file": (cut(adapters.WEIGHTS, 0), "the file has 0"),
    "a heading of 2^60 bytes": (heading(lambda told: told, 1 << 60), "1,152,921,504,606,846,976"),
    "a heading that is no object": (heading(lambda _: [1]), "heading is no JSON object"),
    "a heading without end": (
        lambda folder: write(adapters.WEIGHTS, struct.pack("<Q", 1 << 20) + b"[" * (1 << 20))(
            folder
        ),
        "nested without end",
    ),
    "tensors over each other": (heading(moved), "overlaps another tensor, or lies behind a gap"),
    "a tensor of 2^62 values": (
        heading(
            lambda told: {
                **told,
                "x": {"dtype": "F32", "shape": [1 << 31, 1 << 31], "data_offsets": [0, 4]},
            }
        ),
        "do not belong together",
    ),
    "a dtype of nobody": (
        heading(lambda told: {**told, "x": {"dtype": "F3", "shape": [0], "data_offsets": [0, 0]}}),
        "do not belong together",
    ),
    "minus sizes": (
        heading(
            lambda told: {**told, "x": {"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}}
        ),
        "do not belong together",
    ),
    "no weights": (
        lambda folder: (folder / adapters.WEIGHTS).unlink(),
        "it has no adapter_model",
    ),
    "no configuration": (
        lambda folder: (folder / "adapter_config.json").unlink(),
        r"adapter_config\.json cannot be read: No such file",
    ),
    "NaN in JSON": (
        write("adapter_config.json", b'{"r": 4, "lora_alpha": NaN}'),
        "holds NaN, which is no JSON",
    ),
    "no JSON": (write("adapter_config.json", b"{"), "is not JSON"),
    "no UTF-8": (write("adapter_config.json", b'{"r": "\xff"}'), "is not JSON"),
    "a list": (write("adapter_config.json", b"[]"), "holds no JSON object"),
    "JSON without end": (write("adapter_config.json", b"[" * 100_000), "nested without end"),
    "a key twice": (write("adapter_config.json", b'{"r": 4, "r": 8}'), "says 'r' twice"),
    "no rank": (edit(r=...), "tells no rank"),
    "a rank in words": (edit(r="four"), "tells the rank 'four'"),
    "no alpha": (edit(lora_alpha=None), "tells no lora_alpha"),
    "alpha 0": (edit(lora_alpha=0), "lora_alpha is 0"),
    "another rank": (edit(r=8), "8 layers of another rank .* has 4, told is 8"),
    "no targets": (edit(target_modules=None), "names no target_modules"),
    "targets of another model": (edit(target_modules=["c_attn"]), "8 layers with A and B that"),
    "one target lacking": (edit(target_modules=["q_proj", "k_proj", "v_proj"]), "o_proj"),
    "targets of the wrong kind": (edit(target_modules=[1, None]), r"target_modules is \[1, None\]"),
    "a table that is a list": (edit(rank_pattern=[1]), r"rank_pattern is \[1\]"),
    "a broken pattern": (edit(target_modules="*("), "8 layers with A and B that"),
    "a base that is a number": (edit(base_model_name_or_path=5), "base_model_name_or_path is 5"),
    "only A": (
        weights(lambda name, one: None if "lora_B" in name else (name, one)),
        "lora_B is missing of 8 layers",
    ),
    "one B gone": (
        weights(lambda name, one: None if name == f"{FIRST}.lora_B.weight" else (name, one)),
        "lora_B is missing of 1 layer: model.layers.0.self_attn.q_proj",
    ),
    "one A gone": (
        weights(lambda name, one: None if name == f"{FIRST}.lora_A.weight" else (name, one)),
        "lora_A is missing of 1 layer",
    ),
    "every B zero": (only("lora_B", torch.zeros_like), "every lora_B is zero"),
    "every A zero": (only("lora_A", torch.zeros_like), "or every lora_A"),
    "NaN": (only("k_proj.lora_A", lambda one: one * float("nan")), "2 tensors with values that"),
    "infinite in bfloat16": (
        weights(
            lambda name, one: (name, (one * (1e39 if "0.self_attn.k" in name else 1)).bfloat16())
        ),
        "2 tensors with values that are not finite",
    ),
    "infinite in float16": (
        weights(lambda name, one: (name, (one * (1e6 if "lora_A" in name else 1)).half())),
        "8 tensors with values that are not finite",
    ),
    "A and B that do not meet": (
        only("q_proj.lora_B", lambda one: one[:, :3]),
        "A and B of 2 layers cannot be multiplied",
    ),
    "vectors": (only("q_proj.lora_A", lambda one: one[0]), "cannot be multiplied"),
    "no tensors": (weights(lambda name, one: None), "holds 0 tensors, and none of LoRA"),
    "other tensors": (weights(lambda name, one: (name[-9:], one)), "none of LoRA"),
    "compiled": (
        weights(lambda name, one: (name.replace("base_model.", "base_model._orig_mod."), one)),
        "_orig_mod",
    ),
    "the adapter's name inside": (
        weights(lambda name, one: (name.replace(".weight", ".default.weight"), one)),
        "the adapter's own name after",
    ),
    "names without their beginning": (
        weights(lambda name, one: (name.removeprefix("base_model.model."), one)),
        r"no base_model\.model\. before it",
    ),
    "another base's sizes": (
        only("v_proj.lora_B", lambda one: one.repeat(2, 1)),
        "2 layers of another size",
    ),
    "another base's layers": (
        weights(lambda name, one: (name.replace("layers.1", "layers.7"), one)),
        "4 layers absent in",
    ),
    "other weights of the base": (facts(base_fingerprint="f"), "made for other weights"),
    "a prompt of nobody": (facts(prompt="dromedary"), "prompt style dromedary is unknown"),
    "facts of the wrong kind": (facts(base=5, languages=[1]), "not what bactrian wrote"),
    "facts cut off": (cut("bactrian.json", 20), r"bactrian\.json is not JSON"),
    "the 443-byte kind": (pickle(empty=True), "adapter_model.bin is empty: its .* alpaca-lora"),
    "a pickle": (pickle(empty=False), "weights are a pickle"),
    "a damaged archive": (
        lambda folder: (
            pickle(empty=False)(folder),
            write("adapter_model.bin", b"PK\x03\x04" + b"x" * 5000)(folder),
        ),
        "weights are a pickle",
    ),
    "a link out": (link("../elsewhere"), "is a link out of the folder"),
    "a link to nothing": (link("nowhere"), "is a link to nothing"),
    "a link to itself": (link(adapters.WEIGHTS), "is a link to nothing"),
    "a folder in its place": (in_its_place(Path.mkdir), "it has no adapter_model"),
    "a pipe in its place": (in_its_place(os.mkfifo), "it has no adapter_model"),
    "an added token": (
        write(
            "tokenizer.json",
            b'{"model": {"vocab": {"a": 0}}, "added_tokens": [{"id": 320, "content": "[PAD]"}]}',
        ),
        "321 ids and the embedding 320 rows",
    ),
    "a tokenizer of nothing": (write("tokenizer.json", b"{}"), "has no vocabulary"),
}

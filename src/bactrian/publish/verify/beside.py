"""What lies in a folder beside the weights: pickles, links out of it, code, tokenizers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from bactrian.models.adapter_checks import holds_nothing
from bactrian.publish.verify.finding import Damaged, Finding, fault, note, some
from bactrian.publish.verify.lora import SAVED_EMPTY
from bactrian.publish.verify.read import read_object

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
ADAPTER_PICKLE = "adapter_model.bin"
CONVERT = (
    "where you trust who made it, convert it once and throw the pickle away: "
    "PeftModel.from_pretrained(base, FOLDER).save_pretrained(NEW)"
)
CONVERT_MODEL = (
    "where you trust who made it, convert it once and throw the pickle away: "
    "AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(NEW)"
)
FILES = 10_000
"""Files that are looked at by name."""


def check(folder: Path, *, weights: bool) -> Iterator[Finding]:
    """Yield what there is to say of a folder's files; ``weights``: it has them as safetensors."""
    files = [path for _, path in zip(range(FILES), sorted(folder.rglob("*")), strict=False)]
    yield from _links(folder, files)
    yield from _pickles(folder, files, weights)
    if code := [path.name for path in files if path.suffix == ".py"]:
        yield note(
            f"it holds code: {some(code, 3)}",
            "read it before trust_remote_code=True; nothing runs it without",
        )


def saved_empty(folder: Path) -> Finding | None:
    """Return the fault of an adapter_model.bin in which nothing was saved (the 443-byte kind)."""
    path = folder / ADAPTER_PICKLE
    try:
        if not holds_nothing(path):
            return None
    except (OSError, BadZipFile):
        return None
    size = path.stat().st_size
    return fault(f"{path.name} is empty: its {size} bytes hold no tensor", SAVED_EMPTY)


def tokens_in(folder: Path) -> int | None:
    """Return one more than the largest id of the tokenizer in a folder, None where there is none.

    Raises Damaged for a tokenizer.json that cannot be read.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        return None
    told = read_object(path)
    try:
        words: Any = told["model"]["vocab"]
        largest = len(words) - 1 if isinstance(words, list) else max(words.values(), default=-1)
        added = [int(one["id"]) for one in told.get("added_tokens") or ()]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Damaged(
            "tokenizer.json has no vocabulary", "fetch the tokenizer of the base again"
        ) from None
    return max([largest, *added]) + 1


def check_tokens(folder: Path, rows: int | None) -> Iterator[Finding]:
    """Yield whether a tokenizer in the folder has more tokens than the model's embedding rows."""
    try:
        ids = tokens_in(folder)
    except Damaged as damaged:
        yield damaged.finding
        return
    if ids is not None and rows is not None and ids > rows:
        yield fault(
            f"the tokenizer here has {ids:,} ids and the embedding {rows:,} rows: tokens were "
            "added (a [PAD], often) that the weights do not carry",
            "use the tokenizer that the base was published with; where the tokens were trained, "
            "save the adapter with the embedding, or merge it where it was made",
        )


def _links(folder: Path, files: list[Path]) -> Iterator[Finding]:
    inside = folder.resolve()
    blobs = inside.parent.parent / "blobs"  # where the Hub's cache keeps what a snapshot links to
    for path in files:
        if not path.is_symlink():
            continue
        try:
            target = path.resolve()
            there = target.exists()
        except (OSError, RuntimeError):  # a link to itself
            there, target = False, path
        if not there:
            yield fault(f"{path.name} is a link to nothing", "fetch the file itself")
        elif not target.is_relative_to(inside) and not target.is_relative_to(blobs):
            yield fault(
                f"{path.name} is a link out of the folder, to {target}",
                "put the file itself there: a copy of the folder would lack it, and a stranger's "
                "link can point at anything of yours",
            )


def _pickles(folder: Path, files: list[Path], weights: bool) -> Iterator[Finding]:
    found = [path for path in files if path.suffix in PICKLES and path.is_file()]
    if not found:
        return
    if weights:
        yield note(
            f"a pickle lies beside the weights and was not opened: "
            f"{some((path.name for path in found), 3)}",
            "throw it away before you publish: opening a pickle can run code",
        )
        return
    if (folder / ADAPTER_PICKLE) in found and (empty := saved_empty(folder)):
        yield empty
        return
    adapter = (folder / ADAPTER_PICKLE) in found
    yield fault(
        f"the weights are a pickle, which can run code when it is opened: {found[0].name}. It was "
        "not opened",
        CONVERT if adapter else CONVERT_MODEL,
    )

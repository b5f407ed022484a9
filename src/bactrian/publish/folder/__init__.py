"""The folder that is published: what belongs into it, as others may see it, and nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from bactrian.errors import ConfigError
from bactrian.publish.folder.traces import mended, traces

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
             "added_tokens.json", "chat_template.jinja", "vocab.json", "vocab.txt", "merges.txt",
             "tokenizer.model", "spiece.model", "sentencepiece.bpe.model")  # fmt: skip
TEXTS = ("LICENSE*", "LICENCE*", "NOTICE*", "USE_POLICY*", "*.png", "*.svg", "*.jpg")
ADAPTER = ("adapter_config.json", "adapter_model.safetensors", "bactrian.json", "training.json",
           *TOKENIZER, *TEXTS)  # fmt: skip
MODEL = ("config.json", "generation_config.json", "*.safetensors", "*.safetensors.index.json",
         "*.gguf", "*.gguf.json", "bactrian.json", "bactrian-export.json", "training.json",
         *TOKENIZER, *TEXTS)  # fmt: skip
VOCABULARIES = ("tokenizer.json", "vocab.json", "added_tokens.json")
WRITTEN = ("README.md", ".eval_results/*.yaml")
"""What publishing writes itself."""
PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.pickle", "*.ckpt")
NAMED = {"adapter_config.json": "base_model_name_or_path", "bactrian.json": "base",
         "bactrian-export.json": "base"}  # fmt: skip
"""Files that name the base, and the key that does."""


@dataclass(frozen=True, slots=True)
class Sorted:
    """The files of a folder; ``kept`` and ``left`` are all of them."""

    kept: tuple[Path, ...]
    left: tuple[str, ...]
    """Paths in the folder that do not belong: checkpoints, optimizers, events, pickles."""


def sorted_out(folder: Path, belonging: Iterable[str]) -> Sorted:
    """Return what belongs by an allow-list of names and what does not; links are not followed."""
    names = tuple(belonging)
    kept, left = [], []
    for path in sorted(folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        relative = path.relative_to(folder).as_posix()
        belongs = path.is_file() and any(fnmatchcase(relative, name) for name in names)
        if belongs and "/" not in relative:
            kept.append(path)
        elif relative != "README.md":
            left.append(relative)
    return Sorted(tuple(kept), tuple(left))


def lay(files: Sorted, into: Path, base: str, written: Mapping[str, str]) -> None:
    """Copy the files, JSON without this machine's places, and write the texts beside them.

    ``base`` is what others call the base; ``written`` are paths to texts.
    """
    into.mkdir(parents=True, exist_ok=True)
    for path in files.kept:
        if path.suffix == ".json" and path.name not in VOCABULARIES:
            (into / path.name).write_bytes(_renamed(path, base))
        else:
            shutil.copyfile(path, into / path.name)
    for name, text in written.items():
        place = into / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")


def check(folder: Path, whose: Iterable[Path] = ()) -> tuple[str, ...]:
    """Return the files to send, paths in the folder; hidden ones but for results are none.

    ``whose`` are folders whose places nobody has to know. Raises ConfigError for a file that
    tells of this machine or of a secret, and for a pickle.
    """
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        relative = path.relative_to(folder).as_posix()
        if any(fnmatchcase(path.name, name) for name in PICKLES):
            raise ConfigError(
                f"{path} is a pickle, which can run code when it is opened",
                "take it out of the folder: safetensors holds the same",
            )
        if told := traces(path, whose):
            raise ConfigError(
                f"{relative} holds {told[0]}", "take it out there and publish the folder again"
            )
        found.append(relative)
    return tuple(found)


def unknown(folder: Path) -> tuple[str, ...]:
    """Return the files of a folder that is sent which nobody would look for there."""
    names = (*ADAPTER, *MODEL, *WRITTEN)
    deep = [f"*/{name}" for name in names]
    every = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return tuple(
        name for name in sorted(every) if not any(fnmatchcase(name, one) for one in (*names, *deep))
    )


def _renamed(path: Path, base: str) -> bytes:
    """Return a JSON file as others may see it, with the base by the name that they know."""
    data = mended(path)
    key = NAMED.get(path.name)
    if key is None or not base:
        return data
    told: dict[str, Any] = json.loads(data)
    if told.get(key) == base:
        return data
    return (json.dumps({**told, key: base}, indent=2, ensure_ascii=False) + "\n").encode()

"""Turns a GGUF file into a folder in transformers' format, once, whole or not at all."""

from __future__ import annotations

import shutil
import struct
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

from bactrian.errors import ConfigError
from bactrian.events import emit
from bactrian.files import locked
from bactrian.models.disk import writing
from bactrian.models.fingerprint import fingerprint

VERSION = "1"
"""Raised when the converter would write something else than before."""


def convert(file: Path, cache: Path) -> Path:
    """Return the folder with the dequantised float32 weights and the tokenizer of a GGUF file.

    Raises ConfigError for an architecture that transformers cannot read from GGUF.
    """
    folder = cache / f"{file.stem}-{fingerprint([file], salt=VERSION, size=6)}"
    if folder.is_dir():
        return folder
    with locked(cache):
        if not folder.is_dir():
            emit("note", text=f"dequantising {file.name} once, into {folder}")
            _convert(file, folder)
    return folder


def _convert(file: Path, folder: Path) -> None:
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        with writing(folder):
            _write(file, unfinished)
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write(file: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from bactrian.models.base import quiet

    quiet()
    where = {"gguf_file": file.name, "local_files_only": True}
    try:
        tokenizer = AutoTokenizer.from_pretrained(file.parent, **where)
        with redirect_stderr(StringIO()):  # a bar that transformers has no switch for
            read = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **where)
    except (ValueError, NotImplementedError, LookupError, struct.error) as error:
        raise ConfigError(
            f"{file} cannot be read by transformers: {error}",
            "see whether the file is whole, or use the model's own folder in transformers' format",
        ) from None
    config = read.config
    del config.quantization_config  # the weights are plain from here on
    config._name_or_path = file.stem
    plain = AutoModelForCausalLM.from_config(config)
    plain.load_state_dict(read.state_dict())
    plain.generation_config = read.generation_config
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)

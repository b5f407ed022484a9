"""A GGUF file through llama.cpp in this process: its server on a free port of the loopback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bactrian.errors import ConfigError, MissingExtra
from bactrian.models.fingerprint import fingerprint

SLOTS = 4
"""Texts that are computed at once."""
LONGEST = 4096
"""Tokens of a slot, or what the model was trained on where that is less."""


def file_of(path: Path) -> Path:
    """Return the file; raises ConfigError where there is none, MissingExtra without llama.cpp."""
    if not path.is_file():
        raise ConfigError(f"there is no file {path}", "write --backend gguf:FILE.gguf")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ConfigError(f"{path} is no GGUF file", "name one that llama.cpp can read")
    if find_spec("xllamacpp") is None:
        raise MissingExtra(
            "GGUF files are scored by llama.cpp, which is not installed", "pip install xllamacpp"
        )
    return path


def hash_of(path: Path) -> str:
    """Return the hash of the file and of the version of llama.cpp that reads it."""
    return fingerprint([path], salt=f"xllamacpp {version('xllamacpp')}")


@contextmanager
def serving(path: Path) -> Iterator[str]:
    """Give the address of a server of the file; raises ConfigError where it cannot be loaded."""
    import xllamacpp  # type: ignore[import-untyped]

    params: Any = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_parallel, params.n_ctx, params.warmup = SLOTS, SLOTS * LONGEST, False
    params.hostnames, params.port = ["127.0.0.1"], 0
    threads = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.verbosity = -1
    try:
        server: Any = xllamacpp.Server(params)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"llama.cpp cannot load {path}: {error}", "see whether the file is whole"
        ) from error
    try:
        yield str(server.listening_address)
    finally:
        del server

"""A GGUF file that llama.cpp scores in this process: whether it can, and its hash."""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from bactrian.errors import ConfigError, MissingExtra
from bactrian.models.fingerprint import fingerprint


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

"""Traces of a machine and of its owner: places and secrets, which are not for others' eyes."""

from __future__ import annotations

import json
import mmap
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bactrian.errors import ConfigError

PLACES = ("base", "command", "base_model_name_or_path", "_name_or_path", "name_or_path")
"""Keys of known JSON files that name where something lay; of a place the last part is kept."""
ABSOLUTE = re.compile(r"""(?<![\w./:~-])(?:~|/[\w.@+-]+)(?:/[^\s"'`,;:|<>()\[\]{}\\]*)+""")
SECRET_NAMES = re.compile(r"(TOKEN|SECRET|PASSWORD|API_?KEY|_KEY)$")
KEYS = re.compile(rb"\bhf_[A-Za-z0-9]{30,}|\bsk-[A-Za-z0-9_-]{24,}|\bAIza[A-Za-z0-9_-]{30,}")
TEXTS = (".md", ".json", ".yaml", ".toml", ".txt", ".jinja")
WORD = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.~"
"""What goes before a slash that does not begin a place."""
SHORTEST = 8
"""Characters; a shorter value of the environment is no secret that can be looked for."""


def elsewhere(text: str) -> str:
    """Return the text with every place of this machine cut to its last part."""
    return ABSOLUTE.sub(lambda found: _last(found[0]), text)


def mended(path: Path) -> bytes:
    """Return a JSON file without the places in it, the very bytes where there are none.

    Only values of ``PLACES`` are touched. Raises ConfigError for what is no JSON.
    """
    data = path.read_bytes()
    try:
        told = json.loads(data)
    except ValueError as error:
        raise ConfigError(
            f"{path} is not JSON: {error}", "fetch or make the folder again"
        ) from None
    changed = _mended(told)
    if changed == told:
        return data
    return (json.dumps(changed, indent=2, ensure_ascii=False) + "\n").encode()


def traces(path: Path, folders: Iterable[Path] = ()) -> tuple[str, ...]:
    """Return what a file tells of this machine: places, and the names of secrets that it holds."""
    if not path.stat().st_size:
        return ()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = [name for name, needle in _needles(folders) if _holds(data, needle)]
        if path.suffix in TEXTS and KEYS.search(data):
            found.append("something that looks like a key")
    return tuple(dict.fromkeys(found))


def _holds(data: mmap.mmap, needle: bytes) -> bool:
    """Whether the bytes are there; a place only where no word goes before it, as in a link."""
    at = data.find(needle)
    while at > 0 and needle.startswith(b"/") and chr(data[at - 1]) in WORD:
        at = data.find(needle, at + 1)
    return at >= 0


def _needles(folders: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    """Yield what to look for, each with words that do not repeat a secret."""
    home = Path.home()
    for place in (home, Path.cwd(), *(folder.absolute() for folder in folders)):
        if len(place.parts) > 1:
            yield f"the place {place}", f"{place}/".encode()
    for name, value in os.environ.items():
        if SECRET_NAMES.search(name.upper()) and len(value.strip()) >= SHORTEST:
            yield f"the value of {name}", value.strip().encode()
    if token := _token():
        yield "the Hub's token", token.encode()


def _token() -> str:
    """Return the Hub's token wherever huggingface_hub finds one."""
    try:
        from huggingface_hub import get_token
    except ImportError:
        return ""
    return get_token() or ""


def _mended(told: Any, key: str = "") -> Any:
    if isinstance(told, dict):
        return {name: _mended(value, name) for name, value in told.items()}
    if isinstance(told, list):
        return [_mended(value, key) for value in told]
    if isinstance(told, str) and key in PLACES:
        return elsewhere(told)
    return told


def _last(place: str) -> str:
    """Return the last part of a place on this machine; other text is left as it is."""
    first = Path(place).expanduser().parts
    if len(first) < 2 or not Path(*first[:2]).is_dir():
        return place
    return Path(place).name or place

"""What a GGUF file says of itself: names, languages, licence, where it comes from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bactrian.models.base import Location
from bactrian.models.prompts import Told

LICENCE = re.compile(r"\A---\n(?:.*\n)*?license: *([\w.-]+) *\n(?:.*\n)*?---\n")
"""In the head of a README.md as the Hub has it."""
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def general(
    name: str, kind: str, base: Location, languages: Sequence[str], prompt: Told
) -> dict[str, Any]:
    """Return the keys ``general.*``, and the prompt style as a key of our own."""
    keys: dict[str, Any] = {"general.type": kind, "general.name": name}
    if licence := licence_of(base.folder):
        keys["general.license"] = licence
    if languages:
        keys["general.languages"] = list(languages)
    keys |= {"general.base_model.count": 1, "general.base_model.0.name": base.id}
    if base.revision:
        keys["general.base_model.0.version"] = base.revision
    if base.revision and HUB_ID.fullmatch(base.id):
        keys["general.base_model.0.repo_url"] = f"https://huggingface.co/{base.id}"
    return keys | {"general.tags": ["bactrian"], "bactrian.prompt": prompt.mark}


def licence_of(folder: Path) -> str:
    """Return the licence that a base's README.md names, empty where it names none."""
    path = folder / "README.md"
    if not path.is_file():
        return ""
    found = LICENCE.match(path.read_text(encoding="utf-8", errors="replace"))
    return found.group(1) if found else ""

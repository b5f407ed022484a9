"""Reads JSON that somebody else wrote: bounded, strict, and every fault of it in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bactrian.publish.verify.finding import Damaged

LARGEST = 256 << 20
"""Bytes; a tokenizer.json of 250,000 tokens has 30 MB."""


def read_object(path: Path, *, largest: int = LARGEST) -> dict[str, Any]:
    """Return the JSON object in a file; raises Damaged for everything that is none."""
    name = path.name
    again = "fetch or write it again"
    try:
        size = path.stat().st_size
        if size > largest:
            raise Damaged(f"{name} has {size:,} bytes, far more than such a file needs", again)
        found = parsed(path.read_bytes(), name)
    except OSError as error:
        raise Damaged(f"{name} cannot be read: {error.strerror}", again) from None
    if not isinstance(found, dict):
        raise Damaged(f"{name} holds no JSON object", again)
    return found


def parsed(content: bytes, name: str) -> Any:
    """Return what JSON says; raises Damaged for NaN, infinity, a key said twice, and no JSON."""

    def refuse(constant: str) -> Any:
        raise Damaged(
            f"{name} holds {constant}, which is no JSON: strict readers refuse the file",
            "write a number there",
        )

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise Damaged(
                f"{name} says {twice!r} twice, and readers differ in which they take",
                "leave the right one in",
            )
        return found

    try:
        return json.loads(content.decode("utf-8"), parse_constant=refuse, object_pairs_hook=once)
    except RecursionError:
        raise Damaged(f"{name} is nested without end", "fetch or write it again") from None
    except ValueError as error:
        raise Damaged(f"{name} is not JSON: {error}", "fetch or write it again") from None

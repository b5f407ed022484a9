"""Reads back the tables of a card that bactrian wrote: what was measured when it was trained.

A card of somebody else has none of them and gives nothing but its front matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bactrian.publish.card.subject import LanguageFacts

MADE_HERE = re.compile(r"^(A LoRA adapter for|A LoRA of|.+ with every weight trained in) ", re.M)
SETTINGS = ("what", "value")
LANGUAGES = ("language", "rows", "shortened", "left out", "training", "held-out", "data")
FIELDS = ("code", "rows", "shortened", "left_out", "training", "held_out", "content")
CELLS = re.compile(r"(?<!\\)\|")
ELSEWHERE = ("base", "revision", "base, by its hash")
"""Settings that the card tells in its own place."""


def front_of(folder: Path) -> dict[str, Any]:
    """Return the front matter of a folder's README, empty where there is none that can be read."""
    import yaml  # type: ignore[import-untyped]

    text = _text(folder)
    head = re.match(r"---\r?\n(.*?)\r?\n---", text, re.DOTALL)
    try:
        told = yaml.safe_load(head[1]) if head else None
    except yaml.YAMLError:
        return {}
    return told if isinstance(told, dict) else {}


def settings_of(folder: Path) -> tuple[tuple[str, str], ...]:
    """Return the settings that training wrote down, without those of the base."""
    rows = _tables(_text(folder)).get(SETTINGS, [])
    return tuple((row[0], row[1]) for row in rows if row[0] not in ELSEWHERE)


def languages_of(folder: Path) -> tuple[LanguageFacts, ...]:
    """Return what training counted and measured by language."""
    found = _tables(_text(folder)).get(LANGUAGES, [])
    rows = [(*row[:-1], row[-1].strip("`")) for row in found]
    return tuple(LanguageFacts(**dict(zip(FIELDS, row, strict=True))) for row in rows)


def _text(folder: Path) -> str:
    path = folder / "README.md"
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _tables(text: str) -> dict[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the rows of every table by its head."""
    if not MADE_HERE.search(text):
        return {}
    return dict(_found(text.split("\n")))


def _found(lines: list[str]) -> Iterator[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    for number, line in enumerate(lines[:-1]):
        if line.startswith("| ") and re.fullmatch(r"\|[-:| ]+\|", lines[number + 1]):
            head, rows = _cells(line), []
            for row in lines[number + 2 :]:
                if not row.startswith("|"):
                    break
                if len(_cells(row)) == len(head):
                    rows.append(_cells(row))
            yield head, rows


def _cells(line: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in CELLS.split(line)[1:-1])

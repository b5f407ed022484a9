"""A figure and its line, and the file of results. Knows nothing of what is measured."""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One measured number and what it has to reach."""

    name: str
    value: float
    limit: float | None = None
    at_most: bool = True

    @property
    def short(self) -> bool:
        """The number does not reach its limit."""
        if self.limit is None:
            return False
        reached = self.value <= self.limit if self.at_most else self.value >= self.limit
        return not reached  # NaN as well

    def line(self) -> str:
        """Return ``name value limit ok|short``."""
        if self.limit is None:
            return f"{self.name} {self.value:.4g} - ok"
        sign = "<=" if self.at_most else ">="
        said = "short" if self.short else "ok"
        return f"{self.name} {self.value:.4g} {sign}{self.limit:.4g} {said}"


def read(line: str) -> Figure | None:
    """Return the figure that a line tells, None for any other line."""
    parts = line.split()
    if len(parts) != 4 or parts[3] not in ("ok", "short"):
        return None
    name, value, limit, _ = parts
    try:
        if limit == "-":
            return Figure(name, float(value))
        return Figure(name, float(value), float(limit[2:]), at_most=limit[:2] == "<=")
    except ValueError:
        return None


def write(
    folder: Path, figures: list[Figure], cells: list[dict[str, Any]], kind: str = "training"
) -> Path:
    """Write <kind>-<date>.json; figures of the same day that were not measured again stay."""
    day = time.strftime("%Y-%m-%d")
    path = folder / f"{kind}-{day}.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    now = {figure.name: {"value": figure.value, "said": figure.line()} for figure in figures}
    told = {
        "date": day,
        "machine": machine(),
        "python": platform.python_version(),
        "figures": before.get("figures", {}) | now,
        "cells": [*before.get("cells", []), *cells],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return path


def machine() -> str:
    """Return the processor's name and its cores."""
    name = platform.processor() or platform.machine()
    told = Path("/proc/cpuinfo")
    if told.is_file():
        for line in told.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return f"{name}, {os.cpu_count()} cores"


def short(cell: dict[str, Any]) -> str:
    """Return a cell in one line."""
    names = (
        "useful_per_s",
        "useful_per_cpu_s",
        "response_per_cpu_s",
        "memory_mb",
        "padding",
        "steps",
        "cpu_per_wall",
        "body_gflops",
        "head_gflops",
        "head_rows",
        "head_words",
        "share_of_peak",
    )
    return " ".join(f"{name}={cell[name]}" for name in names if cell.get(name) is not None)

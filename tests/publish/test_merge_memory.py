"""Memory follows the largest tensor: a base of four times the layers takes no more."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "export" / "memory.py"


def measured(place: Path, gigabytes: float) -> Any:
    kept = place / "found.json"
    subprocess.run(
        [sys.executable, SCRIPT, "--gb", str(gigabytes), "--shrink", "8", "--place", place,
         "--keep", kept],
        check=True, capture_output=True, timeout=200,
    )  # fmt: skip
    return json.loads(kept.read_text())


def test_four_times_the_layers_take_no_more_memory(tmp_path: Path) -> None:
    small, large = measured(tmp_path, 0.05), measured(tmp_path, 0.2)
    grown = large["base_bytes"] - small["base_bytes"]
    more = large["ways"]["ours"]["peak_bytes"] - small["ways"]["ours"]["peak_bytes"]
    assert grown > 120e6
    assert more < grown / 4

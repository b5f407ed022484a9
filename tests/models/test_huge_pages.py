"""Scoring asks for huge pages, in time for torch to hear of it; a user's own word stands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

from bactrian.models.huge_pages import SWITCH, huge_pages

ASKED = Path("/sys/kernel/mm/transparent_hugepage/enabled")
PROGRAM = """
import torch, sys
from pathlib import Path
from bactrian.models.huge_pages import huge_pages
if sys.argv[1] == "asked":
    huge_pages()
kept = torch.ones(8 << 20)
lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
print(next(line.split()[1] for line in lines if line.startswith("AnonHugePages")))
"""


@pytest.mark.skipif(
    not ASKED.is_file() or "[madvise]" not in ASKED.read_text(),
    reason="this system gives huge pages to all or to none",
)
def test_torch_hears_of_it_after_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SWITCH, raising=False)
    found = [
        int(
            subprocess.run(
                [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True
            ).stdout
        )
        for how in ("asked", "not asked")
    ]
    assert found[0] >= 16 << 10  # kB, half of the tensor's
    assert found[1] < 4 << 10


def test_a_users_own_word_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "0")
    huge_pages()
    assert os.environ[SWITCH] == "0"

"""Datasets of a Hub on the loopback: streamed, or one language's file; and what is not there."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from bactrian.data.sources.hub import must_be_allowed
from bactrian.errors import ConfigError
from bactrian.recipe import Source

pytest.importorskip("datasets")

Serve = Callable[[str, Mapping[str, bytes]], AbstractContextManager[Any]]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
ROWS = [
    {"instruction": f"Sebutkan {number}", "input": "", "id": f"alpaca-{number}", "output": "satu"}
    for number in range(3)
]
BACTRIAN = {
    "Bactrian-X.py": b"raise SystemExit('a loading script is never run')",
    "data/id.json.gz": gzip.compress(json.dumps(ROWS).encode()),
    "data/zh.json.gz": gzip.compress(b"[]"),
}
READ = """
import json, sys
from bactrian.data.sources.hub import hub_records
from bactrian.errors import BactrianError
from bactrian.recipe import Source
try:
    print(json.dumps([list(row) for row in hub_records("x", Source(**json.loads(sys.argv[1])))]))
except BactrianError as error:
    print(json.dumps([error.problem, error.hint]))
"""


def read(served: Any, home: Path, **source: str) -> Any:
    """Return what a process of its own reads: these packages take their settings once."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": served.url,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
    }
    words = [sys.executable, "-c", READ, json.dumps(source)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_one_language_of_bactrian_x_is_one_file(tmp_path: Path, serve_hub: Serve) -> None:
    with serve_hub("MBZUAI/Bactrian-X", BACTRIAN) as hub:
        found = read(hub, tmp_path, hub="MBZUAI/Bactrian-X", subset="id")
    assert found == [[number, row] for number, row in enumerate(ROWS, start=1)]
    fetched = {asked for asked in hub.asked if asked.startswith("GET /datasets")}
    assert fetched == {f"GET /datasets/MBZUAI/Bactrian-X/resolve/{COMMIT}/data/id.json.gz"}


def test_a_language_that_is_not_there_is_said(tmp_path: Path, serve_hub: Serve) -> None:
    with serve_hub("MBZUAI/Bactrian-X", BACTRIAN) as hub:
        wrong = read(hub, tmp_path, hub="MBZUAI/Bactrian-X", subset="idd")
        none = read(hub, tmp_path, hub="MBZUAI/Bactrian-X")
    assert wrong == ["MBZUAI/Bactrian-X has no file for idd", "did you mean id?"]
    assert none == ["MBZUAI/Bactrian-X has a file a language", 'set subset = "id"']


def test_any_other_dataset_is_streamed(tmp_path: Path, serve_hub: Serve) -> None:
    lines = b"\n".join(json.dumps(row).encode() for row in ROWS)
    with serve_hub("some/rows", {"train.jsonl": lines}) as hub:
        found = read(hub, tmp_path, hub="some/rows")
        split = read(hub, tmp_path, hub="some/rows", split="trane")
        absent = read(hub, tmp_path, hub="some/rowz")
    assert found == [[number, row] for number, row in enumerate(ROWS, start=1)]
    assert split[0].startswith("the Hub did not give some/rows trane: ")
    assert absent[0].startswith("the Hub did not give some/rowz train: 404")
    assert "hf auth login" in absent[1]


def test_the_network_is_kept_off_unless_the_recipe_says_so() -> None:
    source = Source(hub="some/rows")
    with pytest.raises(ConfigError) as told:
        must_be_allowed("x", source, network=False)
    assert told.value.problem.startswith("[sources.x] hub = 'some/rows' needs the network")
    assert "set network = true" in told.value.hint
    assert "files = [...]" in told.value.hint
    must_be_allowed("x", source, network=True)

"""``bactrian export merged`` as a user types it: what it says, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")

import merge_toys  # noqa: E402

from bactrian.cli import main  # noqa: E402
from bactrian.models import base  # noqa: E402
from bactrian.publish import exported  # noqa: E402
from bactrian.publish.merge import plain  # noqa: E402


@pytest.fixture
def adapter(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    merge_toys.adapter(tmp_path / "zh", tiny_base, target_modules=["q_proj"])
    return "zh"


def run(*arguments: str) -> int:
    try:
        main(["export", "merged", *arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_it_says_what_was_merged_and_how_near_it_is(
    adapter: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(adapter, "--to", "out") == 0
    told = capsys.readouterr().out
    assert "merged zh into " in told
    assert "Largest difference of a logit from base + adapter in PEFT" in told
    record = exported.read(Path("out"))
    assert record is not None
    assert record.method == "alone"


def test_a_dry_run_writes_nothing(adapter: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(adapter, "--to", "out", "--dry-run", "--dtype", "bfloat16") == 0
    told = capsys.readouterr().out
    assert "would change 2 of 21 tensors; proof by logits" in told
    assert "of bfloat16 in 1 file to out" in told
    assert not Path("out").exists()


def test_json_is_the_record(adapter: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"{adapter}=0.5", "--to", "out", "--json", "--proof", "weights") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["parts"][0]["share"] == 0.5
    assert told["proof"]["kind"] == "weights"
    assert told["proof"]["difference"] < 1e-6


@pytest.mark.parametrize(
    ("told", "code", "words"),
    [
        (["zh=0", "--to", "out"], 2, "a share of 0 is no part of an adapter"),
        (["zh=nan", "--to", "out"], 2, "a share of nan is no part"),
        (["zh=half", "--to", "out"], 2, "'half' is no share"),
        (["zh", "zh=0.5", "--to", "out"], 2, "zh is named twice"),
        (["zh", "--to", "out", "--method", "tie"], 2, "did you mean ties?"),
        (["zh", "--to", "out", "--dtype", "bf16"], 2, "unknown dtype bf16"),
        (["zh", "--to", "out", "--proof", "logit"], 2, "did you mean logits?"),
        (["zh", "--to", "zh"], 2, "exists already"),
        (["nothing", "--to", "out"], 7, "nothing is not an adapter folder"),
    ],
)
def test_what_makes_no_sense_is_two_lines(
    told: list[str], code: int, words: str, adapter: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*told) == code
    error = capsys.readouterr().err
    assert words in error
    assert "\nhint: " in error
    assert not Path("out").exists()


def test_a_quantised_base_is_made_plain_where_it_is_asked_for(
    adapter: str,
    tiny_base: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(tiny_base, "kept")
    told = json.loads(Path("kept/config.json").read_text())
    told["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    Path("kept/config.json").write_text(json.dumps(told))
    loaded = base.load(str(tiny_base), dtype="float32")
    loaded.model.dequantize = lambda: loaded.model  # what transformers makes of such a model
    monkeypatch.setattr(plain, "load", lambda _: loaded)
    asked = [adapter, "--to", "out", "--base", "kept"]
    assert run(*asked) == 2
    assert "--dequantise" in capsys.readouterr().err
    assert run(*asked, "--dequantise", "--dry-run") == 0
    assert "would make kept (bitsandbytes) plain first" in capsys.readouterr().out
    assert run(*asked, "--dequantise") == 0
    record = exported.read(Path("out"))
    assert record is not None
    assert record.proof["dequantised"] == "bitsandbytes"
    assert "The base was stored quantised (bitsandbytes)" in Path("out/README.md").read_text()
    assert "quantization_config" not in Path("out/config.json").read_text()
    assert sorted(path.name for path in Path().iterdir()) == ["kept", "out", "zh"]

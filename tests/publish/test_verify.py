"""Adapters of anybody's: what is in order is said, what is wrong named; never a traceback."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bactrian.cli import main
from bactrian.errors import ConfigError
from bactrian.models import adapters, base
from bactrian.publish.verify.finding import Report
from bactrian.publish.verify.look import verify

np = pytest.importorskip("numpy")
torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from damaged_adapters import (  # noqa: E402
    DAMAGED,
    SIZES,
    Edit,
    config,
    edit,
    facts,
    only,
    tensors,
    write,
)
from safetensors.torch import save_file  # noqa: E402


@pytest.fixture(scope="module")
def whole(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verify") / "zh"
    folder.mkdir()
    save_file(tensors(), folder / adapters.WEIGHTS)
    told = config(base_model_name_or_path=str(tiny_base))
    (folder / "adapter_config.json").write_text(json.dumps(told))
    facts = {
        "name": "zh",
        "languages": ["zh"],
        "prompt": "bactrian",
        "base": str(tiny_base),
        "base_revision": "",
        "base_fingerprint": base.fingerprint(tiny_base),
        "made_from": "0" * 32,
        "steps": 3,
        "tokens": 99,
        "seconds": 1.5,
        "losses": {"zh": 2.5},
    }
    (folder / "bactrian.json").write_text(json.dumps(facts))
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "zh"))


def said(report: Report, level: str) -> str:
    return "\n".join(f"{one.text} | {one.do}" for one in report.findings if one.level == level)


def test_an_adapter_in_order_has_no_fault_and_no_note(whole: Path) -> None:
    report = verify(whole)
    assert report.kind == "LoRA adapter"
    assert (report.faults, said(report, "note")) == (0, "")
    words = said(report, "ok")
    for part in (
        "LoRA, r 4, alpha 8",
        "8 pairs of A and B, 1,792 values in float32, all finite",
        "8 layers, same weights, by their hash",
        "prompt style bactrian; languages zh",
        "PEFT 0.",
        "opens it as it is",
        "vLLM: --max-lora-rank 8",
        "gguf-adapter",
        "TGI",
    ):
        assert part in words


def test_what_peft_itself_saves_is_in_order(tiny_base: Path, tmp_path: Path) -> None:
    import peft

    loaded = base.load(str(tiny_base), dtype="float32")
    told = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=4,
        target_modules=["q_proj", "embed_tokens"],
        rank_pattern={"q_proj": 8},
        modules_to_save=["lm_head"],
        use_rslora=True,
    )
    with adapters.hushed():
        model = peft.get_peft_model(loaded.model, told)
    for name, weights in model.named_parameters():
        if "lora_B" in name or "lora_embedding_A" in name or "lora_embedding_B" in name:
            torch.nn.init.normal_(weights)
    model.save_pretrained(tmp_path / "a", save_embedding_layers=True)
    report = verify(tmp_path / "a", base=str(tiny_base))
    assert report.faults == 0, said(report, "fault")
    assert "3 pairs" in said(report, "ok")
    notes = said(report, "note")
    assert "vLLM does not open it: it takes pairs of A and B alone, and lm_head" in notes
    assert "made elsewhere" in notes


@pytest.mark.parametrize("kind", DAMAGED)
@pytest.mark.timeout(20)
def test_what_is_wrong_is_named_with_the_next_step(kind: str, folder: Path) -> None:
    import re

    damage, problem = DAMAGED[kind]
    damage(folder)
    report = verify(folder)
    assert report.faults > 0
    assert re.search(problem, said(report, "fault")), said(report, "fault")
    assert all(one.do for one in report.findings if one.level != "ok")


WRONG: tuple[Any, ...] = (None, 5, "", "\0", [], [[]], {}, {"a": []}, True, "x" * 5000)


def test_a_stranger_with_every_value_of_a_kind_never_ends_in_a_traceback(folder: Path) -> None:
    """Each key of both files is every wrong thing in turn."""
    for name in ("adapter_config.json", "bactrian.json"):
        path = folder / name
        before = path.read_text()
        for key in json.loads(before):
            for value in WRONG:
                path.write_text(json.dumps({**json.loads(before), key: value}))
                verify(folder)
        path.write_text(before)


NOTED: dict[str, tuple[Edit, str]] = {
    "made elsewhere": (lambda folder: (folder / "bactrian.json").unlink(), "was made elsewhere"),
    "a newer PEFT": (edit(use_quantum=True, idle=False), "does not know use_quantum and reads"),
    "DoRA": (edit(use_dora=True), "vLLM does not open it: it knows no DoRA"),
    "bias": (edit(bias="all"), "llama.cpp does not open it: it takes no biases"),
    "alphas": (edit(alpha_pattern={"q_proj": 2}), "one alpha for all layers"),
    "ranks": (edit(rank_pattern={"q_proj": 4}), "TGI does not open it: it scales every layer"),
    "targets without tensors": (
        edit(target_modules=[*SIZES, "query_key_value"]),
        "names query_key_value, and there are no tensors",
    ),
    "a layer that does nothing": (
        only("0.self_attn.q_proj.lora_B", torch.zeros_like),
        "1 layer of 8 unchanged",
    ),
    "a pickle beside": (
        lambda folder: torch.save({}, folder / "optimizer.pt"),
        "a pickle lies beside the weights",
    ),
    "code": (write("modeling_x.py", b"import os"), "it holds code: modeling_x.py"),
    "another kind": (edit(peft_type="IA3"), "it is IA3"),
    "another task": (edit(task_type="SEQ_CLS"), "made for SEQ_CLS"),
}


@pytest.mark.parametrize("kind", NOTED)
def test_what_is_worth_knowing_is_a_note(kind: str, folder: Path) -> None:
    change, problem = NOTED[kind]
    change(folder)
    report = verify(folder)
    assert report.faults == 0, said(report, "fault")
    assert problem in said(report, "note")


def test_a_base_that_is_not_here_is_a_note_and_one_that_is_named_must_be(folder: Path) -> None:
    (folder / "bactrian.json").unlink()
    edit(base_model_name_or_path="nobody/nothing")(folder)
    report = verify(folder)
    assert report.faults == 0
    assert "its base nobody/nothing is not here" in said(report, "note")
    with pytest.raises(ConfigError, match="nobody/nothing is not on this machine"):
        verify(folder, base="nobody/nothing")


def test_a_base_without_weights_is_built_empty(
    folder: Path, tiny_base: Path, tmp_path: Path
) -> None:
    (folder / "bactrian.json").unlink()
    (tmp_path / "base").mkdir()
    shutil.copyfile(tiny_base / "config.json", tmp_path / "base" / "config.json")
    assert "8 layers, same sizes" in said(verify(folder, base=str(tmp_path / "base")), "ok")
    only("v_proj.lora_B", lambda one: one.repeat(2, 1))(folder)
    assert "of another size" in said(verify(folder, base=str(tmp_path / "base")), "fault")


def test_a_snapshot_of_the_hubs_cache_may_link_to_its_blobs(whole: Path, tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "0a1b"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    for path in whole.iterdir():
        shutil.copyfile(path, blobs / path.name)
        (snapshot / path.name).symlink_to(f"../../blobs/{path.name}")
    assert verify(snapshot).faults == 0


def test_the_verb_prints_a_line_a_finding_and_ends_with_1(
    folder: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts(prompt="\u202edromedary\u001b[31m")(folder)
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(whole), str(folder)])
    assert ended.value.code == 1
    out = capsys.readouterr().out
    assert "no fault, 0 notes" in out
    assert "1 fault, 0 notes" in out
    assert "\u001b" not in out
    assert "\u202e" not in out
    assert "         do: " in out


def test_json_tells_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts(prompt="dromedary")(folder)
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(folder), "--json"])
    assert ended.value.code == 1
    (place,) = json.loads(capsys.readouterr().out)["places"]
    assert (place["kind"], place["faults"]) == ("LoRA adapter", 1)
    assert {one["level"] for one in place["findings"]} == {"ok", "fault"}


def test_a_place_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(tmp_path / "none")])
    assert ended.value.code == 2
    assert "does not exist" in capsys.readouterr().err


def test_an_adapters_check_needs_neither_torch_nor_transformers(whole: Path) -> None:
    import subprocess
    import sys

    script = (
        "import sys\nfrom pathlib import Path\n"
        "from bactrian.publish.verify.look import verify\n"
        f"assert verify(Path({str(whole)!r})).faults == 0\n"
        "print([name for name in ('torch', 'transformers', 'peft') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"

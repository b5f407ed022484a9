"""Models and state dicts of anybody's, whole and damaged."""

from __future__ import annotations

import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian.publish import state_dict
from bactrian.publish.exported import Exported
from bactrian.publish.verify.finding import Report
from bactrian.publish.verify.look import verify
from bactrian.publish.weights import INDEX, WHOLE, FolderWeights

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from safetensors.torch import load_file, save_file  # noqa: E402

Edit = Callable[[Path], object]


def said(report: Report, level: str) -> str:
    return "\n".join(f"{one.text} | {one.do}" for one in report.findings if one.level == level)


@pytest.fixture
def folder(tiny_base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_base, tmp_path / "model"))


@pytest.fixture
def sharded(folder: Path) -> Path:
    """The same weights in two shards with an index."""
    tensors = load_file(folder / WHOLE)
    (folder / WHOLE).unlink()
    names = sorted(tensors)
    parts = {"model-1.safetensors": names[:10], "model-2.safetensors": names[10:]}
    for file, kept in parts.items():
        save_file({name: tensors[name] for name in kept}, folder / file)
    placed = {name: file for file, kept in parts.items() for name in kept}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": placed}))
    return folder


def test_a_model_in_order_has_no_fault(folder: Path) -> None:
    report = verify(folder)
    assert report.kind == "model"
    assert report.faults == 0, said(report, "fault")
    words = said(report, "ok")
    assert "21 tensors, 0.00 GB in float32, all finite" in words
    assert "fits its config.json: LlamaForCausalLM" in words
    assert "tokenizer with a chat template" in words
    assert "made elsewhere" in said(report, "note")


def test_shards_are_looked_at_together(sharded: Path) -> None:
    report = verify(sharded)
    assert report.faults == 0, said(report, "fault")
    assert "21 tensors" in said(report, "ok")


def weights(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Edit:
    def rewrite(folder: Path) -> None:
        kept = change(load_file(folder / WHOLE))
        save_file({name: one.contiguous() for name, one in kept.items()}, folder / WHOLE)

    return rewrite


def config(**changed: Any) -> Edit:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))

    return change


def index(change: Callable[[dict[str, str]], Any]) -> Edit:
    def rewrite(folder: Path) -> None:
        placed = json.loads((folder / INDEX).read_text())["weight_map"]
        (folder / INDEX).write_text(json.dumps({"weight_map": change(placed)}))

    return rewrite


def as_pickle(folder: Path) -> None:
    torch.save(load_file(folder / WHOLE), folder / "pytorch_model.bin")
    (folder / WHOLE).unlink()


NORM, HEAD = "model.norm.weight", "lm_head.weight"
WHOLE_DAMAGED: dict[str, tuple[Edit, str]] = {
    "no weights": (lambda folder: (folder / WHOLE).unlink(), "it has no model.safetensors"),
    "cut off": (
        lambda folder: (folder / WHOLE).write_bytes((folder / WHOLE).read_bytes()[:-8]),
        "is cut off",
    ),
    "a hole": (
        weights(lambda told: {**told, HEAD: torch.zeros_like(told[HEAD])}),
        "1 matrix of nothing but zeros: lm_head.weight",
    ),
    "NaN": (weights(lambda told: {**told, NORM: told[NORM] * float("nan")}), "not finite"),
    "a tensor gone": (
        weights(lambda told: {name: one for name, one in told.items() if name != NORM}),
        "1 tensor missing: model.norm.weight",
    ),
    "another size": (
        weights(lambda told: {**told, NORM: told[NORM][:16]}),
        r"is \[16\], told is \[32\]",
    ),
    "a config of another size": (config(hidden_size=64), "of another size than config.json"),
    "layers without end": (config(num_hidden_layers=10**9), "tells of 1000000000 in num_hidden"),
    "code of its own": (config(auto_map={"AutoConfig": "x.X"}), "asks for code of the folder"),
    "a config of nobody": (config(model_type="dromedary"), "dromedary|cannot be loaded"),
    "a config that cannot be": (config(num_attention_heads=0), "config.json|cannot"),
    "no config": (lambda folder: (folder / "config.json").unlink(), r"config\.json cannot be read"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "it has no tokenizer"),
    "an added token": (config(vocab_size=319), "of another size|319"),
    "a pickle": (as_pickle, "the weights are a pickle"),
    "a record of nobody": (
        lambda folder: (folder / "bactrian-export.json").write_text('{"parts": 5}'),
        "is not what bactrian wrote",
    ),
}


@pytest.mark.parametrize("kind", WHOLE_DAMAGED)
@pytest.mark.timeout(60)
def test_what_is_wrong_with_a_model_is_named(kind: str, folder: Path) -> None:
    damage, problem = WHOLE_DAMAGED[kind]
    damage(folder)
    report = verify(folder)
    assert report.faults > 0
    assert re.search(problem, said(report, "fault")), said(report, "fault")


SHARDS_DAMAGED: dict[str, tuple[Edit, str]] = {
    "an absent shard": (
        index(lambda placed: {**placed, "x": "model-3.safetensors"}),
        "the shard model-3.safetensors is not here",
    ),
    "a shard out of the folder": (
        index(lambda placed: {**placed, "x": "../../secret.safetensors"}),
        "is not here",
    ),
    "a tensor in no shard": (
        index(lambda placed: {**placed, "x": "model-1.safetensors"}),
        "differ in 1 tensor: x",
    ),
    "a tensor that is not told": (
        index(lambda placed: {name: one for name, one in placed.items() if name != NORM}),
        "differ in 1 tensor: model.norm.weight",
    ),
    "no map": (index(lambda _: [1]), "has no weight_map"),
    "a map of numbers": (index(lambda placed: dict.fromkeys(placed, 5)), "has no weight_map"),
}


@pytest.mark.parametrize("kind", SHARDS_DAMAGED)
def test_what_is_wrong_with_shards_is_named(kind: str, sharded: Path) -> None:
    damage, problem = SHARDS_DAMAGED[kind]
    damage(sharded)
    report = verify(sharded)
    assert report.faults > 0
    assert problem in said(report, "fault")


def told(proof: state_dict.Written) -> Exported:
    return Exported("state-dict", "toy", "", "f", (), "alone", "float16", "bactrian", "x")


@pytest.fixture
def meta(tiny_base: Path, tmp_path: Path) -> Path:
    state_dict.export(FolderWeights(tiny_base), tiny_base, tmp_path / "meta", told)
    return tmp_path / "meta"


def test_a_state_dict_in_order(meta: Path) -> None:
    report = verify(meta)
    assert (report.kind, report.faults) == ("state dict", 0)
    assert "21 tensors, every check sum right" in said(report, "ok")


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.getpid, ())


def evil(folder: Path) -> None:
    torch.save({"x": Evil()}, folder / state_dict.FILE)


def flipped(folder: Path) -> None:
    path = folder / state_dict.FILE
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def without_pickle(folder: Path) -> None:
    with zipfile.ZipFile(folder / state_dict.FILE, "w") as archive:
        archive.writestr("x/version", "3")


META_DAMAGED: dict[str, tuple[Edit, str]] = {
    "code": (evil, "is a pickle that does more than name tensors: .* getpid"),
    "a bit": (flipped, "is damaged"),
    "no archive": (lambda folder: (folder / state_dict.FILE).write_bytes(b"x"), "is damaged"),
    "nothing named": (without_pickle, "names no tensors"),
    "no file": (lambda folder: (folder / state_dict.FILE).unlink(), "it has no consolidated"),
    "no numbers": (
        lambda folder: (folder / state_dict.PARAMS).write_text("{}"),
        "params.json tells no dim",
    ),
    "no tokenizer": (
        lambda folder: [path.rename(path.with_name("x")) for path in folder.glob("tokenizer*")],
        "it has no tokenizer",
    ),
}


@pytest.mark.parametrize("kind", META_DAMAGED)
def test_what_is_wrong_with_a_state_dict_is_named(
    kind: str, meta: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage, problem = META_DAMAGED[kind]
    damage(meta)
    report = verify(meta)
    assert report.faults > 0
    assert re.search(problem, said(report, "fault")), said(report, "fault")
    assert "it was opened" not in capsys.readouterr().out


def test_a_folder_of_adapters_says_how_to_name_them(tmp_path: Path) -> None:
    for name in ("zh", "vi"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text("{}")
    report = verify(tmp_path)
    assert report.kind == "unknown"
    assert "is no adapter itself and holds 2: vi, zh" in said(report, "fault")
    (tmp_path / "empty").mkdir()
    assert "neither an adapter" in said(verify(tmp_path / "empty"), "fault")
    assert "is no GGUF file" in said(verify(tmp_path / "zh" / "adapter_config.json"), "fault")

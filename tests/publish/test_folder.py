"""What is published is what belongs there, and tells nothing of the machine that it comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_adapter import write_adapter

from bactrian.errors import ConfigError
from bactrian.publish.folder import ADAPTER, MODEL, check, lay, sorted_out, unknown
from bactrian.publish.folder.traces import elsewhere, traces

TOKEN = "hf_" + "planted" * 6


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder whose name is found nowhere by chance."""
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "ann"))
    (tmp_path / "home" / "ann").mkdir(parents=True)
    return tmp_path / "home" / "ann"


def test_what_does_not_belong_is_left_out_and_counted(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "zh")
    for name in ("optimizer.pt", "events.jsonl", "runs/x.tfevents", "adapter_model.bin", ".env"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("x", encoding="utf-8")
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    (folder / "README.md").write_text("old", encoding="utf-8")
    (folder / "LICENSE.txt").symlink_to(folder / "nowhere")
    found = sorted_out(folder, ADAPTER)
    assert [path.name for path in found.kept] == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "bactrian.json",
        "tokenizer.json",
    ]
    assert sorted(found.left) == [
        ".env",
        "LICENSE.txt",
        "adapter_model.bin",
        "events.jsonl",
        "optimizer.pt",
        "runs/x.tfevents",
    ]


def test_shards_of_a_model_belong_to_it(tmp_path: Path) -> None:
    names = ["config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json",
             "toy.gguf", "toy.gguf.json", "bactrian-export.json"]  # fmt: skip
    for name in (*names, "pytorch_model.bin"):
        (tmp_path / name).write_text("{}", encoding="utf-8")
    found = sorted_out(tmp_path, MODEL)
    assert sorted(path.name for path in found.kept) == sorted(names)
    assert found.left == ("pytorch_model.bin",)


def test_every_byte_is_free_of_this_machine(tmp_path: Path, home: Path) -> None:
    base = home / "bases" / "mine"
    base.mkdir(parents=True)
    folder = write_adapter(tmp_path / "zh", base=str(base))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"name_or_path": str(base), "extra": {"_name_or_path": f"{base}/x"}}),
        encoding="utf-8",
    )
    lay(sorted_out(folder, ADAPTER), tmp_path / "out", "mine", {"README.md": "# zh"})
    assert check(tmp_path / "out", [tmp_path / "zh"]) == (
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "bactrian.json",
        "tokenizer_config.json",
    )
    for path in (tmp_path / "out").rglob("*"):
        assert str(tmp_path).encode() not in path.read_bytes(), path
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_bytes())
    assert config["base_model_name_or_path"] == "mine"
    assert json.loads((tmp_path / "out" / "bactrian.json").read_bytes())["base"] == "mine"
    told = json.loads((tmp_path / "out" / "tokenizer_config.json").read_bytes())
    assert told == {"name_or_path": "mine", "extra": {"_name_or_path": "x"}}


def test_what_names_no_place_keeps_its_bytes(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "zh")
    lay(sorted_out(folder, ADAPTER), tmp_path / "out", "some/base", {})
    for path in folder.iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", ["training.json", "adapter_model.safetensors", "a/b.md"])
def test_a_place_that_is_left_is_refused(tmp_path: Path, home: Path, name: str) -> None:
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\0" * 70_000 + f"{home}/work".encode() + b"\0" * 9)
    with pytest.raises(ConfigError) as told:
        check(tmp_path / "out")
    assert told.value.problem.startswith(f"{name} holds the place ")


@pytest.mark.parametrize("variable", ["HF_TOKEN", "OPENAI_API_KEY", "MY_SECRET"])
def test_a_secret_is_refused_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "correct horse battery")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "training.json").write_text('["correct horse battery"]', encoding="utf-8")
    with pytest.raises(ConfigError) as told:
        check(tmp_path / "out")
    assert told.value.problem == f"training.json holds the value of {variable}"
    assert "horse" not in str(told.value)


def test_the_token_of_a_login_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "correct-horse-battery")
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"\0correct-horse-battery\0")
    assert traces(path) == ("the Hub's token",)


def test_what_looks_like_a_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(f"use {TOKEN}", encoding="utf-8")
    assert traces(path) == ("something that looks like a key",)
    path.write_text("use hf_transfer, and sk-learn", encoding="utf-8")
    assert traces(path) == ()
    path.write_text("", encoding="utf-8")
    assert traces(path) == ()


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"x")
    with pytest.raises(ConfigError, match="is a pickle"):
        check(tmp_path)


def test_what_is_strange_in_a_folder_to_send_is_known(tmp_path: Path) -> None:
    for name in ("README.md", "zh/README.md", ".eval_results/xcopa.yaml", "zh/a.xyz", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x", encoding="utf-8")
    assert unknown(tmp_path) == ("notes.txt", "zh/a.xyz")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bactrian train /usr/lib/work", "bactrian train work"),
        ("--adapter ~/x/zh --to /tmp/a/b.gguf", "--adapter zh --to b.gguf"),
        ("some/base", "some/base"),
        ("https://huggingface.co/a/b", "https://huggingface.co/a/b"),
        ("rows^(1/3) and 1/2/3", "rows^(1/3) and 1/2/3"),
        ("/nowhere/that/is", "/nowhere/that/is"),
        ("د/ب /tmp/عربي", "د/ب عربي"),
    ],
)
def test_places_are_cut_to_their_last_part(text: str, expected: str) -> None:
    assert elsewhere(text) == expected


def test_a_link_is_no_place(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/data")
    path = tmp_path / "README.md"
    path.write_text("https://some.where/data/x and datasets/data/zh", encoding="utf-8")
    assert traces(path) == ()
    path.write_text("https://some.where/data/x and /data/x", encoding="utf-8")
    assert traces(path) == ("the place /data",)

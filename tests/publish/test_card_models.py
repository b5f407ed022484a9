"""Cards of models: merged ones tell of their proof, GGUF files of their record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_adapter import FINGERPRINT, write_adapter, write_results

from bactrian.errors import BactrianError
from bactrian.publish import exported
from bactrian.publish.card import known
from bactrian.publish.card.known import Asked
from bactrian.publish.card.page import card

pytest.importorskip("huggingface_hub")
ASKED = Asked(repo="ann/toy", data_licence="CC-BY-NC-4.0", base_licence="apache-2.0")


def front(text: str) -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    told: dict[str, Any] = yaml.safe_load(text.split("---\n", 2)[1])
    return told


def merged(folder: Path, tiny_base: Path) -> Path:
    from shutil import copytree

    copytree(tiny_base, folder)
    record = exported.Exported(
        kind="merged",
        base="some/base",
        base_revision="abc",
        base_fingerprint=FINGERPRINT,
        parts=(exported.Part("toy", 1.0, ("zh", "km"), "m"),),
        method="alone",
        dtype="float32",
        prompt="bactrian",
        command="bactrian export merged /usr/toy",
        proof={
            "same_tokens": 8,
            "differing": [],
            "largest difference": 1.25e-5,
            "scripts": ["Hans", "Khmr"],
        },
    )
    exported.write(record, folder / exported.NAME)
    return folder


def test_a_merged_model_tells_of_its_proof(tmp_path: Path, tiny_base: Path) -> None:
    results = write_results(tmp_path / "results", "toy")
    folder = merged(tmp_path / "one", tiny_base)
    text = card(known.model(folder, replace(ASKED, results=results)))
    assert front(text)["base_model_relation"] == "finetune"
    for words in (
        "A LoRA of bactrian merged into `some/base`",
        "| proof: largest difference | 1.25e-05 |",
        "| proof: scripts | Hans; Khmr |",
        "| proof: same tokens | 8 |",
        "| adapter toy | share 1, zh, km |",
        "| made by | `bactrian export merged toy` |",
        "before they were made one",
        'AutoModelForCausalLM.from_pretrained("ann/toy")',
        "vllm serve ann/toy",
        "at revision `abc`",
    ):
        assert words in text, words
    assert "PeftModel" not in text
    assert "differing" not in text
    record = exported.read(folder)
    assert record is not None
    exported.write(replace(record, base="/nowhere/mine", base_revision=""), folder / exported.NAME)
    text = card(known.model(folder, ASKED))
    assert "The base is `mine`, by its hash" in text
    assert "no id of the Hub" not in text


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        (("consolidated.00.pth",), "as a pickle"),
        (("notes.txt",), "is no model"),
        (("config.json", "model.safetensors"), "does not say what it was made from"),
    ],
)
def test_what_is_no_model_is_said(tmp_path: Path, files: tuple[str, ...], problem: str) -> None:
    for name in files:
        (tmp_path / name).write_text("{}", encoding="utf-8")
    with pytest.raises(BactrianError, match=problem):
        known.model(tmp_path, Asked())


def test_gguf_files_are_told_of_by_their_record(tmp_path: Path, tiny_base: Path) -> None:
    record = exported.read(merged(tmp_path / "one", tiny_base))
    assert record is not None
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "toy.q8_0.gguf").write_bytes(b"GGUF")
    exported.write(replace(record, kind="gguf", dtype="q8_0"), folder / "toy.q8_0.gguf.json")
    subject = known.model(folder, ASKED)
    text = card(subject)
    assert (subject.kind, front(text)["library_name"]) == ("gguf", "gguf")
    assert "llama-server -m toy.q8_0.gguf" in text
    assert "| dtype | q8_0 |" in text
    assert "from_pretrained" not in text


def test_a_model_whose_every_weight_was_trained(tmp_path: Path, tiny_base: Path) -> None:
    from shutil import copy, copytree

    folder = copytree(tiny_base, tmp_path / "whole")
    copy(write_adapter(tmp_path / "toy") / "bactrian.json", folder)
    text = card(known.model(folder, ASKED))
    assert "`some/base` with every weight trained in Chinese (zh, 中文), Khmer" in text
    assert front(text)["library_name"] == "transformers"
    assert "| parameters | " in text
    assert "The folder is a base of its own" in text

"""What is told of an adapter's tensors by their names and values alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bactrian.errors import AdapterError
from bactrian.models import adapters
from bactrian.models.adapter_checks import place_of

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

EMBEDDING = "base_model.model.model.embed_tokens"


def made(folder: Path, *, a: float, b: float) -> Path:
    """An adapter on the embedding alone, as PEFT writes one."""
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2}))
    tensors = {
        f"{EMBEDDING}.lora_embedding_A": torch.full((2, 5), a),
        f"{EMBEDDING}.lora_embedding_B": torch.full((3, 2), b),
    }
    safetensors.save_file(tensors, folder / adapters.WEIGHTS)
    return folder


def test_an_adapter_on_the_embedding_alone_is_one(tmp_path: Path) -> None:
    found = adapters.verify(made(tmp_path / "zh", a=0.5, b=0.25))
    assert (found.tensors, found.parameters) == (2, 16)


def test_of_an_embedding_a_begins_at_zero(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="does nothing"):
        adapters.verify(made(tmp_path / "zh", a=0.0, b=0.25))


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("base_model.model.h.0.q_proj.lora_A.weight", ("h.0.q_proj", "lora_A")),
        (f"{EMBEDDING}.lora_embedding_B", ("model.embed_tokens", "lora_embedding_B")),
        ("base_model.model.lm_head.weight", ("base_model.model.lm_head.weight", "")),
    ],
)
def test_a_name_tells_the_module_and_the_side(name: str, place: tuple[str, str]) -> None:
    assert place_of(name) == place

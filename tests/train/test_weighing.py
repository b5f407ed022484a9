"""What is counted is what is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bactrian.models import base
from bactrian.recipe import Lora
from bactrian.train import weighing
from bactrian.train.card import Learnt
from bactrian.train.lora import Alone, with_lora
from bactrian.train.prepared import Prepared, Tokens

torch = pytest.importorskip("torch")
pytest.importorskip("peft")


@pytest.mark.parametrize("variant", ["lora", "dora", "pissa"])
def test_an_adapters_weights_are_those_of_its_file(
    variant: str, tiny_base: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    loaded = base.load(str(tiny_base), dtype="float32")
    lora = Lora(rank=3, alpha=6, variant=variant, targets=("v_proj", "q_proj"))  # type: ignore[arg-type]
    told = (
        {"one": (lora, 0), "two": (Lora(rank=5), 0)} if variant != "pissa" else {"one": (lora, 0)}
    )
    with with_lora(loaded.model, told) as model:
        found = weighing.of_adapter(Alone(model, "one"), variant)
        Alone(model, "one").save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    assert found.parameters == sum(tensor.numel() for tensor in tensors.values())
    assert found.bytes == 4 * found.parameters
    assert (found.rank, found.alpha) == ((6, 12) if variant == "pissa" else (3, 6))
    assert found.targets == ("q_proj", "v_proj")
    assert found.held == (found.parameters // 2 if variant == "pissa" else 0)
    assert found.dtype == "float32"


def test_a_whole_model_is_weighed_in_the_dtype_it_is_saved_in(tiny_base: Path) -> None:
    loaded = base.load(str(tiny_base), dtype="bfloat16")
    loaded.model.float()
    found = weighing.of_base(loaded)
    assert found.parameters == sum(weights.numel() for weights in loaded.model.parameters())
    assert (found.bytes, found.dtype) == (2 * found.parameters, "bfloat16")


def test_rows_are_counted_by_language() -> None:
    ids = np.zeros(6, dtype=np.int32)
    rows = Prepared(
        names=("zh", "km"),
        languages=np.array([0, 1, 0], dtype=np.int16),
        prompts=np.ones(3, dtype=np.int32),
        lengths=np.full(3, 2, dtype=np.int32),
        too_long={"km": 2},
        shortened={"zh": 1},
        empty={"km": 3},
        tokens=Tokens([ids], ()),
        block=np.zeros(3, dtype=np.int32),
        begin=np.array([0, 2, 4], dtype=np.int64),
    )
    found = weighing.learnt(rows, {"km": "k", "zh": "z"})
    assert found == {"km": Learnt("k", 1, 0, 5), "zh": Learnt("z", 2, 1, 0)}
    assert list(found) == ["km", "zh"]


def test_a_base_that_was_converted_has_no_name_to_load_it_by(tmp_path: Path) -> None:
    here = base.Location(str(tmp_path), tmp_path, "", "f")
    assert weighing.loadable(here) == str(tmp_path)
    assert weighing.loadable(base.Location("a/b", tmp_path, "commit", "f")) == "a/b"
    assert weighing.loadable(base.Location("smollm2-135m", tmp_path, "", "f")) == ""

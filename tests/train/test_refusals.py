"""What cannot be trained is refused with the next step, and leaves nothing half-made behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bactrian.errors import BactrianError, ConfigError
from bactrian.models import base
from bactrian.train.run import train
from bactrian.workspace import Workspace

pytest.importorskip("torch")
pytest.importorskip("peft")

MakeWorkspace = Callable[..., Workspace]


def left_in(workspace: Workspace) -> set[str]:
    """What a training that was refused left where adapters are."""
    folder = workspace.adapter("toy").parent
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


@pytest.mark.parametrize(
    ("told", "problem", "hint"),
    [
        ("train.max_tokens=12", "train.max_tokens = 12 is shorter than a row", "768 is usual"),
        ("train.dtype=float16", "train.dtype = float16: a CPU", 'dtype = "auto"'),
        ("train.quantize=torchao-int8", "needs torchao, which is not installed", "quant"),
        ("train.lora.rank=0", "train.lora.rank", ""),
    ],
)
def test_what_cannot_be_trained_is_refused_and_leaves_nothing(
    make_workspace: MakeWorkspace,
    monkeypatch: pytest.MonkeyPatch,
    told: str,
    problem: str,
    hint: str,
) -> None:
    monkeypatch.setattr("bactrian.models.quantize.find_spec", lambda _: None)
    with pytest.raises(BactrianError, match=problem) as said:
        train(make_workspace("zh", told), "toy")
    assert hint in said.value.hint
    assert left_in(make_workspace("zh")) <= {".tokens", ".lock"}


@pytest.mark.parametrize(
    ("spoilt", "problem"),
    [
        ("no EOS", "no EOS token, so the model could not learn to stop"),
        ("a token more", "the tokenizer does not match the model: it has 321 ids"),
        ("does not pack", 'train.packing = "pack"'),
    ],
)
def test_a_base_that_does_not_fit_is_refused_and_leaves_nothing(
    make_workspace: MakeWorkspace,
    monkeypatch: pytest.MonkeyPatch,
    spoilt: str,
    problem: str,
) -> None:
    workspace = make_workspace("zh", "train.packing=pack")
    loaded = base.load(workspace.recipe.train.base)
    if spoilt == "no EOS":
        loaded.tokenizer.eos_token = None
    elif spoilt == "a token more":
        loaded.tokenizer.add_tokens(["[PAD]"])
    else:
        from bactrian.models.attention import agreement

        monkeypatch.setattr(agreement, "packed", lambda *_: 1 / 0)
    with pytest.raises(ConfigError, match=problem) as said:
        train(workspace, "toy", lambda: loaded)
    assert said.value.hint
    assert left_in(workspace) <= {".tokens", ".lock"}
    assert not [path for path, _ in loaded.model.named_modules() if "lora" in path]


def test_a_recipe_that_contradicts_itself_is_refused_at_once(
    make_workspace: MakeWorkspace,
) -> None:
    with pytest.raises(ConfigError, match=r"train\.together is of adapters"):
        make_workspace("zh", "train.adapter=none", "train.together=true")

"""Sample answers: the first held-out instructions, under every model, for a reader."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian import table
from bactrian.evaluate import writer
from bactrian.evaluate.answers import write_answers
from bactrian.evaluate.engine import scorers
from bactrian.models import adapters, base
from bactrian.models.batched import generate_together
from bactrian.schema import Example
from bactrian.table import Row
from bactrian.workspace import Workspace

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")


def adapter(loaded: base.Base, folder: Path) -> Path:
    torch.manual_seed(0)
    config = peft.LoraConfig(
        task_type="CAUSAL_LM", r=8, target_modules=["q_proj", "o_proj"], init_lora_weights=False
    )
    with adapters.hushed():
        model = peft.get_peft_model(loaded.model, config)
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, 0.0, 2.0)
    model.save_pretrained(folder)
    model.unload()
    return folder


def test_every_model_answers_the_first_held_out_instructions(
    make_workspace: Callable[..., Workspace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = make_workspace("zh,vi", "eval.samples=2")
    loaded = base.load(workspace.recipe.train.base, dtype="float32")
    ready = scorers(loaded, {"toy": adapter(loaded, tmp_path / "toy")})
    asked: list[tuple[str, bool]] = []

    def listen(model: Any, tokenizer: Any, prompts: Any, most: int) -> Any:
        layer = model.base_model.model.model.layers[0].self_attn.q_proj
        assert (len(prompts), most) == (1, 4)
        asked.append((tokenizer.decode(prompts[0][1:]), not layer.disable_adapters))
        return generate_together(model, tokenizer, prompts, most)

    monkeypatch.setattr(writer, "generate_together", listen)
    write_answers(workspace, ready)
    told = json.loads((workspace.results / "answers.json").read_text("utf-8"))
    assert [(one["language"], one["id"]) for one in told] == [
        (code, f"validation-{number}") for code in ("zh", "vi") for number in (1, 2)
    ]
    assert [[answer["model"] for answer in one["answers"]] for one in told] == [["base", "toy"]] * 4
    assert [with_adapter for _, with_adapter in asked] == [False, True] * 4
    instructions = {"### Input:\n" + one["instruction"] for one in told}
    assert all(any(prompt.startswith(one) for one in instructions) for prompt, _ in asked)
    assert asked[0][0].endswith("\n\n### Output:\n")


def test_rows_made_elsewhere_get_the_language_of_their_file(
    make_workspace: Callable[..., Workspace],
) -> None:
    workspace = make_workspace("vi", "eval.samples=1")
    table.write(
        workspace.split("vi", "validation"), [Row(Example("1", "", "a", "", "b"))], "elsewhere"
    )
    ready = scorers(base.load(workspace.recipe.train.base), {})
    write_answers(workspace, ready)
    (told,) = json.loads((workspace.results / "answers.json").read_text("utf-8"))
    assert told["language"] == "vi"


def test_languages_without_held_out_rows_are_passed_over(
    make_workspace: Callable[..., Workspace],
) -> None:
    workspace = make_workspace("vi,km", "eval.samples=1")
    workspace.split("km", "validation").unlink()
    loaded = base.load(workspace.recipe.train.base, dtype="float32")
    write_answers(workspace, scorers(loaded, {}))
    told = json.loads((workspace.results / "answers.json").read_text("utf-8"))
    assert [one["language"] for one in told] == ["vi"]

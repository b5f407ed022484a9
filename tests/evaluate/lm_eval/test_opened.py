"""Bases that are loaded for lm-eval: shared by the runs of one command, and by nobody else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian.evaluate.lm_eval import opened
from bactrian.evaluate.lm_eval.arguments import Arguments
from bactrian.evaluate.lm_eval.opened import name_of, one_base, open_model, together

pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore")


def told(base: Path, **more: Any) -> Arguments:
    return Arguments(pretrained=str(base), dtype="float32", **more)


def test_runs_of_one_command_share_the_base(
    tiny_base: Path, adapter: Callable[..., Path], counted: Callable[[Any, str], list[Any]]
) -> None:
    loads = counted(opened, "load")
    with one_base():
        plain = open_model(told(tiny_base))
        adapted = open_model(told(tiny_base, peft=str(adapter(tiny_base))))
        again = open_model(told(tiny_base))
        assert plain.base is adapted.base is again.base
        assert [name_of(one) for one in (plain, adapted, again)] == ["base", "adapter", "base"]
        assert not any("lora" in name for name, _ in again.model.named_modules()), "taken off"
        assert plain.keys["base"] == adapted.keys["base"] != adapted.keys["adapter"]
    assert loads == [str(tiny_base)]
    assert opened.shared() is None


def test_what_a_base_is_loaded_by_makes_it_another_one(
    tiny_base: Path, shape: Callable[[str], Path], counted: Callable[[Any, str], list[Any]]
) -> None:
    loads = counted(opened, "load")
    with one_base():
        first = open_model(told(tiny_base))
        assert open_model(told(tiny_base, batch_tokens=64)).base is first.base
        assert open_model(told(tiny_base, add_bos_token=False)).base is not first.base
        assert open_model(told(shape("bloom"))).base is not first.base
    assert len(loads) == 3


def test_models_by_themselves_do_not_disturb_each_other(
    tiny_base: Path, adapter: Callable[..., Path]
) -> None:
    plain, adapted = (
        open_model(told(tiny_base)),
        open_model(told(tiny_base, peft=str(adapter(tiny_base)))),
    )
    assert plain.base is not adapted.base
    assert not any("lora" in name for name, _ in plain.model.named_modules())


def test_bos_is_put_before_texts_where_told(tiny_base: Path) -> None:
    """The tokenizer itself is told, as lm-eval tells it."""
    from transformers import AutoTokenizer

    for add in (True, False):
        found = open_model(told(tiny_base, add_bos_token=add)).base.tokenizer
        wanted = AutoTokenizer.from_pretrained(tiny_base, add_bos_token=add)
        assert found("sun")["input_ids"] == wanted("sun")["input_ids"]


def test_a_process_alone_is_not_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert together() is None
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert together() is None

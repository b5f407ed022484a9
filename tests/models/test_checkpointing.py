"""Checkpoints change nothing but the memory, and are gone afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bactrian.errors import ConfigError
from bactrian.models.checkpointing import checkpointed

torch = pytest.importorskip("torch")

IDS = torch.tensor([[0, 5, 9, 40, 41]])


@pytest.mark.parametrize("name", ["llama", "bloom"])
@pytest.mark.parametrize("frozen", [True, False])
def test_gradients_are_the_same_and_the_layers_run_twice(
    name: str, frozen: bool, tiny: Callable[[str], Any]
) -> None:
    found, calls = {}, {}
    for wanted in (False, True):
        model = tiny(name).train()
        model.requires_grad_(not frozen)
        last = model.get_output_embeddings().weight.requires_grad_(True)
        inner = next(part for path, part in model.named_modules() if path.endswith(".0"))
        inside = next(part for part in inner.modules() if isinstance(part, torch.nn.Linear))
        run: list[int] = []
        inside.register_forward_hook(lambda *_, run=run: run.append(1))
        with checkpointed(model, wanted), checkpointed(model, wanted):  # as by a Trainer's settings
            model(input_ids=IDS, labels=IDS).loss.backward()
        found[wanted], calls[wanted] = last.grad, len(run)
        assert not model.is_activation_checkpointing
        assert not model.get_input_embeddings()._forward_hooks
    assert calls == {False: 1, True: 2}
    torch.testing.assert_close(found[True], found[False], rtol=0, atol=0)


def test_a_model_that_cannot_is_refused(tiny: Callable[[str], Any]) -> None:
    model = tiny("llama")
    model.supports_gradient_checkpointing = False
    said = pytest.raises(ConfigError, match="LlamaForCausalLM cannot compute")
    with said as caught, checkpointed(model):
        pass
    assert "micro_batch_tokens" in caught.value.hint
    with checkpointed(model, False):
        pass

"""Activations that are computed again on the way back, for as long as a training takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bactrian.errors import ConfigError


@contextmanager
def checkpointed(model: Any, wanted: bool = True) -> Iterator[None]:
    """Keep one hidden state a layer in place of everything inside it, while inside the block.

    For frozen bases too: the embedding's result gets a gradient, so that checkpoints pass it on.
    The model is as it was when the block ends. Raises ConfigError for a model without them.
    """
    if not wanted:
        yield
        return
    if not getattr(model, "supports_gradient_checkpointing", False):
        raise ConfigError(
            f"train.checkpointing: {type(model).__name__} cannot compute its activations again",
            "set train.checkpointing = false and lower train.micro_batch_tokens",
        )
    _switch(model, "enable", {"use_reentrant": False})
    hooks = list(getattr(model, "_require_grads_hooks", ()))
    try:
        yield
    finally:
        _switch(model, "disable")
        # transformers takes its hooks out for its own PEFT only, and knows of the last ones alone
        model.disable_input_require_grads()
        for hook in hooks:
            hook.remove()


def _switch(model: Any, way: str, *given: Any) -> None:
    """Call the method by the name that this version of transformers has for it."""
    named = f"activation_checkpointing_{way}"
    (getattr(model, named, None) or getattr(model, f"gradient_checkpointing_{way}"))(*given)

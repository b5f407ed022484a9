"""A model's layers, and other forwards for some of their parts as long as a block lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch


def layers(body: torch.nn.Module) -> list[torch.nn.Module]:
    """Return the layers of a body in order, none where they cannot be told."""
    lists = [module for module in body.modules() if isinstance(module, torch.nn.ModuleList)]
    count = getattr(getattr(body, "config", None), "num_hidden_layers", None)
    return list(next((found for found in lists if len(found) == count), []))


def of_attention(layer: torch.nn.Module, names: Iterable[str]) -> list[torch.nn.Module]:
    """Return the parts of a layer's attention that have one of these names."""
    return [
        part
        for name, child in layer.named_children()
        if "attn" in name or "attention" in name
        for called, part in child.named_children()
        if called in names
    ]


@contextmanager
def wrapped(modules: Iterable[torch.nn.Module], around: Callable[..., Any]) -> Iterator[None]:
    """Have ``around(own forward, x, ...)`` be the forward of modules; theirs come back."""
    replaced: list[tuple[Any, Any]] = []
    try:
        for module in modules:
            replaced.append((module, vars(module).get("forward")))
            module.forward = partial(around, module.forward)
        yield
    finally:
        for module, own in replaced:
            if own is None:
                vars(module).pop("forward", None)
            else:
                module.forward = own

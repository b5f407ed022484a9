"""The architectures that are written: what their tensors and settings are called in a GGUF file.

A further family is one entry of ``FAMILIES`` and a test that llama.cpp computes the same logits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bactrian.errors import ConfigError
from bactrian.publish.gguf import bloom, llama
from bactrian.publish.gguf.rows import Order

IGNORED = ("rotary_emb.inv_freq", "attn.bias", "attn.masked_bias", "attention.mask")
"""Endings of tensors that are computed from the settings and that old folders keep."""
OUTPUT, EMBEDDING = "output", "token_embd"


@dataclass(frozen=True, slots=True)
class Family:
    """One architecture of llama.cpp."""

    architecture: str
    """``general.architecture``."""
    names: Mapping[str, str]
    """Module in transformers to tensor here, without ``.weight``; {} is the layer."""
    settings: Callable[[Any], dict[str, Any]]
    """Keys after the architecture's name; raises ConfigError for what llama.cpp computes otherwise.
    """
    order: Callable[[str, Any], Order | None]
    """How the rows of a tensor (its name in the file, the configuration) are turned."""
    context: Callable[[Any], int]
    """Tokens that the file says the model can take."""
    prefix: str = ""
    """What some folders write before every name and some do not."""
    halves: bool = False
    """Whether llama.cpp rounds within a layer to float16 whatever the file's type: GELU is looked
    up in a table of halves."""

    def name(self, tensor: str) -> str | None:
        """Return what a tensor of the folder is called in the file, None where it is left out.

        Raises ConfigError for a tensor that this architecture has no place for.
        """
        if tensor.endswith(IGNORED):
            return None
        bare = tensor.removeprefix(self.prefix)
        module, _, kind = bare.rpartition(".")
        found = re.search(r"(?:^|\.)(\d+)\.", module)
        layer = found.group(1) if found else ""
        pattern = module.replace(f".{layer}.", ".{}.", 1) if layer else module
        if pattern not in self.names or kind not in ("weight", "bias"):
            raise ConfigError(
                f"{tensor} has no place in a GGUF file of the architecture {self.architecture}",
                "name a base whose tensors are those of transformers' own class of it",
            )
        return f"{self.names[pattern].format(layer)}.{kind}"


def _llama(architecture: str, *, paired: bool) -> Family:
    order = llama.order if paired else llama.no_order
    return Family(architecture, llama.NAMES, llama.settings, order, llama.context)


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "llama": _llama("llama", paired=True),
        "mistral": _llama("llama", paired=True),
        "qwen2": _llama("qwen2", paired=False),
        "qwen3": _llama("qwen3", paired=False),
        "bloom": Family(
            "bloom",
            bloom.NAMES,
            bloom.settings,
            bloom.order,
            bloom.context,
            bloom.PREFIX,
            halves=True,
        ),
    }
)
"""By ``model_type`` of config.json."""


def family_of(config: Any, base: str) -> Family:
    """Return the family of a configuration; raises ConfigError for one that is not written."""
    if config.model_type not in FAMILIES:
        raise ConfigError(
            f"{base} is of the architecture {config.model_type}, which is not written as GGUF here",
            f"supported are: {', '.join(FAMILIES)}; of others, bactrian export merged makes a "
            "folder that llama.cpp's own convert_hf_to_gguf.py may read",
        )
    return FAMILIES[config.model_type]

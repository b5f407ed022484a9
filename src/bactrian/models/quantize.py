"""Bases in 8 or 4 bits: the weights are frozen, the adapters learn in the base's dtype.

What PEFT's preparation does beyond that is left out: it turns every norm, bias and embedding into
float32, for 250,880 words of width 4,096 another 2 GiB, and bfloat16 needs none of it. Knows how
weights are stored, not what they mean.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

from bactrian.errors import ConfigError, MissingExtra
from bactrian.events import emit

Quantize = Literal["none", "int8", "nf4", "torchao-int8"]

PACKAGES = {"int8": "bitsandbytes", "nf4": "bitsandbytes", "torchao-int8": "torchao"}
BITS = {"int8": 8, "nf4": 4, "torchao-int8": 8}
STORED = ("Params4bit", "Int8Params")
"""Kinds of bitsandbytes' parameters."""


def stored_as(config: Any) -> str:
    """Return how a folder's weights are quantised already (bitsandbytes, gptq, …), else nothing."""
    told = getattr(config, "quantization_config", None)
    if told is None:
        return ""
    method = told.get("quant_method") if isinstance(told, dict) else told.quant_method
    return str(getattr(method, "value", method) or "quantised")


def settings(quantize: Quantize, dtype: str, config: Any) -> Any:
    """Return transformers' quantisation settings, None for ``none``.

    ``dtype`` is what 4-bit weights are multiplied in, ``config`` the model's configuration. Raises
    MissingExtra without the package, ConfigError for weights that are quantised already.
    """
    if quantize == "none":
        return None
    if stored := stored_as(config):
        raise ConfigError(
            f'the base\'s weights are quantised already ({stored}), quantize = "{quantize}" would '
            "do it twice",
            'set quantize = "none", or name the base before its quantisation',
        )
    package = PACKAGES[quantize]
    if find_spec(package) is None:
        raise MissingExtra(
            f"quantize = {quantize} needs {package}, which is not installed",
            "pip install 'bactrian[quant]'",
        )
    return _torchao() if quantize == "torchao-int8" else _bitsandbytes(quantize, dtype)


def prepare(model: Any) -> None:
    """Freeze a quantised model as it is, and say where the head was quantised with it.

    On a CPU bitsandbytes rearranges 4-bit weights at the first pass without gradients, a scoring or
    a self-test, and they stay so: no gradient comes through them any more, silently. That is turned
    off (0.50, nn.Linear4bit.forward and matmul_4bit).
    """
    for weights in model.parameters():
        weights.requires_grad_(False)
    for part in model.modules():
        if hasattr(part, "support_avx512bf16_for_cpu"):
            part.support_avx512bf16_for_cpu = False
    if head_is_quantised(model):
        emit(
            "warning",
            text="the head is quantised too: its products are made in the quantiser's own way, "
            "slower and less exact than those of a plain one",
        )


def is_quantised(weights: Any) -> bool:
    """Whether a parameter is stored by bitsandbytes or torchao, as its kind says."""
    kind = type(weights)
    return kind.__name__ in STORED or kind.__module__.startswith("torchao.")


def head_is_quantised(model: Any) -> bool:
    """Whether the last layer is no plain one: it cannot be multiplied with by its weight."""
    head = model.get_output_embeddings()
    weights = getattr(head, "weight", None)
    return head is not None and (weights is None or is_quantised(weights))


def _bitsandbytes(quantize: Quantize, dtype: str) -> Any:
    import torch
    from transformers import BitsAndBytesConfig

    if quantize == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=getattr(torch, dtype),
        bnb_4bit_use_double_quant=True,  # 0.4 bits a weight less (Dettmers et al. 2023, QLoRA)
    )


def _torchao() -> Any:
    from transformers import TorchAoConfig

    return TorchAoConfig(import_module("torchao.quantization").Int8WeightOnlyConfig())

"""What a forecast needs to know of a model, read off it on the meta device: no weight is read.

Counts parameters, and how many numbers each layer keeps of a token for its backward pass. Knows
nothing of micro-batches or bytes of memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bactrian.models import quantize as quantisation
from bactrian.models.architecture import Kind, has_fused_experts, linear_layers
from bactrian.recipe import Lora, Train

BITS = {"int8": 8.0, "torchao-int8": 8.0, "nf4": 4.13}
"""Bits a quantised weight takes; nf4 with its scales quantised again (QLoRA, section 3)."""
OUTWARD = {"o_proj", "out_proj", "o", "dense", "c_proj"}
"""The linear layer of an attention that reads what was mixed."""
CROSSED = ("cross", "EncDec", "encoder_attn")


@dataclass(frozen=True, slots=True)
class Layer:
    """What one layer keeps of a token for its backward pass, in numbers, not bytes."""

    stream: int
    """In the residual stream's dtype: what its norms read."""
    kept: int
    """In the dtype of the products."""
    float32: int
    """In float32 whatever the model computes in."""
    scores: int
    """For each pair of a token and one that it may see, where no kernel computes them again."""
    back: int
    """Gradients that are alive at once in its own backward pass."""
    sources: int = 0
    """Of a token of the source: keys and values of a cross-attention."""


@dataclass(frozen=True, slots=True)
class Model:
    """A base with its adapter, in numbers."""

    base_parameters: int
    trained_parameters: int
    """Of one adapter; of full fine-tuning those of the base."""
    weight_bytes: int
    """Of the base as it is loaded."""
    width: int
    vocabulary: int
    encoder: tuple[Layer, ...]
    """Layers that read the source; a causal model has none."""
    decoder: tuple[Layer, ...]
    item_bytes: int
    """Of a number that products are made in."""
    stream_bytes: int
    """Of a number of the residual stream."""
    trains_all: bool
    """Full fine-tuning: every weight has a gradient."""


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear layer of a block."""

    path: str
    reads: int
    writes: int
    adapted: bool

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition(".")[2]


def model_of(config: Any, kind: Kind, train: Train, dtype: str, device: str) -> Model:
    """Return the numbers of a base and what is trained on it, as transformers and PEFT build them.

    ``config`` is transformers' configuration, ``dtype`` what the base computes in, ``device`` cpu
    or cuda. Raises ConfigError for targets that the base lacks.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    family = AutoModelForSeq2SeqLM if kind == "encoder-decoder" else AutoModelForCausalLM
    bare = config
    if quantisation.stored_as(config):
        bare = type(config).from_dict(config.to_dict())
        del bare.quantization_config
    with torch.device("meta"):
        model = family.from_config(bare, dtype=getattr(torch, dtype))
    base = sum(weights.numel() for weights in model.parameters())
    size = _weight_bytes(model, train, base)
    if train.adapter == "none":
        return _numbers(model, train, (base, base, size), device)
    from bactrian.train.lora import with_lora

    with with_lora(model, _plain(train.lora)) as adapted:
        learns = (one.numel() for one in adapted.parameters() if one.requires_grad)
        return _numbers(model, train, (base, sum(learns), size), device)


def _plain(lora: Lora) -> Lora:
    """Return settings of the same shape: PiSSA looks at the weights, and has twice the rank."""
    if lora.variant != "pissa":
        return lora
    return lora.model_copy(update={"variant": "lora", "rank": 2 * lora.rank})


def _weight_bytes(model: Any, train: Train, parameters: int) -> int:
    if train.adapter == "none":
        return 4 * parameters  # kept in float32 while all learn
    size: int = sum(one.numel() * one.element_size() for one in model.parameters())
    if train.quantize == "none":
        return size
    head = model.get_output_embeddings()
    inside = [layer.weight for layer in linear_layers(model).values() if layer is not head]
    whole: int = sum(weight.numel() * weight.element_size() for weight in inside)
    packed: float = sum(weight.numel() for weight in inside) * BITS[train.quantize] / 8
    return size - whole + round(packed)


def _numbers(model: Any, train: Train, counts: tuple[int, int, int], device: str) -> Model:
    embedding = model.get_input_embeddings().weight
    head = model.get_output_embeddings().weight
    width, whole = int(head.shape[1]), train.adapter == "none"
    stacks = _stacks(model)
    layers = {
        path: tuple(_layer(block, (path, width), model.config, train, device) for block in blocks)
        for path, blocks in stacks.items()
    }
    encoders = [path for path in layers if "encoder" in path.split(".")]
    return Model(
        *counts,
        width,
        int(head.shape[0]),
        tuple(layer for path in encoders for layer in layers[path]),
        tuple(layer for path in layers if path not in encoders for layer in layers[path]),
        embedding.element_size(),
        4 if whole else embedding.element_size(),
        whole,
    )


def _stacks(model: Any) -> dict[str, Sequence[Any]]:
    """Return the lists of layers by path: the outermost ones that hold linear layers."""
    import torch

    found: dict[str, Sequence[Any]] = {}
    for path, part in model.named_modules():
        inside = any(path.startswith(f"{outer}.") for outer in found)
        if isinstance(part, torch.nn.ModuleList) and not inside and linear_layers(part):
            found[path] = list(part)
    return found


def _layer(block: Any, place: tuple[str, int], config: Any, train: Train, device: str) -> Layer:
    """Count what a layer keeps; ``place`` is the path of its stack and the model's width."""
    width, whole = place[1], train.adapter == "none"
    linears = list(_linears(block, whole))
    attention = [one for one in linears if "att" in one.path.lower()]
    crossed = [one for one in attention if any(word in one.path for word in CROSSED)]
    own = [one for one in attention if one not in crossed]
    mlp = [one for one in linears if one not in attention]
    inner, kept_inside = _mlp(mlp, width, config, block)
    drops = _dropout(config)
    dropped = (len([part for part in (own, crossed, mlp) if part]) * width + inner) * bool(drops)
    norms = _norms(block, width, sum(_mixed(part) for part in (own, crossed)))
    ranks = sum(one.adapted for one in linears) * (0 if whole else _plain(train.lora).rank)
    heads = getattr(config, "num_attention_heads", 0)
    plain = train.lora.variant == "dora" and not whole
    return Layer(
        norms * (2 if whole else 1),
        sum(_attended(part, width, config) for part in (own, crossed))
        + kept_inside
        + ranks
        + dropped,
        heads * (len([part for part in (own, crossed) if part]))
        + sum(2 * (one.reads + one.writes) for one in linears if one.adapted) * plain,
        3 * heads if drops and config.is_encoder_decoder and device == "cpu" else 0,
        3 * inner + 2 * width,
        sum(one.writes for one in crossed if one.name in ("k", "v", "k_proj", "v_proj")),
    )


def _linears(block: Any, whole: bool) -> Iterator[Linear]:
    adapted = {path for path, part in block.named_modules() if hasattr(part, "lora_A")}
    for path, layer in linear_layers(block).items():
        shape = tuple(layer.weight.shape)
        reads, writes = shape if type(layer).__name__ == "Conv1D" else shape[::-1]
        yield Linear(path, int(reads), int(writes), whole or path in adapted)


def _mixed(attention: Sequence[Linear]) -> int:
    """Return the width of what attention mixes, all heads together."""
    return max((one.reads for one in attention if one.name in OUTWARD), default=0)


def _attended(attention: Sequence[Linear], width: int, config: Any) -> int:
    """Return queries, keys, values, what was mixed, and what the adapters read."""
    inward = [one for one in attention if one.name not in OUTWARD]
    mixed = _mixed(attention)
    made = sum(one.writes for one in inward)
    if any(word in one.path for one in inward for word in CROSSED):
        made = mixed  # keys and values are of the source's tokens
    if len(inward) == 1 and getattr(config, "rope_parameters", None):
        made += made - (made - mixed) // 2  # queries and keys turned, beside the fused ones
    read = width if any(one.adapted for one in inward) else 0
    return made + mixed + read


def _mlp(linears: Sequence[Linear], width: int, config: Any, block: Any) -> tuple[int, int]:
    """Return the inner width of the MLP and what it keeps of a token."""
    if has_fused_experts(block):
        chosen = int(getattr(config, "num_experts_per_tok", 1) or 1)
        size = getattr(config, "moe_intermediate_size", 0) or config.intermediate_size
        return chosen * int(size), chosen * (3 * int(size) + width)
    downs = [one for one in linears if one.writes == width]
    inner = max((one.reads for one in downs), default=0)
    ups = [one for one in linears if one not in downs]
    gated = sum(one.writes for one in ups) >= 2 * inner
    kept = 3 * inner if gated else inner
    kept += width if any(one.adapted for one in ups) else 0
    return inner, kept + (inner if any(one.adapted for one in downs) else 0)


def _norms(block: Any, width: int, mixed: int) -> int:
    """Return what the norms of a layer read of a token; norms of a head read all heads."""
    found = 0
    for part in block.modules():
        weight = getattr(part, "weight", None)
        if "Norm" in type(part).__name__ and weight is not None and weight.dim() == 1:
            found += width if len(weight) == width else mixed
    return found


def _dropout(config: Any) -> float:
    """Return the base's own dropout, at work in training beside the adapter's."""
    names = ("dropout_rate", "dropout", "hidden_dropout", "hidden_dropout_prob", "resid_pdrop")
    told: Mapping[str, Any] = config.to_dict()
    return max(float(told.get(name) or 0.0) for name in names)

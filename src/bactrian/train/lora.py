"""Puts LoRA layers into a base for as long as a training takes, where the original put them.

One adapter or many, of PEFT's kinds: plain, rank-stabilised, DoRA, PiSSA; with LoRA+ rates. The
base is never changed, so that what is saved is a LoRA that anyone can load on it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bactrian.errors import ConfigError, did_you_mean
from bactrian.events import emit
from bactrian.models.adapters import hushed
from bactrian.models.architecture import (
    UNDER,
    all_linear,
    attention_projections,
    has_fused_experts,
    last_names,
    linear_layers,
)
from bactrian.models.checkpointing import checkpointed
from bactrian.recipe import Lora

if TYPE_CHECKING:
    from bactrian.train.pissa import Held

__all__ = ["Alone", "attention_projections", "parameter_groups", "targets_of", "with_lora"]

DEFAULT = "default"
"""What PEFT calls an adapter that has no name."""
ALL_LINEAR = "all-linear"
EMBEDDING_RATE = 1e-6
"""Learning rate of adapters on embeddings under LoRA+, as PEFT's create_loraplus_optimizer."""


@contextmanager
def with_lora(
    model: Any, lora: Lora | Mapping[str, tuple[Lora, int]], *, checkpointing: bool = False
) -> Iterator[Any]:
    """Yield the PEFT model; the base is as it was when the block ends, however it ends.

    ``lora`` is one adapter, whose first values follow from torch's generator; or several by name,
    each with its seed: an adapter begins with the same values beside others as alone. All of them
    learn; the first is the active one. With ``checkpointing`` activations are computed again on the
    way back (see ``checkpointed``). Raises ConfigError for targets that the base lacks.
    """
    from bactrian.train import pissa

    told = lora if isinstance(lora, Mapping) else {DEFAULT: (lora, None)}
    if not told:
        raise ConfigError("there is no adapter to train", "name one in train.adapters")
    held: list[Held] = []
    try:
        adapted: Any = None
        for name, (settings, seed) in told.items():
            with _seeded(seed, model):
                adapted = _put(model, adapted, name, settings)
                held += _begin(adapted, name, settings)
        _learn(adapted, told)
        with checkpointed(model, checkpointing):
            yield adapted.train(model.training)  # else their dropout is at work in evaluation
        pissa.check(held)
    finally:
        _take_out(model)


def parameter_groups(
    model: Any, lora: Lora, learning_rate: float, weight_decay: float = 0.0
) -> list[dict[str, Any]]:
    """Return the optimizer's groups of what learns, each with ``lr`` and ``weight_decay``.

    With LoRA+ (``plus_ratio``, Hayou et al. 2024) the B matrices and vectors get ``plus_ratio``
    times the rate, adapters on embeddings ``EMBEDDING_RATE``. Vectors do not decay, nor does PiSSA,
    whose held half would. Groups without parameters are left out.
    """
    if lora.variant == "pissa" and weight_decay:
        emit("decision", text="PiSSA holds half of its values: they do not decay")
        weight_decay = 0.0
    ratio = lora.plus_ratio or 1.0
    rates = {
        "A": (learning_rate, weight_decay),
        "embedding": (EMBEDDING_RATE if lora.plus_ratio else learning_rate, weight_decay),
        "B": (learning_rate * ratio, weight_decay),
        "vector": (learning_rate * ratio, 0.0),
    }
    found: dict[str, list[Any]] = {side: [] for side in rates}
    for path, weights in model.named_parameters():
        if weights.requires_grad:
            found[_side(path, weights)].append(weights)
    return [
        {"params": found[side], "lr": rate, "weight_decay": decay}
        for side, (rate, decay) in rates.items()
        if found[side]
    ]


def targets_of(model: Any, lora: Lora) -> list[str]:
    """Return the names of the layers that get an adapter.

    Raises ConfigError for a name that fits no linear layer and no embedding.
    """
    if not lora.targets:
        return attention_projections(model)
    if ALL_LINEAR in lora.targets:
        if has_fused_experts(model):
            emit(
                "warning",
                text="the experts of this model lie in one tensor, not in linear layers: "
                "all-linear does not reach them",
            )
        return all_linear(model)
    paths = [*linear_layers(model), *_embeddings(model)]
    for name in lora.targets:
        if not any(path == name or path.endswith(f".{name}") for path in paths):
            names = last_names(paths)
            raise ConfigError(
                f"train.lora.targets names {name}, and {type(model).__name__} has no such layer",
                f"{did_you_mean(name, names)} (layers are {', '.join(names)}, or {ALL_LINEAR})",
            )
    return list(lora.targets)


@dataclass(frozen=True, slots=True)
class Alone:
    """One of several adapters of a PEFT model, for ``models.adapters.save`` to write by itself."""

    model: Any
    name: str

    def save_pretrained(self, folder: Path, **given: Any) -> None:
        """Write the adapter into ``folder``, where PEFT would put it into one below."""
        self.model.save_pretrained(folder, selected_adapters=[self.name], **given)
        below = folder / self.name
        if self.name != DEFAULT:
            for path in below.iterdir():
                path.replace(folder / path.name)
            shutil.rmtree(below)


def _put(model: Any, adapted: Any, name: str, lora: Lora) -> Any:
    """Add one adapter, to the bare model or to those that are there."""
    from peft import get_peft_model

    targets = targets_of(model, lora)
    config = _config(model, lora, targets)
    try:
        with hushed():
            if adapted is None:
                return get_peft_model(model, config, adapter_name=name)
            adapted.add_adapter(name, config)
            return adapted
    except ValueError as error:
        raise ConfigError(f"train.lora.targets {targets}: {error}", "see docs/train.md") from None


def _config(model: Any, lora: Lora, targets: list[str]) -> Any:
    from peft import LoraConfig

    double = 2 if lora.variant == "pissa" else 1
    answers = getattr(model.config, "is_encoder_decoder", False)
    return LoraConfig(
        task_type="SEQ_2_SEQ_LM" if answers else "CAUSAL_LM",
        r=lora.rank * double,
        lora_alpha=lora.alpha * double,
        lora_dropout=lora.dropout,
        target_modules=targets,
        fan_in_fan_out=_transposed(model, targets),
        use_rslora=lora.variant == "rslora",
        use_dora=lora.variant == "dora",
    )


def _begin(adapted: Any, name: str, lora: Lora) -> list[Held]:
    from bactrian.train import pissa

    if lora.variant != "pissa":
        return []
    return [
        held
        for place, layer in _tuned(adapted)
        if name in layer.lora_A
        for held in pissa.begin(layer, name, place)
    ]


def _learn(adapted: Any, names: Iterable[str]) -> None:
    """Let every adapter learn: PEFT holds all but the active one still."""
    if len(list(names)) > 1:
        adapted.base_model.set_requires_grad(list(names), requires_grad=True)


def _take_out(model: Any) -> None:
    """Put the base's own layers back, also where PEFT stopped half-way through putting its in."""
    for place, layer in _tuned(model):
        parent, _, child = place.rpartition(".")
        setattr(model.get_submodule(parent), child, layer.get_base_layer())
    if hasattr(model, "peft_config"):
        del model.peft_config


def _tuned(model: Any) -> list[tuple[str, Any]]:
    """Return path and module of every layer with adapters in it."""
    from peft.tuners.lora import LoraLayer

    return [(path, part) for path, part in model.named_modules() if isinstance(part, LoraLayer)]


def _side(path: str, weights: Any) -> str:
    if "lora_embedding_" in path:
        return "embedding"
    if weights.dim() == 1:
        return "vector"
    return "B" if "lora_B" in path else "A"


def _embeddings(model: Any) -> list[str]:
    import torch

    parts = model.named_modules()
    return [
        path.removesuffix(UNDER) for path, part in parts if isinstance(part, torch.nn.Embedding)
    ]


def _transposed(model: Any, targets: list[str]) -> bool:
    """Whether the targets are GPT-2's Conv1D, whose weights lie the other way round."""
    return any(
        type(layer).__name__ == "Conv1D"
        for path, layer in linear_layers(model).items()
        if any(path == target or path.endswith(f".{target}") for target in targets)
    )


@contextmanager
def _seeded(seed: int | None, model: Any) -> Iterator[None]:
    """Draw from ``seed`` inside the block, and leave torch's generators as they were."""
    import torch

    if seed is None:
        yield
        return
    device = next(model.parameters()).device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield

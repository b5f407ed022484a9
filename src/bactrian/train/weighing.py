"""What was learnt, counted as it is saved: parameters, bytes, rank, targets. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bactrian.models.base import Base, Location
from bactrian.train.card import Learnt, Weights
from bactrian.train.lora import DEFAULT, Alone
from bactrian.train.prepared import Prepared
from bactrian.train.sharded import Gathered


def of_adapter(savable: Any, variant: str) -> Weights:
    """Return what PEFT writes of an adapter: an ``Alone``, or a PEFT model with one."""
    from peft import get_peft_model_state_dict

    from bactrian.models.adapters import hushed

    spread = isinstance(savable, Gathered)
    state, savable = (savable.state, savable.savable) if spread else (None, savable)
    alone = savable if isinstance(savable, Alone) else Alone(savable, DEFAULT)
    with hushed():
        tensors = get_peft_model_state_dict(alone.model, state, adapter_name=alone.name)
    config = alone.model.peft_config[alone.name]
    parameters = sum(int(tensor.numel()) for tensor in tensors.values())
    targets = config.target_modules
    return Weights(
        parameters,
        sum(int(tensor.numel()) * tensor.element_size() for tensor in tensors.values()),
        _dtypes(tensors),
        int(config.r),
        int(config.lora_alpha),
        (targets,) if isinstance(targets, str) else tuple(sorted(targets)),
        held=parameters // 2 if variant == "pissa" else 0,
    )


def of_base(base: Base) -> Weights:
    """Return what is written of a model whose every weight was trained, in the base's dtype."""
    import torch

    parameters = sum(int(weights.numel()) for weights in base.model.parameters())
    each = torch.empty(0, dtype=getattr(torch, base.dtype)).element_size()
    return Weights(parameters, parameters * each, base.dtype)


def learnt(prepared: Prepared, contents: Mapping[str, str]) -> dict[str, Learnt]:
    """Return the rows of each language; ``contents`` are the hashes of the dataset's."""
    import numpy as np

    rows = np.bincount(prepared.languages, minlength=len(prepared.names)).tolist()
    by_name = dict(zip(prepared.names, rows, strict=True))
    return {
        language: Learnt(
            content,
            by_name.get(language, 0),
            prepared.shortened.get(language, 0),
            prepared.too_long.get(language, 0) + prepared.empty.get(language, 0),
        )
        for language, content in contents.items()
    }


def loadable(location: Location) -> str:
    """Return what transformers takes for the base, empty where it was converted from elsewhere."""
    from pathlib import Path

    if location.revision or Path(location.id).expanduser() == location.folder:
        return location.id
    return ""


def _dtypes(tensors: Mapping[str, Any]) -> str:
    return ", ".join(
        sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()})
    )

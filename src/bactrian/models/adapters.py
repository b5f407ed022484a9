"""Adapter folders: saved whole, verified before success is said, attached to their base.

A folder is PEFT's own (``adapter_config.json``, ``adapter_model.safetensors``) with a card and a
``bactrian.json`` beside it. Knows nothing of training.
"""

from __future__ import annotations

import json
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from bactrian.errors import AdapterError, ConfigError
from bactrian.models.adapter_checks import holds_nothing, place_of
from bactrian.models.base import Base, Location
from bactrian.models.disk import writing

FORMAT = 1
WEIGHTS = "adapter_model.safetensors"
PICKLE = "adapter_model.bin"
BEGIN_AT_ZERO = ("lora_B", "lora_embedding_A")
"""What PEFT begins with zeros: an adapter in which all of these are still zero does nothing."""
BASE = "base"
"""What the model without any adapter is called."""
IDLE_WARNINGS: tuple[tuple[type[Warning], str], ...] = (
    (
        FutureWarning,  # PEFT asks transformers for a property by its old name
        r"`is_gradient_checkpointing` is deprecated and will be removed in v6\. "
        r"Use `is_activation_checkpointing` instead\.$",
    ),
    (
        UserWarning,  # for an adapter called lo or or: it is loaded as any other
        r"Adapter name '\w+' should not be contained in the prefix 'lora_'\. "
        r"This may lead to reinitialization of the adapter weights during loading\.$",
    ),
)
"""Kinds and messages that tell of nothing a user can change."""


@dataclass(frozen=True, slots=True)
class AdapterFacts:
    """What ``bactrian.json`` says: what the adapter is for, and how it was asked in training."""

    name: str
    languages: tuple[str, ...]
    prompt: str
    base: str
    base_revision: str
    base_fingerprint: str
    made_from: str
    """Hash of data, recipe and base: the same hash means the same adapter."""
    steps: int
    tokens: int
    """Tokens seen in training, padding left out."""
    seconds: float
    losses: Mapping[str, float]
    """Last training loss by language, nats a token."""
    format: int = FORMAT
    template: Mapping[str, str] | None = None
    """The words of a prompt style of the user's own; None where ``prompt`` is a built-in one."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found in a folder that is in order."""

    tensors: int
    parameters: int
    bytes: int


def save(
    model: Any, folder: Path, base: Base, facts: AdapterFacts, beside: Mapping[str, str]
) -> Verified:
    """Write the folder beside its place, verify it there, and only then put it in place.

    ``beside`` are further files, name to text: the card, the losses.
    """
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        with writing(folder):
            _write(model, unfinished, base, facts, beside)
            found = verify(unfinished)
            if folder.exists():
                shutil.rmtree(folder)
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return found


def verify(folder: Path) -> Verified:
    """Check that the folder holds a LoRA adapter that does something.

    Raises AdapterError for missing or empty weights (the 443-byte kind), pickles, A without B,
    values that are not finite, and adapters whose every B is zero.
    """
    from safetensors import SafetensorError, safe_open

    _config(folder)
    path = _weights(folder)
    try:
        with safe_open(path, framework="pt") as weights:
            tensors = {name: weights.get_tensor(name) for name in weights.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise AdapterError(
            f"{path} is damaged: {error}", "fetch or train the adapter again"
        ) from None
    _check_tensors(folder, tensors)
    parameters = sum(int(tensor.numel()) for tensor in tensors.values())
    return Verified(len(tensors), parameters, path.stat().st_size)


def facts_of(folder: Path) -> AdapterFacts | None:
    """Return what ``bactrian.json`` says, or None for an adapter made elsewhere."""
    path = folder / "bactrian.json"
    if not path.is_file():
        return None
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return AdapterFacts(**{**told, "languages": tuple(told["languages"])})
    except (ValueError, TypeError, KeyError) as error:
        raise AdapterError(
            f"{path} is not what bactrian wrote: {error}", "fetch or train the adapter again"
        ) from None


def attach(base: Base, folders: Mapping[str, Path]) -> Any:
    """Return a PEFT model of the base with every adapter loaded, none of them trainable.

    Raises AdapterError for a folder that is not in order or was made for another base, ConfigError
    for a name that PEFT cannot use.
    """
    from peft import PeftModel

    model: Any = None
    for name, folder in folders.items():
        check_name(name)
        verify(folder)
        check_base(folder, base)
        with hushed():
            if model is None:
                model = PeftModel.from_pretrained(base.model, folder, adapter_name=name)
            else:
                model.load_adapter(folder, adapter_name=name)
    return model.eval()


def check_name(name: str) -> None:
    """Raise ConfigError for a name that cannot be an adapter's, to PEFT or to us."""
    if name == BASE:
        raise ConfigError(f"an adapter cannot be called {BASE}", "the model without one is")
    if not re.fullmatch(r"[\w-]+", name):  # a folder's name, and a module's, which has no dots
        raise ConfigError(
            f"{name!r} cannot be the name of an adapter", "use letters, digits, - and _"
        )


@contextmanager
def hushed() -> Iterator[None]:
    """Keep PEFT's idle warnings from the user, and no others."""
    with warnings.catch_warnings():
        for kind, message in IDLE_WARNINGS:
            warnings.filterwarnings("ignore", message, kind)
        yield


def check_base(folder: Path, base: Base) -> None:
    """Raise AdapterError where the adapter was made for another base than this one."""
    check_named_base(folder, base.location)
    _check_shapes(folder, base)


def check_named_base(folder: Path, base: Location) -> None:
    """Raise AdapterError where ``bactrian.json`` names another base; no weights are needed."""
    facts = facts_of(folder)
    if facts is not None and facts.base_fingerprint != base.fingerprint:
        others = "other weights of" if facts.base == base.id else "another base:"
        raise AdapterError(
            f"{folder} was made for {others} {facts.base}, not {base.id}",
            f"name its own base: --base {facts.base}",
        )


def _check_shapes(folder: Path, base: Base) -> None:
    """Hold each A and B against the layer they belong to."""
    from safetensors import safe_open

    modules = dict(base.model.named_modules())
    with safe_open(_weights(folder), framework="pt") as weights:
        for name in weights.keys():  # noqa: SIM118
            place, side = place_of(name)
            if side not in ("lora_A", "lora_B"):
                continue
            sides = _sides(modules.get(place))
            axis = 1 if side == "lora_A" else 0
            size = weights.get_slice(name).get_shape()[axis]
            if sides is None or size != sides[axis]:
                told = _config(folder).get("base_model_name_or_path", "unknown")
                raise AdapterError(
                    f"{folder} does not fit {base.id}: its {place} is "
                    f"{'absent there' if sides is None else 'of another size'}",
                    f"use the base that it was made for: {told}",
                )


def _sides(layer: Any) -> tuple[int, ...] | None:
    """Return (out, in) of a layer, None where it has no weight."""
    if hasattr(layer, "in_features"):  # a quantised weight has another shape than its layer
        return layer.out_features, layer.in_features
    weight = getattr(layer, "weight", None)
    if weight is None:
        return None
    turned = type(layer).__name__ == "Conv1D"  # GPT-2's linear layer
    return tuple(reversed(weight.shape)) if turned else tuple(weight.shape)


def _write(
    model: Any, folder: Path, base: Base, facts: AdapterFacts, beside: Mapping[str, str]
) -> None:
    model.save_pretrained(folder, safe_serialization=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base.id
    config["revision"] = base.location.revision or None
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()  # PEFT writes a set: another order at every save
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    told = orjson.dumps(asdict(facts), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    (folder / "bactrian.json").write_bytes(told)
    for name, text in beside.items():
        (folder / name).write_text(text, encoding="utf-8")


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "adapter_config.json"
    if not path.is_file():
        raise AdapterError(
            f"{folder} is not an adapter folder: it has no adapter_config.json",
            "name a folder that PEFT or bactrian train wrote",
        )
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise AdapterError(f"{path} is not JSON: {error}", "fetch the adapter again") from None
    if not isinstance(config, dict):
        raise AdapterError(f"{path} is not a configuration", "fetch the adapter again")
    return config


def _weights(folder: Path) -> Path:
    path, pickle = folder / WEIGHTS, folder / PICKLE
    if path.is_file():
        return path
    if not pickle.is_file():
        raise AdapterError(f"{folder} has no {WEIGHTS}", "fetch or train the adapter again")
    if holds_nothing(pickle):
        raise AdapterError(
            f"{pickle} is empty ({pickle.stat().st_size} bytes hold no LoRA tensors)",
            "it was saved with a patched state_dict, as alpaca-lora's script does: train it again",
        )
    raise AdapterError(
        f"{pickle} is a pickle, which can run code when it is opened",
        "convert it where you trust it: PeftModel.from_pretrained(…).save_pretrained(…)",
    )


def _check_tensors(folder: Path, tensors: Mapping[str, Any]) -> None:
    import torch

    path = folder / WEIGHTS
    sides = {"lora_A": set[str](), "lora_B": set[str]()}
    alive = False
    for name, tensor in tensors.items():
        place, side = place_of(name)
        if not bool(torch.isfinite(tensor).all()):
            raise AdapterError(
                f"{path}: {name} holds values that are not finite",
                "the training diverged: train again with a lower learning rate",
            )
        alive |= side in BEGIN_AT_ZERO and bool(tensor.any())
        side = side.replace("embedding_", "")
        if side in sides:
            sides[side].add(place)
    if not sides["lora_A"] and not sides["lora_B"]:
        raise AdapterError(
            f"{path} holds no LoRA tensors ({path.stat().st_size} bytes)",
            "it was saved empty: train it again",
        )
    if lonely := sides["lora_A"] ^ sides["lora_B"]:
        raise AdapterError(
            f"{path}: {min(lonely)} has only one of lora_A and lora_B", "fetch the adapter again"
        )
    if not alive:
        raise AdapterError(
            f"{path}: every lora_B is zero, so the adapter does nothing",
            "it was saved before training, or under other names: train it again",
        )

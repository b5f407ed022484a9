"""Reads an adapter folder as changes of the base's parameters; every tensor of it has its use.

Knows PEFT's names and settings, nothing of other adapters and nothing of arithmetic.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from math import sqrt
from pathlib import Path
from typing import Any

from bactrian.errors import AdapterError
from bactrian.models.adapters import WEIGHTS
from bactrian.publish.merge.changes import Change, Get, LowRank, Shift, Tokens, Whole
from bactrian.publish.merge.places import Places

PREFIX = "base_model.model."
COPIES = (".modules_to_save.", ".original_module.")
"""Where PEFT saves an embedding of another size again, beside the one that it reads (0.21)."""
WRAPPERS = (".base_layer.", *COPIES)
"""What PEFT puts into the path of a tensor that stands for the base's own."""
IN_THE_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Ways to begin that change the base's weights as well, which the adapter then needs."""
ELSEWHERE = {
    "layer_replication": "repeats layers of the base",
    "use_qalora": "is quantised (QA-LoRA)",
    "alora_invocation_tokens": "works from a certain token on (aLoRA)",
    "arrow_config": "chooses between adapters at every token (Arrow)",
    "kasa_config": "is of another form than B A (KaSA)",
    "monteclora_config": "is drawn at random (MonteCLoRA)",
    "use_bdlora": "is of another form than B A (BD-LoRA)",
    "target_parameters": "changes experts that lie in one tensor (target_parameters)",
}
"""Settings of PEFT's that a merged weight cannot stand for, or that are not known here."""
TOKENS = "token_adapter.trainable_tokens_delta"
TEXT_TASKS = ("CAUSAL_LM", "SEQ_2_SEQ_LM", None, "")
SIDES = re.compile(
    r"\.(lora_A\.weight|lora_B\.weight|lora_embedding_A|lora_embedding_B|lora_B\.bias"
    r"|lora_magnitude_vector(?:\.weight)?|token_adapter\.trainable_tokens_delta)$"
)


class Tensors:
    """The tensors of one adapter folder and its settings; counts what has found its use."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        from safetensors import safe_open

        self.folder = folder
        self.config = config
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            self.shapes: Mapping[str, tuple[int, ...]] = {
                key: tuple(file.get_slice(key).get_shape())
                for key in file.keys()  # noqa: SIM118
            }
        self._used: Counter[str] = Counter()

    def take(self, key: str) -> Get:
        """Return what reads one tensor when it is needed; the tensor counts as used."""
        self._used[key] += 1

        def get() -> Any:
            from safetensors import safe_open

            with safe_open(self.folder / WEIGHTS, framework="pt") as file:
                return file.get_tensor(key)

        return get

    def check_used(self) -> None:
        """Raise AdapterError naming a tensor that was not used, or not once."""
        wrong = [key for key in self.shapes if self._used[key] != 1]
        if wrong:
            raise AdapterError(
                f"{self.folder}: nothing is known to do with {wrong[0]}",
                "use the adapter beside its base with PEFT",
            )


def open_tensors(folder: Path) -> Tensors:
    """Read settings and shapes.

    Raises AdapterError for an adapter that is no LoRA, is for another task than writing, or does
    what no merged weight can stand for.
    """
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    _check_config(folder, config)
    return Tensors(folder, config)


def changes_of(tensors: Tensors, places: Places) -> dict[str, tuple[Change, ...]]:
    """Return what the adapter does to each parameter of the model, in the order it is done.

    Raises AdapterError for a tensor that has no place in the base, or that nothing is known to do
    with: none is left out in silence.
    """
    layers: dict[str, dict[str, str]] = defaultdict(dict)
    found: dict[str, tuple[Change, ...]] = {}
    for key in sorted(tensors.shapes, key=lambda key: (COPIES[1] in key, COPIES[0] in key)):
        path = key.removeprefix(PREFIX)
        if (side := SIDES.search(path)) is not None:
            layers[_plain(path[: side.start()])][side[1].removesuffix(".weight")] = key
            continue
        parameter = _parameter(tensors, places, _plain(path), key)
        saved = Whole(tensors.take(key), tensors.shapes[key])
        if parameter not in found or not any(copy in key for copy in COPIES):
            found[parameter] = (*found.get(parameter, ()), saved)
    for place, sides in layers.items():
        for parameter, change in _layer(tensors, places, place, sides):
            found[parameter] = (*found.get(parameter, ()), change)
    tensors.check_used()
    return found


def _check_config(folder: Path, config: Mapping[str, Any]) -> None:
    kind = config.get("peft_type")
    if kind != "LORA":
        raise AdapterError(f"{folder} is a {kind} adapter", "only LoRA adapters are merged here")
    if (task := config.get("task_type")) not in TEXT_TASKS:
        raise AdapterError(
            f"{folder} was trained for {task}, not to write text", "name an adapter that writes"
        )
    begun = config.get("init_lora_weights")
    if isinstance(begun, str) and begun.startswith(IN_THE_BASE):
        raise AdapterError(
            f"{folder} began inside the base's weights (init_lora_weights = {begun}) and fits only "
            "a base that was changed with it",
            "save it as a plain LoRA in PEFT: save_pretrained(…, "
            "path_initial_model_for_weight_conversion=…)",
        )
    for setting, told in ELSEWHERE.items():
        if config.get(setting):
            raise AdapterError(
                f"{folder} {told}: no merged weight does the same",
                "use it beside its base with PEFT",
            )


def _plain(path: str) -> str:
    for wrapper in WRAPPERS:
        path = path.replace(wrapper, ".")
    return path.removesuffix(".base_layer")


def _parameter(tensors: Tensors, places: Places, parameter: str, key: str) -> str:
    """Return the parameter as the model calls it; the files' own names are understood too."""
    if parameter in places.names or parameter in places.tied:
        return parameter
    if parameter in places.fused:
        raise AdapterError(
            f"{tensors.folder}: {key} belongs to experts that lie in one tensor here",
            "use the adapter beside its base with PEFT",
        )
    if parameter in places.files:
        return next((one for one, of in places.names.items() if of == parameter), parameter)
    told = tensors.config.get("base_model_name_or_path") or "unknown"
    raise AdapterError(
        f"{tensors.folder}: {key} has no place in the base",
        f"use the base that it was made for: {told}",
    )


def _layer(
    tensors: Tensors, places: Places, place: str, sides: Mapping[str, str]
) -> Iterator[tuple[str, Change]]:
    """Yield the parameters of one layer with their changes."""
    some = next(iter(sides.values()))
    weight = _parameter(tensors, places, f"{place}.weight", some)
    if (rows := sides.get(TOKENS)) is not None:
        yield weight, _tokens(tensors, place, rows)
    embedded = "lora_embedding_A" in sides
    down, up = (sides.get(f"lora_embedding_{x}" if embedded else f"lora_{x}") for x in "AB")
    if down is None or up is None:
        return  # what is left over is told by name
    scale = _scale(tensors, place, tensors.shapes[down])
    length = sides.get("lora_magnitude_vector")
    yield (
        weight,
        LowRank(
            tensors.take(up),
            tensors.take(down),
            scale,
            (tensors.shapes[up][0], tensors.shapes[down][1]),
            None if length is None else tensors.take(length),
            turned=embedded or place in places.turned,
        ),
    )
    if (bias := sides.get("lora_B.bias")) is not None:
        parameter = _parameter(tensors, places, f"{place}.bias", bias)
        yield parameter, Shift(tensors.take(bias), scale, tensors.shapes[bias][0])


def _scale(tensors: Tensors, place: str, down: tuple[int, ...]) -> float:
    """Return alpha / r, or alpha / sqrt(r) of rsLoRA (Kalajdzievski 2023), of this very layer."""
    config = tensors.config
    rank = _of_layer(config.get("rank_pattern"), place, config["r"])
    alpha = _of_layer(config.get("alpha_pattern"), place, config["lora_alpha"])
    if len(down) != 2 or down[0] != rank:
        raise AdapterError(
            f"{tensors.folder}: lora_A of {place} is {list(down)}, its settings say rank {rank}",
            "fetch the adapter again: its two files do not belong together",
        )
    return float(alpha / sqrt(rank) if config.get("use_rslora") else alpha / rank)


def _of_layer(patterns: Mapping[str, float] | None, place: str, otherwise: float) -> float:
    """Return what the first pattern says that the layer's path ends with (PEFT's rule)."""
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", place):
            return value
    return otherwise


def _tokens(tensors: Tensors, place: str, key: str) -> Tokens:
    told = tensors.config.get("trainable_token_indices") or ()
    if isinstance(told, Mapping):
        told = next((rows for name, rows in told.items() if place.endswith(name)), ())
    if len(told) != tensors.shapes[key][0]:
        raise AdapterError(
            f"{tensors.folder}: {key} has {tensors.shapes[key][0]} rows, the settings name "
            f"{len(told)} tokens",
            "fetch the adapter again: its two files do not belong together",
        )
    return Tokens(tuple(map(int, told)), tensors.take(key), tensors.shapes[key][1])

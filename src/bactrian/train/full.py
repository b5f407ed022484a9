"""Full fine-tuning: every weight learns, and what is left is a base of its own.

The weights are kept in float32 while they learn: in bfloat16 an update of less than 1/256 of a
weight is lost. Saved in the base's dtype, verified, put in place whole or not at all. Knows nothing
of losses or steps.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bactrian.errors import AdapterError, ConfigError
from bactrian.events import emit
from bactrian.models.adapters import Verified
from bactrian.models.base import Base, Location, config_of, tokenizer_of
from bactrian.models.checkpointing import checkpointed
from bactrian.models.disk import writing

CONFIG = "config.json"
GENERATION = "generation_config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
SHARD = "5GB"
"""Largest file of weights, as the Hub's own limit for a quick download."""
AGAIN = "train again; the folder was not put in place"

State = Mapping[str, Any]
"""Names to tensors, each name as in the model's own state dict."""


@contextmanager
def with_all(base: Base, *, checkpointing: bool = False) -> Iterator[Any]:
    """Yield the base's model with every weight learning, embeddings and head included, in float32.

    Tied weights are one weight. Unlike after ``with_lora`` the model is another one afterwards:
    what else needs the base has to load it anew. Raises ConfigError for quantised weights.
    """
    model = base.model
    if base.quantize != "none":
        raise ConfigError(
            f'train.adapter = "none" trains every weight, and those of {base.id} are quantised '
            f"({base.quantize})",
            'set train.quantize = "none", or train an adapter',
        )
    if base.dtype != "float32":
        emit(
            "decision",
            text=f"the weights are kept in float32 while all of them learn, and saved in "
            f"{base.dtype}: 16 bytes a parameter with gradient and optimizer",
        )
    model.float().requires_grad_(True)
    try:
        with checkpointed(model, checkpointing):
            yield model
    finally:
        model.requires_grad_(False)
        model.eval()


def parameter_groups(
    model: Any, learning_rate: float, weight_decay: float = 0.0
) -> list[dict[str, Any]]:
    """Return the optimizer's groups: matrices decay, vectors (norms, biases) do not."""
    learning = [weights for weights in model.parameters() if weights.requires_grad]
    matrices = [weights for weights in learning if weights.dim() > 1]
    vectors = [weights for weights in learning if weights.dim() <= 1]
    groups = [(matrices, weight_decay), (vectors, 0.0)]
    return [
        {"params": params, "lr": learning_rate, "weight_decay": decay}
        for params, decay in groups
        if params
    ]


def save(
    base: Base,
    folder: Path,
    beside: Mapping[str, str],
    *,
    state: State | None = None,
    shard: str = SHARD,
) -> Verified:
    """Write the model and its tokenizer as a folder that is a base, verify it, put it in place.

    ``beside`` are further files, name to text: ``bactrian.json``, the card. ``state`` is the whole
    state dict where the model's own is spread over processes (FSDP). Raises AdapterError where what
    was written is not what was trained, RunError for a full disk; nothing is left behind then.
    """
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    kept = _kept(base, base.model.state_dict() if state is None else state)
    try:
        with writing(folder):
            _write(base, unfinished, kept, shard)
            for name, text in beside.items():
                (unfinished / name).write_text(text, encoding="utf-8")
            found = verify(unfinished, base, kept)
            if folder.exists():
                shutil.rmtree(folder)
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return found


def verify(folder: Path, base: Base, state: State) -> Verified:
    """Open every file of weights again and hold it against ``state``; read the tokenizer again.

    Raises AdapterError for names, shapes or values that differ, values that are not finite, an
    index that names other files, and a tokenizer that comes back with another vocabulary.
    """
    from safetensors import SafetensorError, safe_open

    renamed = bool(getattr(base.model, "_weight_conversions", None))  # experts, one by one again
    seen: dict[str, str] = {}
    elements = size = 0
    for path in sorted(folder.glob("*.safetensors")):
        size += path.stat().st_size
        try:
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118
                    tensor = file.get_tensor(name)
                    seen[name] = path.name
                    elements += tensor.numel()
                    _compare(path, name, tensor, None if renamed else state)
        except SafetensorError as error:
            raise AdapterError(f"{path} is damaged: {error}", AGAIN) from None
    _check_index(folder, seen)
    if not renamed and (lost := sorted(state.keys() - seen.keys())):
        raise AdapterError(f"{folder} lacks {lost[0]}", AGAIN)
    if elements != sum(tensor.numel() for tensor in state.values()):
        raise AdapterError(f"{folder} holds {elements} values, not those of the model", AGAIN)
    _check_tokenizer(folder, base)
    return Verified(len(seen), elements, size)


def _kept(base: Base, state: State) -> dict[str, Any]:
    """Return what is written: in the base's dtype, on the CPU, a tied weight once."""
    import torch

    tied = getattr(base.model, "all_tied_weights_keys", None) or {}
    dtype = getattr(torch, base.dtype)
    return {
        name: tensor.detach().to("cpu", dtype if tensor.is_floating_point() else tensor.dtype)
        for name, tensor in state.items()
        if not (name in tied and tied[name] in state)
    }


def _write(base: Base, folder: Path, state: State, shard: str) -> None:
    from transformers import GenerationConfig

    model = base.model
    settings = model.generation_config
    # the base's own settings are copied as they are: transformers writes none that contradict
    # themselves, and those of well-known bases do
    model.generation_config = GenerationConfig()
    try:
        model.save_pretrained(folder, state_dict=dict(state), max_shard_size=shard)
    finally:
        model.generation_config = settings
    theirs = base.location.folder / GENERATION
    if theirs.is_file():
        shutil.copyfile(theirs, folder / GENERATION)
    else:
        (folder / GENERATION).unlink(missing_ok=True)
    path = folder / CONFIG
    config = json.loads(path.read_text(encoding="utf-8"))
    config["dtype"] = base.dtype
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    base.tokenizer.save_pretrained(folder)


def _compare(path: Path, name: str, tensor: Any, state: State | None) -> None:
    """Hold one tensor against the model's; without ``state`` only that it is finite."""
    import torch

    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        raise AdapterError(
            f"{path}: {name} holds values that are not finite",
            "the training diverged: train again with a lower learning rate",
        )
    if state is None:
        return
    if name not in state:
        raise AdapterError(f"{path}: {name} is no weight of the model", AGAIN)
    if tensor.shape != state[name].shape:
        raise AdapterError(f"{path}: {name} has another shape than the model's", AGAIN)
    if not torch.equal(tensor, state[name]):
        raise AdapterError(f"{path}: {name} holds other values than the model", AGAIN)


def _check_index(folder: Path, seen: Mapping[str, str]) -> None:
    index = folder / INDEX
    if not index.is_file():
        if set(seen.values()) != {WEIGHTS}:
            raise AdapterError(f"{folder} has several files of weights and no index", AGAIN)
        return
    if json.loads(index.read_text(encoding="utf-8"))["weight_map"] != seen:
        raise AdapterError(f"{index} does not say where the weights are", AGAIN)


def _check_tokenizer(folder: Path, base: Base) -> None:
    """The folder has to work as a base: its configuration and its tokenizer are read as one's."""
    where = Location(str(folder), folder, "", "")
    config_of(where)
    again = tokenizer_of(where)
    told = (base.tokenizer.get_vocab(), base.tokenizer.eos_token, base.tokenizer.chat_template)
    if (again.get_vocab(), again.eos_token, again.chat_template) != told:
        raise AdapterError(f"the tokenizer in {folder} is not the base's any more", AGAIN)

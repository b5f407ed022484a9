"""Tells what a place holds, and looks at it in its own way."""

from __future__ import annotations

from pathlib import Path

from bactrian.errors import ConfigError
from bactrian.models.adapters import WEIGHTS
from bactrian.publish.verify import adapter, beside, gguf_file, model, state_dict
from bactrian.publish.verify.finding import Finding, Report, fault
from bactrian.publish.verify.gguf_read import MAGIC
from bactrian.publish.weights import INDEX, WHOLE


def verify(place: Path, *, base: str = "", network: bool = False) -> Report:
    """Return everything that is found at a place: an adapter, a model, a GGUF file, a state dict.

    ``base`` is what an adapter is held against, in place of the one that it names. Raises
    ConfigError for a place that does not exist, and where ``base`` cannot be found.
    """
    if place.is_file():
        return _file(place)
    if not place.is_dir():
        raise ConfigError(f"{place} does not exist", "name a folder, or a GGUF file")
    if any((place / name).exists() for name in (adapter.CONFIG, WEIGHTS)):
        return adapter.check(place, base=base, network=network)
    if (place / beside.ADAPTER_PICKLE).is_file():
        return adapter.check(place, base=base, network=network)
    if any((place / name).exists() for name in ("config.json", WHOLE, INDEX)):
        return model.check(place)
    if (place / state_dict.PARAMS).exists():
        return state_dict.check(place)
    return Report(place, "unknown", (_nothing(place),))


def _file(path: Path) -> Report:
    if path.suffix == ".gguf":
        return gguf_file.check(path)
    with path.open("rb") as file:
        if file.read(4) == MAGIC:
            return gguf_file.check(path)
    return Report(
        path, "unknown", (fault("it is no GGUF file", "name the folder that it lies in"),)
    )


def _nothing(folder: Path) -> Finding:
    try:
        inside = sorted(one.parent.name for one in folder.glob(f"*/{adapter.CONFIG}"))
    except OSError:
        inside = []
    if inside:
        return fault(
            f"it is no adapter itself and holds {len(inside)}: {', '.join(inside[:3])}",
            f"name them: bactrian verify {folder}/*",
        )
    return fault(
        "it holds neither an adapter, nor a model, nor a state dict",
        "name a folder with adapter_config.json, config.json or params.json, or a GGUF file",
    )

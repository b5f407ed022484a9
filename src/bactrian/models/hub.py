"""Fetches what a model is made of from the Hub, or finds it where it was put before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bactrian.errors import ConfigError

DESCRIBED = ("*.json", "*.model", "*.jinja", "*.txt")
"""Configuration and tokenizer."""
WEIGHTS = ("*.safetensors", "*.bin")
"""Forms of weights, the better one first; the second only where there is nothing of the first."""


def fetch(base: str, *, network: bool, revision: str = "") -> Path:
    """Return the folder of a Hub id on this machine; its name is the commit.

    ``revision`` is a commit, branch or tag; none named is the newest with ``network``, else the one
    that is here. Raises ConfigError for what is no Hub id, and for what is not there.
    """
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
    )

    try:
        return _snapshot(base, network, revision)
    except HFValidationError:
        raise ConfigError(
            f"base {base} is neither a folder, nor a GGUF file, nor a Hub id",
            "name one of these, or smollm2-135m",
        ) from None
    except (LocalEntryNotFoundError, HfHubHTTPError):
        named = f"{base} at {revision}" if revision else base
        asked = "could not be fetched from the Hub" if network else "is not on this machine"
        raise ConfigError(
            f"base {named} {asked}",
            "check the connection and the id, and log in (hf auth login) where it is gated"
            if network
            else "set network = true in the recipe to fetch it from the Hub, or name a folder",
        ) from None


def _snapshot(base: str, network: bool, revision: str) -> Path:
    from huggingface_hub import snapshot_download

    told: dict[str, Any] = {"revision": revision} if revision else {}
    told["local_files_only"] = not network
    better, other = WEIGHTS
    folder = Path(snapshot_download(base, allow_patterns=[*DESCRIBED, better], **told))
    if any(folder.glob(better)):
        return folder
    return Path(snapshot_download(base, allow_patterns=[*DESCRIBED, other], **told))

"""Rotary positions and their stretching, as keys of a GGUF file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bactrian.errors import ConfigError

FACTORS = "rope_freqs.weight"
"""The tensor that divides the frequencies of LLaMA 3.1 and later, float32 [half a head]."""
KNOWN = ("default", "linear", "yarn", "llama3")
EXTRA = ("attention_factor", "mscale", "mscale_all_dim", "beta_fast", "beta_slow", "truncate")
"""Settings of yarn beyond its two numbers; the values that all readers assume may be named."""
ASSUMED = {"beta_fast": 32, "beta_slow": 1, "truncate": True}


def scaling(config: Any) -> dict[str, Any]:
    """Return the keys of base frequency and stretching; raises ConfigError for an unknown kind."""
    told = _told(config)
    kind = told.get("rope_type", "default")
    if kind not in KNOWN:
        raise ConfigError(
            f"rope_type {kind} is not what llama.cpp computes",
            f"it computes: {', '.join(KNOWN)}; see rope_parameters in config.json of the base",
        )
    if told.get("partial_rotary_factor", 1.0) != 1.0:
        raise ConfigError(
            "partial_rotary_factor turns only a part of each head, which is not written here",
            "name a base that turns whole heads, as all published ones of this family do",
        )
    keys: dict[str, Any] = {"rope.freq_base": float(told["rope_theta"])}
    if kind in ("linear", "yarn"):
        keys |= {"rope.scaling.type": kind, "rope.scaling.factor": float(told["factor"])}
    if kind == "yarn":
        _check_yarn(told)
        trained = told.get("original_max_position_embeddings") or config.max_position_embeddings
        keys["rope.scaling.original_context_length"] = int(trained)
    return keys


def frequency_factors(config: Any, width: int) -> list[float] | None:
    """Return what LLaMA 3.1's stretching divides each frequency by, None for other kinds.

    Long waves are stretched by ``factor``, short ones not at all, those between by a mixture
    (Llama team 2024, as transformers' ``rope_type = llama3`` computes it).
    """
    told = _told(config)
    if told.get("rope_type", "default") != "llama3":
        return None
    factor, trained = told["factor"], told["original_max_position_embeddings"]
    low, high = told["low_freq_factor"], told["high_freq_factor"]
    found = []
    for pair in range(0, width, 2):
        turns = trained / (2 * math.pi * told["rope_theta"] ** (pair / width))
        kept = min(1.0, max(0.0, (turns - low) / (high - low)))
        found.append(1.0 / ((1 - kept) / factor + kept))
    return found


def _told(config: Any) -> Mapping[str, Any]:
    told: Mapping[str, Any] = config.rope_parameters
    return told


def _check_yarn(told: Mapping[str, Any]) -> None:
    odd = [name for name in EXTRA if told.get(name) is not None]
    odd = [name for name in odd if told[name] != ASSUMED.get(name)]
    if odd:
        raise ConfigError(
            f"yarn with {' and '.join(odd)} of its own is not written here",
            "see rope_parameters in config.json of the base",
        )

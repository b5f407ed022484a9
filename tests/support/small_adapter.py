"""Adapter folders made without a model, and the results and the project around them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

RANK, WIDTH = 4, 32
FINGERPRINT = "f00dfeed" * 4


def write_adapter(
    folder: Path,
    *,
    languages: Sequence[str] = ("zh", "km"),
    base: str = "some/base",
    ours: bool = True,
    **facts: Any,
) -> Path:
    """Write a LoRA of q_proj in two layers of width 32; ``facts`` differ in ``bactrian.json``."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True)
    draws = np.random.default_rng(len(folder.name))
    tensors = {}
    for layer in range(2):
        place = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        for side, shape in (("A", (RANK, WIDTH)), ("B", (WIDTH, RANK))):
            values = draws.normal(size=shape).astype(np.float32)
            tensors[f"{place}.lora_{side}.weight"] = values
    save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": RANK,
        "lora_alpha": 8,
        "lora_dropout": 0.1,
        "target_modules": ["q_proj"],
        "bias": "none",
        "inference_mode": True,
    }
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    if ours:
        told = {
            "name": folder.name,
            "languages": list(languages),
            "prompt": "bactrian",
            "base": base,
            "base_revision": "",
            "base_fingerprint": FINGERPRINT,
            "made_from": "abcd" * 8,
            "steps": 12,
            "tokens": 345,
            "seconds": 1.0,
            "losses": dict.fromkeys(languages, 1.25),
            **facts,
        }
        (folder / "bactrian.json").write_text(json.dumps(told), encoding="utf-8")
    return folder


def score(model: str, task: str, language: str, value: float, **told: Any) -> dict[str, Any]:
    """Return one entry of ``scores`` as ``results.json`` has it."""
    metric = told.get("metric", "acc")
    signature = f"task:{task}|lang:{language}|n:100|prompt:native-1|base:f00dfeed|dtype:float32"
    return {
        "model": model,
        "task": task,
        "language": language,
        "metric": metric,
        "value": value,
        "low": value - 0.1,
        "high": value + 0.1,
        "n": 100,
        "signature": signature,
        "higher_is_better": metric != "bits_per_byte",
        **told,
    }


def difference(model: str, task: str, language: str, value: float, **told: Any) -> dict[str, Any]:
    """Return one entry of ``differences``."""
    return {
        "model": model,
        "against": "base",
        "task": task,
        "language": language,
        "metric": "acc",
        "value": value,
        "low": value - 0.02,
        "high": value + 0.02,
        "n": 90,
        "method": "paired bootstrap, 100 draws, seed 0",
        **told,
    }


def write_results(folder: Path, model: str, **more: Any) -> Path:
    """Write ``results.json`` with xcopa in two languages, one average, and held-out rows."""
    folder.mkdir(parents=True, exist_ok=True)
    bits: Mapping[str, Any] = {"metric": "bits_per_byte"}
    told = {
        "bactrian": "0.1.0",
        "base": "some/base",
        "models": ["base", model],
        "scores": [
            *(
                score(name, "xcopa", language, value)
                for name, value in (("base", 0.5), (model, 0.6))
                for language in ("zh", "th")
            ),
            score(model, "xcopa", "zh", 0.1, metric="acc_norm"),
            score("base", "held-out", "zh", 2.0, **bits),
            score(model, "held-out", "zh", 1.5, low=None, high=None, **bits),
        ],
        "averages": [score("base", "xcopa", "macro", 0.5), score(model, "xcopa", "macro", 0.6)],
        "differences": [
            difference(model, "xcopa", "zh", 0.1),
            difference(model, "xcopa", "th", -0.1),
            difference(model, "xcopa", "macro", 0.01),
        ],
        "notes": ["xcopa: 3 of 400 answers were ties"],
        **more,
    }
    (folder / "results.json").write_text(json.dumps(told), encoding="utf-8")
    return folder

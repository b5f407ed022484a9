"""``adapter_config.json``: what PEFT needs in it, and what the installed PEFT makes of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bactrian.publish.verify.finding import Finding, fault, note, ok, some

WRITTEN = frozenset(("auto_mapping", "peft_version"))
"""Keys that PEFT writes beside the fields of its classes."""
BIASES = ("none", "all", "lora_only")
KINDS: Mapping[str, tuple[type, ...]] = {
    "target_modules": (str, list),
    "modules_to_save": (list,),
    "rank_pattern": (dict,),
    "alpha_pattern": (dict,),
    "bias": (str,),
    "task_type": (str,),
    "peft_type": (str,),
    "base_model_name_or_path": (str,),
    "use_dora": (bool,),
    "use_rslora": (bool,),
}
"""What a key's value has to be, where it is not null."""
CAUSAL = ("CAUSAL_LM", "SEQ_2_SEQ_LM", None)


def check(config: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what there is to say of a LoRA's configuration."""
    found = [*_needed(config), *_sensible(config)]
    yield from found
    unknown = sorted(
        key for key, value in config.items() if value and key not in (known_keys() or config)
    )
    if unknown:
        yield note(
            f"PEFT {installed()}, installed here, does not know {some(unknown, 8)} and reads the "
            "adapter without",
            "pip install -U peft; where it was made by a fork, look for what the key changes",
        )
    if not any(one.level == "fault" for one in found):
        yield ok(f"adapter_config.json: LoRA, r {config['r']}, alpha {config['lora_alpha']}")


def sound(config: Mapping[str, Any]) -> tuple[dict[str, Any], list[Finding]]:
    """Return the configuration without values of the wrong kind, and a fault for each of those."""
    kept, found = dict(config), []
    for key, kinds in KINDS.items():
        value = config.get(key)
        parts = value if isinstance(value, list) else ()
        if value is not None and not (
            isinstance(value, kinds) and all(isinstance(part, str) for part in parts)
        ):
            del kept[key]
            words = " or ".join(kind.__name__ for kind in kinds)
            found.append(
                fault(
                    f"adapter_config.json: {key} is {_shortened(value)}",
                    f"write what PEFT takes there: {words}",
                )
            )
    return kept, found


def is_lora(config: Mapping[str, Any]) -> bool:
    """Whether the configuration is of a LoRA, or of nothing that it names."""
    return config.get("peft_type", "LORA") in ("LORA", None)


@lru_cache(maxsize=1)
def known_keys() -> frozenset[str] | None:
    """Return the keys that the installed PEFT reads, without importing it; None without PEFT."""
    spec = find_spec("peft")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    found = set(WRITTEN)
    for path in (root / "config.py", root / "tuners" / "lora" / "config.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name in (
                "PeftConfigMixin", "PeftConfig", "LoraConfig",
            ):  # fmt: skip
                found |= {
                    one.target.id
                    for one in node.body
                    if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
                }
    return frozenset(found)


def installed() -> str:
    """Return the version of the installed PEFT, empty where there is none."""
    try:
        return version("peft")
    except PackageNotFoundError:
        return ""


def _needed(config: Mapping[str, Any]) -> Iterator[Finding]:
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if type(rank) is not int or rank < 1:
        told = "tells no rank" if rank is None else f"tells the rank {rank!r}"
        yield fault(
            f"adapter_config.json {told}",
            'write "r": the first size of the lora_A tensors; without it PEFT takes 8',
        )
    if type(alpha) not in (int, float):
        told = "tells no lora_alpha" if alpha is None else f"tells lora_alpha {alpha!r}"
        yield fault(
            f"adapter_config.json {told}",
            'write "lora_alpha" as in training: it scales the change; without it PEFT takes 8',
        )
    elif not alpha:
        yield fault(
            "lora_alpha is 0, so the adapter does nothing", "write the number it was trained with"
        )
    targets = config.get("target_modules")
    if not (targets or config.get("target_parameters")):
        yield fault(
            "adapter_config.json names no target_modules",
            'write the layers that have tensors, such as ["q_proj", "v_proj"]',
        )


def _sensible(config: Mapping[str, Any]) -> Iterator[Finding]:
    bias = config.get("bias") or "none"
    if bias not in BIASES:
        yield fault(f"bias is {bias!r}", f"write one of {', '.join(BIASES)}")
    if config.get("task_type") not in CAUSAL:
        yield note(
            f"it was made for {config['task_type']}, not to write text",
            "open it with the class of its task: AutoPeftModelFor… of PEFT",
        )


def _shortened(value: Any) -> str:
    told = repr(value)
    return told if len(told) < 60 else f"{told[:60]}…"

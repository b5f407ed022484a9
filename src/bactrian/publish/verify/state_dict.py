"""A state dict in Meta's layout: params.json and consolidated.*.pth, nothing of it run.

The file is a pickle in a zip archive. Its words are read one by one without being obeyed; only
where they do no more than rebuild tensors are the tensors looked at.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from bactrian.publish.verify.finding import Damaged, Finding, Report, counted, fault, ok, some
from bactrian.publish.verify.read import read_object

PARAMS = "params.json"
NEEDED = ("dim", "n_layers", "n_heads", "norm_eps", "multiple_of")
HARMLESS = ("torch._utils _rebuild_tensor_v2", "collections OrderedDict")
LARGEST = 64 << 20
"""Bytes of a pickle that names tensors; a model of 700 has 60 kB."""


def check(folder: Path) -> Report:
    """Return all that is found in a folder with params.json."""
    findings: list[Finding] = []
    try:
        params = read_object(folder / PARAMS)
        if lacking := [key for key in NEEDED if key not in params]:
            findings.append(fault(f"{PARAMS} tells no {lacking[0]}", "export it again"))
    except Damaged as damaged:
        findings.append(damaged.finding)
    files = sorted(folder.glob("consolidated.*.pth"))
    if not files:
        findings.append(fault("it has no consolidated.00.pth", "fetch or export it again"))
    for path in files:
        findings += _file(path)
    if not any(folder.glob("tokenizer*")):
        findings.append(fault("it has no tokenizer", "put the tokenizer of its base beside it"))
    return Report(folder, "state dict", tuple(findings))


def _file(path: Path) -> Iterator[Finding]:
    try:
        with ZipFile(path) as archive:
            names = archive.namelist()
            told = next(
                (one for one in archive.infolist() if one.filename.endswith("data.pkl")), None
            )
            if told is None or told.file_size > LARGEST:
                yield fault(f"{path.name} names no tensors", "fetch or export it again")
                return
            strange = set(_called(archive.read(told))) - set(HARMLESS)
            broken = archive.testzip()
    except (OSError, BadZipFile, ValueError, EOFError, NotImplementedError) as error:
        yield fault(f"{path.name} is damaged: {error}", "fetch or export it again")
        return
    if strange := {one for one in strange if not one.startswith("torch ") or "Storage" not in one}:
        yield fault(
            f"{path.name} is a pickle that does more than name tensors: {some(strange, 3)}. It was "
            "not opened",
            "do not open it; ask its maker for safetensors",
        )
    elif broken:
        yield fault(f"{path.name} is damaged at {broken}", "fetch or export it again")
    else:
        tensors = sum("/data/" in name for name in names)
        yield ok(f"{path.name}: {counted(tensors, 'tensor')}, every check sum right")


def _called(content: bytes) -> Iterator[str]:
    """Yield what a pickle would call, ``module name``; a way to call that tells no name as such."""
    for code, word, _ in pickletools.genops(content):
        if code.name == "GLOBAL":
            yield str(word)
        elif code.name in ("STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"):
            yield code.name

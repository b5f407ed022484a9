"""A LLaMA as Meta published it: ``consolidated.00.pth``, ``params.json`` and the tokenizer.

Weights are read, or merged, one tensor at a time and written at once, so that the largest tensor is
what memory has to hold. What was written is read back and held against where it came from.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from bactrian.errors import ConfigError, RunError
from bactrian.publish import meta_layout, torch_file
from bactrian.publish.exported import NAME, Exported, check_room, placed
from bactrian.publish.exported import write as write_record
from bactrian.publish.meta_layout import Shape
from bactrian.publish.weights import Weights

FILE = "consolidated.00.pth"
PARAMS = "params.json"
SENTENCEPIECE = ("tokenizer.model", "original/tokenizer.model")
"""Where Meta's own tokenizer lies in a folder of transformers."""
FAST = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
SIZES = {"float16": 2, "bfloat16": 2, "float32": 4}
"""Bytes a value."""


@dataclass(frozen=True, slots=True)
class Written:
    """A state dict that was read back and found equal to what it was made of."""

    tensors: int
    parameters: int
    bytes: int
    rounding: float
    """Largest distance of a value from that of base and adapter: the rounding of the dtype."""
    tokenizer: tuple[str, ...]
    """Files of the tokenizer."""

    @property
    def meta_tokenizer(self) -> bool:
        """Whether the tokenizer is a file that Meta's own code reads."""
        return "tokenizer.model" in self.tokenizer


def layout(weights: Weights, folder: Path) -> Shape:
    """Return the numbers of the model that ``folder`` describes, held against its weights.

    Raises ConfigError where its architecture is not Meta's, or a tensor is absent, of another size
    or of no place there.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if getattr(weights, "untied", False):  # an adapter gave the head values of its own
            config["tie_word_embeddings"] = False
        if (rows := getattr(weights, "rows", None)) is not None:  # or brought tokens
            config["vocab_size"] = rows
        shape = meta_layout.shape_of(config)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}", "name a folder in transformers' format"
        ) from None
    meta_layout.check_names(shape, weights.shapes)
    for name, theirs in meta_layout.names(shape).items():
        wanted, found = meta_layout.expected(shape, name), tuple(weights.shapes[theirs])
        if wanted != found:
            raise ConfigError(
                f"{theirs} is {list(found)}, and {path} makes it {list(wanted)}",
                "see whether the files in the folder belong together, or fetch it again",
            )
    return shape


def size(shape: Shape, dtype: str) -> int:
    """Return the bytes that the weights will take."""
    values = sum(prod(meta_layout.expected(shape, name)) for name in meta_layout.names(shape))
    return values * SIZES[dtype]


def export(
    weights: Weights,
    folder: Path,
    place: Path,
    tell: Callable[[Written], Exported],
    *,
    dtype: str = "float16",
    words: Path | None = None,
    overwrite: bool = False,
) -> Written:
    """Write the state dict of ``weights`` to ``place``, whole or not at all, and read it back.

    ``folder`` holds config.json and, unless it lies in ``words``, the tokenizer; ``tell`` makes the
    record of the export. Raises ConfigError as ``layout`` does and for values that the dtype cannot
    hold, RunError for a disk without room and for a file that does not give back what was written.
    """
    shape = layout(weights, folder)
    check_room(place, size(shape, dtype))
    names = meta_layout.names(shape)
    with placed(place, overwrite=overwrite) as unfinished:
        _write(weights, shape, unfinished / FILE, dtype)
        told = json.dumps(meta_layout.params(shape), indent=1) + "\n"
        (unfinished / PARAMS).write_text(told, encoding="utf-8")
        done = Written(
            tensors=len(names),
            parameters=sum(prod(meta_layout.expected(shape, name)) for name in names),
            bytes=(unfinished / FILE).stat().st_size,
            tokenizer=tuple(_tokenizer(words or folder, unfinished)),
            rounding=_compare(weights, shape, unfinished / FILE, dtype),
        )
        write_record(tell(done), unfinished / NAME)
    return done


def _write(weights: Weights, shape: Shape, path: Path, dtype: str) -> None:
    names = meta_layout.names(shape)

    def rounded(name: str) -> Any:
        tensor = meta_layout.to_meta(shape, name, weights.get(names[name]))
        return _rounded(names[name], tensor, dtype)

    shapes = {name: meta_layout.expected(shape, name) for name in names}
    torch_file.write(path, shapes, dtype, rounded)


def _rounded(name: str, tensor: Any, dtype: str) -> Any:
    """Return the tensor in a dtype; raises ConfigError where it cannot hold its values."""
    import torch

    if not bool(torch.isfinite(tensor).all()):
        raise ConfigError(
            f"{name} holds values that are not finite",
            "look at what it was made of: bactrian verify FOLDER",
        )
    rounded = tensor.to(getattr(torch, dtype))
    if not bool(torch.isfinite(rounded).all()):
        raise ConfigError(
            f"{name} holds {float(tensor.abs().max()):.4g}, more than {dtype} can tell",
            "choose --dtype bf16, or f32",
        )
    return rounded


def _tokenizer(folder: Path, place: Path) -> Iterator[str]:
    """Copy the tokenizer and yield the names of its files: Meta's where it is there, else fast."""
    found = next((folder / name for name in SENTENCEPIECE if (folder / name).is_file()), None)
    wanted = (found,) if found else tuple(folder / name for name in FAST)
    for path in wanted:
        if path.is_file():
            shutil.copyfile(path, place / path.name)
            yield path.name


def _compare(weights: Weights, shape: Shape, path: Path, dtype: str) -> float:
    """Return the largest rounding of a value; raises RunError where more than that differs."""
    import torch

    try:
        read: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        raise _not_read_back(str(error).partition("\n")[0]) from error
    names, furthest = meta_layout.names(shape), 0.0
    if read.keys() != names.keys():
        raise _not_read_back("other tensors than were written")
    for name, theirs in names.items():
        origin = weights.get(theirs)
        again = meta_layout.from_meta(shape, name, read[name])
        if not torch.equal(again, origin.to(getattr(torch, dtype))):
            raise _not_read_back(f"{name} is not {theirs}")
        furthest = max(furthest, _distance(again, origin))
    return furthest


def _distance(one: Any, other: Any) -> float:
    """Return the largest difference of two matrices, a few rows at a time: no copy of the whole."""
    step = max(1, (1 << 22) // max(1, one[0].numel()))
    return max(
        float((one[row : row + step].double() - other[row : row + step].double()).abs().max())
        for row in range(0, one.shape[0], step)
    )


def _not_read_back(what: str) -> RunError:
    return RunError(
        f"the state dict was read back and is not what was written: {what}",
        "the disk may be failing: try another place with --to, and report it if it comes again",
    )

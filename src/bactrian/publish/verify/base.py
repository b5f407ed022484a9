"""The base that an adapter was made for: whether it is here, and whether the adapter fits it.

Sizes are read from the headings of the base's files; only where those do not tell (quantised
weights, none here) is the model built without weights. No weight is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from bactrian.errors import BactrianError, ConfigError
from bactrian.models.adapters import AdapterFacts
from bactrian.models.base import Location, locate
from bactrian.publish.verify.finding import Damaged, Finding, counted, fault, note, ok, some
from bactrian.publish.verify.header import read_header
from bactrian.publish.verify.lora import Pair
from bactrian.publish.verify.read import read_object

Size = tuple[int, int]
LONGEST = 100
"""Letters of a name that are shown."""
DEEPEST = 2000
"""Layers, or experts of one; a configuration that tells of more is not built."""
DEEP = (
    "num_hidden_layers",
    "num_layers",
    "num_decoder_layers",
    "n_layer",
    "n_layers",
    "num_experts",
    "num_local_experts",
    "n_routed_experts",
)
Model = TypeVar("Model")


@dataclass(frozen=True, slots=True)
class Known:
    """A base on this machine."""

    location: Location
    config: Mapping[str, Any]

    @property
    def family(self) -> str:
        """Its model_type."""
        return str(self.config.get("model_type", ""))


def find(wanted: str, *, named: bool, network: bool) -> tuple[Known | None, list[Finding]]:
    """Return the base called ``wanted``, or what there is to say where it cannot be had.

    ``named``: by the user, so that not to find it is a fault of theirs and raised; a name that a
    stranger's file gives is looked for only where that costs nothing.
    """
    if not wanted:
        return None, [
            note("it names no base, so nothing says what it fits", "name it: --base BASE")
        ]
    if not named and wanted.endswith(".gguf"):
        return None, [note(f"its base is the file {wanted}", f"name it: --base {wanted}")]
    try:
        location = locate(wanted, network=network)
        return Known(location, read_object(location.folder / "config.json")), []
    except BactrianError as error:
        if named:
            raise
        told = f"its base {wanted} is not here, so it was not held against it"
        return None, [note(told, f"name a copy: --base FOLDER ({error.problem})")]
    except Damaged as damaged:
        return None, [damaged.finding]
    except (OSError, RuntimeError, ValueError):  # no path that a system could have
        shown = wanted if len(wanted) < LONGEST else f"{wanted[:LONGEST]}…"
        if named:
            raise ConfigError(f"{shown} is no base", "name a folder, or an id of the Hub") from None
        return None, [note(f"it names {shown!r} as its base", "name the right one: --base BASE")]


def check(base: Known, facts: AdapterFacts | None, pairs: Mapping[str, Pair]) -> Iterator[Finding]:
    """Yield whether the adapter was made for this base, by its hash, and whether it fits."""
    where = base.location
    wanted = facts.base_fingerprint if facts else ""
    if wanted and wanted != where.fingerprint:
        yield fault(
            f"it was made for other weights than {where.id} has here",
            f"name the base that it was trained on ({facts.base if facts else ''}), or train again",
        )
    try:
        sizes = _sizes(base)
    except Damaged as damaged:
        yield damaged.finding
        return
    absent, other = [], []
    for place, pair in pairs.items():
        size = _size(sizes, place)
        if size is None:
            absent.append(place)
        elif not _fits(pair, size):
            other.append(place)
    if absent:
        yield fault(
            f"{counted(len(absent), 'layer')} absent in {where.id}: {some(absent, 1)}",
            f"use the base that it was made for{_told(facts)}",
        )
    if other:
        yield fault(
            f"{counted(len(other), 'layer')} of another size in {where.id}: {some(other, 1)}",
            f"use the base that it was made for{_told(facts)}",
        )
    if not (absent or other) and (not wanted or wanted == where.fingerprint):
        proof = "same weights, by their hash" if wanted else "same sizes"
        yield ok(f"fits {where.id}: {counted(len(pairs), 'layer')}, {proof}")


def tied(base: Known) -> bool:
    """Whether the head of the base is its embedding."""
    return bool(base.config.get("tie_word_embeddings", False))


def vocabulary(base: Known) -> int | None:
    """Return the rows of the embedding, None where the configuration does not say."""
    rows = base.config.get("vocab_size")
    return rows if isinstance(rows, int) else None


def _told(facts: AdapterFacts | None) -> str:
    return f": --base {facts.base}" if facts else ", as its card says"


def _fits(pair: Pair, size: Size) -> bool:
    """Whether A [rank, in] and B [out, rank] belong to a weight [out, in].

    Those of an embedding [tokens, width] have A [rank, tokens] and B [width, rank].
    """
    told = (
        pair.up.shape[0] if pair.up and pair.up.shape else None,
        pair.down.shape[1] if pair.down and len(pair.down.shape) > 1 else None,
    )
    return any(
        all(one in (None, wanted) for one, wanted in zip(told, way, strict=True))
        for way in (size, size[::-1])
    )


def _size(sizes: Mapping[str, Size], place: str) -> Size | None:
    """Return a weight's size; files may leave out the first part of a path (BLOOM's do)."""
    return sizes.get(place) or sizes.get(place.partition(".")[2]) or _head(sizes, place)


def _head(sizes: Mapping[str, Size], place: str) -> Size | None:
    """Return the embedding's size for a head that is tied to it and in no file."""
    if place.rpartition(".")[2] not in ("lm_head", "embed_out"):
        return None
    ends = ("embed_tokens", "word_embeddings", "wte")
    return next((size for name, size in sizes.items() if name.endswith(ends)), None)


def _sizes(base: Known) -> dict[str, Size]:
    """Return [out, in] of every matrix by the path of its module."""
    files = sorted(base.location.folder.glob("*.safetensors"))
    if not files or base.config.get("quantization_config"):
        return _built(base)
    found = {}
    for path in files:
        for name, entry in read_header(path).items():
            if name.endswith(".weight") and len(entry.shape) == 2:
                found[name.removesuffix(".weight")] = (entry.shape[0], entry.shape[1])
    return found


def buildable(config: Mapping[str, Any]) -> None:
    """Raise Damaged where no model is built: layers without end, or a stranger's code."""
    for key in DEEP:
        count = config.get(key) or 0
        if not isinstance(count, int) or count > DEEPEST:
            raise Damaged(
                f"config.json tells of {count} in {key}", "fetch or export the model again"
            )
    if config.get("auto_map"):
        raise Damaged(
            "config.json asks for code of the folder's own, which was not run",
            "read the code; the model's sizes were not checked without it",
        )


def guarded(build: Callable[[], Model]) -> Model:
    """Return what transformers builds of a stranger's configuration; raises Damaged where not."""
    try:
        return build()
    except BactrianError as error:
        raise Damaged(error.problem, error.hint) from error
    except Exception as error:  # the library meets such numbers with errors of every kind
        told = str(error).strip().partition("\n")[0] or type(error).__name__
        raise Damaged(
            f"config.json describes no model that can be built: {told}",
            "fetch or export the model again",
        ) from error


def _built(base: Known) -> dict[str, Size]:
    """Return the sizes of the model that the configuration describes, built without weights."""
    from bactrian.publish.merge.places import empty_model

    buildable(base.config)
    model, _ = guarded(lambda: empty_model(base.location))
    return {
        path: (int(part.weight.shape[0]), int(part.weight.shape[1]))
        for path, part in model.named_modules()
        if getattr(getattr(part, "weight", None), "dim", lambda: 0)() == 2
    }

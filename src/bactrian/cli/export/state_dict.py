"""``bactrian export state-dict``: a LLaMA as Meta published it, read back and compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bactrian.cli.options import (
    DryRun,
    Json,
    Network,
    Overwrite,
    Prompt,
    need_extra,
    shown,
    telling,
    typed,
)

if TYPE_CHECKING:
    from bactrian.publish.exported import Exported
    from bactrian.publish.opened import Opened
    from bactrian.publish.state_dict import Written
    from bactrian.publish.weights import Weights

DTYPES = {"f16": "float16", "bf16": "bfloat16", "f32": "float32"}


def state_dict(
    place: Annotated[
        Path, typer.Argument(help="Adapter's folder, or a merged one.", show_default=False)
    ],
    to: Annotated[Path, typer.Option("--to", help="The folder to make.", show_default=False)],
    base: Annotated[
        str, typer.Option("--base", help="Where no adapter names it, or it lies elsewhere.")
    ] = "",
    dtype: Annotated[
        Literal["f16", "bf16", "f32"], typer.Option("--dtype", help="f16 is what Meta published.")
    ] = "f16",
    prompt: Prompt = "",
    network: Network = False,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Write consolidated.00.pth and params.json of a LLaMA of any size, in Meta's layout."""
    need_extra("torch", "export state-dict", "train")
    from bactrian.publish import state_dict as states
    from bactrian.publish.opened import open_place

    with telling(as_json):
        opened = open_place(place, base=base, prompt=prompt, network=network)
    weights, folder = opened.weights(), opened.source.base.folder
    if dry_run:
        shape = states.layout(weights, folder)
        needed = states.size(shape, DTYPES[dtype])
        facts = {"to": str(to), "bytes": needed, "dry_run": True}
        size = f"{needed / 1e6:.1f} MB"
        _say(as_json, facts, f"would write {shown(to)}: {shape.layers} layers, {size} in {dtype}")
        return
    done = states.export(
        weights,
        folder,
        to,
        lambda proof: _record(opened, DTYPES[dtype], proof),
        dtype=DTYPES[dtype],
        words=_words(opened, weights),
        overwrite=overwrite,
    )
    _tell(to, dtype, done, as_json)


def _words(opened: Opened, weights: Weights) -> Path | None:
    """Return where the tokenizer lies if not with the base: an adapter may bring tokens."""
    brought = getattr(weights, "rows", None) is not None
    return opened.source.adapters[0].folder if brought else None


def _record(opened: Opened, dtype: str, proof: Written) -> Exported:
    found = {
        "read_back": "every tensor equal to base and adapter, rounded to the dtype",
        "tensors": proof.tensors,
        "largest_rounding": proof.rounding,
    }
    return opened.record("state-dict", dtype, typed(), found)


def _tell(to: Path, dtype: str, done: Written, as_json: bool) -> None:
    from dataclasses import asdict

    size = f"{done.bytes / 1e6:.1f} MB"
    lines = [
        f"{shown(to)}: {done.tensors} tensors, {done.parameters:,} parameters, {size} in {dtype}",
        f"  read back: every tensor is base and adapter, rounded by at most {done.rounding:.2g}",
    ]
    if done.meta_tokenizer:
        lines.append("  tokenizer: tokenizer.model, as Meta's code reads it")
    elif done.tokenizer:
        lines.append(
            f"  note: the base has no tokenizer.model, so {', '.join(done.tokenizer)} lies there: "
            "Meta's own code cannot read it, the library tokenizers can"
        )
    else:
        lines.append("  note: the base has no tokenizer file, and none was written")
    _say(as_json, {"to": str(to), "dtype": dtype, **asdict(done)}, "\n".join(lines))


def _say(as_json: bool, facts: dict[str, Any], words: str) -> None:
    if as_json:
        import orjson

        print(orjson.dumps(facts).decode())
    else:
        print(words)

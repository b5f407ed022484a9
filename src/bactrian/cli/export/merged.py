"""``bactrian export merged``: base and adapters as one model in transformers' format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    from bactrian.publish.merge.folder import Wish
    from bactrian.publish.source import Source


Adapters = Annotated[
    list[str],
    typer.Argument(
        help="PEFT folders; FOLDER=0.5 takes a share of one.",
        metavar="ADAPTER[=SHARE]...",
        show_default=False,
    ),
]
To = Annotated[Path, typer.Option("--to", help="Folder to make.", show_default=False)]
OfBase = Annotated[str, typer.Option("--base", help="Where the adapters do not say it.")]
Dtype = Annotated[
    str, typer.Option("--dtype", help="float32, bfloat16, float16; auto: as the base.")
]
Method = Annotated[
    str, typer.Option("--method", help="Of several adapters: linear, svd, ties, dare.")
]
Density = Annotated[
    float, typer.Option("--density", help="Part of each adapter that ties and dare keep.")
]
Rank = Annotated[
    int, typer.Option("--rank", min=0, help="That svd cuts to; 0 is the adapters' largest.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of dare.")]
Proof = Annotated[
    str, typer.Option("--proof", help="logits, weights, none; auto: logits where memory allows.")
]
Shard = Annotated[
    float, typer.Option("--max-shard", min=0.001, help="GB a file of weights has at most.")
]
Dequantise = Annotated[
    bool, typer.Option("--dequantise", help="Make a quantised base plain first; it is said.")
]


def merged(
    adapters: Adapters,
    to: To,
    base: OfBase = "",
    dtype: Dtype = "auto",
    method: Method = "linear",
    density: Density = 0.5,
    rank: Rank = 0,
    seed: Seed = 0,
    prompt: Prompt = "",
    proof: Proof = "auto",
    shard: Shard = 4.0,
    dequantise: Dequantise = False,
    overwrite: Overwrite = False,
    network: Network = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Merge LoRA adapters into their base, prove it on prompts in many scripts, write a folder."""
    need_extra("peft", "export merged", "train")
    from bactrian.publish.merge.folder import Wish, write_merged
    from bactrian.publish.merge.mix import Mix
    from bactrian.publish.source import open_source

    # words that these do not know are refused by them, with those that they do
    mix = Mix(method, density, rank, seed)  # type: ignore[arg-type]
    wish = Wish(to, mix, dtype, proof, overwrite, typed(), int(shard * 1e9))  # type: ignore[arg-type]
    with telling(as_json):
        source = open_source(_shares(adapters), base=base, prompt=prompt, network=network)
        if dry_run and not (dequantise and _tells_quantised(source, as_json)):
            _foretell(source, wish, as_json)
        if dry_run:
            return
        record = (_from_quantised if dequantise else write_merged)(source, wish)
    _tell(record, wish, as_json)


def _from_quantised(source: Source, wish: Wish) -> Exported:
    from dataclasses import replace

    from bactrian.models.base import config_of
    from bactrian.models.quantize import stored_as
    from bactrian.publish.merge.folder import write_merged
    from bactrian.publish.merge.plain import plain

    kept = stored_as(config_of(source.base))
    with plain(source, wish.place) as made:
        return write_merged(made, replace(wish, dequantised=kept))


def _tells_quantised(source: Source, as_json: bool) -> bool:
    """Say that a quantised base would be made plain, which takes as long as loading it."""
    from bactrian.models.base import config_of
    from bactrian.models.quantize import stored_as

    kept = stored_as(config_of(source.base))
    if not kept:
        return False
    if as_json:
        import orjson

        print(orjson.dumps({"base": source.base.id, "dequantises": kept}).decode())
    else:
        print(f"would make {source.base.id} ({kept}) plain first; the rest is known after that")
    return True


def _shares(told: list[str]) -> dict[Path, float]:
    """Return folder to share of ``FOLDER=0.5``; a folder whose own name has = in it is a folder."""
    from bactrian.errors import ConfigError

    found: dict[Path, float] = {}
    for text in told:
        name, sign, number = text.rpartition("=")
        if not sign or Path(text).is_dir():
            name, number = text, "1"
        try:
            share = float(number)
        except ValueError:
            raise ConfigError(
                f"{text}: {number!r} is no share of an adapter", "write ADAPTER=0.5"
            ) from None
        if Path(name) in found:
            raise ConfigError(f"{name} is named twice", "name it once, with the sum of its shares")
        found[Path(name)] = share
    return found


def _foretell(source: Source, wish: Wish, as_json: bool) -> None:
    """Print what would be written; nothing is."""
    from dataclasses import asdict

    from bactrian.publish.merge.folder import foretell

    told = foretell(source, wish)
    if as_json:
        import orjson

        print(orjson.dumps({"to": str(wish.place), **asdict(told)}).decode())
        return
    names = " + ".join(one.name for one in source.adapters)
    print(f"would merge {names} into {source.base.id} ({told.parameters:,} parameters)")
    print(
        f"would write {told.bytes / 1e9:.2f} GB of {told.dtype} in {told.files} "
        f"{'file' if told.files == 1 else 'files'} to {shown(wish.place)}"
    )
    print(f"would change {told.changed} of {told.tensors} tensors; proof by {told.proof}")
    if told.untied:
        print("would give the head values of its own, which the base shares with the embedding")


def _tell(record: Exported, wish: Wish, as_json: bool) -> None:
    from bactrian.publish.merge.readme import names, proof_line

    if as_json:
        from dataclasses import asdict

        import orjson

        print(orjson.dumps({"to": str(wish.place), **asdict(record)}).decode())
        return
    print(f"merged {names(record)} into {record.base} ({record.dtype}): {shown(wish.place)}")
    print(proof_line(record.proof))

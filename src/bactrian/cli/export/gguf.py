"""``bactrian export gguf``: a file for llama.cpp, proved with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    from bactrian.publish.gguf.export import Done, Forecast
    from bactrian.publish.gguf.proof import Proof

To = Annotated[Path, typer.Option("--to", help="The file to write: NAME.gguf.")]
BaseOption = Annotated[
    str, typer.Option("--base", help="Where no adapter names it, or it lies elsewhere.")
]
NoProof = Annotated[
    bool, typer.Option("--no-proof", help="Do not hold the file against llama.cpp.")
]


def gguf(
    to: To,
    place: Annotated[
        Path | None,
        typer.Argument(help="Adapter's folder, or a merged one.", show_default=False),
    ] = None,
    base: BaseOption = "",
    base_only: Annotated[
        bool, typer.Option("--base-only", help="Write the base without any adapter.")
    ] = False,
    type: Annotated[str, typer.Option("--type", help="f32, f16, bf16, q8_0 or q4_0.")] = "f16",
    prompt: Prompt = "",
    no_proof: NoProof = False,
    network: Network = False,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Write base and adapter as one file for llama.cpp, and prove it there."""
    need_extra("torch", "export gguf", "train")
    need_extra("gguf", "export gguf", "train")
    from bactrian.errors import ConfigError
    from bactrian.publish.gguf.export import Wish, foretell, write_model
    from bactrian.publish.opened import open_place

    if (place is None) != base_only:
        raise ConfigError(
            "a folder and --base-only do not go together" if base_only else "nothing is named",
            "name an adapter's folder or a merged one, or --base-only --base BASE",
        )
    with telling(as_json):
        opened = open_place(place, base=base, prompt=prompt, network=network)
        wish = Wish(to, type, typed(), prove=not no_proof, overwrite=overwrite)
        if dry_run:
            show_forecast(to, foretell(opened, wish), as_json)
            return
        show_done(write_model(opened, wish), as_json)


def show_forecast(to: Path, told: Forecast, as_json: bool) -> None:
    """Print what would be written."""
    from dataclasses import asdict

    if as_json:
        _print_json({"to": str(to), **asdict(told), "dry_run": True})
        return
    vocabulary = f", {told.tokens} tokens" if told.tokens else ""
    size = f"{told.bytes / 1e6:.0f} MB"
    print(f"would write {shown(to)}: {told.type}, {told.tensors} tensors{vocabulary}, {size}")


def show_done(done: Done, as_json: bool) -> None:
    """Print what was written, and what the proof found."""
    from dataclasses import asdict

    if as_json:
        _print_json({**asdict(done), "path": str(done.path)})
        return
    size = f"{done.bytes / 1e6:.1f} MB in {done.seconds:.1f} s"
    print(f"{shown(done.path)}: {done.type}, {done.tensors} tensors, {size}")
    if done.kept_back:
        print(f"  {done.kept_back} matrices stay in f16: their rows are not blocks of 32")
    for line in proof_lines(done.proof):
        print(f"  {line}")
    if done.proof:
        print(f"  proved in {done.proof_seconds:.1f} s by {done.proof.by}")


def proof_lines(found: Proof | None) -> list[str]:
    """Return the proof in words."""
    if found is None:
        return []
    ids = found.ids
    lines = [f"token ids equal on {ids.texts} texts in {ids.languages} languages"]
    lines += [f"note: {note}" for note in ids.notes]
    if (logits := found.logits) is not None:
        allowed = "measured only" if logits.limit is None else f"{logits.limit} allowed"
        lines.append(
            f"log-probabilities at most {logits.largest:.4f} nats from float32 ({allowed}), "
            f"{logits.mean:.4f} on average; divergence {logits.divergence:.2g} nats a token"
        )
        ties = f", {logits.ties} part at a tie" if logits.ties else ""
        lines.append(
            f"greedy answers: {logits.same} of {logits.prompts} prompts the same{ties}, "
            f"{logits.tokens} tokens"
        )
    if found.turn is not None:
        same = "the ids of training" if found.turn else "other ids than training: use whole prompts"
        lines.append(f"chat template: {same}")
    return lines


def _print_json(facts: dict[str, Any]) -> None:
    import orjson

    print(orjson.dumps(facts).decode())

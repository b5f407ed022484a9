"""``bactrian export gguf-adapter``: the LoRA alone, to lay over a base's GGUF file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bactrian.cli.export.gguf import BaseOption, NoProof, To, show_done, show_forecast
from bactrian.cli.options import (
    DryRun,
    Json,
    Network,
    Overwrite,
    Prompt,
    need_extra,
    telling,
    typed,
)


def gguf_adapter(
    adapter: Annotated[Path, typer.Argument(help="Adapter's folder.", show_default=False)],
    to: To,
    base: BaseOption = "",
    type: Annotated[str, typer.Option("--type", help="f16 or f32.")] = "f16",
    over: Annotated[
        Path | None,
        typer.Option("--over", help="GGUF of the base to prove it on; else one is made for that."),
    ] = None,
    prompt: Prompt = "",
    no_proof: NoProof = False,
    network: Network = False,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Write the adapter alone, a few megabytes for llama-server --lora, and prove it there."""
    need_extra("torch", "export gguf-adapter", "train")
    need_extra("gguf", "export gguf-adapter", "train")
    from bactrian.errors import ConfigError
    from bactrian.publish.gguf.export import Wish, foretell_adapter, write_adapter
    from bactrian.publish.opened import open_adapter

    if over is not None and not over.is_file():
        raise ConfigError(f"there is no file {over}", "make it: bactrian export gguf --base-only")
    with telling(as_json):
        opened = open_adapter(adapter, base=base, prompt=prompt, network=network)
        wish = Wish(to, type, typed(), prove=not no_proof, overwrite=overwrite)
        if dry_run:
            show_forecast(to, foretell_adapter(opened, wish), as_json)
            return
        show_done(write_adapter(opened, wish, over), as_json)

"""``bactrian export vllm``: adapters looked at, and the line that serves them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bactrian.cli.options import (
    Json,
    Network,
    Overwrite,
    Prompt,
    need_extra,
    shown,
    telling,
)

if TYPE_CHECKING:
    from bactrian.publish.vllm import Plan


def vllm(
    adapters: Annotated[
        list[Path], typer.Argument(help="Folders of adapters of one base.", show_default=False)
    ],
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Folder to make: chat template, serve.sh, ask.py."),
    ] = None,
    base: Annotated[str, typer.Option("--base", help="Where the adapters do not say it.")] = "",
    prompt: Prompt = "",
    dtype: Annotated[
        str, typer.Option("--dtype", help="For vLLM: auto, bfloat16, float16, float32.")
    ] = "",
    at_once: Annotated[
        int,
        typer.Option("--max-loras", min=0, help="Adapters in one batch; 0: all, up to 8."),
    ] = 0,
    name: Annotated[
        str, typer.Option("--served-model-name", help="What clients call a base from a folder.")
    ] = "",
    network: Network = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Check adapters for vLLM and print the exact line that serves them beside their base."""
    need_extra("torch", "export vllm", "train")
    from bactrian.errors import ConfigError
    from bactrian.models.base import tokenizer_of
    from bactrian.publish.source import open_source
    from bactrian.publish.vllm import TEMPLATE, plan, write

    if len({one.resolve() for one in adapters}) < len(adapters):
        raise ConfigError("an adapter is named twice", "name every folder once")
    shares = dict.fromkeys(adapters, 1.0)
    with telling(as_json):
        source = open_source(shares, base=base, prompt=prompt, network=network)
    tokenizer = tokenizer_of(source.base)
    told = plan(source, tokenizer, dtype=dtype, at_once=at_once, served=name)
    if to is not None:
        write(told, to, overwrite=overwrite)
    template = (to / TEMPLATE).absolute() if to is not None and told.template else None
    if as_json:
        _print_json(told, to, template)
    else:
        _print_words(told, to, template)


def _print_words(told: Plan, to: Path | None, template: Path | None) -> None:
    print(told.line(template))
    for note in told.notes:
        print(f"note: {note}")
    if to is not None:
        print(f"{shown(to)}: serve.sh starts it, ask.py asks it")
    elif told.template:
        print(
            "note: the base has no template of this prompt style: --to DIR writes one, and the "
            "line that uses it; without, ask with finished prompts:"
        )
    print(f"\n{told.question(chat=to is not None)}", end="")


def _print_json(told: Plan, to: Path | None, template: Path | None) -> None:
    import orjson

    facts = {
        "command": [*told.words, *(["--chat-template", str(template)] if template else [])],
        "line": told.line(template),
        "names": told.names,
        "notes": told.notes,
        "ask": told.question(chat=to is not None),
        "to": None if to is None else str(to),
    }
    print(orjson.dumps(facts).decode())

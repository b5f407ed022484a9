"""``bactrian chat``: a page to talk to a base and its adapters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bactrian.cli.options import DryRun, Json, Network, Prompt, need_extra

if TYPE_CHECKING:
    from bactrian.ui.chat import ModelSpeaker


def chat(
    base: Annotated[str, typer.Option("--base", help="Hub id, folder, GGUF file, smollm2-135m.")],
    adapter: Annotated[
        list[Path] | None, typer.Option("--adapter", help="PEFT folder; may be given again.")
    ] = None,
    prompt: Prompt = "",
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="0 takes a free one.")] = 7860,
    token: Annotated[
        str, typer.Option("--token", help="Secret that other machines have to give.")
    ] = "",
    network: Network = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Open a page on this machine: instruction and input in, a streamed answer out."""
    need_extra("torch", "chat", "chat")
    need_extra("gradio", "chat", "chat")
    from bactrian.ui.chat import application
    from bactrian.ui.offline import check_host, serve

    check_host(host, token or None)  # before minutes are spent on loading
    if dry_run:
        _foretell(base, adapter or [], network, as_json)
        return
    speaker = _speaker(base, adapter or [], prompt, network)
    serve(application(speaker), host, port, token=token or None)


def _foretell(base_id: str, folders: list[Path], network: bool, as_json: bool) -> None:
    """Say what would be opened: the base is found and the adapters verified, nothing is loaded."""
    from dataclasses import asdict

    from bactrian.models.adapters import verify
    from bactrian.models.base import locate

    where = locate(base_id, network=network)
    found = {str(folder): asdict(verify(folder)) for folder in folders}
    if as_json:
        import orjson

        told = {"base": base_id, "folder": str(where.folder), "adapters": found}
        print(orjson.dumps(told).decode())
        return
    print(f"would open {base_id} from {where.folder}")
    for name, facts in found.items():
        print(f"with {name}: {facts['tensors']} tensors, {facts['parameters']} parameters")


def _speaker(base_id: str, folders: list[Path], prompt: str, network: bool) -> ModelSpeaker:
    from bactrian.errors import ConfigError
    from bactrian.languages import get
    from bactrian.models import adapters, prompts
    from bactrian.models.base import load
    from bactrian.ui.chat import BASE, ModelSpeaker

    named = {folder.name: folder for folder in folders}
    if len(named) < len(folders):
        raise ConfigError(
            "two adapter folders have the same name", "rename one: they are told apart by name"
        )
    facts = {name: adapters.facts_of(folder) for name, folder in named.items()}
    told = prompts.common(facts.values(), prompt)
    base = load(base_id, network=network)
    style = prompts.style(told, base.tokenizer)
    languages = {
        name: get(found.languages[0])
        for name, found in facts.items()
        if found and len(found.languages) == 1
    }
    model = adapters.attach(base, named) if named else base.model
    names = (*named, BASE) if named else ()
    return ModelSpeaker(base.id, model, base.tokenizer, style, names, languages)

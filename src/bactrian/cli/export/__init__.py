"""``bactrian export``: an adapter in the form that another program opens."""

from __future__ import annotations

import typer

from bactrian.cli.export import gguf, gguf_adapter, merged, state_dict, vllm

app = typer.Typer(
    help="An adapter as others open it: merged, state dict, GGUF, vLLM.", no_args_is_help=True
)
app.command("merged")(merged.merged)
app.command("gguf")(gguf.gguf)
app.command("gguf-adapter")(gguf_adapter.gguf_adapter)
app.command("state-dict")(state_dict.state_dict)
app.command("vllm")(vllm.vllm)

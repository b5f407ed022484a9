"""``bactrian publish``: a folder with an honest card, to look at first and then to send."""

from __future__ import annotations

import typer

from bactrian.cli.publish import adapter, model

app = typer.Typer(help="A folder with a card, looked at first, then sent.", no_args_is_help=True)
app.command("adapter")(adapter.adapter)
app.command("model")(model.model)

"""``bactrian languages``: the table of languages."""

from __future__ import annotations

from typing import Annotated

import typer

from bactrian.cli.options import Json


def languages(
    spec: Annotated[
        str, typer.Argument(help="Codes, all, seen:llama, unseen:bloom, group:indic, every.")
    ] = "every",
    as_json: Json = False,
) -> None:
    """Print the languages with their codes, scripts, and which bases have seen them."""
    from dataclasses import asdict

    from bactrian.languages import every_language, parse

    found = every_language() if spec == "every" else parse(spec)
    if as_json:
        import orjson

        print(orjson.dumps([asdict(language) for language in found]).decode())
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("code", "name", "script", "dir", "spaces", "mBART-50", "FLORES-200"):
        table.add_column(heading, no_wrap=True)
    for heading in ("Google", "group", "LLaMA", "BLOOM", "native"):
        table.add_column(heading, no_wrap=True)
    for language in found:
        table.add_row(
            language.code,
            language.name,
            language.script,
            language.direction,
            "yes" if language.spaces else "no",
            language.mbart50,
            language.flores200,
            language.google,
            language.group,
            "seen" if language.seen_by_llama else "",
            "seen" if language.seen_by_bloom else "",
            language.native,  # last: terminals disagree on how wide these letters are
        )
    console = Console(width=None if _is_wide() else 140)
    console.print(table)
    console.print(f"{len(found)} languages", style="dim")


def _is_wide() -> bool:
    import shutil
    import sys

    return sys.stdout.isatty() and shutil.get_terminal_size().columns >= 130

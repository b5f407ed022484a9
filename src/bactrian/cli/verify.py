"""``bactrian verify``: looks at any adapter, model or GGUF file and says all that it finds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bactrian.cli.options import Json, Network, need_extra, shown

if TYPE_CHECKING:
    from bactrian.publish.verify.finding import Report

FAULTY = 1
"""Exit code where something is wrong."""
JOINERS = "\u200c\u200d"
"""Signs between letters that Persian and the scripts of India are written with."""


def verify(
    places: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of adapters or models, of anybody's; GGUF files.", show_default=False
        ),
    ],
    base: Annotated[
        str, typer.Option("--base", help="Held against this base, not the one that it names.")
    ] = "",
    network: Network = False,
    as_json: Json = False,
) -> None:
    """Look at tensors, base, prompt and who opens it; nothing in it is run. Exit 1 on a fault."""
    need_extra("numpy", "verify", "train")
    from bactrian.publish.verify.look import verify as look

    reports = []
    for place in places:
        reports.append(look(place, base=base, network=network))
        if not as_json:
            _print(reports[-1])
    if as_json:
        import orjson

        print(orjson.dumps({"places": [_facts(one) for one in reports]}).decode())
    if any(one.faults for one in reports):
        raise typer.Exit(FAULTY)


def _facts(report: Report) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "place": str(report.place),
        "kind": report.kind,
        "faults": report.faults,
        "findings": [asdict(one) for one in report.findings],
    }


def _print(report: Report) -> None:
    notes = sum(one.level == "note" for one in report.findings)
    print(f"{shown(report.place)}: {report.kind}")
    for one in report.findings:
        print(f"  {one.level:<5}  {_printable(one.text)}")
        if one.do:
            print(f"         do: {_printable(one.do)}")
    faults = "no fault" if not report.faults else _many(report.faults, "fault")
    print(f"{faults}, {_many(notes, 'note')}\n", flush=True)


def _printable(text: str) -> str:
    """Return the text without signs that steer a terminal, which a stranger's file may hold."""
    return "".join(one if one.isprintable() or one in JOINERS else repr(one)[1:-1] for one in text)


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"

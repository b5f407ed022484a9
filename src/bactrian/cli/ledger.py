"""``bactrian ledger``: what was paid for, brought together and read out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bactrian.cli.options import Json, shown

app = typer.Typer(help="Bring ledgers together, and read them.", no_args_is_help=True)
Into = Annotated[Path, typer.Argument(help="Ledger, or folder of ledgers, that takes all in.")]
Others = Annotated[list[Path], typer.Argument(help="Ledgers, or folders of ledgers, to read.")]


@app.command("merge")
def merge(into: Into, others: Others, as_json: Json = False) -> None:
    """Copy the answers of other ledgers into one; doing it again changes nothing."""
    from dataclasses import asdict

    from bactrian.errors import LedgerError
    from bactrian.files import locked
    from bactrian.ledger.merge import merge as merge_ledgers

    told = {}
    for path, sources in _pairs(into, others).items():
        if not sources:
            raise LedgerError(f"nothing goes into {path}", "name ledgers, or folders of them")
        with locked(path.parent, path.name):
            done = merge_ledgers(path, sources)
        told[str(path)] = {**asdict(done), "known": done.known}
        if not as_json:
            print(
                f"{shown(path)}  {done.read} read: {done.new} new, {done.repeated} paid for twice, "
                f"{done.known} known"
            )
    if as_json:
        import orjson

        print(orjson.dumps(told).decode())


@app.command("show")
def show(
    places: Annotated[list[Path], typer.Argument(help="Ledgers, or folders of ledgers.")],
    as_json: Json = False,
) -> None:
    """Sum up what ledgers hold: answers, what was paid for nothing, tokens, characters, USD."""
    from bactrian.ledger import Ledger

    told = []
    for path in [path for place in places for path in _ledgers(place)]:
        with Ledger(path, read_only=True) as ledger:
            for total in ledger.totals():
                told.append({"ledger": str(path), **total._asdict()})
                if not as_json:
                    print(
                        f"{shown(path)}  {total.kind} by {total.provider}: "
                        f"{total.answers} answers, {total.charges} paid for nothing, "
                        f"{total.tokens_in}+{total.tokens_out} tokens, "
                        f"{total.characters} characters, {total.cost_usd:.4f} USD"
                    )
    if as_json:
        import orjson

        print(orjson.dumps(told).decode())


@app.command("abandon")
def abandon(
    ledger: Annotated[Path, typer.Argument(help="The ledger of one language.")],
    batch: Annotated[str, typer.Argument(help="Name of the batch, as the error says it.")],
) -> None:
    """Forget a batch that was deleted at the provider; its requests are sent, and paid, anew."""
    from bactrian.files import locked
    from bactrian.ledger.batches import abandon as forget

    with locked(ledger.parent, ledger.name):
        forget(ledger, batch)
    print(f"{shown(ledger)}  {batch} is forgotten")


def _pairs(into: Path, others: list[Path]) -> dict[Path, list[Path]]:
    """Return which ledgers go into which: folders by file name, files into the one."""
    sources = [path for place in others for path in _ledgers(place)]
    if into.suffix == ".sqlite" or into.is_file():
        return {into: sources}
    folder = _folder(into)
    return {
        folder / name: [path for path in sources if path.name == name]
        for name in sorted({path.name for path in sources})
    }


def _ledgers(place: Path) -> list[Path]:
    """Return the ledger itself, or those of a folder, of a dataset or of a workspace."""
    from bactrian.errors import LedgerError

    if place.is_file():
        return [place]
    found = sorted(_folder(place).glob("*.sqlite"))
    if not found:
        raise LedgerError(f"{place} holds no ledgers", "name *.sqlite files, or their folder")
    return found


def _folder(place: Path) -> Path:
    """Return where the ledgers lie: of a workspace, of a dataset, or the folder itself."""
    from bactrian.workspace import open_workspace

    if (place / "recipe.toml").is_file():
        return open_workspace(place).dataset / "ledger"
    if any(place.glob("*.sqlite")) or not (place / "ledger").is_dir():
        return place
    return place / "ledger"

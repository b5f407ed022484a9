"""The command line: one verb a file. Heavy packages are imported inside the verbs."""

from __future__ import annotations

import shlex
import sys
import traceback
from collections.abc import Sequence

import typer

from bactrian import __version__
from bactrian.cli import (
    build,
    chat,
    check,
    collect,
    compare,
    demo,
    doctor,
    evaluate,
    export,
    languages,
    ledger,
    plan,
    publish,
    report,
    respond,
    runs,
    status,
    train,
    translate,
    verify,
)
from bactrian.errors import EXIT_INTERRUPTED, BactrianError
from bactrian.files import OUT_OF_SPACE

app = typer.Typer(
    name="bactrian",
    help="English instructions in, evaluated multilingual LoRA adapters out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
WORK = "The road, in order"
LOOK = "Around it"
app.command("demo", rich_help_panel=WORK)(demo.demo)
app.command("collect", rich_help_panel=WORK)(collect.collect)
app.command("translate", rich_help_panel=WORK)(translate.translate)
app.command("respond", rich_help_panel=WORK)(respond.respond)
app.command("check", rich_help_panel=WORK)(check.check)
app.command("build", rich_help_panel=WORK)(build.build)
app.command("train", rich_help_panel=WORK)(train.train)
app.command("eval", rich_help_panel=WORK)(evaluate.evaluate)
app.command("compare", rich_help_panel=WORK)(compare.compare)
app.command("report", rich_help_panel=WORK)(report.report)
app.command("chat", rich_help_panel=WORK)(chat.chat)
app.add_typer(export.app, name="export", rich_help_panel=WORK)
app.command("plan", rich_help_panel=LOOK)(plan.plan)
app.command("status", rich_help_panel=LOOK)(status.status)
app.add_typer(publish.app, name="publish", rich_help_panel=WORK)
app.add_typer(ledger.app, name="ledger", rich_help_panel=LOOK)
app.command("languages", rich_help_panel=LOOK)(languages.languages)
app.command("verify", rich_help_panel=LOOK)(verify.verify)
app.command("runs", rich_help_panel=LOOK)(runs.runs)
app.command("doctor", rich_help_panel=LOOK)(doctor.doctor)


@app.callback(invoke_without_command=True)
def _version(
    version: bool = typer.Option(False, "--version", help="Print the version and end."),
) -> None:
    if version:
        typer.echo(f"bactrian {__version__}")
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb; a problem of the user's is two lines on stderr and an exit code."""
    try:
        app(args=list(arguments) if arguments is not None else None)
    except BactrianError as error:
        _end(error.problem, error.hint, error.exit_code)
    except SystemExit as end:
        if end.code != EXIT_INTERRUPTED:  # what typer makes of Ctrl-C
            raise
        again = shlex.join(["bactrian", *sys.argv[1:]])
        _end("interrupted; what is finished is kept", f"to go on: {again}", EXIT_INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone; nobody is left to tell
        sys.exit(EXIT_INTERRUPTED)
    except OSError as error:
        if error.errno not in OUT_OF_SPACE:
            raise
        where = error.filename or "the disk"
        _end(f"no space left on {where}", "free some space and run the same command again", 8)
    except Exception:
        traceback.print_exc()
        _end(
            "this is a bug in bactrian",
            "please report it with the lines above; no work is lost",
            70,
        )


def _end(problem: str, hint: str, code: int) -> None:
    sys.stdout.flush()
    sys.stderr.write(f"error: {problem}\nhint: {hint}\n")
    sys.exit(code)

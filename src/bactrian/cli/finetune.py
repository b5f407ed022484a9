"""``python finetune.py``: the original's command; its flags fill a recipe for the engine.

The recipe is printed, the rows become a dataset without any provider, one adapter is trained and
laid into --output_dir. Under torchrun the first process makes the data and the others wait for it.
"""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bactrian.cli.options import need_extra, shown
from bactrian.cli.original.flags import Given, read
from bactrian.errors import EXIT_INTERRUPTED, BactrianError, DataError
from bactrian.files import OUT_OF_SPACE
from bactrian.train.processes import processes

if TYPE_CHECKING:
    from bactrian.cli.original.meaning import Told
    from bactrian.train.run import Trained
    from bactrian.workspace import Workspace

COMMAND = "finetune.py"
MADE = "bactrian-data"
"""Key under which the first process tells the others that the data is there, or is not."""
WAIT_DAYS = 7
"""As long as the others wait for the data."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a problem of the user's is two lines on stderr and an exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        finetune(words)
    except BactrianError as error:
        _end(error.problem, error.hint, error.exit_code)
    except KeyboardInterrupt:
        again = shlex.join(["python", COMMAND, *words])
        _end("interrupted; what is finished is kept", f"to go on: {again}", EXIT_INTERRUPTED)
    except OSError as error:
        if error.errno not in OUT_OF_SPACE:
            raise
        where = error.filename or "the disk"
        _end(f"no space left on {where}", "free some space and run the same command again", 8)
    except Exception:
        traceback.print_exc()
        said = "please report it with the lines above; no work is lost"
        _end("this is a bug in bactrian", said, 70)


def finetune(words: Sequence[str]) -> None:
    """Do what the flags say; finished work is recognised.

    Raises BactrianError for everything that a user can mend.
    """
    given = read(words)
    from bactrian.cli.original.lay import must_be_free
    from bactrian.cli.original.meaning import resolve
    from bactrian.files import locked

    told = resolve(given)
    first = processes().main
    if first:
        _tell(given, told)
    must_be_free(told.output, told.work)
    need_extra("torch", "training", "train")
    os.environ.update(told.environment)
    if not first:
        _after_the_first(lambda: None)
        _train(_opened(told))
        return
    with locked(told.work), _at_work(told, words, dry_run=bool(given["dry_run"])) as workspace:
        if given["dry_run"]:
            _foretell(told, workspace)
            return
        _after_the_first(lambda: _dataset(told, workspace))
        _lay(told, _train(workspace))


def _tell(given: Given, told: Told) -> None:
    """Print what became of each flag, and the recipe."""
    import json

    from bactrian.cli.original.meaning import typed

    for setting in told.settings:
        value = json.dumps(setting.value, ensure_ascii=False)
        became = f"{setting.key} = {value}" if setting.key else "no setting"
        default = "" if setting.flag in given or setting.flag in given.idle else " (default)"
        why = f"  # {setting.why}" if setting.why else ""
        print(f"{typed(given, setting) + default:<52} {became}{why}")
    for override in given["set"] or ():
        print(f"{f'--set {override}':<52} {override}")
    print(f"\n{_shown_recipe(told)}", flush=True)


def _shown_recipe(told: Told) -> str:
    """Return the parts of the recipe that count here, every default of [train] filled in."""
    import tomli_w

    whole = told.recipe.model_dump(mode="json", exclude_none=True)
    sources = told.recipe.model_dump(mode="json", include={"sources"}, exclude_defaults=True)
    top = ("name", "languages", "seed", "network")
    kept = {**{key: whole[key] for key in top}, **sources}
    kept["check"] = {"names": whole["check"]["names"]}
    return tomli_w.dumps({**kept, "build": whole["build"], "train": whole["train"]})


@contextmanager
def _at_work(told: Told, words: Sequence[str], *, dry_run: bool) -> Iterator[Workspace]:
    """Open the workspace with events shown and, unless it is a dry run, a run directory."""
    from bactrian import events, runs
    from bactrian.cli.terminal import reader

    workspace = _opened(told)
    with reader() as terminal, events.reading(terminal):
        if dry_run:
            yield workspace
            return
        command = ["python", COMMAND, *words]
        with runs.run(workspace.runs, "finetune", workspace.recipe, command):
            yield workspace


def _opened(told: Told) -> Workspace:
    """Return the workspace in the work folder; the first process writes its recipe."""
    from bactrian.files import write_text
    from bactrian.recipe import dumps
    from bactrian.workspace import Workspace

    if processes().main:
        files = {"recipe.toml": dumps(told.recipe)}
        if told.style.text:
            files[told.style.prompt] = told.style.text
        for name, text in files.items():
            path = told.work / name
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                write_text(path, text)
    return Workspace(told.work, told.recipe, told.work)


def _dataset(told: Told, workspace: Workspace) -> None:
    """Collect the rows, look at them, split them by id; what is done is recognised."""
    from bactrian.data.build import build
    from bactrian.data.collect import collect
    from bactrian.data.own import own_rows

    collected = collect(workspace)
    codes = {language.code for language in workspace.languages}
    for code, rows in collected.languages.items():
        if rows and code not in codes:
            print(f"{rows} rows in {code} are left out: --lang does not name it", flush=True)
    for language in workspace.languages:
        own_rows(workspace, language)
    try:
        built = build(workspace, workspace.languages)
    except DataError as error:
        if not error.problem.startswith("build.validation"):
            raise
        problem = error.problem.replace("build.validation =", "--val_set_size", 1)
        raise DataError(problem, "set --val_set_size lower, or give it more rows") from None
    for count in built.counts:
        print(
            f"{count.language}  {count.train} train, {count.validation} validation, "
            f"{count.rejected} rejected",
            flush=True,
        )


def _train(workspace: Workspace) -> Trained:
    from bactrian.train.run import train

    (name,) = workspace.adapters()
    return train(workspace, name)


def _lay(told: Told, done: Trained) -> None:
    from bactrian.cli.original.lay import lay
    from bactrian.cli.terminal import duration

    lay(done.folder, told.output, told.work)
    losses = "  ".join(f"{code} {loss:.3f}" for code, loss in done.facts.losses.items())
    took = duration(done.facts.seconds) if done.fresh else "done before"
    print(f"{done.name}  loss {losses}  {took}  {shown(told.output)}")
    train, where = told.recipe.train, shown(told.output)
    chosen = (
        f"--base {where}" if train.adapter == "none" else f"--base {train.base} --adapter {where}"
    )
    print(f"talk to it: bactrian chat {chosen}", flush=True)


def _foretell(told: Told, workspace: Workspace) -> None:
    """Say what the training would do; rows on the Hub are not fetched for that."""
    from bactrian.train.forecast import forecast

    (name,) = workspace.adapters()
    there = all(workspace.split(one.code, "train").is_file() for one in workspace.languages)
    if told.places.hub and not there:
        print(f"would fetch {len(told.places.sources)} languages from the Hub, then train {name}")
        return
    if not told.places.hub:
        _dataset(told, workspace)
    plan = forecast(workspace, name)
    print(
        f"{name}  would train on {plan.rows} rows in {', '.join(plan.languages)}: "
        f"{plan.steps} steps, {plan.tokens} tokens, {plan.padding_share:.0%} padding"
    )
    for counts, what in ((plan.shortened, "shortened"), (plan.too_long, "left out")):
        for code, count in counts.items():
            print(f"{code}  {count} rows too long: {what}", flush=True)


def _after_the_first(make: Callable[[], None]) -> None:
    """Let the first process do what all need; the others wait for it, and end if it fails."""
    found = processes()
    if found.world == 1:
        make()
        return
    store, key = _store()
    if found.main:
        try:
            make()
        except BaseException:
            store.set(key, "no")
            raise
        store.set(key, "yes")
        return
    from datetime import timedelta

    store.wait([key], timedelta(days=WAIT_DAYS))
    if store.get(key) != b"yes":
        sys.exit(1)  # the first process has said why


def _store() -> tuple[Any, str]:
    """Return what torchrun's processes share, and a key that each of its restarts has anew."""
    from torch.distributed import rendezvous

    store, _, _ = next(rendezvous("env://"))
    return store, f"{MADE}-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"


def _end(problem: str, hint: str, code: int) -> None:
    sys.stdout.flush()
    sys.stderr.write(f"error: {problem}\nhint: {hint}\n")
    sys.exit(code)

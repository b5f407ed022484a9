"""``bactrian demo``: the whole road on real data, offline, in minutes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

import typer

from bactrian.cli.options import Set, need_extra, shown

RECIPE = Path("recipes") / "demo.toml"


def demo(
    folder: Annotated[Path, typer.Option("--folder", help="Where everything is made.")] = Path(
        "bactrian-demo"
    ),
    recipe: Annotated[
        Path | None, typer.Option("--recipe", help="Another recipe than the repository's.")
    ] = None,
    overrides: Set = None,
) -> None:
    """Instructions in, an evaluated multilingual adapter and a report out; no network, no key.

    Finished steps are recognised; killed and started again, it goes on where it was.
    """
    for package, extra in (("torch", "train"), ("matplotlib", "report")):
        need_extra(package, "the demo", extra)
    from bactrian import __version__, events, runs
    from bactrian.cli.terminal import reader
    from bactrian.files import locked

    workspace = _workspace(folder, recipe or _recipe(), tuple(overrides or ()))
    with (
        locked(folder),
        reader() as terminal,
        events.reading(terminal),
        runs.run(workspace.runs, "demo", workspace.recipe, ["bactrian", *sys.argv[1:]]),
    ):
        print(f"bactrian {__version__} · offline · everything is in {shown(folder)}", flush=True)
        _walk(workspace)


def _walk(workspace: Any) -> None:
    started = time.monotonic()
    base = _base(workspace)
    steps: list[tuple[str, Callable[[Any], str]]] = [
        ("sources", _sources),
        ("translate", _translate),
        ("respond", _respond),
        ("check", _check),
        ("dataset", _build),
        ("train", partial(_train, base=base)),
        ("evaluate", partial(_evaluate, base=base)),
        ("report", _report),
    ]
    for number, (name, step) in enumerate(steps, start=1):
        begun = time.monotonic()
        said = step(workspace)
        seconds = time.monotonic() - begun
        print(f"{number} {name:10} {said}  ({seconds:.0f} s)", flush=True)
    print(f"done in {time.monotonic() - started:.0f} s", flush=True)
    names = " ".join(f"--adapter {shown(workspace.adapter(name))}" for name in workspace.adapters())
    print(f"talk to it: bactrian chat --base {workspace.recipe.train.base} {names}")


def _sources(workspace: Any) -> str:
    from bactrian.data.collect import collect

    done = collect(workspace)
    return f"{done.rows} English instructions  {shown(done.path)}"


def _translate(workspace: Any) -> str:
    from bactrian.data.ask import ask
    from bactrian.data.providers import engage
    from bactrian.data.translate import translating

    using = engage("translate", workspace)
    done = {lang.code: ask(translating(workspace, lang, using)) for lang in workspace.languages}
    return _asked(done, "translated") + shown(workspace.dataset / "ledger")


def _respond(workspace: Any) -> str:
    from bactrian.data.ask import ask
    from bactrian.data.providers import engage
    from bactrian.data.respond import responding

    using = engage("respond", workspace)
    done = {lang.code: ask(responding(workspace, lang, using)) for lang in workspace.languages}
    return _asked(done, "answered") + shown(workspace.dataset / "ledger")


def _asked(done: dict[str, Any], what: str) -> str:
    parts = ", ".join(f"{code} {asked.answered}" for code, asked in done.items())
    missing = sum(asked.missing for asked in done.values())
    return f"{what}: {parts}" + (f"; {missing} missing" if missing else "") + "  "


def _check(workspace: Any) -> str:
    from bactrian.data.check import check_rows

    parts = []
    for language in workspace.languages:
        done = check_rows(workspace, language)
        why = ", ".join(f"{name} {count}" for name, count in sorted(done.reasons.items()))
        parts.append(f"{language.code} {done.kept} kept" + (f" ({why})" if why else ""))
    return f"{', '.join(parts)}  {shown(workspace.dataset / 'stages' / 'checked')}"


def _build(workspace: Any) -> str:
    from bactrian.data.build import build

    built = build(workspace, workspace.languages)
    counts = ", ".join(f"{c.language} {c.train}+{c.validation}" for c in built.counts)
    return f"train+validation {counts}  {shown(built.path)}"


def _base(workspace: Any) -> Callable[[], Any]:
    """Return what loads the base when it is first needed: once for all that needs it."""

    def load_once() -> Any:
        from bactrian.models.base import load

        return load(workspace.recipe.train.base, network=workspace.recipe.network)

    return cache(load_once)


def _train(workspace: Any, base: Callable[[], Any]) -> str:
    from bactrian.train.run import train

    parts = []
    for name in workspace.adapters():
        done = train(workspace, name, base)
        losses = " ".join(f"{code} {loss:.2f}" for code, loss in done.facts.losses.items())
        parts.append(f"{name} (loss {losses}) {shown(done.folder)}")
    return ", ".join(parts)


def _evaluate(workspace: Any, base: Callable[[], Any]) -> str:
    from bactrian.evaluate.run import evaluate

    done = evaluate(workspace, list(workspace.adapters()), base)
    clear = [one for one in done.results.differences if one.better]
    return (
        f"{len(done.results.scores)} numbers, {len(clear)} of "
        f"{len(done.results.differences)} differences better beyond the noise  {shown(done.path)}"
    )


def _report(workspace: Any) -> str:
    from bactrian.evaluate.gather import gather
    from bactrian.evaluate.report import write
    from bactrian.evaluate.report.drilldown import with_evidence

    return shown(write(with_evidence(gather(workspace), workspace), workspace.results).html)


def _recipe() -> Path:
    from bactrian.errors import ConfigError

    checkout = Path(__file__).resolve().parents[3]
    for folder in (Path.cwd(), checkout):
        if (folder / RECIPE).is_file():
            return folder / RECIPE
    raise ConfigError(
        f"{RECIPE} is not here: the demo's data are in the repository, not in the package",
        "run it in a clone of bactrian, or name a recipe with --recipe",
    )


def _workspace(folder: Path, recipe: Path, overrides: tuple[str, ...]) -> Any:
    """Return a workspace whose recipe lies in its folder, with the paths it names made whole."""
    from bactrian.files import write_text
    from bactrian.recipe import dumps, load
    from bactrian.workspace import open_workspace

    told = load(recipe, overrides)
    here = recipe.resolve().parent

    def whole(path: str) -> str:
        return str((here / path).resolve()) if path else path

    resolved = told.model_copy(
        update={
            "sources": {
                name: source.model_copy(update={"files": tuple(map(whole, source.files))})
                for name, source in told.sources.items()
            },
            "translate": told.translate.model_copy(
                update={"recording": whole(told.translate.recording)}
            ),
            "respond": told.respond.model_copy(update={"recording": whole(told.respond.recording)}),
            "train": told.train.model_copy(
                update={"prompt": whole(told.train.prompt)}
                if told.train.prompt.endswith(".toml")
                else {}
            ),
            "eval": told.eval.model_copy(
                update={"data": {name: whole(path) for name, path in told.eval.data.items()}}
            ),
        }
    )
    path = folder / "recipe.toml"
    text = dumps(resolved)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)
    return open_workspace(folder)

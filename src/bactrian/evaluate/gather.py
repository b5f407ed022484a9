"""Collects what a report shows from what the stages left on disk; computes nothing anew."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator

from bactrian import table
from bactrian.errors import DataError
from bactrian.evaluate import results as reading
from bactrian.evaluate.report import (
    AdapterFacts,
    Answer,
    Command,
    Curve,
    DataFacts,
    LanguageLabel,
    Place,
    Point,
    Reason,
    Report,
    Sample,
)
from bactrian.evaluate.report.drilldown import with_averages
from bactrian.evaluate.results import Results
from bactrian.languages import Language, get
from bactrian.models import adapters
from bactrian.workspace import Workspace

MISSING = "missing"


def gather(workspace: Workspace) -> Report:
    """Return the content of the report; raises DataError where nothing is evaluated yet."""
    path = workspace.results / "results.json"
    if not path.is_file():
        raise DataError(f"{path} does not exist", "run bactrian eval on this folder first")
    results = reading.read(path)
    names = [name for name in results.models if name != reading.BASE]
    codes = dict.fromkeys(
        [language.code for language in workspace.languages]
        + [score.language for score in results.scores]
    )
    content = Report(
        title=f"bactrian: {workspace.recipe.name}",
        date=time.strftime("%Y-%m-%d", time.localtime(path.stat().st_mtime)),
        summary=_summary(workspace, results, names),
        base=results.base,
        languages=tuple(_label(get(code)) for code in codes),
        adapters=tuple(_adapters(workspace, names)),
        data=tuple(_data(workspace)),
        curves=tuple(curve for name in names for curve in _curves(workspace, name)),
        scores=results.scores,
        differences=results.differences,
        samples=tuple(_samples(workspace)),
        commands=_commands(workspace, names),
        places=_places(workspace, names),
        notes=results.notes,
    )
    return with_averages(content, workspace)


def _summary(workspace: Workspace, results: Results, names: list[str]) -> str:
    recipe = workspace.recipe
    made = [one for one in workspace.languages if table.info(workspace.split(one.code, "train"))]
    if not made:  # somebody else's adapters, on benchmarks alone
        return f"{results.base} and {len(names)} adapters were measured on the same items."
    return (
        f"English instructions were translated into {', '.join(one.name for one in made)} by "
        f"{recipe.translate.using}:{recipe.translate.model} and answered by "
        f"{recipe.respond.using}:{recipe.respond.model}; the rows were checked, and what passed "
        f"trained {len(names)} LoRA adapter{'s' if len(names) != 1 else ''} on {results.base}. "
        "Base and adapters were then measured on the same items."
    )


def _label(language: Language) -> LanguageLabel:
    return LanguageLabel(
        language.code, language.name, "rtl" if language.direction == "rtl" else "ltr"
    )


def _adapters(workspace: Workspace, names: list[str]) -> Iterator[AdapterFacts]:
    for name in names:
        folder = workspace.adapter(name)
        facts = adapters.facts_of(folder)
        if facts is not None:
            parameters = adapters.verify(folder).parameters
            yield AdapterFacts(
                name, facts.languages, parameters, facts.steps, facts.tokens, facts.seconds
            )


def _data(workspace: Workspace) -> Iterator[DataFacts]:
    for language in workspace.languages:
        paths = [workspace.stage(s, language.code) for s in ("translated", "answered", "checked")]
        translated, answered, checked = map(table.info, paths)
        splits = [
            table.info(workspace.split(language.code, split)) for split in ("train", "validation")
        ]
        if not (translated and answered and checked):
            continue  # a dataset that was made elsewhere has no stages to tell of
        missing = checked.facts["reasons"].get(MISSING, 0)
        rejected = checked.facts["rejected"] - missing
        yield DataFacts(
            language=language.code,
            sources=checked.rows,
            translated=translated.rows - translated.facts["missing"],
            answered=answered.rows - answered.facts["missing"],
            kept=checked.rows - checked.facts["rejected"],
            rejected=rejected,
            missing=missing,
            train=splits[0].rows if splits[0] else 0,
            validation=splits[1].rows if splits[1] else 0,
            reasons=tuple(
                Reason(check, rows)
                for check, rows in sorted(checked.facts["reasons"].items())
                if check != MISSING
            ),
        )


def _curves(workspace: Workspace, name: str) -> Iterator[Curve]:
    path = workspace.adapter(name) / "training.json"
    facts = adapters.facts_of(workspace.adapter(name))
    if facts is None or not path.is_file():
        return
    history = json.loads(path.read_text(encoding="utf-8"))
    for code in facts.languages:
        training, validation = (
            tuple(
                Point(int(entry["step"]), entry[f"{kind}_{code}"])
                for entry in history
                if f"{kind}_{code}" in entry
            )
            for kind in ("loss", "validation")
        )
        yield Curve(name, code, training, validation)


def _samples(workspace: Workspace) -> Iterator[Sample]:
    path, limit = workspace.results / "answers.json", workspace.recipe.limit
    shown = Counter[str]()
    for told in json.loads(path.read_text(encoding="utf-8")) if path.is_file() else ():
        shown[told["language"]] += 1
        if limit and shown[told["language"]] > limit:
            continue
        answers = tuple(Answer(**answer) for answer in told.pop("answers"))
        yield Sample(**told, answers=answers)


def _commands(workspace: Workspace, names: list[str]) -> tuple[Command, ...]:
    root = workspace.root
    talk = f"bactrian chat --base {workspace.recipe.train.base}"
    talk += "".join(f" --adapter {workspace.adapter(name)}" for name in names)
    return (
        Command("train the adapters again", f"bactrian train {root}"),
        Command("measure again (what is scored is not scored twice)", f"bactrian eval {root}"),
        Command("make this page again", f"bactrian report {root}"),
        Command("talk to the adapters", talk),
    )


def _places(workspace: Workspace, names: list[str]) -> tuple[Place, ...]:
    return (
        Place("dataset", str(workspace.dataset)),
        *(Place(f"adapter {name}", str(workspace.adapter(name))) for name in names),
        Place("every number", str(workspace.results / "results.json")),
        Place("every answer", str(workspace.results / "items.parquet")),
        Place("every log-likelihood", str(workspace.results / "scores.sqlite")),
        Place("every table, as LaTeX and CSV", str(workspace.results / "tables")),
        Place("lm-evaluation-harness's format", str(workspace.results / "lm_eval")),
    )

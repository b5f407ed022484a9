"""What the report says, in order: sections of prose, tables and charts. Knows no HTML, no Markdown.

Both pages are made from these sections, so they cannot say different things.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

from bactrian.evaluate.report.blocks import (
    Block,
    Cell,
    Column,
    Commands,
    Findings,
    Picture,
    Points,
    Prose,
    Samples,
    Section,
    Table,
)
from bactrian.evaluate.report.content import Curve, DataFacts, Report
from bactrian.evaluate.report.words import (
    MARKS,
    READINGS,
    conclusions,
    duration,
    metric_of,
    outcome,
    plain,
    signed,
    span,
    task_name,
)
from bactrian.schema import Difference, Score

Number = TypeVar("Number", Difference, Score)


def sections(report: Report) -> tuple[Section, ...]:
    """Return the sections that have something to say, the verdict first."""
    all_of_them = (
        Section("verdict", "The verdict", (Findings(conclusions(report)),)),
        Section("done", "What was done", tuple(_paragraphs(report.summary))),
        Section("differences", "Differences between models", tuple(_differences(report))),
        Section("scores", "Scores", tuple(_scores(report))),
        Section("answers", "What the models answer", tuple(_answers(report))),
        Section("loss", "Loss while training", tuple(_loss(report))),
        Section("data", "The data, row by row", tuple(_data(report))),
        Section("adapters", "The adapters", tuple(_adapters(report))),
        Section("reading", "How to read this", tuple(_reading(report))),
        Section("protocol", "Protocol", tuple(_protocol(report))),
        Section("commands", "Do it again", tuple(_commands(report))),
        Section("files", "Where the files are", tuple(_places(report))),
        Section("notes", "Notes", tuple(_notes(report))),
    )
    return tuple(section for section in all_of_them if section.blocks)


def _paragraphs(text: str) -> Iterable[Prose]:
    return (Prose(" ".join(part.split())) for part in text.split("\n\n") if part.strip())


def _commands(report: Report) -> Iterable[Block]:
    if report.commands:
        yield Commands(report.commands)


def _language(report: Report, code: str) -> Cell:
    name = report.label(code).name
    return Cell(name, code if code != name else "")


def _differences(report: Report) -> Iterable[Block]:
    if not report.differences:
        return
    yield Picture(
        "differences",
        "A mark is the difference, the line its 95 % interval. A filled mark is clear of zero; "
        "a hollow one is inside the noise.",
    )
    for (task, metric), group in _grouped(report.differences).items():
        way = metric_of(metric)
        unit = f", in {way.unit}" if way.unit else ""
        yield Table(
            f"{task_name(task)}: {way.name}{unit}",
            (
                Column("Language"),
                Column("Comparison"),
                Column("Difference", numeric=True),
                Column("95 % interval", numeric=True),
                Column("Items", numeric=True),
                Column("Reading"),
            ),
            tuple(_difference_row(report, one) for one in group),
        )


def _difference_row(report: Report, one: Difference) -> tuple[Cell, ...]:
    ended = outcome(one)
    _, _, test = one.method.partition("; ")
    return (
        _language(report, one.language),
        Cell(f"{one.model} − {one.against}"),
        Cell(signed(one.value, metric_of(one.metric))),
        Cell(span(one)),
        Cell(f"{one.n:,}"),
        Cell(f"{MARKS[ended]} {READINGS[ended]}", test, ended),
    )


def _grouped(numbers: Iterable[Number]) -> dict[tuple[str, str], list[Number]]:
    groups: dict[tuple[str, str], list[Number]] = {}
    for one in numbers:
        groups.setdefault((one.task, one.metric), []).append(one)
    return groups


def _scores(report: Report) -> Iterable[Block]:
    for (task, metric), group in _grouped(report.scores).items():
        models = _columns_of(report, group)
        languages = dict.fromkeys(one.language for one in group)
        way = "higher is better" if group[0].higher_is_better else "lower is better"
        yield Table(
            f"{task_name(task)}: {metric_of(metric).name} ({way})",
            (Column("Language"), *(Column(model, numeric=True) for model in models),
             Column("Items", numeric=True)),
            tuple(_score_row(report, group, language, models) for language in languages),
        )  # fmt: skip


def _columns_of(report: Report, group: Iterable[Score]) -> tuple[str, ...]:
    """Return the models of the scores, what the adapters stand on before the adapters."""
    order = [adapter.name for adapter in report.adapters]
    names = dict.fromkeys(one.model for one in group)
    return tuple(sorted(names, key=lambda name: order.index(name) if name in order else -1))


def _score_row(
    report: Report, group: Sequence[Score], language: str, models: Sequence[str]
) -> tuple[Cell, ...]:
    found = {one.model: one for one in group if one.language == language}
    counts = dict.fromkeys(f"{found[model].n:,}" for model in models if model in found)
    return (
        _language(report, language),
        *(_score_cell(found.get(model)) for model in models),
        Cell(" / ".join(counts)),
    )


def _score_cell(score: Score | None) -> Cell:
    if score is None:
        return Cell("–", "not measured")
    metric = metric_of(score.metric)
    return Cell(plain(score.value, metric) + metric.sign, span(score))


def _answers(report: Report) -> Iterable[Block]:
    if report.samples:
        yield Prose("Held-out instructions and the answers to them, as they were written.")
        yield Samples(report.samples)


def _loss(report: Report) -> Iterable[Block]:
    drawn = [curve for curve in report.curves if curve.training or curve.validation]
    if not drawn:
        return
    yield Picture(
        "loss",
        "Nats per response token. Thin line: training loss, averaged over equal runs of steps "
        "where there are many. Strong line with marks: validation loss.",
    )
    for curve in drawn:
        broken = _not_finite(curve)
        if broken:
            where = report.label(curve.language).name if curve.language else "all languages"
            yield Prose(
                f"{curve.model}, {where}: {broken:,} losses are not numbers and are not drawn."
            )


def _not_finite(curve: Curve) -> int:
    return sum(not math.isfinite(point.loss) for point in curve.training + curve.validation)


def _data(report: Report) -> Iterable[Block]:
    if not report.data:
        return
    yield Prose(
        "Every source row is kept, rejected with a reason, or missing because nobody answered it."
    )
    numbers = ("Sources", "Translated", "Answered", "Kept", "Rejected", "Missing", "Train",
               "Validation")  # fmt: skip
    yield Table(
        "Rows by language",
        (Column("Language"), *(Column(name, numeric=True) for name in numbers),
         Column("Why rejected")),
        tuple(_data_row(report, facts) for facts in report.data),
    )  # fmt: skip


def _data_row(report: Report, facts: DataFacts) -> tuple[Cell, ...]:
    counts = (facts.sources, facts.translated, facts.answered, facts.kept, facts.rejected,
              facts.missing, facts.train, facts.validation)  # fmt: skip
    reasons = ", ".join(f"{reason.check} {reason.rows:,}" for reason in facts.reasons)
    return (
        _language(report, facts.language),
        *(Cell(f"{count:,}") for count in counts),
        Cell(reasons or "–"),
    )


def _adapters(report: Report) -> Iterable[Block]:
    if not report.adapters:
        return
    yield Prose(f"LoRA on the base model {report.base}.")
    yield Table(
        "What each adapter took",
        (
            Column("Adapter"),
            Column("Languages"),
            Column("Trainable parameters", numeric=True),
            Column("Steps", numeric=True),
            Column("Tokens", numeric=True),
            Column("Time", numeric=True),
        ),
        tuple(
            (
                Cell(one.name),
                Cell(", ".join(report.label(code).name for code in one.languages)),
                Cell(f"{one.trainable_parameters:,}"),
                Cell(f"{one.steps:,}"),
                Cell(f"{one.tokens:,}"),
                Cell(duration(one.seconds)),
            )
            for one in report.adapters
        ),
    )


def _reading(report: Report) -> Iterable[Block]:
    metrics = {one.metric for one in report.scores} | {one.metric for one in report.differences}
    points = [
        ("Interval", "If the same models were measured on other items of the same kind, 95 of 100 "
         "such intervals would hold the true value."),
        ("Clear of zero", f"The interval of a difference does not reach zero ({MARKS['better']} "
         f"better, {MARKS['worse']} worse). Otherwise it is inside the noise ({MARKS['noise']}): "
         "that is no proof of equality, only that these items cannot tell the models apart."),
        ("Paired", "Both models answered the same items, and an item is drawn with both of them. "
         "Two scores may have intervals that overlap while their difference is clear."),
        ("Many comparisons", "Of twenty differences that are truly zero, one is expected to look "
         "clear by chance."),
    ]  # fmt: skip
    if "bits_per_byte" in metrics:
        points.append(("Bits per byte", "How many bits the model needs for a byte of text it has "
                       "not seen: the lower, the less the text surprises it. It does not depend on "
                       "the tokenizer."))  # fmt: skip
    if any(metric.startswith("acc") for metric in metrics):
        points.append(("Accuracy", "The share of questions whose right option the model finds most "
                       "likely. With two options, guessing gives 50 %."))  # fmt: skip
    if metrics:
        yield Points(tuple(points))


def _protocol(report: Report) -> Iterable[Block]:
    groups: dict[tuple[str, str, str], dict[str, None]] = {}
    for one in report.scores:
        groups.setdefault((one.task, one.metric, one.signature), {})[one.language] = None
    points = [
        (f"{task_name(task)}, {metric_of(metric).name} ({', '.join(languages)})", signature)
        for (task, metric, signature), languages in groups.items()
    ]
    methods = dict.fromkeys(one.method.partition("; ")[0] for one in report.differences)
    points += [("Intervals of differences", method) for method in methods]
    if points:
        yield Prose("Every choice that can change a number. Equal signatures can be compared.")
        yield Points(tuple(points), verbatim=True)


def _places(report: Report) -> Iterable[Block]:
    if report.places:
        yield Points(tuple((it.what, it.path) for it in report.places), verbatim=True)


def _notes(report: Report) -> Iterable[Block]:
    if report.notes:
        yield Points(tuple(("", note) for note in report.notes))

"""What the report says, in order: sections of prose, tables and charts. Knows no HTML, no Markdown.

Both pages are made from these sections, so they cannot say different things.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from bactrian.evaluate.report.behind import costs, single_items, spread
from bactrian.evaluate.report.blocks import (
    Block,
    Cell,
    Column,
    Commands,
    Findings,
    Fold,
    Page,
    Picture,
    Points,
    Prose,
    Samples,
    Section,
    Table,
)
from bactrian.evaluate.report.content import Curve, DataFacts, Report
from bactrian.evaluate.report.crowd import CROWD
from bactrian.evaluate.report.measured import differences, language_cell, scores
from bactrian.evaluate.report.protocol import protocol
from bactrian.evaluate.report.reading import reading
from bactrian.evaluate.report.words import (
    conclusions,
    duration,
)


def page_of(report: Report) -> Page:
    """Return the report as a document."""
    return Page(report.title, sections(report))


def sections(report: Report) -> tuple[Section, ...]:
    """Return the sections that have something to say, the verdict first."""
    all_of_them = (
        Section("verdict", "The verdict", tuple(_verdict(report))),
        Section("done", "What was done", tuple(_paragraphs(report.summary))),
        Section("differences", "Differences between models", tuple(differences(report))),
        Section("scores", "Scores", tuple(scores(report))),
        Section("spread", "How answers are spread", tuple(spread(report))),
        Section("items", "Single items", tuple(single_items(report))),
        Section("answers", "What the models answer", tuple(_answers(report))),
        Section("loss", "Loss while training", tuple(_loss(report))),
        Section("data", "The data, row by row", tuple(_data(report))),
        Section("cost", "What a language costs", tuple(costs(report))),
        Section("adapters", "The adapters", tuple(_adapters(report))),
        Section("reading", "How to read this", tuple(reading(report))),
        Section("protocol", "Protocol", tuple(protocol(report))),
        Section("commands", "Do it again", tuple(_commands(report))),
        Section("files", "Where the files are", tuple(_places(report))),
        Section("notes", "Notes", tuple(_notes(report))),
    )
    return tuple(section for section in all_of_them if section.blocks)


def _verdict(report: Report) -> Iterable[Block]:
    found = conclusions(report)
    yield Findings(found[:CROWD])
    if rest := found[CROWD:]:
        yield Fold(f"The verdict on {len(rest)} further adapters", (Findings(rest),))


def _paragraphs(text: str) -> Iterable[Prose]:
    return (Prose(" ".join(part.split())) for part in text.split("\n\n") if part.strip())


def _commands(report: Report) -> Iterable[Block]:
    if report.commands:
        yield Commands(report.commands)


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
        language_cell(report, facts.language),
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


def _places(report: Report) -> Iterable[Block]:
    if report.places:
        yield Points(tuple((it.what, it.path) for it in report.places), verbatim=True)


def _notes(report: Report) -> Iterable[Block]:
    if report.notes:
        yield Points(tuple(("", note) for note in report.notes))

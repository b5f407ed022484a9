"""How to read a report, as a section: only the words that this report uses are explained."""

from __future__ import annotations

from collections.abc import Iterable

from bactrian.evaluate.report.blocks import Block, Points
from bactrian.evaluate.report.content import Report
from bactrian.evaluate.report.words import MARKS

INTERVAL = (
    "If the same models were measured on other items of the same kind, 95 of 100 such intervals "
    "would hold the true value."
)
CLEAR = (
    f"The interval of a difference does not reach zero ({MARKS['better']} better, "
    f"{MARKS['worse']} worse). Otherwise it is inside the noise ({MARKS['noise']}): that is no "
    "proof of equality, only that these items cannot tell the models apart."
)
PAIRED = (
    "Both models answered the same items, and an item is drawn with both of them. Two scores may "
    "have intervals that overlap while their difference is clear."
)
BY_CHANCE = "Of twenty differences that are truly zero, one is expected to look clear by chance."
HOLM = (
    "Of twenty differences that are truly zero, one would look clear by chance. So the p of each "
    "language is raised for their number (Holm), and one that is then 5 % or more is inside the "
    "noise, whatever its interval."
)
DETECTABLE = (
    "The smallest difference that so many items show four times in five. Smaller ones may be real "
    "and stay unseen."
)
BITS = (
    "How many bits the model needs for a byte of text it has not seen: the lower, the less the "
    "text surprises it. It does not depend on the tokenizer."
)
ACCURACY = (
    "The share of questions whose right option the model finds most likely. With two options, "
    "guessing gives 50 %."
)
F1 = (
    "Macro F1 counts every label alike. F1 weighted by label counts it by how often it is right, "
    "so that one answer to everything may score well: see how the answers are spread."
)
PRIOR = (
    "What a model would answer to no text at all is taken away from its answers first, so that a "
    "favourite label gains nothing."
)


def reading(report: Report) -> Iterable[Block]:
    """Yield the explanations; nothing where nothing was measured."""
    metrics = {one.metric for one in report.scores} | {one.metric for one in report.differences}
    if metrics:
        yield Points(tuple(_points(report, metrics)))


def _points(report: Report, metrics: set[str]) -> Iterable[tuple[str, str]]:
    adjusted = any(one.adjusted is not None for one in report.differences)
    yield "Interval", INTERVAL
    yield "Clear of zero", CLEAR
    yield "Paired", PAIRED
    yield "Many comparisons", HOLM if adjusted else BY_CHANCE
    if any(one.detectable is not None for one in report.differences):
        yield "Shows from", DETECTABLE
    if "bits_per_byte" in metrics:
        yield "Bits per byte", BITS
    if any(metric.startswith("acc") for metric in metrics):
        yield "Accuracy", ACCURACY
    if any(metric.startswith("f1") for metric in metrics):
        yield "F1", F1
    if any(metric.endswith("_calibrated") for metric in metrics):
        yield "The labels' prior taken away", PRIOR

"""Numbers and differences in words for a reader. Knows no HTML and no Markdown."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bactrian.evaluate.report.content import Report
from bactrian.schema import Difference, Score

Outcome = Literal["better", "worse", "noise"]
OUTCOMES: tuple[Outcome, ...] = ("better", "worse", "noise")

MARKS: dict[Outcome, str] = {"better": "▲", "worse": "▼", "noise": "○"}
"""Shapes, so that nothing rests on colour alone."""
READINGS: dict[Outcome, str] = {
    "better": "better",
    "worse": "worse",
    "noise": "inside the noise",
}
NOT_HELD = "It was not held against another model in this run."
TASKS = {
    "held-out": "Held-out text",
    "xcopa": "XCOPA",
    "xstorycloze": "XStoryCloze",
    "xwinograd": "XWinograd",
    "sentimentx": "SentimentX",
    "exams": "EXAMS",
    "sib200": "SIB-200",
    "flores": "FLORES",
}
HARNESS = "lm_eval:"
NBSP = "\N{NO-BREAK SPACE}"
COUNTED = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NAMED = 4
"""Languages whose numbers a sentence spells out; more of them are given as a range."""
FEW = 30
"""Items below which a bootstrap interval is known to be too narrow."""


@dataclass(frozen=True, slots=True)
class Metric:
    """How a metric is written: name, factor and decimals of its numbers, unit of a difference."""

    name: str
    scale: float = 1
    decimals: int = 3
    unit: str = ""
    sign: str = ""
    """Behind a value, such as the sign for per cent."""
    better: str = "{task}: better than {against} in {where}"
    worse: str = "{task}: worse than {against} in {where}"
    noise: str = "{task}: no difference from {against} is beyond the noise ({where})"


def _share(name: str) -> Metric:
    return Metric(
        name,
        scale=100,
        decimals=1,
        unit="points",
        sign=f"{NBSP}%",
        better="{task}: more right answers than {against} in {where}",
        worse="{task}: fewer right answers than {against} in {where}",
    )


def _f1(name: str) -> Metric:
    return Metric(
        name,
        scale=100,
        decimals=1,
        unit="points",
        better="{task}: a higher F1 than {against} in {where}",
        worse="{task}: a lower F1 than {against} in {where}",
    )


def _answered(name: str, better: str, worse: str) -> Metric:
    return Metric(
        name,
        scale=100,
        decimals=1,
        unit="points",
        sign=f"{NBSP}%",
        better=f"{{task}}: {better} than {{against}} in {{where}}",
        worse=f"{{task}}: {worse} than {{against}} in {{where}}",
    )


def _of_these(name: str) -> Metric:
    return _answered(name, f"fewer {name}", f"more {name}")


def _in_language(by: str) -> Metric:
    said = "answers in the language"
    return _answered(f"{said}, by {by}", f"more {said}", f"fewer {said}")


METRICS = {
    "acc": _share("accuracy"),
    "acc_norm": _share("accuracy by character"),
    "acc_bytes": _share("accuracy by byte"),
    "acc_calibrated": _share("accuracy, the labels' prior taken away"),
    "f1_macro": _f1("macro F1"),
    "f1_weighted": _f1("F1 weighted by label"),
    "f1_macro_calibrated": _f1("macro F1, the labels' prior taken away"),
    "f1_weighted_calibrated": _f1("F1 weighted by label, the labels' prior taken away"),
    "line_language": _in_language("line"),
    "word_language": _in_language("word"),
    "refusal_rate": _of_these("refusals"),
    "empty_rate": _of_these("empty answers"),
    "cut_rate": _of_these("answers cut at the limit"),
    "loop_rate": _of_these("answers in a loop"),
    "bits_per_byte": Metric(
        "bits per byte",
        better="{task} costs fewer bits per byte than with {against} in {where}",
        worse="{task} costs more bits per byte than with {against} in {where}",
        noise="{task}: no difference in bits per byte from {against} is beyond the noise ({where})",
    ),
}


@dataclass(frozen=True, slots=True)
class Held:
    """What one adapter looks like held against one other model."""

    against: str
    tally: tuple[tuple[Outcome, int], ...]
    """How many comparisons ended which way."""
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What the differences say about one adapter; nothing where it was held against no other."""

    model: str
    held: tuple[Held, ...]


def conclusions(report: Report) -> tuple[Conclusion, ...]:
    """Return a conclusion for each adapter, and for every other model that was held against one."""
    names = [adapter.name for adapter in report.adapters]
    names += [difference.model for difference in report.differences]
    return tuple(_conclude(report, name) for name in dict.fromkeys(names))


def _conclude(report: Report, model: str) -> Conclusion:
    mine = [difference for difference in report.differences if difference.model == model]
    others = dict.fromkeys(one.against for one in mine)
    return Conclusion(
        model, tuple(_hold(report, [one for one in mine if one.against == it]) for it in others)
    )


def _hold(report: Report, mine: Sequence[Difference]) -> Held:
    outcomes = [outcome(difference) for difference in mine]
    groups: dict[tuple[str, str, str], list[Difference]] = {}
    for one in mine:
        groups.setdefault((one.task, one.metric, one.group), []).append(one)
    said = [sentence for group in groups.values() for sentence in _sentences(report, group)]
    few = min(one.n for one in mine)
    if few < FEW:
        items = "1 item" if few == 1 else f"{few} items"
        said.append(
            f"Some of this rests on {items}: with fewer than {FEW} the interval is likely too "
            "narrow."
        )
    return Held(mine[0].against, tuple((it, outcomes.count(it)) for it in OUTCOMES), tuple(said))


def _sentences(report: Report, group: Sequence[Difference]) -> Iterable[str]:
    """One sentence for each way the comparisons of a task against one model ended."""
    metric = metric_of(group[0].metric)
    patterns = {"better": metric.better, "worse": metric.worse, "noise": metric.noise}
    for which in OUTCOMES:
        found = [one for one in group if outcome(one) == which]
        if not found:
            continue
        sentence = patterns[which].format(
            task=task_name(group[0].task) + (f" ({group[0].group})" if group[0].group else ""),
            against=group[0].against,
            where=_where(report, found, len(group)),
        )
        yield sentence + (_clear(len(found)) if which != "noise" else "") + "."


def _clear(count: int) -> str:
    if count == 1:
        return ", clear of zero"
    return f": {'both' if count == 2 else f'all {counted(count)}'} clear of zero"


def _where(report: Report, found: Sequence[Difference], among: int) -> str:
    noise = not found[0].clear
    if len(found) > NAMED:
        low, high = min(one.value for one in found), max(one.value for one in found)
        metric = metric_of(found[0].metric)
        reach = f"from {signed(low, metric)} to {signed(high, metric)}{_unit(metric)}"
        return f"{len(found)} of {among} comparisons, {reach}"
    parts = [_one(report, one, first=number == 0) for number, one in enumerate(found)]
    return "; ".join(parts) if noise else _listed(parts)


def _one(report: Report, one: Difference, *, first: bool) -> str:
    """Return one difference in a sentence; the first says what the numbers are.

    ``Chinese (+1.0 points, 95 % interval −5.0 to +7.0)``, and without the brackets where the
    sentence has its own.
    """
    metric = metric_of(one.metric)
    name = report.label(one.language).name
    unit, interval = (_unit(metric), f"95{NBSP}% interval ") if first else ("", "")
    numbers = f"{signed(one.value, metric)}{unit}, {interval}{span(one)}"
    return f"{name} ({numbers})" if one.clear else f"{name} {numbers}"


def _unit(metric: Metric) -> str:
    return f"{NBSP}{metric.unit}" if metric.unit else ""


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def outcome(difference: Difference) -> Outcome:
    """Return which way a comparison ended."""
    if not difference.clear:
        return "noise"
    return "better" if difference.better else "worse"


def metric_of(name: str) -> Metric:
    """Return how a metric is written; an unknown one as it is, with three decimals."""
    return METRICS.get(name, Metric(name))


def task_name(task: str) -> str:
    """Return a task's name as its authors write it, its variant in brackets.

    ``exams:letter@lm-eval`` is ``EXAMS (letter, lm-eval)``; a task of lm-eval's is called by its
    own name.
    """
    if task.startswith(HARNESS):
        return task.removeprefix(HARNESS)
    stem = task_stem(task)
    told = ", ".join(filter(None, re.split("[:@]", task[len(stem) :])))
    name = TASKS.get(stem, stem)
    return f"{name} ({told})" if told else name


def task_stem(task: str) -> str:
    """Return a task's name without its variant."""
    return re.split("[:@]", task, maxsplit=1)[0]


def span(number: Difference | Score) -> str:
    """Return the interval, ``−5.0 to +7.0`` for a difference and ``58.1 to 66.4`` for a score."""
    metric = metric_of(number.metric)
    write = signed if isinstance(number, Difference) else plain
    return f"{write(number.low, metric)}{NBSP}to{NBSP}{write(number.high, metric)}"


def plain(value: float, metric: Metric) -> str:
    """Return a value in the metric's own scale, without a unit."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value * metric.scale:,.{metric.decimals}f}".replace("-", "−")


def signed(value: float, metric: Metric) -> str:
    """Return a difference with its sign, a true minus; nothing before an exact zero."""
    text = plain(abs(value), metric)
    return text if value == 0 else f"{'+' if value > 0 else '−'}{text}"


def counted(count: int) -> str:
    """Return a small number as a word."""
    return COUNTED[count] if count < len(COUNTED) else f"{count:,}"


def duration(seconds: float) -> str:
    """Return seconds as a reader says them: ``48 s``, ``12 min 5 s``, ``3 h 20 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    hours, rest = divmod(whole, 3600)
    minutes, second = divmod(rest, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {second} s"

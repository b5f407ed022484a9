"""The numbers of an evaluation as Markdown: n, interval, and the paired difference to the base."""

from __future__ import annotations

from collections.abc import Iterator

from bactrian.markdown import table
from bactrian.publish.card.scores import Evaluation, Found, bounded, is_bits, parts_of
from bactrian.schema import Difference, Score

HEAD = ("task", "language", "metric", "n", "base", "this model", "difference, 95 %", "")
READ = (
    "Shares are in per cent and their differences in points; bits a byte are in bits, less is "
    "better. Differences are paired: the same items, this model less the base. n of a difference "
    "counts independent questions; intervals are 95 %."
)


def evaluated(found: Evaluation) -> str:
    """Return the section: how to read it, the table, and how each task was asked."""
    asked = "\n".join(_asked(found))
    return f"Measured {found.date}. {READ}\n\n{table(HEAD, map(_row, found.found))}\n\n{asked}"


def shown(score: Score) -> str:
    """Return a number with its interval: ``48.0 [38.5, 57.7]``."""
    value = _number(score.value, score.metric)
    if not bounded(score):
        return value
    return f"{value} [{_number(score.low, score.metric)}, {_number(score.high, score.metric)}]"


def against(one: Difference) -> str:
    """Return a difference with its interval: ``+3.0 [-1.0, +7.0]``."""
    value = _number(one.value, one.metric, "+")
    if not bounded(one):
        return value
    ends = ", ".join(_number(end, one.metric, "+") for end in (one.low, one.high))
    return f"{value} [{ends}]"


def _row(one: Found) -> tuple[str, ...]:
    score = one.score
    return (
        score.task.replace("|", "\\|"),
        score.language,
        score.metric,
        str(score.n),
        shown(one.base) if one.base else "",
        shown(score),
        against(one.difference) if one.difference else "",
        _word(one.difference),
    )


def _word(one: Difference | None) -> str:
    if one is None:
        return ""
    if not one.clear:
        return "within the noise"
    return "better" if one.better else "worse"


def _number(value: float, metric: str, sign: str = "") -> str:
    return format(value, f"{sign}.4f") if is_bits(metric) else format(100 * value, f"{sign}.1f")


def _asked(found: Evaluation) -> Iterator[str]:
    """Yield what the signatures of a task have in common: prompt, shots, dtype, version."""
    for task in dict.fromkeys(one.score.task for one in found.found):
        told = [parts_of(one.score.signature) for one in found.found if one.score.task == task]
        same = "|".join(
            f"{key}:{value}"
            for key, value in told[0].items()
            if key not in ("task", "lang", "n") and all(each.get(key) == value for each in told)
        )
        if same:
            yield f"- {task}: `{same}`"

"""Scores, averages, baselines, histograms and differences from what the models answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bactrian.evaluate.answered import Answered
from bactrian.evaluate.compare import Pair, corrected, difference
from bactrian.evaluate.counted import answers, counted, counted_answers, measure_of, metrics_of
from bactrian.evaluate.metrics import (
    MACRO,
    Average,
    Cell,
    Counted,
    Draws,
    Estimate,
    accuracy,
    averages,
    bits_per_byte,
    longest,
)
from bactrian.schema import Difference, Score

MAJORITY = "majority answer"
LONGEST = "longest option"
ALWAYS = "always "
SAME = 0.0001
"""A score this near to a constant answer's is printed as the same number (0.01 of a point)."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Which labels a model gave on a label task."""

    model: str
    task: str
    language: str
    labels: tuple[str, ...]
    gold: tuple[int, ...]
    """Items by right label."""
    answers: tuple[int, ...]
    """Items by the label the model gave."""
    equals: str = ""
    """The label that, always given, has the same weighted F1 to 0.01 of a point; empty if none."""


def scores_of(one: Answered, draws: Draws) -> tuple[Score, ...]:
    """Return every model's numbers, each metric that the answers allow."""
    return tuple(
        _cell(one, model).score(
            metric,
            estimate(one, counted(one, model, metric), metric, draws),
            higher_is_better=measure_of(metric).higher_is_better,
        )
        for model in one.nats
        for metric in metrics_of(one)
    )


def group_scores(one: Answered, draws: Draws) -> tuple[Score, ...]:
    """Return the main number of every model on each group of the items."""
    return tuple(
        replace(score, group=group)
        for group in one.groups
        for part in [one.of_group(group)]
        for score in scores_of(part, draws)
        if score.metric == metrics_of(part)[0]
    )


def estimate(one: Answered, rows: Counted, metric: str, draws: Draws) -> Estimate:
    """Return a value with its interval: Wilson for accuracy, a bootstrap for all else."""
    if metric.startswith("acc"):
        return accuracy([bool(right) for right in rows.rows[:, 0]], rows.clusters)
    if metric == "bits_per_byte":
        nats, sizes = rows.rows.T
        return bits_per_byte(nats, sizes.astype(int), draws=draws.count, seed=draws.seed)
    return averages({one.language: rows}, measure_of(metric), draws)[MACRO]


def averages_of(languages: Sequence[Answered], draws: Draws, group: str = "") -> Iterator[Score]:
    """Yield macro and micro averages of every model over the languages of one task."""
    for model in languages[0].nats:
        for metric in metrics_of(languages[0]):
            if not all(metric in metrics_of(one) and model in one.nats for one in languages):
                continue  # an average leaves no language out: it stands in the cells alone
            rows = {one.language: counted(one, model, metric) for one in languages}
            measure = measure_of(metric)
            for how, found in averages(rows, measure, draws).items():
                cell = Cell(model, languages[0].task, how, _over(languages), group)
                yield cell.score(metric, found, higher_is_better=measure.higher_is_better)


def baselines_of(one: Answered, draws: Draws) -> tuple[Score, ...]:
    """Return what answers get that know nothing of the question.

    Multiple choice: the place that is right most often, and the option of most code points. Label
    tasks: every label always given. Texts that are scored have none.
    """
    if one.metric == "bits_per_byte" or not one.questions:
        return ()
    if one.metric == "f1":
        rules = {
            f"{ALWAYS}{label}": [place] * len(one.questions)
            for place, label in enumerate(one.labels)
        }
    else:
        gold = Counter(question.gold for question in one.questions)
        often = min(gold, key=lambda place: (-gold[place], place))
        rules = {
            MAJORITY: [often] * len(one.questions),
            LONGEST: [longest(question.characters) for question in one.questions],
        }
    metrics = ("f1_macro", "f1_weighted", "acc") if one.metric == "f1" else ("acc",)
    return tuple(
        _cell(one, rule).score(
            metric, estimate(one, counted_answers(one, chosen, metric), metric, draws)
        )
        for rule, chosen in rules.items()
        for metric in metrics
    )


def histograms_of(
    one: Answered, scores: Sequence[Score], baselines: Sequence[Score]
) -> tuple[Histogram, ...]:
    """Return which labels each model gave, and which constant answer its number equals."""
    if one.metric != "f1":
        return ()
    values = {score.model: score.value for score in scores if score.metric == "f1_weighted"}
    constant = {
        score.model.removeprefix(ALWAYS): score.value
        for score in baselines
        if score.metric == "f1_weighted"
    }
    gold = Counter(question.gold for question in one.questions)
    places = range(len(one.labels))
    found = []
    for model in one.nats:
        given = Counter(answers(one, model, "f1_macro"))
        equal = [name for name, value in constant.items() if abs(value - values[model]) <= SAME]
        found.append(
            Histogram(
                model,
                one.task,
                one.language,
                one.labels,
                tuple(gold[place] for place in places),
                tuple(given[place] for place in places),
                equal[0] if equal else "",
            )
        )
    return tuple(found)


def differences_of(
    languages: Sequence[Answered], model: str, against: str, draws: Draws
) -> list[Difference]:
    """Return one model against another on a task: by language, p adjusted, and their average."""
    return differences_between(
        Pair(model, against, languages[0].task),
        {one.language: one for one in languages},
        {one.language: one for one in languages},
        draws,
    )


def differences_between(
    pair: Pair,
    ours: Mapping[str, Answered],
    theirs: Mapping[str, Answered],
    draws: Draws,
    *,
    names: tuple[str, str] | None = None,
    metric: str = "",
    over: Sequence[Average] = (MACRO,),
) -> list[Difference]:
    """Return the differences of two models whose answers may lie in different places.

    ``names`` are what the models are called there, where that is not what they are called here.
    """
    here, there = names or (pair.model, pair.against)
    metric = metric or metrics_of(next(iter(ours.values())))[0]
    measure = measure_of(metric)
    rows = {code: counted(one, here, metric) for code, one in ours.items()}
    beside = {code: counted(one, there, metric) for code, one in theirs.items()}
    found = corrected(
        [
            difference(
                replace(pair, language=code),
                measure,
                {code: rows[code]},
                {code: beside[code]},
                draws,
            )
            for code in rows
        ]
    )
    if len(rows) > 1:
        found += [
            difference(replace(pair, language=how), measure, rows, beside, draws) for how in over
        ]
    return found


def _cell(one: Answered, model: str) -> Cell:
    return Cell(model, one.task, one.language, one.signature)


def _over(languages: Sequence[Answered]) -> str:
    """Return the signature of an average: what all languages share of theirs."""
    fields = [one.signature.split("|") for one in languages]
    shared = [field for field in fields[0] if all(field in other for other in fields)]
    return "|".join([*shared, f"over:{','.join(one.language for one in languages)}"])

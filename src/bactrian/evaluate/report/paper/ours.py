"""A run's numbers in the shape that the paper's tables ask for, in per cent.

An average here is the plain mean over a table's languages, as in the paper; one over fewer of them
says how many. Knows nothing of the paper's own numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bactrian.evaluate.report.content import MACRO, Report
from bactrian.evaluate.report.grid import Number
from bactrian.evaluate.report.paper import Printed
from bactrian.evaluate.report.words import outcome, task_stem
from bactrian.schema import Difference, Score

MICRO = "micro"
"""The language of a number over the items of all languages together."""
BASE = "base"
INSTEAD = {"f1_weighted": "f1_macro"}
"""The metric of a difference where the paper's own has none: a label task is compared in it."""


@dataclass(frozen=True, slots=True)
class Ours:
    """The scores and differences of a report, found by what they are about."""

    report: Report

    @property
    def models(self) -> tuple[str, ...]:
        """Every model with a score, the base first."""
        return tuple(dict.fromkeys(score.model for score in self.report.scores))

    def names(self, task: str) -> list[str]:
        """Return how this run calls a task, each variant of it; the plain one first."""
        named = dict.fromkeys(score.task for score in self.report.scores)
        return sorted((one for one in named if task_stem(one) == task), key=lambda one: one != task)

    def as_here(self, table: Printed) -> Printed:
        """Return the table under the name that this run has for its task, if it has one."""
        return replace(table, task=next(iter(self.names(table.task)), table.task))

    def single(self) -> dict[str, str]:
        """Return the adapter trained on nothing but a language, by language."""
        return {
            adapter.languages[0]: adapter.name
            for adapter in self.report.adapters
            if len(adapter.languages) == 1
        }

    def several(self) -> tuple[str, ...]:
        """Return the adapters trained on more than one language."""
        return tuple(one.name for one in self.report.adapters if len(one.languages) > 1)

    def score(
        self, model: str, task: str, metric: str, language: str, group: str = ""
    ) -> Score | None:
        """Return one score, if there is one."""
        wanted = (model, task, metric, language, group)
        return next((one for one in self.report.scores if _key(one) == wanted), None)

    def cell(self, model: str, table: Printed, language: str) -> Number | None:
        """Return one number with its interval, if it was measured."""
        score = self.score(model, table.task, table.metric, language)
        return None if score is None else _number(score)

    def average(
        self, models: Sequence[str], table: Printed, languages: Sequence[str]
    ) -> Number | None:
        """Return the plain mean over the languages, each scored by the model beside it.

        ``models`` are as many as ``languages``. It has an interval where the run itself averaged
        over just these. None where nothing was measured.
        """
        pairs = zip(models, languages, strict=True)
        found = [self.score(model, table.task, table.metric, code) for model, code in pairs]
        scores = [score for score in found if score is not None]
        if not scores:
            return None
        if set(models) == {models[0]} and (own := self._own(models[0], table, languages)):
            return own
        mean = 100 * sum(score.value for score in scores) / len(scores)
        part = "" if len(scores) == len(languages) else f"{len(scores)} of {len(languages)}"
        return Number(mean, n=sum(score.n for score in scores), small=part)

    def _own(self, model: str, table: Printed, languages: Sequence[str]) -> Number | None:
        """Return the run's own average, where it is over these languages and no other."""
        average = self.score(model, table.task, table.metric, MACRO)
        measured = {
            one.language
            for one in self.report.scores
            if (one.model, one.task, one.metric, one.group) == (model, table.task, table.metric, "")
        }
        same = average is not None and measured - {MACRO, MICRO} == set(languages)
        return _number(average) if average is not None and same else None

    def part(self, model: str, task: str, group: str) -> Number | None:
        """Return the accuracy on one group of a task's items, over all languages together."""
        for language in (MICRO, MACRO):
            if score := self.score(model, task, "acc", language, group):
                return _number(score)
        mine = [
            one
            for one in self.report.scores
            if (one.model, one.task, one.metric, one.group) == (model, task, "acc", group)
        ]
        items = sum(one.n for one in mine)
        return (
            Number(100 * sum(one.value * one.n for one in mine) / items, n=items) if mine else None
        )

    def change(self, model: str, table: Printed) -> Number | None:
        """Return an adapter's average difference from the base, or that of its only language.

        Where it is not over the table's languages, it says over how many of them.
        """
        mine = [
            one
            for one in self.report.differences
            if (one.model, one.against, one.task, one.group) == (model, BASE, table.task, "")
            and (one.metric == table.metric or one.metric == INSTEAD.get(table.metric))
        ]
        metric = mine[0].metric if mine else ""
        mine = [one for one in mine if one.metric == metric]
        single = [one for one in mine if one.language not in (MACRO, MICRO)]
        average = [one for one in mine if one.language == MACRO]
        chosen = (average or (single if len(single) == 1 else []))[:1]
        if not chosen:
            return None
        measured = {one.language for one in single}
        there, beyond = measured & set(table.languages), measured - set(table.languages)
        part = "" if there == set(table.languages) else f"{len(there)} of {len(table.languages)}"
        more = f"and {len(beyond)} beyond" if beyond else ""
        other = "macro F1" if metric != table.metric else ""
        said = "; ".join(filter(None, (" ".join(filter(None, (part, more))), other)))
        return _changed(chosen[0], said)


def _key(score: Score) -> tuple[str, str, str, str, str]:
    return score.model, score.task, score.metric, score.language, score.group


def _number(score: Score) -> Number:
    return Number(100 * score.value, 100 * score.low, 100 * score.high, score.n)


def _changed(one: Difference, small: str) -> Number:
    low, high = 100 * one.low, 100 * one.high
    return Number(100 * one.value, low, high, one.n, small=small, outcome=outcome(one))

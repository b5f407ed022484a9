"""What the paper's numbers say about themselves: which cannot be what they are printed as.

Looks only at the printed numbers and the sizes of the public test sets; every finding is a sentence
that stands under the table it is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from bactrian.evaluate.report.paper import ByLanguage, Paper, Printed
from bactrian.languages import all_languages

What = Literal["average", "items", "constant", "selection"]
FIRST = 100
"""Some rows were computed on so many items of each language."""
NEAR = 0.75
"""Points from a constant answer within which a number says little else."""
AROUND = 25
"""Sizes up to so far from the right one are tried on a row that does not fit it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to know about a row of a table, or about some of its cells."""

    table: int
    task: str
    model: str
    what: What
    languages: tuple[str, ...]
    """The cells meant; empty for the whole row."""
    text: str


def findings(paper: Paper) -> tuple[Finding, ...]:
    """Return everything that does not add up, by table."""
    found = [one for table in paper.tasks.values() for one in _of_table(table)]
    found += _averages(paper)
    found += _selections(paper)
    return tuple(sorted(found, key=lambda one: one.table))


def constant_f1(labels: Mapping[str, int], answer: str) -> float:
    """Return the F1 weighted by label, in per cent, of giving the same answer to every item.

    Only that label has an F1 above zero, 2q / (1 + q) for its share q, and q is its weight.
    """
    share = labels[answer] / sum(labels.values())
    return 100 * share * 2 * share / (1 + share)


def fits(value: float, items: int, decimals: int, *, cut: bool = False) -> bool:
    """Return whether some number of right answers among ``items`` is printed as ``value``.

    With ``cut`` also where the digits beyond the last were cut off instead of rounded.
    """
    nearest = round(value * items / 100) / items * 100
    unit: float = 10.0**-decimals
    return abs(nearest - value) <= unit / 2 + 1e-9 or (cut and 0 <= nearest - value < unit)


def _of_table(table: Printed) -> Iterator[Finding]:
    for model, row in table.cells.items():
        yield from _average(table, model, row)
        if table.metric == "acc":
            yield from _items(table, model, row)
        for language, labels in table.labels.items():
            yield from _constant(table, model, language, labels)


def _average(table: Printed, model: str, row: ByLanguage) -> Iterator[Finding]:
    mean = sum(row.values()) / len(row)
    if not _same(mean, table.averages[model], table.decimals):
        text = f"the average is printed as {table.averages[model]}, its cells give {mean:.2f}"
        yield Finding(table.number, table.task, model, "average", (), text)


def _items(table: Printed, model: str, row: ByLanguage) -> Iterator[Finding]:
    odd = _unfit(table, row, table.items)
    if not odd:
        return
    first = {code: min(FIRST, items) for code, items in table.items.items()}
    text = "cells that no number of right answers gives"
    if not _unfit(table, row, first):
        odd, text = (), f"computed on {FIRST} items of each language: every cell is k/{FIRST}"
        if small := [f"{code} k/{first[code]}" for code in row if first[code] < FIRST]:
            text += f", {', '.join(small)}"
    elif off := _other_size(table, row):
        odd, text = (), f"fits {_size(table, off)} items, not {_size(table, 0)}"
    yield Finding(table.number, table.task, model, "items", odd, text)


def _other_size(table: Printed, row: ByLanguage) -> int:
    """Return how far from the right size the nearest is that every cell fits; 0 for none."""
    for off in sorted(range(-AROUND, AROUND + 1), key=abs):
        sizes = {code: items + off for code, items in table.items.items()}
        if off and min(sizes.values()) > 0 and not _unfit(table, row, sizes, cut=True):
            return off
    return 0


def _unfit(
    table: Printed, row: ByLanguage, sizes: Mapping[str, int], *, cut: bool = False
) -> tuple[str, ...]:
    """Return the languages whose number is no share of so many items."""
    return tuple(code for code in row if not fits(row[code], sizes[code], table.decimals, cut=cut))


def _size(table: Printed, off: int) -> str:
    return " / ".join(dict.fromkeys(str(items + off) for items in table.items.values()))


def _constant(
    table: Printed, model: str, language: str, labels: Mapping[str, int]
) -> Iterator[Finding]:
    value = table.cells[model][language]
    for label, count in labels.items():
        constant = constant_f1(labels, label)
        away = abs(value - constant)
        if away > NEAR:
            continue
        always = f"always answering “{label}” ({count} of {sum(labels.values())})"
        text = f"{language}: {value} is what {always} gives"
        if round(away, table.decimals) or abs(value - round(constant, table.decimals)) > 1e-9:
            text = f"{language}: {value} is {away:.2f} from {always}, {constant:.2f}"
        yield Finding(table.number, table.task, model, "constant", (language,), text)


def _averages(paper: Paper) -> Iterator[Finding]:
    """Compare Table 3 with the averages of the tables it comes from."""
    for model, row in paper.averages.items():
        for task, value in row.items():
            table = paper.tasks[task]
            if not _same(value, table.averages[model], table.decimals):
                there = f"Table {table.number} has {table.averages[model]}"
                yield Finding(3, task, model, "average", (), f"{value} here, {there}")


def _selections(paper: Paper) -> Iterator[Finding]:
    """Find the languages that Table 4 averages over, which is not every one trained on."""
    for model, row in paper.mono.items():
        mean = sum(row.values()) / len(row)
        if not _same(mean, paper.mono_means[model], 1):
            text = f"the mean is printed as {paper.mono_means[model]}, its cells give {mean:.2f}"
            yield Finding(4, "", model, "average", (), text)
        for task, value in row.items():
            cells = paper.tasks[task].cells.get(model, {})
            trained = seen(cells)
            if not trained or _same(_mean(cells, trained), value, 1):
                continue
            without = [
                code
                for code in trained
                if _same(_mean(cells, tuple(it for it in trained if it != code)), value, 1)
            ]
            text = f"{value} is no average of Table {paper.tasks[task].number}"
            if len(without) == 1:
                text = f"{value} is the average without {without[0]}, which was trained on"
            yield Finding(4, task, model, "selection", tuple(without[:1]), text)


def seen(languages: Mapping[str, object] | tuple[str, ...]) -> tuple[str, ...]:
    """Return those of the languages that are among the 52 that Bactrian-X was trained on."""
    trained = {language.code for language in all_languages()}
    return tuple(code for code in languages if code in trained)


def _mean(cells: ByLanguage, languages: tuple[str, ...]) -> float:
    return sum(cells[code] for code in languages) / len(languages)


def _same(exact: float, printed: float, decimals: int) -> bool:
    """Return whether both are one number, each rounded to so many digits behind the point."""
    return abs(exact - printed) <= 10.0**-decimals + 1e-9

"""Answers of two models, judged on other days perhaps, held against each other prompt by prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from bactrian.errors import DataError
from bactrian.evaluate.compare import Draws, Pair
from bactrian.evaluate.confusion.judging import Judged
from bactrian.evaluate.confusion.numbers import METRICS, Spoken, between
from bactrian.schema import Difference

LINES = "confusion.jsonl"
TASK = "confusion"
AGAIN = "run bactrian eval on its folder again: no answer is written twice"


@dataclass(frozen=True, slots=True)
class Said:
    """One judged answer, and a hash of the prompt, the longest answer and the judge."""

    question: str
    judged: Judged


ByLanguage = Mapping[str, Mapping[str, Said]]
"""Language, then item, to an answer of one model."""


def read_said(folder: Path) -> dict[str, dict[str, dict[str, Said]]]:
    """Return the judged answers in a results folder by model, language and item; none is empty.

    Raises DataError for a file that is damaged or was written before answers could be compared.
    """
    path = folder / LINES
    found: dict[str, dict[str, dict[str, Said]]] = {}
    if not path.is_file():
        return found
    names = [field.name for field in fields(Judged)]
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                told = json.loads(line)
                said = Said(told["question"], Judged(**{name: told[name] for name in names}))
                by_item = found.setdefault(told["model"], {}).setdefault(told["language"], {})
                by_item[told["id"]] = said
            except KeyError as error:
                wrong = f"no {error.args[0]}, it was written by an earlier version"
                raise DataError(f"{path}, line {number}: {wrong}", AGAIN) from None
            except (ValueError, TypeError):
                wrong = "this is no judged answer"
                raise DataError(f"{path}, line {number}: {wrong}", AGAIN) from None
    return found


def differences_of(
    names: tuple[str, str],
    ours: ByLanguage,
    theirs: ByLanguage,
    draws: Draws,
    metric: str = "",
) -> list[Difference]:
    """Return the differences in the languages that both have, and their average.

    ``names`` are what the two sides are called; ``metric`` is one of ``METRICS``, all where it is
    empty. Raises DataError where the two did not answer the same prompts.
    """
    shared = [code for code in ours if code in theirs]
    for code in shared:
        _same(names, code, ours[code], theirs[code])
    spoken = [
        Spoken(
            code,
            "",
            {
                name: {item: said.judged for item, said in side[code].items()}
                for name, side in zip(names, (ours, theirs), strict=True)
            },
        )
        for code in shared
    ]
    wanted = [name for name in METRICS if metric in ("", name)]
    return [one for name in wanted for one in between(Pair(*names, TASK), spoken, name, draws)]


def _same(
    names: tuple[str, str], code: str, ours: Mapping[str, Said], theirs: Mapping[str, Said]
) -> None:
    """Raise DataError where the prompts, the longest answer or the judge differ."""
    which = f"{names[0]} and {names[1]}"
    if alone := ours.keys() ^ theirs.keys():
        raise DataError(
            f"{TASK} {code}: {len(alone)} prompts were answered by only one of {which}, "
            f"{min(alone)} is one",
            "evaluate both on the same held-out rows, with the same eval.answers",
        )
    for item, said in ours.items():
        if said.question != theirs[item].question:
            raise DataError(
                f"{TASK} {code}: prompt {item} is not the same for {which}: its words, the prompt "
                "style, the longest answer or how it is judged",
                "evaluate both with one recipe and one version; no answer is written twice",
            )

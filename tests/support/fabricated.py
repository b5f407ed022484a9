"""A report with numbers such as an evaluation gives, made up from a seed, for tests of pages."""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bactrian.evaluate.report import AdapterFacts, LanguageLabel, Report
from bactrian.evaluate.report.evidence import Cost, Evidence, Question
from bactrian.languages import all_languages, every_language, get
from bactrian.schema import Difference, Score

SENTENCES = Path(__file__).parents[1] / "samples" / "flores_52.tsv"
SIZES = {"xcopa": 500, "xstorycloze": 1511, "xwinograd": 504, "sentimentx": 400, "exams": 1200,
         "held-out": 128}  # fmt: skip
METRICS = {"sentimentx": ("f1", "f1_macro"), "held-out": ("bits", "bits_per_byte")}
LABELS = ("negative", "neutral", "positive")
BASE = "base"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to make up."""

    languages: Sequence[str]
    tasks: Sequence[str] = ("xcopa", "xstorycloze", "exams")
    adapters: Sequence[tuple[str, Sequence[str]]] = ()
    """Name and languages; one adapter of all languages where there are none."""
    items: int = 20
    base: str = "huggyllama/llama-7b @ 8416d3f"
    seed: int = 7


def fifty_two() -> list[str]:
    """Return the codes of the 52 languages."""
    return [language.code for language in all_languages()]


def fabricate(plan: Plan) -> Report:
    """Return a report of the plan; the same plan gives the same report."""
    chance = random.Random(plan.seed)
    adapters = list(plan.adapters) or [("multi", tuple(plan.languages))]
    scores: list[Score] = []
    differences: list[Difference] = []
    for task in plan.tasks:
        for language in plan.languages:
            value = _level(task, chance)
            scores.append(_score(BASE, task, language, value))
            for name, known in adapters:
                gain = chance.gauss(0.025 if language in known else -0.004, 0.018)
                scores.append(_score(name, task, language, value + _way(task) * gain))
                differences.append(_difference(name, task, language, _way(task) * gain))
        differences += [_macro(name, task, differences) for name, _ in adapters]
    sentences = _sentences()
    evidence = tuple(
        _evidence(task, language, sentences[language], (BASE, *(name for name, _ in adapters[:3])))
        for task in plan.tasks
        for language in plan.languages
        if plan.items and language in sentences
    )
    return Report(
        title="Fabricated numbers",
        date="2026-11-21",
        summary="Made up for a test.",
        base=plan.base,
        languages=tuple(_label(code) for code in plan.languages),
        adapters=tuple(
            AdapterFacts(name, tuple(known), 4_884_480, 600, 1_204_339, 1_145.2)
            for name, known in adapters
        ),
        scores=tuple(scores),
        differences=tuple(differences),
        evidence=tuple(_cut(one, plan.items) for one in evidence),
        notes=("Every number of this report is made up.",),
    )


def _label(code: str) -> LanguageLabel:
    language = get(code)
    return LanguageLabel(code, language.name, language.direction)


def _metric(task: str) -> str:
    return METRICS.get(task, ("acc", "acc"))[1]


def _way(task: str) -> float:
    return -4.0 if task == "held-out" else 1.0


def _level(task: str, chance: random.Random) -> float:
    return chance.uniform(0.9, 2.4) if task == "held-out" else chance.uniform(0.42, 0.63)


def _score(model: str, task: str, language: str, value: float) -> Score:
    n = SIZES[task]
    reach = 0.04 if task == "held-out" else 1.96 * math.sqrt(value * (1 - value) / n)
    signature = f"task:{task}|lang:{language}|n:{n}|prompt:native-2|join:together|texts:0a1b2c3d"
    return Score(
        model, task, language, _metric(task), value, value - reach, value + reach, n, signature,
        higher_is_better=task != "held-out",
    )  # fmt: skip


def _difference(model: str, task: str, language: str, value: float, n: int = 0) -> Difference:
    n = n or SIZES[task]
    reach = 0.05 if task == "held-out" else 1.1 / math.sqrt(n)
    return Difference(
        model, BASE, task, language, _metric(task), value, value - reach, value + reach, n,
        "paired bootstrap, 10000 draws, seed 0", higher_is_better=task != "held-out",
    )  # fmt: skip


def _macro(model: str, task: str, among: Sequence[Difference]) -> Difference:
    mine = [one for one in among if (one.model, one.task) == (model, task)]
    value = sum(one.value for one in mine) / len(mine)
    return _difference(model, task, "macro", value, SIZES[task] * len(mine))


def _sentences() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {language.code: [] for language in every_language()}
    with SENTENCES.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            found[row["language"]].append(row["text"])
    return {code: texts for code, texts in found.items() if texts}


def _evidence(task: str, language: str, texts: Sequence[str], models: tuple[str, ...]) -> Evidence:
    chance = random.Random(f"{task} {language}")
    count = SIZES[task]
    choice = task != "held-out"
    labels = LABELS if task == "sentimentx" else ("option 1", "option 2") if choice else ()
    ways = len(labels)
    questions = []
    for number in range(20):
        margins = sorted(chance.uniform(-9, -0.1) for _ in models)
        options = labels if task == "sentimentx" else tuple(texts[1 : 1 + ways]) or (texts[1],)
        gold = number % max(1, ways)
        values = tuple(margins) if choice else tuple(2 - margin for margin in margins)
        picked = tuple((gold + 1) % ways for _ in models) if choice else ()
        questions.append(
            Question(f"{task}-{number}", texts[number % 5], options, gold, values, picked)
        )
    return Evidence(
        task, language, count, models, models[-1], tuple(questions),
        Cost(count, count * 31 + len(texts[0].encode()), count * 90, count * 140), labels,
        _parts(count, ways, chance) if ways else (),
        {model: _parts(count, ways, chance) for model in models} if ways else None,
        named=task == "sentimentx", choice=choice,
    )  # fmt: skip


def _parts(count: int, ways: int, chance: random.Random) -> tuple[int, ...]:
    first = round(count * chance.uniform(0.2, 0.6))
    rest = [(count - first) // (ways - 1)] * (ways - 1)
    return (first, *rest[:-1], count - first - sum(rest[:-1]))


def _cut(one: Evidence, items: int) -> Evidence:
    from dataclasses import replace

    return replace(one, worst=one.worst[:items])

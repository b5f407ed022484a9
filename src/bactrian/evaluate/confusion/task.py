"""Held-out instructions, answered by every model; what is counted is in which language.

A prompt is asked where its own reference answer is in the language and does not refuse: what asks
for a translation or for code is passed over, and how many were is told.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from bactrian import __version__, table, text
from bactrian.errors import ConfigError, DataError
from bactrian.evaluate.compare import Draws
from bactrian.evaluate.confusion import judging
from bactrian.evaluate.confusion.answers import NAME, Answers, Written, open_answers
from bactrian.evaluate.confusion.asking import Prompts, ask, ask_crew
from bactrian.evaluate.confusion.compared import LINES, TASK
from bactrian.evaluate.confusion.judging import Judged, judge, known_words
from bactrian.evaluate.confusion.numbers import Numbers, Spoken, numbers
from bactrian.evaluate.engine import Scorers
from bactrian.evaluate.tasks import Item, Rules
from bactrian.evaluate.tasks.held_out import with_rows
from bactrian.events import emit
from bactrian.files import write_text
from bactrian.languages import Language
from bactrian.models import prompts
from bactrian.schema import Example
from bactrian.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Chosen:
    """The prompts of one language."""

    language: Language
    examples: tuple[Example, ...]
    passed_over: int
    """Rows before the last one chosen whose own answer is not in the language, or refuses."""


class Confusion:
    """Numbers of answers that models write: they have no items, and come from ``beside``."""

    name = TASK
    parallel = True

    def __init__(self, workspace: Workspace, tokenizer: Any = None) -> None:
        self.workspace = workspace
        self.told = prompts.told(workspace.recipe.train.prompt, workspace.recipe_folder)
        self.rules = Rules("acc", "together", (("prompt", self.told.mark),))

    def languages(self) -> tuple[Language, ...]:
        """Return none: there is nothing to score."""
        return ()

    def items(self, language: Language) -> Iterator[Item]:
        """Yield none: there is nothing to score."""
        return iter(())

    def asked(self) -> tuple[Language, ...]:
        """Return the languages of the dataset, or those the recipe names for this task.

        ``all`` is every language with held-out rows.
        """
        found, _ = with_rows(self.workspace, self.name)
        return found

    def foretold(self) -> Iterator[tuple[str, str, int, int]]:
        """Yield task, language, prompts and rows passed over; those without rows are told."""
        asked, absent = with_rows(self.workspace, self.name)
        if absent:
            emit("note", text=f"{self.name}: no held-out rows in {', '.join(absent)}")
        for one in map(self.chosen, asked):
            yield self.name, one.language.code, len(one.examples), one.passed_over

    def content(self) -> str:
        """Return a hash of what is asked and of how it is judged.

        Raises DataError for a language without held-out rows, before weights are loaded.
        """
        told = [
            [one.language.code, [[row.id, row.instruction, row.input] for row in one.examples]]
            for one in map(self.chosen, self.asked())
        ]
        return table.hash_of(judging.VERSION, told)

    def chosen(self, language: Language) -> Chosen:
        """Return the first held-out rows whose own answers are in the language.

        Raises DataError where the language has no held-out rows.
        """
        path = self.workspace.split(language.code, "validation")
        found = table.info(path)
        if found is None or not found.rows:
            raise DataError(
                f"{path} {'has no rows' if found else 'does not exist'}",
                "run bactrian build with build.validation above zero",
            )
        recipe = self.workspace.recipe
        examples: list[Example] = []
        passed_over = 0
        for row in islice(table.read(path), recipe.limit or None):
            if len(examples) == recipe.eval.answers:
                break
            if _is_asked(row.example, language):
                examples.append(row.example)
            else:
                passed_over += 1
        return Chosen(language, tuple(examples), passed_over)

    def beside(self, ready: Scorers, found: Mapping[str, Any], draws: int) -> Numbers:
        """Have every model answer what is not answered yet, and return the numbers."""
        recipe = self.workspace.recipe
        spoken: list[Spoken] = []
        lines: list[str] = []
        notes: list[str] = []
        asked, absent = with_rows(self.workspace, self.name)
        if absent:
            notes.append(f"{self.name}: no held-out rows in {', '.join(absent)}")
            emit("note", text=notes[-1])
        given = [(one, *self._prompts(ready, one)) for one in map(self.chosen, asked)]
        with open_answers(self.workspace.results / NAME) as answers:
            if ready.crew is not None:
                ask_crew(ready.crew, ready, [prompts for _, prompts, _ in given], answers)
            for chosen, prompts, too_long in given:
                notes += self._told(chosen, prompts, too_long)
                if prompts.ids:
                    spoken.append(self._spoken(ready, chosen, prompts, answers, lines))
        write_text(self.workspace.results / LINES, "".join(lines))
        made = numbers(self.name, spoken, Draws(draws, recipe.seed))
        return Numbers(made.scores, made.differences, (*notes, *made.notes), made.averages)

    def _told(self, chosen: Chosen, asked: Prompts, too_long: int) -> list[str]:
        """Return what a reader has to know of what is asked in one language."""
        where = f"{self.name} {chosen.language.code}"
        notes = [
            f"{where}: {count} prompts {why}"
            for count, why in (
                (chosen.passed_over, "passed over, whose own answers are in another language,"
                 " are code, or refuse"),
                (too_long, "left out, which with an answer are longer than the model"),
            )
            if count
        ]  # fmt: skip
        return notes if asked.ids else [*notes, f"{where}: nothing is left to ask"]

    def _spoken(
        self, ready: Scorers, chosen: Chosen, asked: Prompts, answers: Answers, lines: list[str]
    ) -> Spoken:
        """Return the judged answers in one language.

        Adds each answer with what was found of it to ``lines``.
        """
        code = chosen.language.code
        kept = [row for row in chosen.examples if row.id in asked.ids]
        written = ask(ready, asked, answers)
        judged = {model: _judged(kept, chosen.language, by) for model, by in written.items()}
        questions = {row.id: self._question(row, asked.most) for row in kept}
        lines += _lines(code, written, judged, questions)
        return Spoken(code, self._signature(ready, asked), judged)

    def _question(self, row: Example, most: int) -> str:
        """Return a hash of what makes two models' answers comparable: prompt, length and judge."""
        told = [row.instruction, row.input, row.output]
        return table.hash_of(judging.VERSION, self.told.mark, most, told)[:16]

    def _prompts(self, ready: Scorers, chosen: Chosen) -> tuple[Prompts, int]:
        """Return the prompts as token ids, and how many leave no room for an answer."""
        recipe, writer = self.workspace.recipe, ready.writer
        style = prompts.style(self.told, writer.tokenizer)
        most = recipe.eval.answer_tokens
        asked = {row.id: style.render(row.instruction, row.input) for row in chosen.examples}
        writer.prepare(asked.values())
        ids: dict[str, tuple[int, ...]] = {}
        for item, prompt in asked.items():
            try:
                one = writer.encode(prompt)
            except ConfigError:
                continue  # longer than the model by itself: counted with the others
            if writer.limit is None or len(one) + most <= writer.limit:
                ids[item] = tuple(one)
        told = Prompts(chosen.language.code, ids, most, recipe.eval.batch_tokens)
        return told, len(chosen.examples) - len(ids)

    def _signature(self, ready: Scorers, asked: Prompts) -> str:
        fields = [
            ("task", self.name),
            ("lang", asked.language),
            ("n", str(len(asked.ids))),
            *self.rules.facts,
            ("decoding", "greedy"),
            ("tokens", str(asked.most)),
            ("judge", str(judging.VERSION)),
            ("texts", asked.key[:8]),
            ("base", ready.base.location.fingerprint[:8]),
            ("dtype", ready.base.precision),
            ("bactrian", __version__),
        ]
        return "|".join(f"{name}:{value}" for name, value in fields)


def _is_asked(example: Example, language: Language) -> bool:
    """Return whether the row's own answer is what the task wants to see."""
    known = known_words(example.instruction, example.input)
    own = judge(example.output, language, known)
    # words that the reference has, the models may have as well: only its lines decide
    return (
        own.lines is not False
        and not own.refused
        and any(judging.words(text.prose(example.output)))
    )


def _lines(
    code: str,
    written: Mapping[str, Mapping[str, Written]],
    judged: Mapping[str, Mapping[str, Judged]],
    questions: Mapping[str, str],
) -> Iterator[str]:
    """Yield a line of JSON for each answer: what was written, and what was found of it."""
    for model, found in judged.items():
        for item, one in found.items():
            told = {"model": model, "language": code, "id": item, "question": questions[item]}
            told |= asdict(one)
            told["text"] = written[model][item].text
            yield json.dumps(told, ensure_ascii=False) + "\n"


def _judged(
    rows: Sequence[Example], language: Language, written: Mapping[str, Written]
) -> dict[str, Judged]:
    found = {}
    for row in rows:
        known = known_words(row.instruction, row.input, row.output)
        found[row.id] = judge(written[row.id].text, language, known, cut=written[row.id].cut)
    return found

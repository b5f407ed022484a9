"""``lm_eval:NAME``: lm-eval's tasks as ours, so that store, statistics and report work for them.

Questions with options become items. What is no such question (texts to write, texts to be
surprised by) is measured by lm-eval itself with our model, see ``others``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bactrian import table
from bactrian.errors import ConfigError, DataError, LanguageError
from bactrian.evaluate.engine import Scorers
from bactrian.evaluate.lm_eval import leaves, others
from bactrian.evaluate.lm_eval.columns import Draws, Numbers, Place
from bactrian.evaluate.lm_eval.leaves import Asked, Leaf
from bactrian.evaluate.lm_eval.spoken import language_of
from bactrian.evaluate.store import Scored
from bactrian.evaluate.tasks import Item, Rules
from bactrian.events import emit
from bactrian.languages import Language, get, parse
from bactrian.workspace import Workspace

Found = Mapping[tuple[str, int], Scored]
"""What the store holds of one model: (item, option) to its log-likelihood."""
PREFIX = "lm_eval"
ENGLISH = "en"


class LmEvalTask:
    """One task, group or tag of lm-eval; ``told`` is what stands after ``lm_eval``."""

    parallel = False
    """Nothing says that the same place in two languages is the same question."""

    def __init__(self, workspace: Workspace, tokenizer: Any = None, told: str = "") -> None:
        wanted = told.removeprefix(":")
        if not wanted:
            raise ConfigError(f"{PREFIX}: names no task", f"write {PREFIX}:xcopa_et")
        self.workspace = workspace
        self.name = f"{PREFIX}:{wanted}"
        self.by_language = self._spoken(self._load(wanted))
        self.rules = Rules("acc", "together", self._facts())

    def languages(self) -> tuple[Language, ...]:
        """Return the languages that have questions with options, in the order of their codes."""
        return tuple(
            language for language, found in self.by_language.items() if any(map(_choice, found))
        )

    def items(self, language: Language) -> Iterator[Item]:
        """Yield the questions; of each of lm-eval's tasks the first ``limit``, as there."""
        found = [leaf for leaf in self.by_language[language] if leaf.is_choice]
        for leaf in found:
            before = f"{leaf.name}/" if len(found) > 1 else ""
            for one in leaves.asked(leaf, self.workspace.recipe.limit or None):
                yield item(leaf, one, before)

    def beside(
        self, ready: Scorers, found: Mapping[str, Mapping[str, Found]], draws: int
    ) -> Numbers:
        """Return the numbers that are no accuracy of items, made by lm-eval's own functions.

        ``found`` is what the store holds, by language and model. Tasks without items are run here,
        under the base and every adapter.
        """
        recipe = self.workspace.recipe
        how = Draws(draws, recipe.seed)
        whole = Numbers()
        for code, by_model in found.items():
            whole += self._further(ready, get(code), by_model, how)
        limits = others.Limits(recipe.limit or None, recipe.eval.batch_tokens)
        return whole + others.run(ready, self.name, self._rest(), how, limits)

    @property
    def needs_model(self) -> bool:
        """Whether lm-eval asks a model in this process: for what is no question with options."""
        return bool(self._rest())

    def content(self) -> str:
        """Return a hash of what is asked without items: other texts or files, another hash."""
        limit = self.workspace.recipe.limit or None
        told = [
            [
                language.code,
                leaf.name,
                leaf.told,
                [one.pairs for one in leaves.asked(leaf, limit)],
            ]
            for language, leaf in self._rest()
        ]
        return table.hash_of(told)

    def _rest(self) -> list[tuple[Language, Leaf]]:
        """Return what is no question with options, with its language."""
        return [
            (language, leaf)
            for language, several in self.by_language.items()
            for leaf in several
            if not leaf.is_choice
        ]

    def _further(
        self, ready: Scorers, language: Language, by_model: Mapping[str, Found], draws: Draws
    ) -> Numbers:
        """Return the metrics beside accuracy of the questions of one language."""
        whole = Numbers()
        chosen = [leaf for leaf in self.by_language[language] if leaf.is_choice]
        for leaf in filter(others.has_further, chosen):
            before = f"{leaf.name}/" if len(chosen) > 1 else ""
            asked = list(leaves.asked(leaf, self.workspace.recipe.limit or None))
            given = {
                model: {one.id: _answers(one, before, scored) for one in asked}
                for model, scored in by_model.items()
            }
            called = f"{self.name}/{leaf.name}" if before else self.name
            told = others.signature(ready, leaf, language, [one.pairs for one in asked])
            place = Place(called, language.code, told)
            whole += others.beside(leaf, asked, given, place, draws)
        return whole

    def _load(self, wanted: str) -> tuple[Leaf, ...]:
        recipe = self.workspace.recipe
        folders: Sequence[str] = getattr(recipe.eval, "lm_eval_paths", ())
        places = [str(self.workspace.given(folder).absolute()) for folder in folders]
        if wanted.endswith((".yaml", ".yml")):
            wanted = str(self.workspace.given(wanted).absolute())
        return leaves.load(wanted, places, network=recipe.network)

    def _spoken(self, found: Sequence[Leaf]) -> dict[Language, list[Leaf]]:
        """Return the tasks by language, those that the recipe asks for."""
        told = self.workspace.recipe.eval.languages.get(self.name, "")
        wanted = parse(told) if told else ()
        spoken: dict[Language, list[Leaf]] = {}
        strange = []
        for leaf in found:
            try:
                language = language_of(leaf.name, leaf.task.config)
            except LanguageError:
                strange.append(leaf.name)
                continue
            language = language or self._assumed(leaf, wanted)
            if not wanted or language in wanted:
                spoken.setdefault(language, []).append(leaf)
        if strange:
            emit("note", text=f"{self.name}: languages not among ours: {', '.join(strange)}")
        if not spoken:
            raise ConfigError(
                f"{self.name} has no task in the languages asked for",
                f'see bactrian languages, and [eval.languages] "{self.name}"',
            )
        return dict(sorted(spoken.items(), key=lambda pair: pair[0].code))

    def _assumed(self, leaf: Leaf, wanted: Sequence[Language]) -> Language:
        if len(wanted) == 1:
            return wanted[0]
        emit(
            "decision",
            text=f"lm-eval does not say which language {leaf.name} is in: counted as English; "
            f'[eval.languages] "{self.name}" = "th" would say otherwise',
        )
        return get(ENGLISH)

    def _facts(self) -> tuple[tuple[str, str], ...]:
        from importlib.metadata import version

        found = [leaf for several in self.by_language.values() for leaf in several]
        shots = sorted({leaf.shots for leaf in found})
        versions = sorted({str(leaf.task.VERSION) for leaf in found})
        return (
            ("prompt", f"lm_eval-{version('lm_eval')}"),
            ("version", "+".join(versions)),
            ("shots", "+".join(map(str, shots))),
            ("file", table.hash_of([[leaf.name, leaf.told] for leaf in found])[:8]),
        )


def item(leaf: Leaf, one: Asked, before: str = "") -> Item:
    """Return the item of a document; raises DataError where its right option is not there."""
    task = leaf.task
    choices = [str(choice) for choice in task.doc_to_choice(one.document)]
    gold = _gold(leaf, one, choices)
    contexts = tuple(context for context, _ in one.pairs)
    alike = len(set(contexts)) == 1
    return Item(
        id=f"{before}{one.id}",
        context=contexts[0] if alike else "",
        options=tuple(continuation for _, continuation in one.pairs),
        gold=gold,
        texts=tuple(choices),
        contexts=() if alike else contexts,
        group=leaf.name if before else "",
    )


def _answers(one: Asked, before: str, scored: Found) -> list[tuple[float, bool]]:
    """Return what the store has of a document."""
    found = [scored[f"{before}{one.id}", option] for option in range(len(one.pairs))]
    return [(option.log_likelihood, option.greedy) for option in found]


def _gold(leaf: Leaf, one: Asked, choices: Sequence[str]) -> int:
    """Return the place of the right option, which lm-eval's files give as a place or a text."""
    task = leaf.task
    told = (task.doc_to_text if task.multiple_input else task.doc_to_target)(one.document)
    if isinstance(told, str) and told in choices:
        return choices.index(told)
    if isinstance(told, int) and 0 <= told < len(one.pairs):
        return told
    raise DataError(
        f"lm_eval:{leaf.name}, document {one.id}: the right option is {told!r}, "
        f"there are {len(choices)}",
        "have its process_docs leave the document out",
    )


def _choice(leaf: Leaf) -> bool:
    return leaf.is_choice

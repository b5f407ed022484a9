"""Numbers of lm-eval's that no item of ours has, made by lm-eval's own functions.

Of tasks that are no questions with options (texts to write, texts to be surprised by, last words
to guess) lm-eval's evaluator gives all of them, with our model. Of questions with options, it is
the metrics beside accuracy (F1, Brier score and more), made from log-likelihoods that are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bactrian import __version__, table
from bactrian.evaluate.backends.writing import ServedWriter
from bactrian.evaluate.engine import Scorers
from bactrian.evaluate.lm_eval.columns import Column, Draws, Numbers, Place, columns, numbers
from bactrian.evaluate.lm_eval.leaves import SEED, Asked, Leaf, asked, quiet
from bactrian.events import emit
from bactrian.languages import Language

OURS = ("acc", "acc_norm", "acc_bytes")
"""Metrics of questions with options that are made elsewhere, with exact intervals."""

Answers = Mapping[int, Sequence[tuple[float, bool]]]
"""Log-likelihood (nats) and greediness of each pair, by the id of the document."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is asked, and how much at once."""

    documents: int | None
    """Of each task, the first ones; None is all."""
    tokens: int
    """Scored at once."""


def run(
    ready: Scorers,
    name: str,
    found: Sequence[tuple[Language, Leaf]],
    draws: Draws,
    limits: Limits,
) -> Numbers:
    """Have lm-eval's evaluator measure tasks under the base and every adapter.

    ``name`` is what results call the whole, ``found`` the tasks with their languages.
    """
    if not found:
        return Numbers()
    given: dict[str, dict[str, list[Column]]] = {}
    notes: list[str] = []
    for model in ready.keys:
        emit("note", text=f"{name}: {len(found)} tasks by lm-eval's evaluator, {model}")
        with ready.using(model):
            given[model], told = _run(ready, [leaf for _, leaf in found], limits)
        notes += [f"{name} {model}: {note}" for note in told]
    whole = Numbers(notes=tuple(notes))
    for language, leaf in found:
        called = name if len(found) == 1 else f"{name}/{leaf.name}"
        texts = [one.pairs for one in asked(leaf, limits.documents)]
        place = Place(called, language.code, signature(ready, leaf, language, texts))
        whole += numbers(place, {model: given[model][leaf.name] for model in given}, draws)
    return whole


def beside(
    leaf: Leaf, several: Sequence[Asked], given: Mapping[str, Answers], place: Place, draws: Draws
) -> Numbers:
    """Return the metrics of questions with options that are not accuracies.

    ``given`` has the answers by model.
    """
    found = {
        model: [one for one in choice_columns(leaf, several, answers) if one.metric not in OURS]
        for model, answers in given.items()
    }
    return numbers(place, found, draws) if any(found.values()) else Numbers()


def has_further(leaf: Leaf) -> bool:
    """Whether a task of questions with options has metrics that are not accuracies."""
    own = callable(leaf.task.get_config("process_results"))
    return own or not set(leaf.task.aggregation()) <= set(OURS)


def choice_columns(leaf: Leaf, several: Iterable[Asked], answers: Answers) -> Iterator[Column]:
    """Yield every metric of lm-eval's of questions with options, made by its own functions."""
    documents = (leaf.task.process_results(one.document, list(answers[one.id])) for one in several)
    return columns(leaf, documents, "none")


def _run(
    ready: Scorers, found: Sequence[Leaf], limits: Limits
) -> tuple[dict[str, list[Column]], list[str]]:
    """Return the columns of each task under the model that is switched on, and notes."""
    from lm_eval.evaluator import evaluate

    model = _model(ready, limits.tokens)
    for leaf in found:
        leaf.task.set_fewshot_seed(seed=SEED)
    with quiet():
        results = evaluate(
            lm=model,
            task_dict={"tasks": {leaf.name: leaf.task for leaf in found}},
            limit=limits.documents,
            bootstrap_iters=0,
            log_samples=True,
        )
    noted = results["samples"]
    return {leaf.name: _columns(leaf, noted[leaf.name]) for leaf in found}, model.notes()


def _model(ready: Scorers, budget: int) -> Any:
    """Return what lm-eval asks; without bars, as our own lines tell."""
    if isinstance(ready.writer, ServedWriter):
        from bactrian.evaluate.lm_eval.served import ServedLM

        return ServedLM(ready, ready.writer, budget)
    from bactrian.evaluate.lm_eval.model import BactrianLM

    model = BactrianLM(ready, batch_tokens=budget)
    model.bars = False
    return model


def _columns(leaf: Leaf, samples: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Return the columns of what lm-eval noted for each document and filter."""
    found: list[Column] = []
    for kept in dict.fromkeys(sample["filter"] for sample in samples):
        mine = sorted((sample for sample in samples if sample["filter"] == kept), key=_place)
        documents = ({metric: one[metric] for metric in one["metrics"]} for one in mine)
        found += columns(leaf, documents, kept)
    return found


def _place(sample: Mapping[str, Any]) -> int:
    return int(sample["doc_id"])


def signature(ready: Scorers, leaf: Leaf, language: Language, texts: Sequence[Any]) -> str:
    """Return every choice that can change the numbers; ``texts`` are those that are asked."""
    from importlib.metadata import version

    fields = [
        ("task", f"lm_eval:{leaf.name}"),
        ("lang", language.code),
        ("n", str(len(texts))),
        ("kind", str(leaf.task.OUTPUT_TYPE)),
        ("prompt", f"lm_eval-{version('lm_eval')}"),
        ("version", str(leaf.task.VERSION)),
        ("shots", str(leaf.shots)),
        ("file", table.hash_of(leaf.told)[:8]),
        ("texts", table.hash_of(list(texts))[:8]),
        ("base", ready.base.location.fingerprint[:8]),
        ("dtype", ready.base.precision),
        ("bactrian", __version__),
    ]
    return "|".join(f"{name}:{value}" for name, value in fields)

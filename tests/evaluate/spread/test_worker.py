"""What workers say of themselves: the same everywhere, or refused by name; errors that travel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from bactrian.cluster import Refused
from bactrian.errors import AdapterError, BactrianError, ConfigError, RunError
from bactrian.evaluate.engine import Questions, Scorers, questions, scorers
from bactrian.evaluate.spread.crew import Computed
from bactrian.evaluate.spread.unloaded import planning, unloaded
from bactrian.evaluate.spread.worker import Opened, agree, compute, opened_of
from bactrian.evaluate.spread.works import Answering
from bactrian.evaluate.tasks import Item, Rules
from bactrian.models import base
from bactrian.models.scoring import Scorer

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

ONE = Opened(
    {"base": "1", "zh": "2"}, "float32", "none", "causal", "cpu", "packed", 320, False, "node-1"
)
ITEMS = [Item(str(n), f"Question {n} " * (n + 1), (" yes", " no, never")) for n in range(9)]


@pytest.mark.parametrize(
    ("change", "kind", "problem"),
    [
        ({"keys": {"base": "9", "zh": "2"}}, RunError, "the base is another one on node-2 than"),
        ({"words": 321}, RunError, "the base is another one"),
        ({"keys": {"base": "1", "zh": "9"}}, AdapterError, "the adapter zh has other weights on"),
        ({"keys": {"base": "1"}}, AdapterError, "the adapter zh has other weights"),
        ({"way": "plain"}, RunError, r"another way on node-2 .* plain \(cpu\) and packed"),
        ({"device": "cuda"}, RunError, "machines of one kind"),
    ],
)
def test_what_would_give_other_numbers_is_refused(
    change: dict[str, Any], kind: type[BactrianError], problem: str
) -> None:
    with pytest.raises(kind) as caught:
        agree(ONE, replace(ONE, where="node-2", **change))
    caught.match(problem)


def test_another_machine_of_the_same_kind_is_welcome() -> None:
    agree(ONE, replace(ONE, where="node-2", told=(("decision", "float32"),)))


class Works:
    """Work that ends as it is told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def done_by(self, _: Scorers) -> str:
        if self.error:
            raise self.error
        return "done"


def test_errors_travel_and_come_back_as_they_were() -> None:
    nobody = cast("Scorers", None)
    found = compute(nobody, Works(), "exams zh")
    assert isinstance(found, Computed)
    assert found.result == "done"
    assert found.seconds >= 0
    told = compute(nobody, Works(ConfigError("too long", "shorten it")), "exams zh")
    assert isinstance(told, Refused)
    error = told.error()
    assert isinstance(error, ConfigError)
    assert (error.problem.startswith("too long (on "), error.hint) == (True, "shorten it")
    full = compute(nobody, Works(torch.OutOfMemoryError()), "exams zh")
    assert isinstance(full, Refused)
    assert full.problem.startswith("exams zh does not fit into the memory")
    assert "eval.batch_tokens" in full.hint
    with pytest.raises(ZeroDivisionError):  # a bug of ours keeps its traceback
        compute(nobody, Works(ZeroDivisionError()), "exams zh")


def test_a_base_that_is_elsewhere_plans_what_a_loaded_one_plans(
    tiny_base: Path, adapter: Path
) -> None:
    loaded = base.load(str(tiny_base), dtype="float32")
    ready = scorers(loaded, {"toy": adapter})
    opened = opened_of(ready)
    assert (opened.device, opened.way, opened.stateful) == ("cpu", "packed", False)
    there, here = unloaded(base.locate(str(tiny_base)), {"toy": adapter}, opened, cast("Any", 1))
    agree(opened, here)
    assert dict(there.keys) == dict(ready.keys)

    def asked(of: Scorers) -> Questions:
        return questions(of.base, "task", "en", ITEMS, Rules("acc", "together", ()))

    assert asked(there).key == asked(ready).key
    ways = [replace(opened, way=way) for way in ("packed", "padded", "plain")]
    for one in ways:
        planned = planning(one).plan(asked(there).requests, 100)
        assert planned == Scorer(ready.scorer.parts, one.way).plan(asked(ready).requests, 100)
    large = planning(replace(opened, device="cuda")).plan(asked(there).requests, 4096)
    assert len(large) == 1, "a GPU takes the whole budget"
    there.detach()


def test_answers_are_written_by_the_model_that_is_named(tiny_base: Path, adapter: Path) -> None:
    ready = scorers(base.load(str(tiny_base), dtype="float32"), {"toy": adapter})
    prompts = ((0, 70, 71), (0, 90))
    found = {name: Answering(name, prompts, 5).done_by(ready) for name in ("base", "toy")}
    assert [len(texts) for texts in found.values()] == [2, 2]
    assert found["base"] != found["toy"]

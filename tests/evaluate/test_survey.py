"""What would be asked, counted and hashed without a model."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import DataError
from bactrian.evaluate.survey import Asked, forecast, to_write
from bactrian.recipe import Eval, Recipe
from bactrian.workspace import Workspace


def row(number: int, **changes: Any) -> str:
    told = {"premise": "P.", "choice1": "A.", "choice2": "B.", "question": "cause", "label": 0}
    return json.dumps({**told, "idx": number, **changes}) + "\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "et.jsonl").write_text(row(0) + row(1))
    (tmp_path / "sw.jsonl").write_text(row(0))
    told = Eval(tasks=("xcopa", "xcopa:letter"), data={"xcopa": "."})
    return Workspace(tmp_path, Recipe(languages="et,sw", eval=told), tmp_path)


def test_every_task_and_language_is_counted(workspace: Workspace) -> None:
    told = [(one.task, one.language, one.items, one.options) for one in forecast(workspace)]
    assert told == [
        ("xcopa", "et", 2, 4),
        ("xcopa", "sw", 1, 2),
        ("xcopa:letter", "et", 2, 4),
        ("xcopa:letter", "sw", 1, 2),
    ]
    assert len({one.content for one in forecast(workspace)}) == 4


@pytest.mark.parametrize("change", [{"label": 1}, {"choice1": "C."}, {"premise": "Q."}, {"idx": 9}])
def test_the_hash_follows_texts_ids_and_answers(
    workspace: Workspace, change: dict[str, Any]
) -> None:
    def contents() -> dict[tuple[str, str], str]:
        return {(one.task, one.language): one.content for one in forecast(workspace)}

    before = contents()
    (workspace.root / "et.jsonl").write_text(row(0) + row(1, **change))
    after = contents()
    assert before["xcopa", "sw"] == after["xcopa", "sw"]
    assert before["xcopa", "et"] != after["xcopa", "et"]


def test_items_are_looked_at_and_not_kept(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many items only the one that is looked at is there."""
    import gc
    import weakref

    from bactrian.evaluate import survey
    from bactrian.evaluate.tasks import Rules

    class Text(str):
        """A text that can be watched."""

        __slots__ = ("__weakref__",)

    alive: list[weakref.ref[Text]] = []

    class Endless:
        name, parallel, rules = "endless", False, Rules("acc", "together", ())

        def languages(self) -> Any:
            return workspace.languages[:1]

        def items(self, language: Any) -> Any:
            from bactrian.evaluate.tasks import Item

            for number in range(2000):
                text = Text(f"text {number}")
                alive.append(weakref.ref(text))
                yield Item(str(number), str(text), ("a", "b"), texts=(text, text))
                del text

    monkeypatch.setattr(survey, "tasks", lambda *_: [Endless()])
    (found,) = forecast(workspace)
    gc.collect()
    assert isinstance(found, Asked)
    assert found.items == 2000
    assert sum(one() is not None for one in alive) <= 2


def test_what_is_wrong_is_told_with_task_and_language(workspace: Workspace) -> None:
    (workspace.root / "sw.jsonl").write_text(row(0) + row(0))
    with pytest.raises(DataError, match="xcopa sw: the id 0 is there twice"):
        forecast(workspace)


def test_a_truncated_file_is_told_before_any_model(workspace: Workspace) -> None:
    whole = gzip.compress("".join(map(row, range(500))).encode())
    (workspace.root / "sw.jsonl").unlink()
    (workspace.root / "sw.jsonl.gz").write_bytes(whole[:-20])
    with pytest.raises(DataError, match=r"sw\.jsonl\.gz is cut short or damaged"):
        forecast(workspace)


def test_what_models_would_write_is_counted(make_workspace: Callable[..., Workspace]) -> None:
    told = ("eval.answers=2", "eval.answer_tokens=7", "eval.samples=1", "eval.sample_tokens=5")
    workspace = make_workspace("zh,vi", 'eval.tasks=["held-out", "confusion"]', *told)
    found = to_write(workspace)
    assert [(one.task, one.language, one.prompts, one.tokens) for one in found] == [
        ("confusion", "zh", 2, 14),
        ("confusion", "vi", 2, 14),
        ("samples", "zh", 1, 5),
        ("samples", "vi", 1, 5),
    ]
    assert to_write(make_workspace("zh,vi")) == (), "nothing is written where only texts are scored"

"""A task as a recipe would make it, without a workspace on the disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian.evaluate.tasks import Task
from bactrian.evaluate.tasks.finding import tasks
from bactrian.recipe import Eval, Recipe
from bactrian.workspace import Workspace

SHARED = Path(__file__).parents[4] / "shared" / "data"

MakeTask = Callable[..., Any]


@pytest.fixture
def make_task(tmp_path: Path) -> MakeTask:
    """Return a maker of tasks: its name, the recipe's languages, what ``[eval]`` says."""

    def make(
        name: str,
        told: str = "all",
        *,
        data: Path | str | None = None,
        languages: str = "",
        limit: int = 0,
        network: bool = False,
    ) -> Task:
        stem = name.split("@")[0].split(":")[0]
        recipe = Recipe(
            languages=told,
            limit=limit,
            network=network,
            eval=Eval(
                tasks=(name,),
                languages={stem: languages} if languages else {},
                data={} if data == "" else {stem: str(tmp_path if data is None else data)},
            ),
        )
        (found,) = tasks(Workspace(tmp_path, recipe, tmp_path))
        return found

    return make


@pytest.fixture
def shared() -> Callable[[str], Path]:
    """Return the folder of real data beside the repository; the test is skipped without it."""

    def find(name: str) -> Path:
        folder = SHARED / name
        if not folder.is_dir():
            pytest.skip(f"real data is not beside the repository: {name}")
        return folder

    return find


@pytest.fixture
def harness() -> Callable[[str], dict[str, Any]]:
    """Return what a utils.py of lm-evaluation-harness defines, lm_eval itself not imported."""
    from importlib.util import find_spec
    from runpy import run_path

    def read(task: str) -> dict[str, Any]:
        spec = find_spec("lm_eval")
        if spec is None or not spec.submodule_search_locations:
            pytest.skip("lm_eval is not installed")
        return run_path(str(Path(spec.submodule_search_locations[0]) / "tasks" / task / "utils.py"))

    return read

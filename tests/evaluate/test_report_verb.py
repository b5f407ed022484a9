"""``bactrian report``: what the verb writes and says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bactrian.cli import main
from bactrian.evaluate.answered import Measured
from bactrian.evaluate.metrics import Draws
from bactrian.evaluate.results import results_of, write
from bactrian.evaluate.store import Scored
from bactrian.evaluate.tasks import Item, Rules

RULES = Rules("acc", "together", ())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a recipe and the results of one task, whose questions are gone."""
    root = tmp_path / "toy"
    root.mkdir()
    (root / "recipe.toml").write_text(
        'name = "toy"\nlanguages = "zh,th"\n[train]\nbase = "nobody/nothing"\n'
        '[eval]\ntasks = ["xcopa"]\n[eval.data]\nxcopa = "gone"\n'
    )
    items = tuple(Item(str(at), "c", (" a", " b"), at % 2) for at in range(8))
    found = {(item.id, at): Scored(item.id, at, -at - 1.0, 1, 0) for item in items for at in (0, 1)}
    measured = [
        Measured("xcopa", code, RULES, "s", items, {"base": found}) for code in ("zh", "th")
    ]
    results = results_of("nobody/nothing", measured, Draws(50, 0))
    write(results, root / "results" / "toy", {})
    return root


def run(*arguments: str) -> int:
    """Run the verb and return its exit status."""
    with pytest.raises(SystemExit) as ended:
        main(["report", *arguments])
    return int(ended.value.code or 0)


def test_the_paper_is_a_page_of_its_own_that_is_asked_for(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = folder / "results" / "toy"
    assert run(str(folder)) == 0
    assert (results / "report.html").is_file()
    assert not (results / "paper.html").exists()
    assert run(str(folder), "--paper", "--json") == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert Path(told["paper"]) == results / "paper.html"
    assert all(Path(path).is_file() for path in told["tables"])
    assert (results / "paper.md").read_text(encoding="utf-8").count("no run") > 10
    assert (results / "tables" / "paper-table-8.tex").is_file()


def test_questions_that_are_gone_are_said_to_be(folder: Path) -> None:
    assert run(str(folder)) == 0
    text = (folder / "results" / "toy" / "report.md").read_text(encoding="utf-8")
    assert "items are not shown" in text
    assert run(str(folder), "--items", "0") == 0
    text = (folder / "results" / "toy" / "report.md").read_text(encoding="utf-8")
    assert "items are not shown" not in text


def test_a_dry_run_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(folder), "--paper", "--dry-run") == 0
    assert "paper.html" in capsys.readouterr().out
    assert not (folder / "results" / "toy" / "report.html").exists()

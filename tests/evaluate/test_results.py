"""Numbers from stored scores, and files that others read."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bactrian.evaluate import results
from bactrian.evaluate.compare import Draws
from bactrian.evaluate.items import NAME, read_items
from bactrian.evaluate.results import Measured, Results, differences_of, scores_of
from bactrian.evaluate.store import Scored
from bactrian.evaluate.tasks import Item, Rules
from bactrian.schema import Score

pytest.importorskip("numpy")

DRAWS = Draws(200, 0)
CHOICE = Rules("acc", "together", ())
TEXT = Rules("bits_per_byte", "apart", ())


def choice(language: str, right: dict[str, list[bool]]) -> Measured:
    """Two options a question; a model that is right gives the first one, the gold, -1 nats."""
    count = len(next(iter(right.values())))
    items = tuple(Item(str(number), "c", ("ab", "cd"), 0) for number in range(count))
    found = {
        model: {
            (str(number), option): Scored(str(number), option, value, 1, 0)
            for number, good in enumerate(marks)
            for option, value in enumerate((-1.0, -2.0) if good else (-2.0, -1.0))
        }
        for model, marks in right.items()
    }
    return Measured("xcopa", language, CHOICE, f"task:xcopa|lang:{language}", items, found)


def text(language: str, nats: dict[str, list[float]]) -> Measured:
    """Answers of four bytes each."""
    count = len(next(iter(nats.values())))
    items = tuple(Item(str(number), "c", ("abcd",)) for number in range(count))
    found = {
        model: {(str(n), 0): Scored(str(n), 0, -value, 4, 0) for n, value in enumerate(values)}
        for model, values in nats.items()
    }
    return Measured("held-out", language, TEXT, f"task:held-out|lang:{language}", items, found)


ALL = (
    choice("zh", {"base": [True, False] * 10, "toy": [True] * 20}),
    choice("et", {"base": [True] * 10 + [False] * 10, "toy": [True] * 15 + [False] * 5}),
    text("zh", {"base": [8.0, 4.0] * 5, "toy": [4.0, 2.0] * 5}),
)


def example() -> Results:
    scores = tuple(score for one in ALL for score in scores_of(one, DRAWS))
    return Results("some/base", ("base", "toy"), scores, differences_of(ALL, DRAWS), ("a note",))


def test_accuracy_is_of_the_options_scores() -> None:
    found = {(score.model, score.metric): score for score in scores_of(ALL[0], DRAWS)}
    assert found["base", "acc"].value == 0.5
    assert found["toy", "acc"].value == 1.0
    assert found["toy", "acc"].n == 20
    assert found["base", "acc"].signature == "task:xcopa|lang:zh"
    assert {metric for _, metric in found} == {"acc", "acc_norm", "acc_bytes"}


def test_bits_are_nats_by_bytes() -> None:
    from math import log

    found = {score.model: score for score in scores_of(ALL[2], DRAWS)}
    assert found["base"].value == pytest.approx(60 / 40 / log(2))
    assert found["toy"].value == pytest.approx(30 / 40 / log(2))
    assert not found["toy"].higher_is_better


def test_differences_are_by_language_and_over_languages() -> None:
    found = {(one.task, one.language): one for one in differences_of(ALL, DRAWS)}
    assert set(found) == {
        ("xcopa", "zh"),
        ("xcopa", "et"),
        ("xcopa", "macro"),
        ("held-out", "zh"),
    }
    assert found["xcopa", "zh"].value == pytest.approx(0.5)
    assert found["xcopa", "macro"].value == pytest.approx((0.5 + 0.25) / 2)
    assert found["xcopa", "zh"].better
    assert found["held-out", "zh"].value < 0
    assert found["held-out", "zh"].better


def test_the_base_alone_has_no_differences() -> None:
    alone = replace(ALL[0], found={"base": ALL[0].found["base"]})
    assert differences_of([alone], DRAWS) == ()


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = results.write(example(), tmp_path, {"cores": 2})
    assert results.read(path) == example()
    told = json.loads(path.read_text(encoding="utf-8"))
    assert told["environment"] == {"cores": 2}
    assert set(told["scores"][0]) >= {"value", "low", "high", "n", "signature"}


def lm_eval_file(folder: Path, model: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "lm_eval" / f"{model}.json").read_text("utf-8"))
    return found


def test_each_model_has_a_file_with_lm_evals_keys(tmp_path: Path) -> None:
    results.write(example(), tmp_path, {})
    told = lm_eval_file(tmp_path, "toy")
    assert set(told["results"]) == {"xcopa_zh", "xcopa_et", "held_out_zh"}
    cell = told["results"]["xcopa_et"]
    assert cell["alias"] == "xcopa_et"
    assert cell["acc,none"] == 0.75
    assert cell["acc_stderr,none"] == pytest.approx((0.75 * 0.25 / 19) ** 0.5)
    assert told["n-samples"]["xcopa_et"] == {"original": 20, "effective": 20}
    assert told["higher_is_better"] == {
        "xcopa_zh": {"acc": True, "acc_norm": True, "acc_bytes": True},
        "xcopa_et": {"acc": True, "acc_norm": True, "acc_bytes": True},
        "held_out_zh": {"bits_per_byte": False},
    }
    assert told["config"]["model_args"] == "pretrained=some/base,peft=toy"
    assert lm_eval_file(tmp_path, "base")["config"]["model_args"] == "pretrained=some/base"


@pytest.mark.filterwarnings("ignore")
def test_lm_eval_makes_its_table_of_the_file(tmp_path: Path) -> None:
    utils = pytest.importorskip("lm_eval.utils")
    results.write(example(), tmp_path, {})
    table = utils.make_table(lm_eval_file(tmp_path, "toy"))
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    (row,) = [row for row in cells if row[0] == "xcopa_et"]
    assert row[2:6] == ["none", "0", "acc", "↑"]
    assert float(row[6]) == 0.75
    assert float(row[8]) == pytest.approx(0.0993, abs=1e-4)
    assert [row[5] for row in cells if row[4] == "bits_per_byte"] == ["↓"]


def test_files_of_models_that_are_gone_are_gone(tmp_path: Path) -> None:
    results.write(example(), tmp_path, {})
    results.write(replace(example(), models=("base",)), tmp_path, {})
    assert [path.name for path in (tmp_path / "lm_eval").iterdir()] == ["base.json"]


def whole(folder: Path) -> tuple[Path, Results]:
    """Write everything that two tasks give, averages and items too."""
    found = results.results_of("some/base", ALL, DRAWS, ["a note"])
    return results.write(found, folder, {"cores": 2}), found


def test_everything_is_written_and_read_again(tmp_path: Path) -> None:
    path, found = whole(tmp_path)
    again = results.read(path)
    assert again == found
    assert {(s.language, s.metric) for s in again.averages} == {
        ("macro", "acc"), ("macro", "acc_norm"), ("macro", "acc_bytes"),
        ("micro", "acc"), ("micro", "acc_norm"), ("micro", "acc_bytes"),
    }  # fmt: skip
    assert {s.model for s in again.baselines} == {"majority answer", "longest option"}
    assert [one.task for one in read_items(tmp_path / NAME)] == ["xcopa", "xcopa", "held-out"]


def test_results_of_before_there_were_averages_are_still_read(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    score: dict[str, Any] = {
        "model": "base", "task": "xcopa", "language": "et", "metric": "acc", "value": 0.5,
        "low": 0.4, "high": 0.6, "n": 90, "signature": "s", "higher_is_better": True,
    }  # fmt: skip
    difference: dict[str, Any] = {
        "model": "toy", "against": "base", "task": "held-out", "language": "et", "value": -0.1,
        "metric": "bits_per_byte", "low": -0.2, "high": -0.05, "n": 9, "method": "paired",
        "higher_is_better": False,
    }  # fmt: skip
    told = {
        "bactrian": "0.1.0", "base": "b", "models": ["base", "toy"], "scores": [score],
        "differences": [difference], "notes": [], "environment": {},
    }  # fmt: skip
    path.write_text(json.dumps(told), encoding="utf-8")
    found = results.read(path)
    assert found.scores == (Score(**score),)
    (one,) = found.differences
    assert (one.clear, one.better, one.p, one.group) == (True, True, None, "")
    assert not (found.averages or found.baselines or found.histograms)


def test_an_end_without_bound_is_valid_json_and_read_again(tmp_path: Path) -> None:
    one = text("zh", {"base": [8.0], "toy": [4.0]})
    found = results.results_of("b", [one], DRAWS)
    path = results.write(found, tmp_path, {})
    raw = path.read_text(encoding="utf-8")
    assert "Infinity" not in raw
    assert "NaN" not in raw
    again = results.read(path)
    assert again == found
    assert again.scores[0].high == math.inf
    assert again.differences[0].low == -math.inf


def test_a_group_of_lm_eval_is_the_micro_average(tmp_path: Path) -> None:
    whole(tmp_path)
    told = lm_eval_file(tmp_path, "toy")
    assert set(told["groups"]) == {"xcopa"}
    assert told["groups"]["xcopa"]["acc,none"] == 35 / 40
    assert "items.parquet" in {path.name for path in tmp_path.iterdir()}


def test_items_of_an_evaluation_before_do_not_stay(tmp_path: Path) -> None:
    whole(tmp_path)
    results.write(example(), tmp_path, {})
    assert not (tmp_path / NAME).exists()


def test_the_same_results_are_the_same_bytes(tmp_path: Path) -> None:
    first, _ = whole(tmp_path / "one")
    second, _ = whole(tmp_path / "two")
    for name in ("results.json", NAME, "lm_eval/toy.json"):
        assert (first.parent / name).read_bytes() == (second.parent / name).read_bytes()

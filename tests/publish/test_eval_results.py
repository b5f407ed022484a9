"""What was measured on data of the Hub goes into its own form of results, and comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_adapter import score, write_results

from bactrian.publish.card.scores import Evaluation, evaluation
from bactrian.publish.eval_results import eval_results, left_out

hub = pytest.importorskip("huggingface_hub")
yaml = pytest.importorskip("yaml")


def found(folder: Path, *scores: dict[str, object]) -> Evaluation:
    more = {"scores": scores, "averages": [], "differences": []} if scores else {}
    told = evaluation(write_results(folder, "toy", **more), "toy", "")
    assert told is not None
    return told


def test_the_hub_reads_what_is_written(tmp_path: Path) -> None:
    told = found(tmp_path)
    files = eval_results(told, "ann/toy")
    assert list(files) == [".eval_results/xcopa.yaml"]
    entries = hub.parse_eval_result_entries(yaml.safe_load(files[".eval_results/xcopa.yaml"]))
    assert [(one.dataset_id, one.task_id, one.value) for one in entries] == [
        ("cambridgeltl/xcopa", "zh", 0.6),
        ("cambridgeltl/xcopa", "th", 0.6),
    ]
    assert entries[0].date == told.date
    assert entries[0].source_url == "https://huggingface.co/ann/toy"
    assert entries[0].notes.startswith("acc, n = 100, 95 % [0.500, 0.700]; task:xcopa|lang:zh|")


def test_without_a_repository_no_source_is_named(tmp_path: Path) -> None:
    (text,) = eval_results(found(tmp_path)).values()
    assert "source" not in yaml.safe_load(text)[0]


def test_forms_of_a_task_are_told_apart(tmp_path: Path) -> None:
    scores = [score("toy", task, "no", 0.5) for task in ("exams", "exams:letter", "xcopa@lm-eval")]
    files = eval_results(found(tmp_path, *scores))
    assert {name: yaml.safe_load(text)[0]["dataset"] for name, text in files.items()} == {
        ".eval_results/exams.yaml": {"id": "mhardalov/exams", "task_id": "no"},
        ".eval_results/exams_letter.yaml": {"id": "mhardalov/exams", "task_id": "no_letter"},
        ".eval_results/xcopa_lm-eval.yaml": {"id": "cambridgeltl/xcopa", "task_id": "no_lm-eval"},
    }


def test_what_is_not_on_the_hub_is_told(tmp_path: Path) -> None:
    assert left_out(found(tmp_path)) == ("held-out",)

"""Every number of the model index has its n, and goes through the Hub's own classes unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_adapter import score, write_results

from bactrian.publish.card.scores import evaluation
from bactrian.publish.model_index import dataset_of, model_index

pytest.importorskip("huggingface_hub")


def test_it_is_what_the_hubs_own_functions_make_and_read(tmp_path: Path) -> None:
    from huggingface_hub.repocard_data import (
        eval_results_to_model_index,
        model_index_to_eval_results,
    )

    found = evaluation(write_results(tmp_path, "toy"), "toy", "")
    assert found is not None
    told = model_index("toy", found)
    name, results = model_index_to_eval_results(told)
    assert eval_results_to_model_index(name, results) == told
    first = told[0]["results"][0]
    assert first["task"] == {"type": "text-generation", "name": "xcopa (zh)"}
    assert first["dataset"] == {
        "name": "xcopa zh",
        "type": "cambridgeltl/xcopa",
        "config": "zh",
        "split": "test",
    }
    assert all("signature" in one["metrics"][0]["args"] for one in told[0]["results"])


def test_two_forms_of_a_task_keep_their_own_names(tmp_path: Path) -> None:
    scores = [score("toy", "exams", "zh", 0.1), score("toy", "exams:letter", "zh", 0.2)]
    told = {"scores": scores, "averages": [], "differences": []}
    found = evaluation(write_results(tmp_path, "toy", **told), "toy", "")
    assert found is not None
    values = {
        one["task"]["name"]: metric["value"]
        for one in model_index("toy", found)[0]["results"]
        for metric in one["metrics"]
    }
    assert values == {"exams (zh)": 0.1, "exams:letter (zh)": 0.2}


@pytest.mark.parametrize(
    ("task", "dataset"),
    [
        ("xcopa@lm-eval", "cambridgeltl/xcopa"),
        ("exams:letter", "mhardalov/exams"),
        ("held-out", ""),
        ("lm_eval:xcopa_et", ""),
    ],
)
def test_a_task_has_its_datas_place(task: str, dataset: str) -> None:
    assert dataset_of(task)[0] == dataset

"""Scores as ``.eval_results/*.yaml``, the Hub's newer form of results, one file a dataset.

Only what was measured on data that are on the Hub goes there: an entry has to name a dataset.
"""

from __future__ import annotations

from collections.abc import Mapping

from bactrian.publish.card.scores import AVERAGES, Evaluation
from bactrian.publish.model_index import config_of, dataset_of, metric_name

FOLDER = ".eval_results"
HUB_URL = "https://huggingface.co"


def eval_results(evaluation: Evaluation, repo: str = "") -> Mapping[str, str]:
    """Return the files, path to YAML; ``repo`` is where the card lies that tells of them."""
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
    from huggingface_hub.utils import yaml_dump  # type: ignore[attr-defined]

    entries: dict[str, list[EvalResultEntry]] = {}
    for one in evaluation.found:
        dataset, _ = dataset_of(one.score.task)
        if not dataset or one.score.language in AVERAGES:
            continue
        entry = EvalResultEntry(
            dataset_id=dataset,
            task_id=config_of(one.score.task, one.score.language),
            value=one.score.value,
            date=evaluation.date or None,
            source_url=f"{HUB_URL}/{repo}" if repo else None,
            source_name="bactrian eval" if repo else None,
            notes=f"{metric_name(one)}; {one.score.signature}",
        )
        entries.setdefault(one.score.task, []).append(entry)
    return {
        f"{FOLDER}/{_file(task)}.yaml": str(
            yaml_dump(eval_result_entries_to_yaml(found), sort_keys=False)
        )
        for task, found in entries.items()
    }


def left_out(evaluation: Evaluation) -> tuple[str, ...]:
    """Return the tasks whose data are not on the Hub."""
    tasks = dict.fromkeys(one.score.task for one in evaluation.found)
    return tuple(task for task in tasks if not dataset_of(task)[0])


def _file(task: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in task)

"""lm-eval's tasks, found by name in folders of one's own, and what they ask."""

from __future__ import annotations

from pathlib import Path

import pytest

from bactrian.errors import ConfigError, DataError
from bactrian.evaluate.lm_eval import leaves

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize(
    ("name", "tasks"),
    [
        ("toy_choice_th", ["toy_choice_th"]),
        ("toy_choice", ["toy_choice_et", "toy_choice_th"]),
        ("choice_et.yaml", ["toy_choice_et"]),
    ],
)
def test_tasks_of_ones_own_are_found_without_lm_evals_thousands(
    name: str, tasks: list[str], task_files: Path, no_thousands: list[Path]
) -> None:
    named = str(task_files / name) if name.endswith(".yaml") else name
    found = leaves.load(named, [str(task_files)])
    assert no_thousands == [task_files]
    assert [one.name for one in found] == tasks
    assert all(one.is_choice for one in found)
    assert {(one.shots, one.task.VERSION) for one in found} == {(0, 1.0)}


def test_what_is_asked_is_what_lm_eval_builds(task_files: Path) -> None:
    (found,) = leaves.load("toy_choice_th", [str(task_files)])
    asked = list(leaves.asked(found))
    found.task.build_all_requests()
    built = [tuple(one.args) for one in found.task.instances]
    assert [pair for one in asked for pair in one.pairs] == built
    assert [one.id for one in asked] == [0, 1, 2, 3, 4]
    assert [one.id for one in leaves.asked(found, limit=2)] == [0, 1]


def test_examples_before_a_question_are_drawn_as_there(task_files: Path) -> None:
    path = task_files / "choice_et.yaml"
    path.write_text(path.read_text().replace("toy_choice_et", "toy_shots") + "num_fewshot: 2\n")
    (found,) = leaves.load("toy_shots", [str(task_files)])
    assert found.shots == 2
    one, two = list(leaves.asked(found)), list(leaves.asked(found))
    assert one == two, "the seed is set anew each time"
    found.task.set_fewshot_seed(seed=1234)
    found.task.build_all_requests()
    built = [tuple(instance.args) for instance in found.task.instances]
    assert [pair for asked in one for pair in asked.pairs] == built
    assert one[0].pairs[0][0].count("\n\n") == 2


@pytest.mark.parametrize(
    ("kind", "is_choice"),
    [("choice", True), ("scores", True), ("several", False), ("rolling", False)],
)
def test_questions_with_one_right_option_are_items(
    kind: str, is_choice: bool, task_files: Path
) -> None:
    (found,) = leaves.load(f"toy_{kind}_et", [str(task_files)])
    assert found.is_choice is is_choice


def test_where_files_and_functions_lie_changes_nothing_that_is_hashed(task_files: Path) -> None:
    (task_files / "words.py").write_text(
        "from functools import partial\n\n\ndef text(doc, word):\n    return doc['stem'] + word\n\n"
        "ask = partial(text, word=' sest')\n"
    )
    path = task_files / "choice_et.yaml"
    path.write_text(path.read_text().replace('"{{stem}}"', "!function words.ask"))
    (found,) = leaves.load("toy_choice_et", [str(task_files)])
    assert next(leaves.asked(found)).pairs[0][0].endswith(" sest")
    assert "sest" in found.told
    assert str(task_files) not in found.told
    assert "0x" not in found.told
    (task_files / "words.py").write_text((task_files / "words.py").read_text().replace("sest", "x"))
    (other,) = leaves.load("toy_choice_et", [str(task_files)])
    assert other.told != found.told


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("unsafe_code: true\n", "runs code that the model writes"),
        ("doc_to_image: [stem]\n", "pictures or sounds"),
    ],
)
def test_what_cannot_be_measured_here_is_refused(line: str, problem: str, task_files: Path) -> None:
    path = task_files / "choice_et.yaml"
    path.write_text(path.read_text() + line)
    with pytest.raises(ConfigError, match=problem):
        leaves.load("toy_choice_et", [str(task_files)])


def test_an_unknown_name_is_refused_with_what_is_near(
    task_files: Path, no_thousands: list[Path]
) -> None:
    with pytest.raises(ConfigError) as caught:
        leaves.load("toy_choise_th", [str(task_files)])
    assert caught.value.problem == "lm-eval has no task toy_choise_th"
    assert caught.value.hint == "did you mean toy_choice_th?"


def test_data_that_are_not_there_are_a_users_error(task_files: Path) -> None:
    (task_files / "th.jsonl").unlink()
    with pytest.raises(DataError, match=r"the data of lm_eval:toy_choice_th cannot be read"):
        leaves.load("toy_choice_th", [str(task_files)])


def test_the_hub_is_not_asked_unless_the_recipe_says_so(task_files: Path) -> None:
    path = task_files / "hub.yaml"
    path.write_text(
        "task: toy_hub\ndataset_path: nobody/nothing-of-this-name\ntest_split: test\n"
        'output_type: multiple_choice\ndoc_to_text: "{{stem}}"\ndoc_to_target: label\n'
        "doc_to_choice: choices\n"
    )
    with pytest.raises(DataError) as caught:
        leaves.load("toy_hub", [str(task_files)])
    assert "set network = true once" in caught.value.hint


def test_a_damaged_task_file_is_a_users_error(task_files: Path) -> None:
    path = task_files / "choice_th.yaml"
    path.write_text(path.read_text().replace("output_type: multiple_choice", "output_type: guess"))
    with pytest.raises(ConfigError, match=r"lm_eval:toy_choice_th cannot be built: .*guess"):
        leaves.load("toy_choice_th", [str(task_files)])

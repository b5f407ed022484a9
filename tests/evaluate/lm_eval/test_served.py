"""lm-eval's own numbers of a served model are those of the model itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lm_eval")

from served_model import Faked, serving

from bactrian.errors import ConfigError
from bactrian.evaluate import backends
from bactrian.evaluate.backends.words import Words
from bactrian.evaluate.engine import Scorers, scorers
from bactrian.evaluate.lm_eval import leaves, others
from bactrian.evaluate.lm_eval.columns import Draws
from bactrian.evaluate.lm_eval.model import BactrianLM
from bactrian.evaluate.lm_eval.others import Limits
from bactrian.evaluate.lm_eval.pairs import PairEncoder
from bactrian.evaluate.lm_eval.served import ServedLM
from bactrian.languages import get
from bactrian.models import base
from bactrian.recipe.sections.evaluate import Eval

pytestmark = pytest.mark.filterwarnings("ignore")
Requests = Callable[[Sequence[Any]], list[Any]]


@pytest.fixture
def loaded(tiny_base: Path) -> Any:
    return base.load(str(tiny_base), dtype="float32")


@pytest.fixture(params=[True, False], ids=["ids", "texts"])
def ready(loaded: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Scorers]:
    with (
        serving(Faked(loaded, tokenize=request.param)) as faked,
        backends.opened(Eval(backend=faked.address), tmp_path) as found,
    ):
        yield found


def test_tasks_give_the_same_numbers(
    ready: Scorers, loaded: Any, task_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lm-eval scores a begin token after itself where a tokenizer puts one; texts have none."""
    found = []
    for name in ("toy_rolling_th", "toy_writing_th"):
        (leaf,) = leaves.load(name, [str(task_files)])
        found.append((get("th"), leaf))
    told = others.run(ready, "lm_eval:both", found, Draws(50, 0), Limits(None, 512))
    here = scorers(loaded, {})
    bos = None if isinstance(ready.base.tokenizer, Words) else False
    monkeypatch.setattr(others, "_model", lambda *_: BactrianLM(here, add_bos_token=bos))
    wanted = others.run(here, "lm_eval:both", found, Draws(50, 0), Limits(None, 512))
    assert len(told.scores) == 2
    for mine, its in zip(told.scores, wanted.scores, strict=True):
        assert (mine.task, mine.metric, mine.n) == (its.task, its.metric, its.n)
        assert mine.value == pytest.approx(its.value, abs=1e-4)


def test_texts_and_last_words_are_those_of_lm_evals_model(
    ready: Scorers, loaded: Any, requests: Requests
) -> None:
    served = ServedLM(ready, ready.writer, 512)  # type: ignore[arg-type]
    here = BactrianLM(scorers(loaded, {}))
    plain = {"until": ["\n"], "max_gen_toks": 16, "do_sample": False}
    asked = [
        ("Once upon a", plain),
        ("骆驼", {"max_gen_toks": 8}),
        ("ก" * 9, {**plain, "until": "e"}),
    ]
    assert served.generate_until(requests(asked)) == here.generate_until(requests(asked))
    pairs = [("The camel", " walks"), ("骆驼", "在走"), ("The", ""), ("", "camel")]
    for mine, its in zip(
        served.loglikelihood(requests(pairs)), here.loglikelihood(requests(pairs)), strict=True
    ):
        assert mine[0] == pytest.approx(its[0], abs=1e-3)
        assert mine[1] == its[1]


def test_contexts_are_cut_so_that_the_answer_fits(
    loaded: Any, tmp_path: Path, requests: Requests
) -> None:
    told = {"max_gen_toks": 1000}
    with (
        serving(Faked(loaded)) as faked,
        backends.opened(Eval(backend=faked.address), tmp_path) as ready,
    ):
        served = ServedLM(ready, ready.writer, 512)  # type: ignore[arg-type]
        served.generate_until(requests([("camel " * 50, told)]))
        assert len(faked.asked[-1][1]["prompt"]) == 24
        assert served.notes() == ["1 contexts were longer than the model and cut from the left"]
        with pytest.raises(ConfigError, match="answers of 1024 tokens"):
            served.generate_until(requests([("camel", {"max_gen_toks": 1024})]))
        with pytest.raises(ConfigError, match="num_beams, which a server is not told"):
            served.generate_until(requests([("camel", {"num_beams": 4})]))


def test_a_server_of_conversations_is_refused(loaded: Any, tmp_path: Path) -> None:
    with (
        serving(Faked(loaded)) as faked,
        backends.opened(Eval(backend=faked.address), tmp_path, chat=True) as ready,
        pytest.raises(ConfigError, match="a server of conversations"),
    ):
        ServedLM(ready, ready.writer, 512)  # type: ignore[arg-type]


def test_nothing_to_begin_with_is_said(loaded: Any) -> None:
    with pytest.raises(ConfigError, match="begins texts with no token"):
        list(PairEncoder(loaded.tokenizer, None).pairs([("", "camel")]))

"""Answers that a server writes are those of the model itself."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from bactrian.errors import ConfigError, DataError, ProviderError
from bactrian.evaluate.backends.writing import COMPLETIONS, CONVERSATIONS, Turns, _generated
from bactrian.evaluate.run import evaluate
from bactrian.models.generation import Generated
from bactrian.workspace import Workspace

MODELS = Path(__file__).parents[4] / "shared/data/models/stories260K"
ASKED = (
    'eval.tasks=["confusion"]',
    "eval.answers=3",
    "eval.answer_tokens=12",
    "eval.samples=1",
    'train.dtype="float32"',
    "eval.batch_tokens=1",  # one by one, as a server has them
)
Serve = Callable[..., Any]
Make = Callable[..., Workspace]


def written(workspace: Workspace) -> list[tuple[str, str, int]]:
    """Return item, text and whether it is cut, of every answer that was kept."""
    with sqlite3.connect(workspace.results / "answers.sqlite") as connection:
        return connection.execute("SELECT item, text, cut FROM answers ORDER BY 1, 2").fetchall()


def samples(workspace: Workspace) -> Any:
    return json.loads((workspace.results / "answers.json").read_text("utf-8"))


@pytest.mark.parametrize("tokenize", [True, False], ids=["ids", "texts"])
def test_answers_are_those_of_the_model_in_this_process(
    serve: Serve, make_workspace: Make, tmp_path: Path, tokenize: bool
) -> None:
    server = serve(tokenize=tokenize)
    away = make_workspace("km,ar", *ASKED, f'eval.backend="{server.address}"')
    here = make_workspace("km,ar", *ASKED, root=tmp_path / "here")
    found, wanted = evaluate(away, []).results, evaluate(here, []).results
    assert len(written(away)) == 6
    assert written(away) == written(here)
    assert samples(away) == samples(here)
    values = [[(s.metric, s.language, s.value) for s in one.scores] for one in (found, wanted)]
    assert values[0] == values[1]
    prompts = [body["prompt"] for path, body in server.asked if path == COMPLETIONS]
    assert all(isinstance(one, list) is tokenize for one in prompts)


def test_conversations_have_the_servers_template(serve: Serve, make_workspace: Make) -> None:
    """Of a server that has nothing else to offer: no completions, no token ids."""
    server = serve(talks=True, tokenize=False)
    told = (*ASKED, f'eval.backend="{server.address}"', 'train.prompt="chat"')
    made = make_workspace("km", *told)
    evaluate(made, [])
    rows = [path for path, _ in server.asked if path == CONVERSATIONS]
    assert len(rows) == 1 + 3 + 1  # the probe, the answers, the sample
    turns = [body["messages"][0]["content"] for path, body in server.asked if path in rows]
    assert not any("###" in turn for turn in turns)
    assert all(text for _, text, _ in written(made))


def test_the_longest_answer_is_called_as_the_server_calls_it(
    serve: Serve, make_workspace: Make
) -> None:
    server = serve(renamed=True)
    told = (*ASKED, f'eval.backend="{server.address}"', 'train.prompt="chat"')
    evaluate(make_workspace("km", *told), [])
    bodies = [body for path, body in server.asked if path == CONVERSATIONS][1:]
    assert [body["max_completion_tokens"] for body in bodies] == [12] * 3 + [4]


def test_a_server_that_only_writes_is_refused_where_something_is_scored(
    serve: Serve, make_workspace: Make
) -> None:
    server = serve(mute=True)
    told = f'eval.backend="{server.address}"'
    evaluate(make_workspace("km", *ASKED, told), [])
    with pytest.raises(ConfigError, match="gives no log-likelihoods of a prompt"):
        evaluate(make_workspace("km", told, "eval.samples=0"), [])


def test_a_server_of_conversations_alone_says_what_to_ask_it(
    serve: Serve, make_workspace: Make
) -> None:
    server = serve(talks=True)
    with pytest.raises(ConfigError) as refused:
        evaluate(make_workspace("km", *ASKED, f'eval.backend="{server.address}"'), [])
    assert 'train.prompt = "chat"' in str(refused.value.hint)


def test_what_is_answered_is_not_asked_again(
    serve: Serve, make_workspace: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that breaks down in the second language has lost nothing of the first."""
    server = serve()
    told = (*ASKED, "eval.samples=0", f'eval.backend="{server.address}"')
    made = make_workspace("km,ar", *told)
    wire = "bactrian.evaluate.backends.wire"
    monkeypatch.setattr(f"{wire}.backoff", lambda *_: 0.0)
    completed = server.completed
    done: list[int] = []

    def breaks(body: Any) -> Any:
        if "echo" not in body and len(done) == 3:
            return 500, {"error": {"message": "out of memory"}}
        done.extend([1] * ("echo" not in body))
        return completed(body)

    server.completed = breaks
    with pytest.raises(ProviderError, match="out of memory"):
        evaluate(made, [])
    assert len(written(made)) == 3
    server.completed = completed
    server.asked.clear()
    evaluate(made, [])
    assert len(written(made)) == 6
    asked = [body for path, body in server.asked if "compl" in path and "echo" not in body]
    assert len(asked) == 3


def test_replies_of_both_kinds_are_read() -> None:
    text = {"choices": [{"text": " a\N{REPLACEMENT CHARACTER}", "finish_reason": "length"}]}
    assert _generated(text, "x") == Generated(" a", 0, "length")
    turn = {"choices": [{"message": {"content": None}}], "usage": {"completion_tokens": 2}}
    assert _generated(turn, "x") == Generated("", 2, "stop")
    broken: list[Any] = [{"choices": []}, {"choices": [{"message": None}]}, [], {"error": "x"}]
    for reply in broken:
        with pytest.raises(DataError, match="left the answer out"):
            _generated(reply, "x")


def test_a_conversation_of_one_turn_is_what_the_user_says() -> None:
    said = [{"role": "user", "content": "骆驼"}]
    assert Turns().apply_chat_template(said, tokenize=False) == "骆驼"


def test_llama_cpp_writes_what_transformers_writes(make_workspace: Make, tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason="needs xllamacpp: llama.cpp from PyPI")
    if not MODELS.is_dir():
        pytest.skip("needs ../shared/data: the model stories260K")
    told = (*ASKED, f'train.base="{MODELS}"')
    rows = [
        ("Tell of a cat", "", "Once there was a cat. It ran."),
        ("What of a dog?", "", "A dog."),
    ]
    given = {"en": rows * 3}
    backend = f'eval.backend="gguf:{MODELS / "stories260K-f32.gguf"}"'
    away = make_workspace("en", *told, backend, rows=given)
    here = make_workspace("en", *told, rows=given, root=tmp_path / "here")
    evaluate(away, [])
    evaluate(here, [])
    assert written(away)
    assert written(away) == written(here)
    assert samples(away) == samples(here)

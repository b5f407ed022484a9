"""Numbers of a served model are those of the model itself; what gives none is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from bactrian.errors import BactrianError, ConfigError, DataError, MissingExtra, ProviderError
from bactrian.evaluate import backends
from bactrian.evaluate.backends import gguf, words
from bactrian.evaluate.engine import answer, questions, scorers
from bactrian.evaluate.run import evaluate
from bactrian.evaluate.store import Scored, open_store
from bactrian.evaluate.tasks import Item, Rules
from bactrian.models.scoring import Batch, Request
from bactrian.recipe.sections.evaluate import Eval
from bactrian.workspace import Workspace

MODELS = Path(__file__).parents[4] / "shared/data/models/stories260K"
FILE = MODELS / "stories260K-f32.gguf"
TOGETHER, APART = (Rules("acc", join, ()) for join in ("together", "apart"))
Serve = Callable[..., Any]
Rows = Mapping[tuple[str, int], Scored]


def items(sentences: Mapping[str, Sequence[str]]) -> list[Item]:
    """A sentence and two that may follow, in 52 languages: spaces at the join and none."""
    return [
        Item(f"{code}-{space!r}", told[0] + space, (told[1], told[2][:40]))
        for code, told in sentences.items()
        for space in ("", " ")
    ]


def scored(ready: Any, asked: Sequence[Item], rules: Rules, path: Path) -> Rows:
    pairs = [pair for item in asked for pair in item.pairs()]
    backends.prepare(ready.base.tokenizer, pairs, rules.join)
    made = questions(ready.base, "t", "en", asked, rules)
    with open_store(path) as store:
        answer(ready, made, store, 1024)
        (key,) = ready.keys.values()
        return store.get(key, made.key)


def away(told: Eval, asked: Sequence[Item], rules: Rules, path: Path) -> Rows:
    with backends.opened(told, path.parent) as ready:
        return scored(ready, asked, rules, path)


def differ(found: Rows, wanted: Rows) -> float:
    """Return the greatest distance in nats a token; the tokens themselves are the same."""
    assert found.keys() == wanted.keys()
    assert {place: one.tokens for place, one in found.items()} == {
        place: one.tokens for place, one in wanted.items()
    }
    return max(
        abs(found[place].log_likelihood - one.log_likelihood) / one.tokens
        for place, one in wanted.items()
    )


@pytest.mark.parametrize("rules", [TOGETHER, APART], ids=["together", "apart"])
@pytest.mark.parametrize("writes", [False, True])
def test_echo_of_token_ids_gives_the_models_own_numbers(
    serve: Serve,
    toy: Any,
    sentences: Mapping[str, Sequence[str]],
    tmp_path: Path,
    rules: Rules,
    writes: bool,
) -> None:
    asked = [*items(sentences)[:30], Item("none", "", ("Hello camel",))]
    server = serve(writes=writes)
    found = away(Eval(backend=server.address), asked, rules, tmp_path / "a.sqlite")
    wanted = scored(scorers(toy, {}), asked, rules, tmp_path / "b.sqlite")
    assert len(found) == 61
    assert differ(found, wanted) < 1e-4
    assert [one.greedy for one in found.values()] == [wanted[at].greedy for at in found]


def test_echo_of_texts_is_cut_at_the_join_in_52_languages(
    serve: Serve, toy: Any, sentences: Mapping[str, Sequence[str]], tmp_path: Path
) -> None:
    asked = items(sentences)
    server = serve(tokenize=False)
    found = away(Eval(backend=server.address), asked, TOGETHER, tmp_path / "a.sqlite")
    wanted = scored(scorers(toy, {}), asked, TOGETHER, tmp_path / "b.sqlite")
    local = questions(toy, "t", "en", asked, TOGETHER)
    assert local.spanning < len(wanted) / 4
    same = {at: one for at, one in wanted.items() if found[at].tokens == one.tokens}
    assert len(same) >= len(wanted) - local.spanning
    assert differ({at: found[at] for at in same}, same) < 1e-4
    assert all(isinstance(body["prompt"], str) for path, body in server.asked if "compl" in path)


def test_a_text_whose_tokens_hide_where_they_begin_is_refused(serve: Serve, tmp_path: Path) -> None:
    server = serve(tokenize=False, halves=True)
    asked = [Item("km", "តើអ្នក", ("សុខសប្បាយ",))]
    with pytest.raises(DataError, match="does not say where its tokens begin"):
        away(Eval(backend=server.address), asked, TOGETHER, tmp_path / "a.sqlite")


def test_a_busy_server_is_asked_again_and_what_is_scored_is_not(
    serve: Serve, tmp_path: Path, sentences: Mapping[str, Sequence[str]]
) -> None:
    server = serve()
    told, asked = Eval(backend=server.address), items(sentences)[:6]
    with backends.opened(told, tmp_path) as ready:
        server.busy = 3
        first = scored(ready, asked, TOGETHER, tmp_path / "a.sqlite")
    server.asked.clear()
    assert away(told, asked, TOGETHER, tmp_path / "a.sqlite") == first
    assert sum(path == "/v1/completions" for path, _ in server.asked) == 1  # the probe


@pytest.mark.parametrize(
    ("traits", "told", "error", "words"),
    [
        ({"mute": True}, {}, ConfigError, "gives no log-likelihoods of a prompt"),
        ({"mute": True, "tokenize": False}, {}, ConfigError, "gives no log-likelihoods"),
        ({"loading": True}, {}, ConfigError, "not ready: HTTP 503: Loading model"),
        ({}, {"backend_model": "other"}, ConfigError, "has no model other"),
        ({}, {"backend": "http://127.0.0.1:9/v1"}, ConfigError, "cannot be reached"),
        ({}, {"backend": "somewhere"}, ConfigError, "no address"),
        ({}, {"backend": "gguf:none.gguf"}, ConfigError, "there is no file"),
        ({}, {"backend_key": "NO_SUCH_KEY"}, ProviderError, "NO_SUCH_KEY is not set"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(
    serve: Serve,
    tmp_path: Path,
    traits: dict[str, bool],
    told: dict[str, str],
    error: type[BactrianError],
    words: str,
) -> None:
    section = Eval.model_validate({"backend": serve(**traits).address, **told})
    asked = Batch((0,), (Request((1,), (2,)),))
    with pytest.raises(error, match=words), backends.opened(section, tmp_path) as ready:
        ready.scorer.score(asked)


def test_a_key_stays_the_same_and_tells_models_apart(serve: Serve, tmp_path: Path) -> None:
    server, other = serve(), serve()

    def key(address: str) -> str:
        with backends.opened(Eval(backend=address), tmp_path) as ready:
            return ready.keys["base"]

    assert key(server.address) == key(server.address)  # though "created" changed meanwhile
    assert key(server.address) != key(other.address)


def test_a_tokenizer_that_closes_texts_is_left_open() -> None:
    class Closing:
        address = "http://closing"

        def each(self, path: str, bodies: Sequence[Any]) -> list[Any]:
            return [
                {"tokens": [1, *map(ord, text), 2] if begun else [*map(ord, text)]}
                for text, begun in bodies
            ]

    found = words.Words(Closing(), lambda *told: told, "")  # type: ignore
    assert found.bos_token_id == 1
    assert found(["ab", ""])["input_ids"] == [[1, 97, 98], [1]]
    assert found("ab", add_special_tokens=False)["input_ids"] == [97, 98]


@pytest.mark.parametrize("name", ["base", "served"])
def test_a_whole_evaluation_by_a_server(
    serve: Serve, make_workspace: Callable[..., Workspace], name: str
) -> None:
    server = serve()
    made = make_workspace(
        "zh,vi",
        f'eval.backend="{server.address}"',
        f'eval.backend_name="{name}"',
        "eval.samples=1",
    )
    done = evaluate(made, [])
    assert {score.model for score in done.results.scores} == {name}
    assert {score.language for score in done.results.scores} >= {"zh", "vi"}
    told = json.loads((made.results / "answers.json").read_text("utf-8"))
    assert [[one["model"] for one in row["answers"]] for row in told] == [[name]] * 2
    assert not evaluate(made, []).fresh
    with pytest.raises(BactrianError):
        evaluate(made, ["toy"])


def test_the_verb_takes_a_backend_a_model_and_a_name(
    serve: Serve, make_workspace: Callable[..., Workspace], capsys: pytest.CaptureFixture[str]
) -> None:
    from bactrian.cli import main

    server, made = serve(), make_workspace("vi")
    told = ["--backend", server.address, "--model", "toy", "--name", "vLLM", "--json"]
    with pytest.raises(SystemExit) as ended:
        main(["eval", str(made.root), *told])
    assert not ended.value.code
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert {(one["model"], one["language"]) for one in scores} == {("vLLM", "vi")}


def test_a_served_model_gives_the_numbers_of_the_loaded_one(
    serve: Serve, make_workspace: Callable[..., Workspace]
) -> None:
    server = serve()
    served = evaluate(make_workspace("zh,vi", f'eval.backend="{server.address}"'), [])
    here = evaluate(make_workspace("zh,vi", 'train.dtype="float32"'), [])
    values = [[score.value for score in one.results.scores] for one in (served, here)]
    assert values[0] == pytest.approx(values[1], abs=1e-4)


def test_llama_cpp_gives_what_transformers_gives(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason="needs xllamacpp: llama.cpp from PyPI")
    if not FILE.is_file():
        pytest.skip("needs ../shared/data: the model stories260K")
    from bactrian.models.base import load

    asked = [
        Item("1", "Once upon a time", (", there was a little girl named Lily.", " a cat")),
        Item("2", "Lily saw a big", (" dog. The dog was happy.", " grammar of mornings")),
        Item("3", "តើអ្នក", ("សុខសប្បាយ", "🐪")),
        Item("4", "اكتب قصيدة", (" عن الجمل", " 骆驼")),
    ]
    for number, rules in enumerate((TOGETHER, APART)):
        path = tmp_path / f"{number}.sqlite"
        found = away(Eval(backend=f"gguf:{FILE}"), asked, rules, path)
        local = scorers(load(str(MODELS), dtype="float32"), {})
        wanted = scored(local, asked, rules, tmp_path / f"own-{number}.sqlite")
        # llama.cpp puts a space before a text that is encoded alone, transformers does not
        same = {at: one for at, one in wanted.items() if found[at].tokens == one.tokens}
        assert len(same) == len(wanted) if rules is TOGETHER else len(same) >= 3
        assert differ({at: found[at] for at in same}, same) < 1e-2
        assert all(found[at].greedy == one.greedy for at, one in same.items())


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"PK\x03\x04")
    with pytest.raises(ConfigError, match="no GGUF file"):
        gguf.file_of(tmp_path / "x.gguf")


def test_without_llama_cpp_the_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr(gguf, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"llama\.cpp"):
        gguf.file_of(tmp_path / "x.gguf")

"""Scorers against the plain model, one request at a time, for every kind of attention."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from warnings_heard import Heard

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from bactrian import events  # noqa: E402
from bactrian.models.adapters import hushed  # noqa: E402
from bactrian.models.attention import trees  # noqa: E402
from bactrian.models.scoring import Request, Scorer, scorer, scorers  # noqa: E402

IDS = {"vocab_size": 300, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
FALCON = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
FALCON["initializer_range"] = 0.2  # type: ignore[assignment]
OPT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 64}
OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "falcon": ("Falcon", FALCON),
    "falcon-rw": ("Falcon", {**FALCON, "alibi": True, "multi_query": False}),
    "opt": ("OPT", {**OPT, "word_embed_proj_dim": 32, "init_std": 0.2}),
    "gpt-neox": ("GPTNeoX", {**FALCON, "intermediate_size": 64}),
    "gemma3": (
        "Gemma3Text",
        {**FALCON, "intermediate_size": 64, "num_key_value_heads": 2, "sliding_window": 8}
        | {"head_dim": 8, "max_position_embeddings": 256},
    ),
}
NAMES = ["llama", "qwen2", "qwen3", "mistral", "bloom", "gemma2", "cohere", "granite", "gpt2"]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def model_of(tiny: Callable[[str], Any]) -> Callable[[str], Any]:
    def make(name: str) -> Any:
        if name not in OTHERS:
            return tiny(name)
        family, own = OTHERS[name]
        config = getattr(transformers, f"{family}Config")(**{**IDS, **own})
        kind = getattr(transformers, family.replace("Text", "") + "ForCausalLM")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(11)
            return kind(config).eval()

    return make


def made(model: Any) -> tuple[Scorer, str]:
    reader = Heard()
    with events.reading(reader):
        found = scorer(model)
    return found, "\n".join(reader.texts)


def questions(seed: int = 1) -> list[Request]:
    """Questions of four options, pairs that differ early, one-token answers, a long text."""
    chance = random.Random(seed)

    def some(least: int, most: int) -> tuple[int, ...]:
        return tuple(chance.randrange(2, 300) for _ in range(chance.randint(least, most)))

    asked = []
    for _ in range(5):
        stem, end = some(5, 40), some(2, 6)
        asked += [Request(stem, some(1, 6)) for _ in range(4)]
        asked += [Request((*stem[:4], *some(1, 2), *end), (7, 8, 9)) for _ in range(2)]
        asked += [Request(stem, (letter,)) for letter in range(4)]
    chance.shuffle(asked)
    return [*asked, asked[0], Request((5,), (6,)), Request(some(80, 80), some(30, 30))]


def plainly(model: Any, request: Request) -> tuple[float, bool]:
    ids = torch.tensor([[*request.context, *request.continuation]])
    with torch.inference_mode():
        logits = model(input_ids=ids, use_cache=False).logits[0, len(request.context) - 1 : -1]
    targets = ids[0, len(request.context) :]
    nats = logits.double().log_softmax(-1).gather(1, targets[:, None]).sum()
    return float(nats), bool((logits.argmax(-1) == targets).all())


def distance(ready: Scorer, model: Any, asked: Sequence[Request], budget: int = 256) -> float:
    found = ready.likelihoods(asked, budget)
    told = [plainly(model, request) for request in asked]
    assert [one.greedy for one in found] == [greedy for _, greedy in told]
    return max(abs(one.nats - nats) for one, (nats, _) in zip(found, told, strict=True))


@pytest.mark.parametrize("name", [*NAMES, *OTHERS])
def test_rows_of_tries_give_what_the_plain_model_gives(
    name: str, model_of: Callable[[str], Any]
) -> None:
    model = model_of(name)
    ready, said = made(model)
    assert (ready.way, said) == ("packed", "")
    assert distance(ready, model_of(name), questions()) < 1e-4
    assert distance(ready, model_of(name), questions(), budget=64) < 1e-4


@pytest.mark.parametrize("name", ["llama", "bloom", "gemma2", "mistral"])
def test_half_precision_is_no_reason_to_go_without_tries(
    name: str, model_of: Callable[[str], Any]
) -> None:
    ready, said = made(model_of(name).bfloat16())
    assert (ready.way, said) == ("packed", "")
    found = ready.likelihoods(questions(), 256)
    exact = scorer(model_of(name)).likelihoods(questions(), 256)
    far = [abs(one.nats - told.nats) for one, told in zip(found, exact, strict=True)]
    assert sum(far) / len(far) < 0.5


@pytest.mark.parametrize("name", ["gemma2", "mistral"])
def test_a_wrong_window_shows_in_half_precision_too(
    name: str, model_of: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = trees.attend

    def attend(query: Any, key: Any, value: Any, scores: Any, told: Any) -> Any:
        return right(query, key, value, replace(scores, window=None), told)

    monkeypatch.setattr(trees, "attend", attend)
    ready, said = made(model_of(name).bfloat16())
    assert ready.way == "padded"
    assert "differ from the plain model" in said


@pytest.mark.parametrize("name", ["llama", "bloom", "gemma2"])
@pytest.mark.parametrize("way", ["padded", "plain"])
def test_slower_ways_give_the_same(way: Any, name: str, model_of: Callable[[str], Any]) -> None:
    model = model_of(name)
    parts = scorer(model).parts
    ready = Scorer(replace(parts, fast=way == "padded"), way)
    assert distance(ready, model, questions()) < 1e-4


@pytest.mark.parametrize("name", ["llama", "bloom", "mistral"])
def test_adapters_are_scored_as_peft_has_them(name: str, model_of: Callable[[str], Any]) -> None:
    peft = pytest.importorskip("peft")
    targets = (
        ["query_key_value"] if name == "bloom" else ["q_proj", "v_proj", "gate_proj", "up_proj"]
    )
    config = peft.LoraConfig(r=4, target_modules=targets, init_lora_weights=False)
    with torch.random.fork_rng(devices=[]), hushed():
        torch.manual_seed(1)
        model = peft.get_peft_model(model_of(name), config, adapter_name="one")
        model.add_adapter("two", config)
    model.eval()
    ready, _ = made(model)
    asked, seen = questions(), []
    with ready.at_work():
        plan = ready.plan(asked, 256)
        for adapter in ("one", "two", "one"):
            model.set_adapter(adapter)
            seen.append([one for batch in plan for one in ready.score(batch)])
    assert seen[0] == seen[2] != seen[1]
    model.set_adapter("two")
    assert distance(ready, model, asked) < 1e-4
    with model.disable_adapter():
        assert distance(ready, model_of(name), asked) < 1e-4


def test_scores_do_not_depend_on_what_was_scored_before(model_of: Callable[[str], Any]) -> None:
    ready, asked = scorer(model_of("llama")), questions()
    plan = ready.plan(asked, 64)
    assert len(plan) > 3
    first = [ready.score(batch) for batch in plan]
    with ready.at_work():
        again = [ready.score(batch) for batch in reversed(plan)]
    assert again[::-1] == first


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_as_it_was(fails: bool, model_of: Callable[[str], Any]) -> None:
    model = model_of("llama")
    ids = torch.arange(2, 22)[None]
    before = model(ids, use_cache=False).logits
    ready = scorer(model)
    attributes = [set(vars(module)) for module in model.modules()]
    try:
        with ready.at_work():
            ready.score(ready.plan(questions(), 256)[0])
            if fails:
                raise KeyError("in the block")
    except KeyError:
        assert fails
    assert [set(vars(module)) for module in model.modules()] == attributes
    assert all(weights.requires_grad for weights in model.parameters())
    assert torch.equal(model(ids, use_cache=False).logits, before)


@pytest.mark.parametrize("wrong", ["window", "later window", "cap", "siblings", "fails"])
def test_a_kernel_that_is_wrong_is_not_used(
    wrong: str, model_of: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = trees.attend

    def attend(query: Any, key: Any, value: Any, scores: Any, told: Any) -> Any:
        if wrong == "fails":
            raise RuntimeError("no such kernel here\nand a trace")
        changed: dict[str, dict[str, Any]] = {
            "window": {"window": None},
            "later window": {"window": scores.window and scores.window + 1},
            "cap": {"cap": 1.0},
        }
        scores = replace(scores, **changed.get(wrong, {}))
        if wrong == "siblings":
            ends = [told.tokens - 1] * told.tokens
            told = trees.Trees([told.tokens], range(told.tokens), ends)
        return right(query, key, value, scores, told)

    monkeypatch.setattr(trees, "attend", attend)
    model = model_of("gemma2")
    ready, said = made(model)
    assert ready.way == "padded"
    assert ("no such kernel here" if wrong == "fails" else "differ from the plain model") in said
    assert said.startswith("Gemma2ForCausalLM: packed rows are not used to score")
    assert distance(ready, model, questions()) < 1e-4


def test_a_recurrent_model_goes_without_tries() -> None:
    config = transformers.MambaConfig(
        vocab_size=300, hidden_size=32, num_hidden_layers=2, state_size=4, pad_token_id=0
    )
    model = transformers.MambaForCausalLM(config).eval()
    ready, said = made(model)
    assert ready.way in ("padded", "plain")
    assert "packed rows are not used to score" in said
    assert distance(ready, model, questions()) < 1e-4


def test_a_head_that_is_not_the_models_leaves_the_plain_way(
    model_of: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of("llama")
    other = torch.nn.Linear(32, 300)
    monkeypatch.setattr(model, "get_output_embeddings", lambda: other)
    ready, said = made(model)
    assert ready.way == "plain"
    assert "the plain way is used" in said
    assert distance(ready, model, questions()) < 1e-4


def test_the_plain_way_makes_no_more_logits_than_fit(
    model_of: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scorers, "LOGITS", 4 * 300 * 100)
    parts = scorer(model_of("llama")).parts
    for batch in Scorer(parts, "plain").plan(questions(), 100_000):
        assert batch.tokens <= 100 or len(batch.requests) == 1


def test_rows_on_a_cpu_stay_small(model_of: Callable[[str], Any]) -> None:
    ready = scorer(model_of("llama"))
    plan = ready.plan([one for seed in range(20) for one in questions(seed)], 100_000)
    assert max(batch.tokens for batch in plan) <= scorers.ROW_ON_CPU


def test_nothing_to_score_is_certain(model_of: Callable[[str], Any]) -> None:
    ready = scorer(model_of("llama"))
    found = ready.likelihoods([Request((3, 4), ()), Request((3,), ())], 64)
    assert [(one.nats, one.greedy) for one in found] == [(0.0, True)] * 2
    assert ready.likelihoods([], 64) == []
    with pytest.raises(ValueError, match="begin with a context"):
        ready.plan([Request((), (3,))], 64)

"""Requests and padded rows: against one row at a time, and against lm-evaluation-harness."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bactrian.models import base
from bactrian.models.head import split
from bactrian.models.scoring import (
    Request,
    batches,
    encode,
    encode_apart,
    fit,
    score,
    scorer,
)

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

PAIRS = [
    # context, continuation: XCOPA's shape in three languages and what is hard at a join
    ("我的身体在草地上投下阴影，因为", "太阳升起了。"),
    ("女人容忍她朋友的难相处行为，因为", "这位女士知道她的朋友正在经历困难时期。"),
    ("ร่างของฉันทอดเงาลงบนพื้นหญ้าเพราะ", "พระอาทิตย์กำลังขึ้น"),
    ("Minu keha heitis rohule varju sest", " päike tõusis."),
    ("Minu keha heitis rohule varju sest ", "päike tõusis."),
    ("Two spaces  ", "stand here"),
    ("A line ends\n", "and goes on"),
    ("A wide space\u3000", "stands here"),
]


@pytest.fixture(scope="module")
def loaded(tiny_base: Path) -> base.Base:
    return base.load(str(tiny_base), dtype="float32")


def requests(count: int, seed: int = 0) -> list[Request]:
    chance = random.Random(seed)

    def some(most: int) -> tuple[int, ...]:
        return tuple(chance.randrange(2, 300) for _ in range(chance.randint(1, most)))

    return [Request(some(30), some(12)) for _ in range(count)]


def one_at_a_time(model: Any, request: Request) -> float:
    ids = torch.tensor([[*request.context, *request.continuation]])
    with torch.inference_mode():
        nats = model(input_ids=ids, use_cache=False).logits.float().log_softmax(-1)[0, :-1]
    first = len(request.context) - 1
    targets = ids[0, 1:]
    return sum(float(nats[place, targets[place]]) for place in range(first, len(targets)))


@pytest.mark.parametrize("name", ["llama", "bloom", "mistral", "gemma2", "gpt2"])
@pytest.mark.parametrize("fast", [True, False])
def test_sums_are_those_of_one_row_at_a_time(
    name: str, fast: bool, tiny: Callable[[str], Any]
) -> None:
    model = tiny(name)
    parts = replace(split(model), fast=fast)
    asked = requests(12)
    assert max(map(len, asked)) > 16, "longer than the sliding window"
    for request, found in zip(asked, score(parts, asked), strict=True):
        assert found == pytest.approx(one_at_a_time(model, request), abs=1e-4)


def test_the_rows_of_the_head_at_once_do_not_matter(
    tiny: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bactrian.models.scoring import likelihoods

    parts = split(tiny("llama"))
    asked = requests(9)
    whole = score(parts, asked)
    monkeypatch.setattr(likelihoods, "HEAD_ROWS", 5)
    assert score(parts, asked) == pytest.approx(whole, abs=1e-5)


@pytest.mark.parametrize("budget", [1, 40, 100, 500, 100_000])
def test_every_request_is_in_one_batch_within_the_budget(budget: int) -> None:
    asked = requests(60)
    found = batches(asked, budget)
    assert sorted(index for batch in found for index in batch) == list(range(60))
    for batch in found:
        assert len(batch) == 1 or len(batch) * max(len(asked[index]) for index in batch) <= budget
    lengths = [len(asked[index]) for batch in found for index in batch]
    assert lengths == sorted(lengths, reverse=True), "the largest batch comes first"


def test_batches_follow_from_the_requests_alone() -> None:
    assert batches(requests(60), 200) == batches(requests(60), 200)
    assert batches([], 200) == []


@pytest.mark.parametrize("length", [13, 12, 8, 7, 6])
@pytest.mark.parametrize("keep_first", [True, False])
def test_a_cut_keeps_the_beginning_and_the_continuation(length: int, keep_first: bool) -> None:
    request = Request((0, 2, 3, 4, 5, 6, 7), (8, 9, 10, 11, 12))
    cut = fit(request, length, keep_first)
    assert cut.request.continuation == request.continuation
    assert len(cut.request) == min(length, 12)
    assert cut.dropped == 12 - len(cut.request)
    kept = cut.request.context
    if keep_first:
        assert kept[0] == 0
        kept = kept[1:]
    assert kept == (request.context[-len(kept) :] if kept else ())


@pytest.mark.parametrize("length", [5, 4, 1])
def test_a_continuation_is_never_cut(length: int) -> None:
    with pytest.raises(ValueError, match="5 tokens to score"):
        fit(Request((0, 2, 3), (8, 9, 10, 11, 12)), length, True)


@pytest.mark.parametrize(("context", "continuation"), PAIRS)
def test_a_pair_is_cut_at_the_contexts_length(
    loaded: base.Base, context: str, continuation: str
) -> None:
    request, spanned = encode(loaded.tokenizer, context, continuation)
    stem = context.rstrip()
    assert not spanned
    assert list(request.context) == loaded.tokenizer.encode(stem)
    whole = [*request.context, *request.continuation]
    assert whole == loaded.tokenizer.encode(context + continuation)
    told = loaded.tokenizer.decode(request.continuation)
    assert told == context[len(stem) :] + continuation


def test_a_token_that_spans_the_join_is_told_and_avoided(loaded: base.Base) -> None:
    """lm-eval would score the rest of a token here, or nothing at all."""
    tokenizer = loaded.tokenizer
    pairs = (word for word in tokenizer.get_vocab() if len(word) == 2 and word.isalpha())
    first, second = next(word for word in pairs if word.isascii())
    assert len(tokenizer.encode(first + second)) == 2, "BOS and one token for both letters"
    request, spanned = encode(tokenizer, first, second)
    assert spanned
    assert tokenizer.decode(request.context[1:]) == first
    assert tokenizer.decode(request.continuation) == second


@pytest.mark.parametrize("context", ["", "  "])
def test_an_empty_context_is_the_first_token(loaded: base.Base, context: str) -> None:
    request, spanned = encode(loaded.tokenizer, context, "sun")
    assert (request.context, spanned) == ((0,), False)
    assert score(split(loaded.model), [request])[0] < 0


def test_an_empty_context_without_bos_is_eos(loaded: base.Base) -> None:
    class Bare:
        bos_token = bos_token_id = None
        eos_token, eos_token_id = "</s>", 1

        def __call__(self, texts: str | list[str], add_special_tokens: bool) -> Any:
            many = [texts] if isinstance(texts, str) else texts
            found = [list(text.encode()) for text in many]
            return {"input_ids": found[0] if isinstance(texts, str) else found}

    tokenizer = Bare()
    assert encode(tokenizer, "", "ab")[0] == Request((1,), (97, 98))
    assert encode_apart(tokenizer, "", "ab") == Request((1,), (97, 98))
    tokenizer.eos_token_id = None  # type: ignore[assignment]
    with pytest.raises(ValueError, match="neither BOS nor EOS"):
        encode(tokenizer, "", "ab")


def test_parts_encoded_apart_are_those_of_training(loaded: base.Base) -> None:
    from bactrian.train.encode_texts import TextEncoder

    texts = TextEncoder(loaded.tokenizer)
    (prompt,), (response,) = texts.prompts(["th"]), texts.responses(["e"])
    assert encode_apart(loaded.tokenizer, "th", "e") == Request(tuple(prompt), tuple(response))


@pytest.mark.filterwarnings("ignore")
def test_log_likelihoods_are_those_of_lm_eval(
    loaded: base.Base, sentences: Mapping[str, Sequence[str]]
) -> None:
    huggingface = pytest.importorskip("lm_eval.models.huggingface")
    harness = huggingface.HFLM(
        pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=2, device="cpu"
    )
    pairs = list(PAIRS)
    for code in ("zh", "th", "et"):
        space = " " if code == "et" else ""
        one, two, three, *_ = sentences[code]
        pairs += [(one, space + two), (one + space, three)]
    encoded = [encode(loaded.tokenizer, *pair) for pair in pairs]
    assert not any(spanned for _, spanned in encoded)
    theirs = harness.loglikelihood(
        [SimpleNamespace(args=pair) for pair in pairs], disable_tqdm=True
    )
    asked = [request for request, _ in encoded]
    padded = score(split(loaded.model), asked)
    assert padded == pytest.approx([value for value, _ in theirs], abs=1e-4)
    ready = scorer(loaded.model)
    assert ready.way == "packed"
    ours = ready.likelihoods(asked, 512)
    assert [one.nats for one in ours] == pytest.approx([value for value, _ in theirs], abs=1e-4)
    assert [one.greedy for one in ours] == [greedy for _, greedy in theirs]

"""Answers of a tiny random Llama, held against transformers' own."""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import Any

import pytest

from bactrian.errors import ConfigError
from bactrian.models import generation
from bactrian.models.generation import GenerationSettings, TextSoFar, generate, stream

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

CONTEXT = 256
PROMPT = "### Instruction:\nName three camels.\n\n### Output:\n"
GREEDY = GenerationSettings(temperature=0, beams=1, max_tokens=24, stream=True)
HALF = "\ufffd"


def byte_level() -> Any:
    """A tokenizer of the kind of GPT-2 and SmolLM2: one token a byte, merged nowhere."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocab = {"<s>": 0, "</s>": 1}
    for letter in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocab[letter] = len(vocab)
    inner = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return byte_level()


@pytest.fixture(scope="module")
def model(tokenizer: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        bos_token_id=0,
        eos_token_id=1,
        initializer_range=0.5,  # far from uniform, so that greedy and sampled answers differ
    )
    return LlamaForCausalLM(config).eval()


def reference(model: Any, tokenizer: Any, **settings: Any) -> list[int]:
    """transformers' own answer to PROMPT, asked directly."""
    prompt = torch.tensor([tokenizer(PROMPT)["input_ids"]])
    answer = model.generate(
        input_ids=prompt,
        attention_mask=torch.ones_like(prompt),
        pad_token_id=1,
        **settings,
    )
    tokens: list[int] = answer[0, prompt.shape[1] :].tolist()
    return tokens[: tokens.index(1)] if 1 in tokens else tokens


@pytest.fixture
def tokens_of(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The tokens that go into the text, in order: text of random bytes says too little."""
    seen: list[int] = []
    add = TextSoFar.add

    def listen(self: TextSoFar, token: int) -> str:
        seen.append(token)
        return add(self, token)

    monkeypatch.setattr(TextSoFar, "add", listen)
    return seen


@pytest.mark.parametrize(
    ("settings", "plain"),
    [
        (GREEDY, {"do_sample": False, "num_beams": 1}),
        (
            GREEDY.model_copy(update={"stream": False, "beams": 4}),
            {"do_sample": False, "num_beams": 4},
        ),
    ],
    ids=["greedy", "beams"],
)
def test_temperature_0_is_transformers_own_search(
    model: Any,
    tokenizer: Any,
    tokens_of: list[int],
    settings: GenerationSettings,
    plain: dict[str, Any],
) -> None:
    expected = reference(model, tokenizer, max_new_tokens=24, **plain)

    made = generate(model, tokenizer, PROMPT, settings)

    assert tokens_of == expected
    assert made.tokens == len(expected) > 0


def test_beams_find_what_greedy_misses(model: Any, tokenizer: Any) -> None:
    one = generate(model, tokenizer, PROMPT, GREEDY)
    four = generate(
        model, tokenizer, PROMPT, GREEDY.model_copy(update={"stream": False, "beams": 4})
    )

    assert one.text != four.text


@pytest.mark.parametrize("beams", [1, 4])
def test_temperature_really_samples(model: Any, tokenizer: Any, beams: int) -> None:
    """The original set a temperature and never switched sampling on."""
    warm = GenerationSettings(temperature=1.5, top_p=1, top_k=0, beams=beams, max_tokens=24)
    texts = {
        generate(model, tokenizer, PROMPT, warm.model_copy(update={"seed": seed})).text
        for seed in range(4)
    }

    assert len(texts) == 4


@pytest.mark.parametrize("beams", [1, 4])
def test_a_seed_holds_and_leaves_the_process_alone(model: Any, tokenizer: Any, beams: int) -> None:
    warm = GenerationSettings(temperature=1.0, top_p=1, beams=beams, max_tokens=24, seed=11)
    torch.manual_seed(5)
    untouched = torch.rand(3)
    torch.manual_seed(5)
    first = generate(model, tokenizer, PROMPT, warm)

    assert torch.equal(torch.rand(3), untouched)
    assert generate(model, tokenizer, PROMPT, warm) == first


def test_without_a_seed_answers_differ(model: Any, tokenizer: Any) -> None:
    warm = GenerationSettings(temperature=1.5, top_p=1, top_k=0, beams=1, max_tokens=24, seed=None)
    torch.manual_seed(0)
    first = generate(model, tokenizer, PROMPT, warm)
    torch.manual_seed(0)

    assert generate(model, tokenizer, PROMPT, warm) != first


def test_top_k_1_draws_the_likeliest(model: Any, tokenizer: Any) -> None:
    narrow = GREEDY.model_copy(update={"temperature": 1.0, "top_k": 1})

    assert generate(model, tokenizer, PROMPT, narrow) == generate(model, tokenizer, PROMPT, GREEDY)


def test_repetition_penalty_reaches_the_model(model: Any, tokenizer: Any) -> None:
    harsh = GREEDY.model_copy(update={"repetition_penalty": 2.0})

    assert generate(model, tokenizer, PROMPT, harsh) != generate(model, tokenizer, PROMPT, GREEDY)


def test_the_models_own_settings_are_not_mixed_in(
    model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = generate(model, tokenizer, PROMPT, GREEDY)
    for name, value in {
        "repetition_penalty": 2.0,
        "no_repeat_ngram_size": 1,
        "num_beams": 4,
    }.items():
        monkeypatch.setattr(model.generation_config, name, value)

    assert generate(model, tokenizer, PROMPT, GREEDY) == plain


def test_streamed_text_grows_and_ends_as_the_whole_answer(model: Any, tokenizer: Any) -> None:
    warm = GenerationSettings(temperature=0.8, beams=1, max_tokens=60, stream=True)
    pieces = list(stream(model, tokenizer, PROMPT, warm))

    assert pieces[-1] == generate(model, tokenizer, PROMPT, warm).text
    for shorter, longer in pairwise(pieces):
        assert longer.startswith(shorter)
    assert not any(piece.endswith(HALF) for piece in pieces)


def test_without_streaming_the_text_comes_once(model: Any, tokenizer: Any) -> None:
    whole = GREEDY.model_copy(update={"stream": False, "beams": 2})
    pieces = [text for text in stream(model, tokenizer, PROMPT, whole) if text]

    assert pieces == [generate(model, tokenizer, PROMPT, whole).text]


@pytest.mark.parametrize("beams", [1, 3])
def test_ends_at_the_end_token(
    model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch, beams: int
) -> None:
    whole = GREEDY.model_copy(update={"stream": False, "beams": beams})
    tokens = reference(model, tokenizer, max_new_tokens=24, do_sample=False, num_beams=1)
    place = next(i for i in range(3, 24) if tokens[i] not in tokens[:i])
    monkeypatch.setattr(model.generation_config, "eos_token_id", [tokens[place], 1])

    made = generate(model, tokenizer, PROMPT, whole)

    assert made.finish == "stop"
    assert "</s>" not in made.text
    assert "Instruction" not in made.text
    if beams == 1:
        assert made.tokens == place
        assert list(stream(model, tokenizer, PROMPT, GREEDY))[-1] == made.text


def test_ends_at_max_tokens(model: Any, tokenizer: Any) -> None:
    made = generate(model, tokenizer, PROMPT, GREEDY.model_copy(update={"max_tokens": 5}))

    assert (made.finish, made.tokens) == ("length", 5)


def test_ends_where_the_context_ends(model: Any, tokenizer: Any) -> None:
    prompt = "a" * (CONTEXT - 4)
    made = generate(model, tokenizer, prompt, GREEDY)

    assert (made.finish, made.tokens) == ("length", 4)


@pytest.mark.parametrize("length", [CONTEXT, CONTEXT + 40])
def test_a_prompt_beyond_the_context_is_refused_with_both_numbers(
    model: Any, tokenizer: Any, length: int
) -> None:
    with pytest.raises(ConfigError, match=f"{length} tokens.*context {CONTEXT}"):
        generate(model, tokenizer, "a" * length, GREEDY)
    with pytest.raises(ConfigError, match=f"{length} tokens.*context {CONTEXT}"):
        next(stream(model, tokenizer, "a" * length, GREEDY))


def test_an_empty_prompt_is_refused(model: Any, tokenizer: Any) -> None:
    with pytest.raises(ConfigError, match="empty"):
        generate(model, tokenizer, "", GREEDY)


def test_a_tokenizer_that_closes_every_text_leaves_the_prompt_open(model: Any) -> None:
    from tokenizers.processors import TemplateProcessing

    closing = byte_level()
    closing.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    ids = generation.encode(model, closing, "ab")

    assert ids[0] == 0
    assert len(ids) == 3


def test_a_template_that_writes_the_begin_token_gets_no_second_one(model: Any) -> None:
    from tokenizers.processors import TemplateProcessing

    opening = byte_level()
    opening.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )

    assert generation.encode(model, opening, "<s>m").count(0) == 1
    assert generation.encode(model, opening, "m").count(0) == 1


def ours() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "bactrian" in thread.name]


def test_closing_stops_the_model(
    model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0
    forward = type(model).forward
    third = threading.Event()
    go_on = threading.Event()

    def slow(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 3:
            third.set()
            go_on.wait(5)
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(type(model), "forward", slow)
    answer: Any = stream(model, tokenizer, PROMPT, GREEDY.model_copy(update={"max_tokens": 200}))
    next(answer)
    assert third.wait(5)
    threading.Timer(0.1, go_on.set).start()
    answer.close()

    assert steps == 3
    assert ours() == []


def test_closing_stops_a_beam_search(
    model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0
    forward = type(model).forward

    def slow(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal steps
        steps += 1
        threading.Event().wait(0.02)
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(generation, "HEARTBEAT", 0.05)
    monkeypatch.setattr(type(model), "forward", slow)
    whole = GREEDY.model_copy(update={"stream": False, "beams": 4, "max_tokens": 200})
    answer: Any = stream(model, tokenizer, PROMPT, whole)

    assert next(answer) == ""  # the heartbeat: nothing to show, but a chance to stop
    answer.close()
    assert steps < 50
    assert ours() == []


def test_errors_of_the_thread_reach_the_caller(
    model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0
    forward = type(model).forward

    def breaks(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 4:
            raise RuntimeError("out of memory")
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(type(model), "forward", breaks)
    with pytest.raises(RuntimeError, match="out of memory"):
        list(stream(model, tokenizer, PROMPT, GREEDY))
    assert ours() == []

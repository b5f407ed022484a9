"""A chat model at home: transformers' own tokens, and draws that only the request decides."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from bactrian import languages
from bactrian.errors import ConfigError
from bactrian.providers import Again, Answer, NoAnswer, Price, Told
from bactrian.providers.local import LocalChat
from bactrian.recipe import Respond
from bactrian.schema import Instruction

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

STORIES = Path(__file__).parents[3] / "shared" / "data" / "models" / "stories260K"
ENGLISH, KHMER = languages.get("en"), languages.get("km")
FREE = Price()
QUESTIONS = ("Name three fruits.", "Hi", "Hi!", "What is the capital of France, and what of Peru?")


def chat(model: Path | str, price: Price = FREE, /, **told: Any) -> LocalChat:
    options = {"device": "cpu", "dtype": "float32", **told.pop("options", {})}
    told = {"temperature": 1.0, "max_tokens": 12, **told}
    return LocalChat(
        Told(Respond(using="local", model=str(model), options=options, **told), Path("/"), price)
    )


def requests(made: LocalChat, questions: Sequence[str] = QUESTIONS) -> list[dict[str, Any]]:
    rows = (Instruction(f"a-{number}", "en", text) for number, text in enumerate(questions))
    return [made.request(row, ENGLISH) for row in rows]


def asked(made: LocalChat, questions: Sequence[str] = QUESTIONS) -> list[Any]:
    return list(asyncio.run(made.send(requests(made, questions))))


# -- what is asked --------------------------------------------------------------------------------


def test_a_request_is_the_messages_the_weights_and_what_changes_an_answer(tiny_base: Path) -> None:
    said = {"system": "Answer in {language}.", "systems": {"km": "ឆ្លើយជាភាសាខ្មែរ។"}}
    made = chat(tiny_base, **said)
    row = Instruction("a-1", "en", "Sum up", "a text")
    first = made.request(row, ENGLISH)
    assert first == {
        "engine": "local:tiny",
        "weights": made.weights.mark,
        "messages": [
            {"role": "system", "content": "Answer in English."},
            {"role": "user", "content": "Sum up\n\na text"},
        ],
        "max_tokens": 12,
        "temperature": 1.0,
        "prompt": "auto",
        "repetition_penalty": 1.0,
        "top_k": 0,
        "top_p": 1.0,
        "dtype": "float32",
    }
    assert made.request(row, KHMER)["messages"][0]["content"] == "ឆ្លើយជាភាសាខ្មែរ។"
    for same in ({"batch": 2}, {"batch_tokens": 99}, {"ray": {"actors": 3}}, {"device": "auto"}):
        assert chat(tiny_base, **said, options=same).request(row, ENGLISH) == first
    for other in ({"top_p": 0.9}, {"prompt": "alpaca"}, {"template": {"enable_thinking": False}}):
        assert chat(tiny_base, **said, options=other).request(row, ENGLISH) != first
    assert "model" not in vars(made)


def test_what_is_wrong_in_the_recipe_is_said_at_once(tiny_base: Path) -> None:
    with pytest.raises(ConfigError, match="unknown prompt style chatty"):
        chat(tiny_base, options={"prompt": "chatty"})
    with pytest.raises(ConfigError, match=r"options\.batch = 0 is too little"):
        chat(tiny_base, options={"batch": 0})
    with pytest.raises(ConfigError, match="is not whole on this machine"):
        requests(chat("some/model-that-is-not-here"))


# -- greedy: the same as transformers alone -------------------------------------------------------


def test_without_temperature_a_batch_gives_what_generate_gives_one_by_one(tiny_base: Path) -> None:
    made = chat(tiny_base, temperature=0)
    found = asked(made)
    model, tokenizer = made.model.model, made.model.tokenizer
    for question, one in zip(QUESTIONS, found, strict=True):
        prompt = f"<s>[user]\n{question}\n[assistant]\n"
        ids = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            (alone,) = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=12,
                do_sample=False,
                eos_token_id=1,
                pad_token_id=1,
            )
        tokens = alone[ids.shape[1] :].tolist()
        ended = 1 in tokens
        kept = tokens[: tokens.index(1)] if ended else tokens
        text = tokenizer.decode(kept, skip_special_tokens=True).rstrip("\ufffd").strip()
        assert (one.output, one.finish) == (text, "stop" if ended else "length")
        assert (one.tokens_in, one.tokens_out) == (ids.shape[1], len(kept))


def test_the_end_token_is_a_stop_and_max_tokens_a_length(tiny_base: Path) -> None:
    made = chat(tiny_base, max_tokens=400, options={"top_k": 0})
    found = asked(made, [f"question {number}" for number in range(12)])
    stopped = [one for one in found if isinstance(one, Answer) and one.finish == "stop"]
    assert stopped, "no answer of 400 random tokens had an end token among 320"
    assert all(one.tokens_out < 400 for one in stopped)
    short = asked(chat(tiny_base, max_tokens=3), ["question 0"])
    assert (short[0].finish, short[0].tokens_out) == ("length", 3)


def test_tokens_cost_what_the_recipe_says_and_else_nothing(tiny_base: Path) -> None:
    assert asked(chat(tiny_base))[0].cost_usd == 0
    (one,) = asked(chat(tiny_base, Price(input=1.0, output=2.0)), ["Hi"])
    assert one.cost_usd == pytest.approx((one.tokens_in + 2 * one.tokens_out) / 1e6)


# -- drawn: a function of the request -------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_answer_does_not_depend_on_its_batch(tiny_base: Path, dtype: str) -> None:
    questions = [
        *QUESTIONS,
        *(f"Tell me about {number} {'very ' * number}old things" for number in range(24)),
    ]
    together = asked(chat(tiny_base, options={"dtype": dtype}), questions)
    backwards = asked(chat(tiny_base, options={"dtype": dtype}), questions[::-1])[::-1]
    one = chat(tiny_base, options={"dtype": dtype})
    alone = [asked(one, [question])[0] for question in questions]
    assert together == backwards == alone
    texts = {answer.output for answer in together if isinstance(answer, Answer)}
    assert len(texts) > 20


def test_the_shape_of_a_batch_is_that_of_the_length_alone(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # what the bytes hang on in bfloat16; the tiny model is too small to show it
    made = chat(tiny_base)
    shapes: list[tuple[int, ...]] = []
    plain = made.model.model.generate

    def generate(**told: Any) -> Any:
        shapes.append(tuple(told["input_ids"].shape))
        return plain(**told)

    monkeypatch.setattr(made.model.model, "generate", generate)
    asked(made)
    together, shapes[:] = set(shapes), []
    for question in QUESTIONS:
        asked(made, [question])
    assert set(shapes) == together
    assert {rows for rows, _ in shapes} == {8}


def test_asked_again_the_draw_is_another_and_from_the_beginning_the_same(tiny_base: Path) -> None:
    made = chat(tiny_base)
    first, second = asked(made, ["Hi"]), asked(made, ["Hi"])
    assert first != second
    asyncio.run(made.close())
    assert asked(made, ["Hi"]) == first
    other = chat(tiny_base, temperature=0.9)
    assert asked(other, ["Hi"]) != first


def test_what_is_drawn_follows_the_model_s_probabilities(tiny_base: Path) -> None:
    from bactrian.providers.local_model import Draw

    said = {"temperature": 0.8, "top_k": 0, "top_p": 1.0}
    scores = torch.tensor([[2.0, 1.0, 0.0, -1.0, float("-inf")]]).repeat(4000, 1)
    draw = Draw(range(4000), said, "cpu")
    counts = Counter(draw(None, scores).argmax(-1).tolist())
    shares = (scores[0] / 0.8).softmax(-1).tolist()
    for token, share in enumerate(shares):
        assert counts[token] / 4000 == pytest.approx(share, abs=0.03)
    assert counts[4] == 0
    # the next step is another draw of the same generators
    assert (
        draw(None, scores).argmax(-1).tolist()
        != Draw(range(4000), said, "cpu")(None, scores).argmax(-1).tolist()
    )


@pytest.mark.parametrize(
    ("top_k", "top_p", "kept"),
    [(0, 1.0, 5), (2, 1.0, 2), (9, 1.0, 5), (0, 0.5, 1), (0, 0.9, 3), (0, 0.01, 1), (2, 0.9, 2)],
)
def test_only_the_likeliest_are_drawn_from(top_k: int, top_p: float, kept: int) -> None:
    from bactrian.providers.local_model import narrowed

    logits = torch.tensor([[0.6, 0.25, 0.1, 0.04, 0.01]]).log()
    logits = torch.cat([logits, logits.flip(-1)])
    found = narrowed(logits, {"top_k": top_k, "top_p": top_p})
    assert (found > float("-inf")).tolist() == [
        [place < kept for place in range(5)],
        [place >= 5 - kept for place in range(5)],
    ]


# -- prompts and limits ---------------------------------------------------------------------------


def test_the_prompt_is_the_template_s_or_a_style(tiny_base: Path) -> None:
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    made = chat(tiny_base).model
    assert made.prompt(messages) == "<s>[system]\nBe kind.\n[user]\nHi\n[assistant]\n"
    alpaca = chat(tiny_base, options={"prompt": "bactrian"}).model
    assert alpaca.prompt(messages) == "Be kind.\n\n### Input:\nHi\n\n### Output:\n"
    made.tokenizer.chat_template = (
        "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}"
        "{% endif %}<{{ m['content'] }}>{% endfor %}{{ extra }}"
    )
    assert made.prompt(messages) == "<Be kind.\n\nHi>"
    made.said["template"]["extra"] = "!"
    assert made.prompt(messages[1:]) == "<Hi>!"
    made.tokenizer.chat_template = "{{ raise_exception('no users either') }}"
    with pytest.raises(ConfigError, match="no users either"):
        made.prompt(messages)
    made.tokenizer.chat_template = None
    assert made.prompt(messages[1:]) == "### Input:\nHi\n\n### Output:\n"


def test_a_prompt_beyond_the_context_is_no_answer_and_its_neighbours_have_theirs(
    tiny_base: Path,
) -> None:
    made = chat(tiny_base, max_tokens=40)
    long, full, fine = asked(made, ["word " * 900, "a" * 990, "Hi"])
    assert isinstance(long, NoAnswer)
    assert "the model's context 1024" in long.why
    assert isinstance(full, Answer)
    assert full.tokens_in + full.tokens_out <= 1024
    assert full.tokens_out < 40
    assert fine == asked(chat(tiny_base, max_tokens=40), ["Hi"])[0]


def test_nothing_said_is_asked_again_where_a_draw_may_help(tiny_base: Path) -> None:
    def outcome(temperature: float) -> Any:
        made = chat(tiny_base, temperature=temperature)
        made.model.ends[:] = range(made.model.model.config.vocab_size)  # every token is an end
        return asked(made, ["Hi"])[0]

    sure, drawn = outcome(0), outcome(1.0)
    assert sure == NoAnswer("no text, finish_reason stop", billed=sure.billed)
    assert drawn == Again("empty", "no text, finish_reason stop", billed=sure.billed)
    assert sure.billed.tokens_in > 0


def test_halted_it_stops_between_two_tokens(tiny_base: Path) -> None:
    from bactrian.providers.here.worker import Halted

    made = chat(tiny_base, max_tokens=900)
    halt = Event()
    halt.set()
    with pytest.raises(Halted):
        made.model.answer(requests(made), [1, 2, 3, 4], halt)


def test_when_there_is_enough_what_is_done_is_kept(tiny_base: Path) -> None:
    made = chat(tiny_base)
    questions = ["Hi", "What is the capital of France, and what of Peru, and what of Chad?"]
    whole = asked(made, questions)
    asyncio.run(made.close())
    turns = iter([False, True])
    found = made.model.answer(
        requests(made, questions),
        made.draws.seeds(requests(made, questions)),
        Event(),
        enough=lambda: next(turns),
    )
    assert found[0] is None
    assert not isinstance(found[1], str | None)
    assert found[1].text == whole[1].output


# -- a real model ---------------------------------------------------------------------------------


@pytest.mark.skipif(not STORIES.is_dir(), reason="stories260K is not here")
@pytest.mark.parametrize("file", ["", "stories260K-f32.gguf"])
def test_a_real_model_tells_a_story(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = chat(STORIES / file, temperature=0, max_tokens=30, options={"prompt": "bactrian"})
    request = requests(made, ["Once upon a time, there was a little girl"])[0]
    found = made.model.answer([request], [0], Event())
    assert not isinstance(found[0], str)
    assert found[0] is not None
    assert found[0].tokens_out == 30
    words = found[0].text.split()
    assert len(words) > 10
    assert any(name in found[0].text for name in ("Lily", "girl", "she"))
    assert made.name == f"local:{file or 'stories260K'}"

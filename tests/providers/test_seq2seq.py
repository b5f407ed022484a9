"""Translation models at home: what is asked, and that nothing is lost between texts and tokens."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from bactrian import languages
from bactrian.errors import ProviderError
from bactrian.providers import Again, Answer, NoAnswer, Told
from bactrian.providers.seq2seq import Seq2Seq, families
from bactrian.providers.seq2seq_model import Seq2SeqModel
from bactrian.recipe import Translate

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

ENGLISH, FRENCH, CHINESE, KHMER = map(languages.get, ("en", "fr", "zh", "km"))


class Copying:
    """In place of a model: says each source again, so that whatever is lost or moved shows."""

    device = torch.device("cpu")

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.special = set(tokenizer.all_special_ids)
        self.end = tokenizer.eos_token_id
        self.shapes: list[tuple[int, int]] = []
        self.deaf: set[int] = set()
        """Tokens at which it finds no end."""
        self.most = 1 << 30
        """Rows that fit into its memory."""
        self.seconds = 0.0

    def generate(
        self, input_ids: Any, attention_mask: Any, generation_config: Any, stopping_criteria: Any
    ) -> Any:
        self.shapes.append((input_ids.shape[0], input_ids.shape[1]))
        if len(input_ids) > self.most:
            raise torch.OutOfMemoryError("none is left")
        begun = time.monotonic()
        while time.monotonic() - begun < self.seconds:
            time.sleep(0.005)
            if stopping_criteria[0](input_ids, None).all():
                break
        made = [self.say(row, generation_config) for row in input_ids.tolist()]
        longest = max(map(len, made))
        return torch.tensor([row + [self.end] * (longest - len(row)) for row in made])

    def say(self, row: list[int], config: Any) -> list[int]:
        text = [token for token in row if token not in self.special]
        if self.deaf.intersection(text):
            text = [text[0]] * (config.max_new_tokens + 1)
        return [config.decoder_start_token_id, config.forced_bos_token_id, *text, self.end]


@pytest.fixture(scope="module")
def tokenizer(sentences: Mapping[str, Sequence[str]]) -> Any:
    """NLLB's, with pieces that were made of the samples."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import NllbTokenizer

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.BpeTrainer(vocab_size=2500, special_tokens=specials, show_progress=False)
    texts = [text for several in sentences.values() for text in several]
    inner.train_from_iterator([*texts, "0123456789 ?!()[]'-:;,。，！？"], trainer)
    told = json.loads(inner.to_str())["model"]
    return NllbTokenizer(vocab=told["vocab"], merges=[tuple(pair) for pair in told["merges"]])


@pytest.fixture
def copying(tmp_path: Path, tokenizer: Any) -> tuple[Seq2Seq, Copying]:
    """A translator whose model says its source again, and that model."""
    config = {"model_type": "m2m_100", "tokenizer_class": "NllbTokenizer"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    made = Seq2Seq(Told(Translate(using="seq2seq", model=str(tmp_path)), tmp_path))
    model = Copying(tokenizer)
    made.__dict__["model"] = Seq2SeqModel(
        model, tokenizer, families()["nllb"], made.said, start=2, window=64, places=256
    )
    return made, model


def asked(
    made: Seq2Seq, *requests: Sequence[str], source: Any = ENGLISH, target: Any = FRENCH
) -> list[Any]:
    """Return the outcomes of some requests in one send."""
    return list(asyncio.run(made.send([made.request(one, source, target) for one in requests])))


def texts(outcome: Any) -> list[str]:
    assert isinstance(outcome, Answer), outcome
    found: list[str] = orjson.loads(outcome.output)
    return found


# -- what comes back ------------------------------------------------------------------------------


def test_texts_come_back_in_order_and_what_needs_no_model_as_it_is(
    copying: tuple[Seq2Seq, Copying], sentences: Mapping[str, Sequence[str]]
) -> None:
    made, model = copying
    english = sentences["en"]
    requests = [
        [english[3], ""],
        ["  ", english[0]],
        ["3 + 4 = ?", "[X0X]"],
        [english[1], english[3]],
    ]
    found = asked(made, *requests)
    assert [texts(one) for one in found] == requests
    assert all(
        one.characters == sum(map(len, sent)) for one, sent in zip(found, requests, strict=True)
    )
    assert found[2].tokens_in == found[2].tokens_out == 0
    assert found[0].cost_usd == 0
    # the same sentence twice is computed once: three sentences, sorted by length, the longest first
    edges = [edge for _, edge in model.shapes]
    assert edges == sorted(edges, reverse=True)


def test_lines_marks_and_spaces_stay_where_they_are(copying: tuple[Seq2Seq, Copying]) -> None:
    made, _ = copying
    text = "  A list:\r\n1. the club\n2) the show. The theme!\n\n\t- games [X1X]\u2028A. the end\n"
    (found,) = asked(made, [text])
    assert texts(found) == [text]


@pytest.mark.parametrize("code", ["en", "zh", "th", "km", "ar", "hi", "ja", "my", "ka"])
def test_a_text_far_beyond_the_window_loses_nothing(
    copying: tuple[Seq2Seq, Copying], sentences: Mapping[str, Sequence[str]], code: str
) -> None:
    made, model = copying
    between = "" if code in ("zh", "ja") else " "
    text = between.join(list(sentences[code]) * 8)
    (found,) = asked(made, [text], source=languages.get(code), target=languages.get("vi"))
    (back,) = texts(found)
    # letters that the tiny vocabulary lacks are dropped by the copying model: from both sides
    kept = "".join(model_says(model, text).split())
    assert "".join(back.split()) == kept
    assert len(kept) > 1000
    assert max(edge for _, edge in model.shapes) <= 64
    assert len(model.shapes) > 1


def model_says(model: Copying, text: str) -> str:
    """Return what the copying model makes of a text without a window."""
    ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    return str(model.tokenizer.decode(ids, skip_special_tokens=True))


def test_the_target_s_script_says_what_stands_between_sentences(
    copying: tuple[Seq2Seq, Copying],
) -> None:
    made, _ = copying
    text = "The club. The show!  The end?"
    (chinese,) = asked(made, [text], target=CHINESE)
    (khmer,) = asked(made, [text], target=KHMER)
    assert texts(chinese) == ["The club.The show!The end?"]
    assert texts(khmer) == [text]


def test_what_finds_no_end_is_tried_in_halves_before_it_is_given_up(
    copying: tuple[Seq2Seq, Copying],
) -> None:
    made, model = copying
    lengths: list[int] = []
    plain = model.say

    def say(row: list[int], config: Any) -> list[int]:
        lengths.append(len(row))
        text = [token for token in row if token not in model.special]
        endless = [text[0]] * 600
        return [2, config.forced_bos_token_id, *endless] if len(text) > 12 else plain(row, config)

    model.say = say  # type: ignore[method-assign]
    text = "the club and the show and the games and the end of the theme of the club"
    (found,) = asked(made, [text])
    assert texts(found) == [text]
    assert found.tokens_out > len(text.split())
    model.deaf = set(model.tokenizer("theme", add_special_tokens=False)["input_ids"])
    lost, fine = asked(made, ["The theme", "The show"], ["The show", ""])
    assert isinstance(lost, NoAnswer)
    assert "found no end within" in lost.why and "The theme" in lost.why
    assert texts(fine) == ["The show", ""]


def test_where_memory_runs_out_half_is_tried(copying: tuple[Seq2Seq, Copying]) -> None:
    made, model = copying
    model.most = 5
    several = [[f"the club {word}"] for word in ("and", "the", "show", "of", "games", "end", "a")]
    assert [texts(one) for one in asked(made, *several)] == several
    assert {rows for rows, _ in model.shapes} == {8, 4}
    model.most = 0
    with pytest.raises(ProviderError, match="one text alone does not fit"):
        asked(made, ["the club"])


# -- the loop -------------------------------------------------------------------------------------


def test_the_loop_lives_while_the_model_computes_and_one_send_waits_for_the_other(
    copying: tuple[Seq2Seq, Copying],
) -> None:
    made, model = copying
    model.seconds = 0.2
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    async def both() -> list[Any]:
        ticking = asyncio.create_task(tick())
        asks = [made.request([text], ENGLISH, FRENCH) for text in ("the club", "the show")]
        found = await asyncio.gather(*(made.send([one]) for one in asks))
        ticking.cancel()
        return [one for several in found for one in several]

    begun = time.monotonic()
    assert [texts(one) for one in asyncio.run(both())] == [["the club"], ["the show"]]
    assert time.monotonic() - begun >= 0.4
    assert ticks > 10


def test_a_send_that_nobody_waits_for_gives_up_and_one_after_a_stop_does_not_begin(
    copying: tuple[Seq2Seq, Copying],
) -> None:
    made, model = copying
    asks = [made.request([text], ENGLISH, FRENCH) for text in ("the club", "the show")]

    async def stopped() -> list[Any]:
        model.seconds = 0.2
        first, second = (asyncio.create_task(made.send([one])) for one in asks)
        await asyncio.sleep(0.05)
        made.stop()
        return [*await first, *await second]

    first, second = asyncio.run(stopped())
    assert texts(first) == ["the club"]
    assert second == Again("server", "not asked any more")
    asyncio.run(made.close())

    async def cancelled() -> None:
        model.seconds = 60.0
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(made.send(asks[:1]), 0.05)
        model.seconds = 0.0
        assert texts((await made.send(asks[1:]))[0]) == ["the show"]

    begun = time.monotonic()
    asyncio.run(cancelled())
    assert time.monotonic() - begun < 10


def test_stopped_in_the_middle_of_a_send_what_is_done_is_kept(
    copying: tuple[Seq2Seq, Copying],
) -> None:
    made, model = copying
    model.seconds = 0.1
    texts_of = ["the club", "the club and the show and the games and the end of the theme " * 2]
    asks = [made.request([text.strip()], ENGLISH, FRENCH) for text in texts_of]

    async def stopped() -> list[Any]:
        sending = asyncio.create_task(made.send(asks))
        await asyncio.sleep(0.05)
        made.stop()
        return list(await sending)

    short, long = asyncio.run(stopped())
    assert short == Again("server", "not asked any more")
    assert texts(long) == asks[1]["texts"]  # the longest are computed first
    asyncio.run(made.close())
    assert texts(asyncio.run(made.send(asks))[0]) == ["the club"]


def test_released_a_model_is_loaded_again(copying: tuple[Seq2Seq, Copying]) -> None:
    made, _ = copying
    made.release()
    assert "model" not in vars(made)
    made.release()

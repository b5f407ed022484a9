"""Many texts at once have the ids that the tokenizer gives each alone, whatever kind it is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import DataError
from bactrian.models.tokens import prompt_ids
from bactrian.train.encode_texts import OURS, PARALLEL, TextEncoder, side_by_side

transformers = pytest.importorskip("transformers")

Texts = Mapping[str, Sequence[str]]


@pytest.fixture
def tokenizer(tiny_base: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(tiny_base)


@pytest.fixture
def slow() -> Any:
    """A tokenizer in Python, without BOS, that ends every text with EOS."""
    return transformers.ByT5Tokenizer()


class Odd:
    """A fast tokenizer whose own call does more than its Rust part does."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def __call__(self, texts: Any, **told: Any) -> dict[str, Any]:
        found = self._tokenizer(texts, **told)["input_ids"]
        return {"input_ids": [ids[::-1] for ids in found]}


def lines(sentences: Texts) -> list[str]:
    return [*(text for told in sentences.values() for text in told), "", " ", "a\r\nb\t\u200bc"]


def test_ids_are_those_of_the_tokenizer_in_52_languages(tokenizer: Any, sentences: Texts) -> None:
    texts, encoder = lines(sentences), TextEncoder(tokenizer)
    assert encoder.rust
    assert encoder.prompts(texts) == prompt_ids(tokenizer, texts)
    alone = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    assert encoder.responses(texts) == alone


def test_a_slow_tokenizer_is_asked_itself(slow: Any, sentences: Texts) -> None:
    texts, encoder = lines(sentences), TextEncoder(slow)
    assert not encoder.rust
    assert encoder.prompts(texts) == prompt_ids(slow, texts)
    alone = [slow(text, add_special_tokens=False)["input_ids"] for text in texts]
    assert encoder.responses(texts) == alone
    assert encoder.texts([], special=True) == []


def test_pieces_spell_every_text_or_are_not_used(
    tokenizer: Any, slow: Any, sentences: Texts
) -> None:
    encoder = TextEncoder(tokenizer)
    assert encoder.pieces is not None
    for text in [*lines(sentences), "a </s> b"]:
        (ids,) = encoder.responses([text])
        assert b"".join(encoder.pieces[place] for place in ids) == text.encode()
    assert TextEncoder(slow).pieces is None


def test_a_tokenizer_that_does_more_than_its_rust_part_is_asked_itself(
    tokenizer: Any, sentences: Texts
) -> None:
    odd, texts = Odd(tokenizer), sentences["en"]
    encoder = TextEncoder(odd)
    assert not encoder.rust
    alone = [tokenizer(text, add_special_tokens=False)["input_ids"][::-1] for text in texts]
    assert encoder.responses(texts) == alone
    assert encoder.key() != TextEncoder(tokenizer).key()


@pytest.mark.parametrize("kind", ["tokenizer", "slow"])
def test_an_end_that_is_written_in_a_response_is_spelt(
    kind: str, request: pytest.FixtureRequest
) -> None:
    own = request.getfixturevalue(kind)
    encoder = TextEncoder(own)
    written = f"<s>struck</s> out, {own.eos_token} and on"
    plain, spelt, after = encoder.responses(["before", written, "after"])
    assert own.eos_token_id not in spelt
    assert own.bos_token_id is None or own.bos_token_id not in spelt
    assert own.decode(spelt) == written
    assert [plain, after] == encoder.responses(["before", "after"])
    (prompt,) = encoder.prompts([written])  # a chat template writes them, and means them
    assert prompt == prompt_ids(own, [written])[0]
    assert own.eos_token_id in prompt


def test_a_target_begins_as_a_text_and_is_open(slow: Any) -> None:
    whole = slow("yes")["input_ids"]
    assert whole[-1] == slow.eos_token_id
    assert TextEncoder(slow).responses(["yes"], special=True) == [whole[:-1]]


def test_switches_that_others_left_on_change_nothing(tokenizer: Any, sentences: Texts) -> None:
    texts = lines(sentences)
    encoder = TextEncoder(tokenizer)
    told, key = encoder.prompts(texts), encoder.key()
    backend = tokenizer.backend_tokenizer
    backend.enable_truncation(4)
    backend.enable_padding(length=2000)
    backend.encode_special_tokens = True
    assert encoder.prompts(texts) == told
    backend.enable_truncation(4)
    backend.encode_special_tokens = True
    assert encoder.key() == key


def test_many_threads_do_not_cross(tokenizer: Any, sentences: Texts) -> None:
    encoder = TextEncoder(tokenizer)
    asked = [*sentences["my"], "a </s> b", *sentences["en"]]
    prompts, responses = encoder.prompts(asked), encoder.responses(asked)
    with ThreadPoolExecutor(4) as threads:
        told = [
            threads.submit(encoder.responses if turn % 2 else encoder.prompts, asked)
            for turn in range(40)
        ]
    assert all(told[turn].result() == (responses if turn % 2 else prompts) for turn in range(40))


def test_half_a_character_is_told_with_what_stands_before_it(tokenizer: Any, slow: Any) -> None:
    for own in (tokenizer, slow):
        with pytest.raises(DataError, match=r"lone surrogate.* after 'camel '"):
            TextEncoder(own).responses(["fine", "camel \ud83d", "fine"])


def test_the_key_tells_tokenizers_apart_and_is_the_same_every_time(
    tiny_base: Path, tokenizer: Any, slow: Any
) -> None:
    again = transformers.AutoTokenizer.from_pretrained(tiny_base)
    key = TextEncoder(tokenizer).key()
    assert TextEncoder(again).key() == key
    assert TextEncoder(slow).key() == TextEncoder(transformers.ByT5Tokenizer()).key()
    again.add_tokens(["<turn>"])
    assert TextEncoder(again).key() != key
    other = transformers.AutoTokenizer.from_pretrained(tiny_base)
    other.eos_token = "a"
    assert len({key, TextEncoder(other).key(), TextEncoder(slow).key()}) == 3


@pytest.fixture
def undecided(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(PARALLEL, raising=False)
    yield
    monkeypatch.delenv(PARALLEL, raising=False)


@pytest.mark.usefixtures("undecided")
def test_every_core_is_used_inside_and_a_fork_is_safe_afterwards() -> None:
    for _ in range(2):
        with side_by_side() as cores:
            assert os.environ[PARALLEL] == "true"
            assert cores == os.cpu_count()
        assert os.environ[PARALLEL].lower() == "false"


@pytest.mark.parametrize("told", ["false", "true", "0", "False"])
def test_what_the_user_decided_stays(monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    assert told != OURS
    monkeypatch.setenv(PARALLEL, told)
    with side_by_side() as cores:
        assert os.environ[PARALLEL] == told
        assert cores == (os.cpu_count() if told == "true" else 1)
    assert os.environ[PARALLEL] == told

"""Over-long rows are cut by the stated rule, in every script, and never inside a character."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import regex

from bactrian.models.prompts import ALPACA, BACTRIAN
from bactrian.train.encode_texts import TextEncoder
from bactrian.train.shorten import (
    LEAST,
    TRIES,
    Limits,
    Long,
    Reading,
    boundary,
    cut_response,
    is_boundary,
    longest,
    shorten,
)

tokenizers = pytest.importorskip("tokenizers")
transformers = pytest.importorskip("transformers")

Texts = Mapping[str, Sequence[str]]
CLUSTERS = "e\u0301 🇰🇭🇺🇸 👩‍👩‍👧 क्षि நா ភាសាខ្មែរ မြန်မာ กำลัง 각 ה\u05b8 a\r\nb\nc ශ්‍රී"


def byte_level(texts: Sequence[str]) -> Any:
    """As GPT-2 and BLOOM: every byte is a token, and pairs of them are merged."""
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    made.train_from_iterator(
        texts,
        tokenizers.trainers.BpeTrainer(
            vocab_size=400,
            initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return made


def byte_fallback(texts: Sequence[str]) -> Any:
    """As LLaMA: known characters are tokens, all others are spelt in bytes."""
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    known = sorted({char for text in texts for char in text if char.isascii() and char != " "})
    vocabulary = {token: place for place, token in enumerate(["<unk>", *fallback, "▁", *known])}
    made = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True)
    )
    made.normalizer = tokenizers.normalizers.Sequence(
        [tokenizers.normalizers.Prepend("▁"), tokenizers.normalizers.Replace(" ", "▁")]
    )
    made.decoder = tokenizers.decoders.Sequence(
        [
            tokenizers.decoders.Replace("▁", " "),
            tokenizers.decoders.ByteFallback(),
            tokenizers.decoders.Fuse(),
            tokenizers.decoders.Strip(" ", 1, 0),
        ]
    )
    return made


def normalising(texts: Sequence[str]) -> Any:
    """Reads other text than was written: as mT5 and XLM-R do, and lower case on top."""
    made = byte_level(texts)
    made.normalizer = tokenizers.normalizers.Sequence(
        [tokenizers.normalizers.NFKC(), tokenizers.normalizers.Lowercase()]
    )
    return made


def encoder(inner: Any) -> TextEncoder:
    return TextEncoder(transformers.PreTrainedTokenizerFast(tokenizer_object=inner))


@pytest.fixture(scope="module", params=[byte_level, byte_fallback, normalising])
def texts(request: pytest.FixtureRequest, sentences: Texts) -> TextEncoder:
    return encoder(request.param([told[0] for told in sentences.values()]))


def said(texts: TextEncoder, ids: Sequence[int]) -> str:
    """Return what ids spell; a broken character is U+FFFD."""
    found: str = texts.tokenizer.backend_tokenizer.decode(ids, skip_special_tokens=False)
    return found


def long(texts: TextEncoder, parts: tuple[str, str, str], style: Any = BACTRIAN) -> Long:
    """Return a row as it comes to ``shorten``."""
    instruction, given, output = parts

    def ids(text: str) -> list[int]:
        return texts.texts([text], special=False)[0]

    def rendered(text: str) -> list[int]:
        return ids(style.render(instruction, text))

    return Long(
        input=given,
        output=output,
        asked=style.render(instruction, given),
        prompt=rendered(given),
        response=ids(output),
        rendered=rendered,
        answered=ids,
        pieces=texts.pieces,
    )


@pytest.mark.parametrize(
    ("text", "at", "found"),
    [
        ("abc", 0, 0),
        ("abc", 2, 2),
        ("abc", 3, 3),
        ("a\r\nb", 2, 1),
        ("a\r\nb", 3, 3),
        ("e\u0301", 1, 0),
        ("ae\u0301", 2, 1),
        ("🇰🇭🇺🇸", 1, 0),
        ("🇰🇭🇺🇸", 2, 2),
        ("🇰🇭🇺🇸", 3, 2),
        ("x\n🇰🇭🇺🇸", 5, 4),
        ("👩‍👩‍👧", 3, 0),
        ("নি", 1, 0),
        ("ខ្មែរ", 1, 0),
    ],
)
def test_the_last_boundary_up_to_a_place(text: str, at: int, found: int) -> None:
    assert boundary(text, at) == found
    assert is_boundary(text, at) == (at == found)


def test_boundaries_are_those_of_the_whole_text_in_52_languages(sentences: Texts) -> None:
    for text in [CLUSTERS, *(told[0] for told in sentences.values())]:
        ends = {0, *(cluster.end() for cluster in regex.finditer(r"\X", text))}
        for at in range(len(text) + 1):
            assert is_boundary(text, at) == (at in ends), (text, at)
            assert boundary(text, at) == max(end for end in ends if end <= at)


def test_a_cut_response_is_a_beginning_of_whole_clusters(
    texts: TextEncoder, sentences: Texts
) -> None:
    for text in [CLUSTERS * 3, *(told[0] for told in sentences.values())]:
        row = long(texts, ("Say it.", "", text))
        for room in range(1, len(row.response), 13):
            found = cut_response(row, room)
            assert len(found) <= room
            begun, whole = said(texts, found), said(texts, row.response)
            assert whole.startswith(begun)
            assert is_boundary(whole, len(begun))


@pytest.mark.parametrize("kind", [byte_level, byte_fallback])
def test_where_pieces_spell_the_text_no_longer_cut_would_do(kind: Any, sentences: Texts) -> None:
    texts = encoder(kind([told[0] for told in sentences.values()]))
    assert texts.pieces is not None
    for text in [CLUSTERS * 3, *(told[0] for told in sentences.values())]:
        row = long(texts, ("Say it.", "", text))
        for room in range(1, len(row.response), 13):
            found = cut_response(row, room)
            assert found == row.response[: len(found)]
            for keep in range(len(found) + 1, room + 1):
                begun = said(texts, row.response[:keep])
                assert not text.startswith(begun) or not is_boundary(text, len(begun))


def test_a_tokenizer_that_normalises_is_cut_by_its_texts(sentences: Texts) -> None:
    texts = encoder(normalising([told[0] for told in sentences.values()]))
    assert texts.pieces is None
    for told in sentences.values():
        row = long(texts, ("Say it.", "", " ".join(told)))
        room = len(row.response) * 2 // 3
        found = cut_response(row, room)
        assert room - 24 < len(found) <= room
        cuts = (told for at in range(len(row.output)) if (told := row.output[:at]))
        assert any(row.answered(cut) == found for cut in cuts), "the ids of a text that is cut"


def test_ends_are_those_of_each_token(sentences: Texts) -> None:
    texts = encoder(byte_fallback(sentences["en"]))
    ids = texts.texts(["aឱ b"], special=False)[0]
    read = Reading("aឱ b", ids, texts.pieces)
    assert read.exact
    ends = [read.end(keep) for keep in range(1, len(ids) + 1)]
    assert ends == [0, 1, 1, 1, 2, 3, 4], "the space before every text is no part of it"
    assert [read.whole(keep) for keep in range(1, 8)] == [1, 2, 2, 2, 5, 6, 7]
    other = Reading("another", ids, texts.pieces)
    assert not other.exact
    assert other.end(len(ids)) == 7


def test_nothing_is_left_of_a_response_that_is_one_character() -> None:
    for kind in (byte_level, normalising):
        texts = encoder(kind([]))
        row = long(texts, ("Say it.", "", "a" + "\u0303\u0324" * 40))
        assert cut_response(row, 30) == []
        assert shorten(row, Limits(len(row.prompt) + 31)) is None


@pytest.mark.parametrize("density", [1, 3, 40])
def test_the_search_nearly_fills_the_room_in_few_tries(density: int) -> None:
    text = "a" * 500 + "b" * 1500
    asked = []

    def ids(begun: str) -> list[int]:
        asked.append(begun)
        return [0] * 7 + [1] * begun.count("a") + [2] * (begun.count("b") // density)

    for room in (8, 100, 400, 507, 520):
        asked.clear()
        found = longest(text, len(text) // 2, room, ids, 7)
        assert room - 1 - room // 32 <= len(found) <= room
        assert len(asked) <= TRIES
    assert longest(text, 9, 3, ids, 7) == []


@pytest.mark.parametrize("style", [BACTRIAN, ALPACA], ids=lambda style: style.name)
def test_the_input_is_cut_first_and_as_little_as_will_do(
    texts: TextEncoder, sentences: Texts, style: Any
) -> None:
    for told in sentences.values():
        row = long(texts, (told[0], " ".join(told[1:4]), told[4]), style)
        bare = len(row.rendered(""))
        spare = len(row.prompt) - bare
        limits = Limits(bare + spare // 2 + len(row.response) + 1)
        fitted = shorten(row, limits)
        assert fitted is not None
        prompt, response = fitted
        assert response == row.response
        assert limits.fit(len(prompt), len(response))
        assert bare < len(prompt) > bare + spare // 2 - 24
        text, whole = said(texts, prompt), said(texts, row.prompt)
        assert text.endswith(said(texts, row.prompt)[-len(style.after.strip()) - 1 :])
        begun = text.removesuffix(style.after.lower()).removesuffix(style.after)
        assert whole.startswith(begun)
        assert is_boundary(whole, len(begun))


def test_the_response_is_cut_when_no_input_is_left(texts: TextEncoder, sentences: Texts) -> None:
    for told in sentences.values():
        row = long(texts, (told[0], told[1], " ".join(told[2:])))
        bare = row.rendered("")
        fitted = shorten(row, Limits(len(bare) + 60))
        assert fitted is not None
        prompt, response = fitted
        assert prompt == bare
        assert LEAST <= len(response) <= 59
        assert response[:-8] == row.response[: len(response) - 8]


def test_an_instruction_that_does_not_fit_is_refused(texts: TextEncoder, sentences: Texts) -> None:
    told = sentences["km"]
    row = long(texts, (told[0], told[1], told[2]))
    bare = len(row.rendered(""))
    assert len(row.response) > LEAST
    for limit in (10, bare, bare + 1, bare + LEAST):
        assert shorten(row, Limits(limit)) is None


def test_a_short_response_is_kept_whole_or_not_at_all(sentences: Texts) -> None:
    row = long(encoder(byte_level([])), ("Say it.", sentences["my"][0], "yes"))
    bare = len(row.rendered(""))
    assert shorten(row, Limits(bare + 4)) == (row.rendered(""), row.response)
    assert shorten(row, Limits(bare + 3)) is None


def test_a_blank_input_is_no_input(sentences: Texts) -> None:
    row = long(encoder(byte_level([])), ("Say it.", "  \n ", " ".join(sentences["de"])))
    fitted = shorten(row, Limits(120))
    assert fitted is not None
    assert fitted[0] == row.prompt


def test_source_and_target_of_an_encoder_decoder_share_no_budget(
    texts: TextEncoder, sentences: Texts
) -> None:
    told = sentences["ta"]
    row = long(texts, (told[0], " ".join(told[1:3]), " ".join(told[3:])))
    bare = len(row.rendered(""))
    source = (bare + len(row.prompt)) // 2
    fitted = shorten(row, Limits(50, source, encoder_decoder=True))
    assert fitted is not None
    assert bare < len(fitted[0]) <= source
    assert LEAST <= len(fitted[1]) <= 49
    assert shorten(row, Limits(50, bare - 1, encoder_decoder=True)) is None
    only_target = shorten(row, Limits(50, len(row.prompt), encoder_decoder=True))
    assert only_target is not None
    assert only_target[0] == row.prompt


def test_the_limits_add_up() -> None:
    causal = Limits(100)
    assert causal.fit(60, 39)
    assert not causal.fit(60, 40)
    assert (causal.prompt_room(39), causal.response_room(60)) == (60, 39)
    apart = Limits(100, 50, encoder_decoder=True)
    assert apart.fit(50, 99)
    assert not apart.fit(51, 1)
    assert not apart.fit(1, 100)
    assert Limits(100, encoder_decoder=True).prompt_room(99) == 100

"""Where a reply is cut: by the bytes of its tokens, by their offsets, at a token that spans."""

from __future__ import annotations

from typing import Any

import pytest

from bactrian.errors import DataError
from bactrian.evaluate.backends.echo import Counted, Echo
from bactrian.evaluate.backends.words import Letters
from bactrian.models.scoring import Request, encode


class Silent:
    """A server that answers what it was told to, and only once: the probe."""

    address = "http://toy/v1"

    def look(self, *_: Any) -> Any:
        from bactrian.evaluate.backends.wire import Said

        told = {"token_logprobs": [None, -1.0, -1.0]}
        return Said(200, {"choices": [{"logprobs": told}]})


def read(context: str, text: str, told: dict[str, Any]) -> Counted:
    way = Echo(Silent(), "toy", True, ())  # type: ignore[arg-type]
    request, _ = encode(Letters(), context, text)
    found = way.read([{"choices": [{"logprobs": told}]}], request)
    assert isinstance(found, Counted)
    return found


@pytest.mark.parametrize(
    ("context", "text", "tokens", "offsets", "scored", "spanned"),
    [
        ("The camel", " drinks.", ["The", " camel", " drinks", "."], None, 2, False),
        ("The camel ", "drinks.", ["The", " camel", " drinks", "."], None, 2, False),
        ("The camel", "s drink", ["The", " camels", " drink"], None, 2, True),
        ("骆驼", "喝水", ["骆", "驼", "喝水"], None, 1, False),
        ("骆驼", "喝水", ["<s>", "骆", "驼喝", "水"], None, 2, True),
        ("", "骆驼", ["<s>", "骆", "驼"], None, 2, False),
        ("ខ្មែរ", "កក", ["bytes:\\xe1\\x9e", "bytes:\\x81", "្មែរ", "ក", "ក"], None, 2, False),
        ("ab", "🐪", ["ab", "bytes:\\xf0\\x9f", "bytes:\\x90\\xaa"], None, 2, False),
        ("ab🐪", "cd", ["ab", "\ufffd", "\ufffd", "cd"], [0, 2, 2, 3], 1, False),
        ("مرحبا", " جمل", ["مرح", "با", " جم", "ل"], [0, 3, 5, 8], 2, False),
    ],
)
def test_the_cut_is_at_the_join(
    context: str,
    text: str,
    tokens: list[str],
    offsets: list[int] | None,
    scored: int,
    spanned: bool,
) -> None:
    nats = [None, *[-float(2**place) for place in range(len(tokens) - 1)]]
    told = {"tokens": tokens, "token_logprobs": nats, "text_offset": offsets}
    found = read(context, text, told)
    assert (found.tokens, found.spanned) == (scored, spanned)
    assert found.nats == sum(one for one in nats[-scored:] if one)


def test_greedy_is_told_only_where_others_are() -> None:
    told: dict[str, Any] = {"tokens": ["a", "b"], "token_logprobs": [None, -1.0]}
    assert not read("a", "b", told).greedy
    assert read("a", "b", {**told, "top_logprobs": [None, {"b": -1.0}]}).greedy
    assert not read("a", "b", {**told, "top_logprobs": [None, {"b": -1.0, "c": -0.9}]}).greedy


def test_a_first_token_without_a_number_is_refused() -> None:
    with pytest.raises(DataError, match="no number for the first token"):
        read("", "ab", {"tokens": ["a", "b"], "token_logprobs": [None, -1.0]})


def test_offsets_that_do_not_fit_the_text_are_refused() -> None:
    told = {"tokens": ["\ufffd", "\ufffd", "b"], "token_logprobs": [None, -1.0, -2.0]}
    with pytest.raises(DataError, match="does not say where its tokens begin"):
        read("ក", "b", {**told, "text_offset": [0, 1, 2]})


def test_another_number_of_tokens_than_asked_is_refused() -> None:
    way = Echo(Silent(), "toy", False, (1, 2))  # type: ignore[arg-type]
    told = {"token_logprobs": [None, -1.0]}
    with pytest.raises(DataError, match="asked of 3 tokens and told of 2"):
        way.read([{"choices": [{"logprobs": told}]}], Request((1,), (2, 3)))

"""Pieces are put together so that a span cannot break."""

from __future__ import annotations

import random

import pytest

from bactrian.data.spans import Piece, join, pieces


def test_a_text_is_cut_at_its_spans() -> None:
    assert pieces("Write to a@b.org , please.\n") == (
        Piece("Write to", True, after=" "),
        Piece("a@b.org", sent=False),
        Piece(", please.", True, before=" ", after="\n"),
    )
    assert pieces("") == ()


def test_what_has_no_letter_is_not_sent() -> None:
    cut = pieces("3.5 km (!) a@b.org ...")
    assert not any(piece.sent for piece in cut)
    assert join(cut, []) == "3.5 km (!) a@b.org ..."


def test_white_space_of_the_source_stays() -> None:
    cut = pieces("  Hello \n\t`x`\u3000world  ")
    assert join(cut, [" Hallo\n", "Welt "]) == "  Hallo \n\t`x`\u3000Welt  "


def test_a_missing_translation_is_refused() -> None:
    cut = pieces("Write to a@b.org now")
    with pytest.raises(ValueError, match="2 pieces were sent, 1 came back"):
        join(cut, ["Schreib"])


def test_quotations_are_kept_on_demand() -> None:
    text = 'He said "Go home" twice'
    assert [piece.text for piece in pieces(text) if piece.sent] == [text]
    assert [piece.text for piece in pieces(text, quoted="all") if piece.sent] == [
        "He said",
        "twice",
    ]
    cut = pieces("Edit it: he go", also=[(9, 14)])
    assert join(cut, ["Ändere es:"]) == "Ändere es: he go"


def test_random_texts_come_back() -> None:
    rng = random.Random(7)
    parts = ["a ", "`b`", " 3.5", "\n", "a@b.org", "你好", "، ", "<b>", "\u00a0", "____", ".", "é"]
    for _ in range(2000):
        text = "".join(rng.choices(parts, k=rng.randrange(12)))
        cut = pieces(text)
        assert join(cut, [piece.text for piece in cut if piece.sent]) == text
        hostile = join(cut, ["[X0X] \u200f" for piece in cut if piece.sent])
        for piece in cut:
            assert piece.sent or piece.text in hostile

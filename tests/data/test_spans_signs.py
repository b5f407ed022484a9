"""Signs survive what translators do to them, and a broken one is never taken for whole."""

from __future__ import annotations

import random

import pytest

from bactrian.data.spans import pieces, protect, restore

TEXT = "Send 3.5 km to a@b.org from https://a.org today"
HARD = [
    "", " ", "\n", "abc", "[X0X]", "X0X", "X0X a@b.org X1X", "2 x 3 x 4", "[a1a] is 3.5",
    "x3x `a`X3X]`b`[X", "(X٣X) and 3.5", "[[X0X]]", "[X`a`0X]", "［Ｘ０Ｘ］ 5%", "[X 0 X] `q`",
    "a@b.orgX1X", "`x`0X] [X`y`", "[एक्स0एक्स] 3.5", "]X7X[", "{x1x}{x2x}", "[X99999X] 3.5",
    "3.5\u200f[X0X]\u200e", "\ud7ff[X0", "[X0X][X1X][X2X] 7.5",
]  # fmt: skip


def test_a_text_with_nothing_to_protect_is_returned_untouched() -> None:
    protected = protect("Give three tips for staying healthy.")
    assert protected.masked == "Give three tips for staying healthy."
    assert protected.spans == ()
    assert not protected.nothing_left
    assert restore("Trois conseils.", ()).text == "Trois conseils."


def test_spans_are_hidden_in_order() -> None:
    protected = protect(TEXT)
    assert protected.masked == "Send [X0X] to [X1X] from [X2X] today"
    assert [span.text for span in protected.spans] == ["3.5 km", "a@b.org", "https://a.org"]


def test_neighbours_share_a_sign() -> None:
    protected = protect("Take a@b.org, c@d.org\n<b>and</b> go")
    assert protected.masked == "Take [X0X]and[X1X] go"
    assert protected.spans[0].text == "a@b.org, c@d.org\n<b>"
    assert protected.spans[0].kind == "email"


@pytest.mark.parametrize(
    ("text", "nothing"),
    [
        ("https://a.org", True),
        ("<noinput>", True),
        ("[1, 2, 3] and 4", False),
        ("[1, 2, 3]; 4.5", True),
        ("42", True),
        ("", True),
        ("Hi 3.5", False),
        ("你好 3.5", False),
    ],
)
def test_nothing_left(text: str, nothing: bool) -> None:
    assert protect(text).nothing_left is nothing


CHANGED = [
    "[x0x]", "[ X0X ]", "[X 0 X]", "［X0X］", "【Ｘ０Ｘ】", "(X0X)", "{X0X}", "X0X", "[X٠X]",
    "[X०X]",
    "[Х0Х]", "[Χ0Χ]", "\u200f[X0X]\u200e", "[\u200eX0X\u200f]", "]X0X[", "[X\u00a00\u00a0X]",
    "[एक्स0एक्स]", "[اكس٠اكس]", "⟦X0X⟧", "[X០X]", "[X၀X]",
]  # fmt: skip


@pytest.mark.parametrize("sign", CHANGED)
def test_a_changed_sign_is_recognised(sign: str) -> None:
    spans = protect("I like a@b.org today").spans
    restored = restore(f"Hoje {sign} 来", spans)
    assert restored.whole
    assert "a@b.org" in restored.text
    assert not any(char in restored.text for char in "Xx0٠०[]")


def test_lost_doubled_and_invented_signs_are_told() -> None:
    spans = protect(TEXT).spans
    restored = restore("[X0X] [X0X] [X1X] [X7X]", spans)
    assert not restored.whole
    assert [span.text for span in restored.lost] == ["https://a.org"]
    assert [span.text for span in restored.doubled] == ["3.5 km"]
    assert restored.invented == ("[X7X]",)
    assert restored.text == "3.5 km 3.5 km a@b.org [X7X]"
    assert restore("Nada [X0X]", ()).invented == ("[X0X]",)


@pytest.mark.parametrize(
    "broken", ["", "X0", "0", "[0]", "[Y0X]", "[X X]", "X 0 X", "[X0]", "aX0Xb"]
)
def test_what_is_no_sign_any_more_is_lost(broken: str) -> None:
    spans = protect("I like a@b.org today").spans
    assert restore(f"Hoje {broken} vem", spans).lost == spans


def test_a_span_that_reads_as_a_sign_is_not_read_again() -> None:
    protected = protect("The text [X1X] and `[X0X]` stay")
    restored = restore(protected.masked, protected.spans)
    assert restored.whole
    assert restored.text == "The text [X1X] and `[X0X]` stay"


@pytest.mark.parametrize("text", HARD)
def test_texts_that_hold_signs_come_back(text: str) -> None:
    protected = protect(text)
    restored = restore(protected.masked, protected.spans)
    assert restored.text == text
    assert restored.whole


def test_random_texts_come_back_and_no_broken_one_is_whole() -> None:
    rng = random.Random(20261121)
    parts = [
        "[X0X]", "X1X", "[", "]", "X", "x", "0", "12", "٣", "３", " ", "\n", "a@b.org", "`c`",
        "$x^2$",
        "https://a.org", "3.5", "5 km", "<b>", "{n}", "____", "'w'", "the word ", "你好", "שלום",
        "\u200f", "\u200d", "क्ष", "e\u0301", "(", ")", "{", "}", "，", "。", "f.py", "\\(", "\\)",
    ]  # fmt: skip
    broken = 0
    for _ in range(3000):
        text = "".join(rng.choices(parts, k=rng.randrange(1, 14)))
        protected = protect(text)
        for number in range(len(protected.spans)):
            assert protected.masked.count(f"[X{number}X]") == 1, text
        restored = restore(protected.masked, protected.spans)
        assert restored.whole and restored.text == text, text
        if not protected.spans:
            continue
        number = rng.randrange(len(protected.spans))
        sign = f"[X{number}X]"
        hostile = rng.choice(["", sign * 2, f"[X{number + len(protected.spans)}X]", "[XX]"])
        damaged = protected.masked.replace(sign, hostile)
        assert not restore(damaged, protected.spans).whole, (damaged, protected.spans)
        broken += 1
    assert broken > 1500


def test_signs_and_pieces_hide_the_same_spans() -> None:
    left = [piece.text for piece in pieces(TEXT) if not piece.sent]
    assert left == [span.text for span in protect(TEXT).spans]

"""What a translator sees of a row and what is read back: nothing protected is lost, in silence."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bactrian import languages
from bactrian.data.spans import find
from bactrian.data.wording import BORDER, BORDER_LOST, Wording

ALPACA = Path(__file__).parents[2] / "demo" / "alpaca.json"
SIGN = re.compile(r"\[X(\d+)X\]")
ZEROS = {"Arab": "٠", "Deva": "०", "Beng": "০", "Mymr": "၀", "Khmr": "០", "Thai": "๐", "Gujr": "૦"}
"""Zero in scripts whose translators write digits of their own."""
TASK = Wording("Explain what `x = [1]` does.", "See https://a.org/b?c=1 and mail it to a@b.org.")


def signs(wording: Wording) -> str:
    (masked,) = wording.texts()
    return masked


def test_both_texts_go_out_as_one_and_come_back_as_two() -> None:
    masked = signs(TASK)
    assert TASK.read([masked]) == (read := TASK.read([masked.replace("[X0X]", "[ x0x ]")]))
    assert (read.instruction, read.input, read.broken) == (TASK.instruction, TASK.input, "")
    assert BORDER not in masked
    for hidden in ("`x = [1]`", "https://a.org/b?c=1", "a@b.org"):
        assert hidden not in masked, "a translator would see it"
    assert masked.index("Explain") < masked.index("See")


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (lambda text, border: text.replace(border, ""), BORDER_LOST),
        (lambda text, border: text.replace(border, border * 2), BORDER_LOST),
        (lambda text, border: text.partition(border)[0] + border, None),
        (lambda text, border: border + text.partition(border)[2], None),
        (lambda text, border: text.replace("[X0X]", ""), "`x = [1]`"),
        (lambda text, border: text.replace("[X0X]", "[X0X] [X0X]"), "`x = [1]`"),
        (lambda text, border: text + " [X77X]", "[X77X]"),
    ],
    ids=["lost", "doubled", "input-gone", "instruction-gone", "span-lost", "span-twice", "made-up"],
)
def test_what_comes_back_broken_is_said(change: Any, broken: str | None) -> None:
    masked = signs(TASK)
    read = TASK.read([change(masked, "[X1X]")])
    assert read.broken, "not noticed"
    assert broken is None or read.broken == broken


def test_an_input_that_is_dropped_without_a_sign_is_noticed() -> None:
    wording = Wording("Translate nothing of this.", "Only plain words here.")
    assert wording.read(["Ne traduis rien. [X0X]"]).broken == BORDER_LOST
    assert wording.read(["Ne traduis rien. [X0X] Des mots."]).broken == ""


def test_a_text_that_holds_the_border_itself() -> None:
    wording = Wording(f"Split at {BORDER} please", f"one{BORDER}two")
    read = wording.read([signs(wording)])
    assert (read.instruction, read.input) == ("Split at   please", "one two")
    assert not read.broken
    pieces = wording.read_pieces(wording.pieces())
    assert (pieces.instruction, pieces.input) == (wording.instruction, wording.input)


@pytest.mark.parametrize(
    ("instruction", "input"),
    [("2 + 2 = 4", ""), ("`print(1)`", "https://a.org"), ("12345", "3.5 km"), ("", "")],
)
def test_texts_that_are_only_spans_are_not_sent(instruction: str, input: str) -> None:
    wording = Wording(instruction, input)
    assert wording.texts() == ()
    assert wording.pieces() == ()


@pytest.mark.parametrize("blank", ["", " ", "\n\t", "\u3000"])
def test_an_input_that_nobody_can_see_is_not_sent_and_stays(blank: str) -> None:
    wording = Wording("Say hello.", blank)
    assert wording.texts() == ("Say hello.",)
    read = wording.read(["Dis bonjour."])
    assert (read.instruction, read.input, read.broken) == ("Dis bonjour.", blank, "")


def test_an_input_that_is_kept_stays_and_so_do_kept_parts_of_the_instruction() -> None:
    told = "Correct the spelling of: I luv teh sea"
    wording = Wording(told, "And ths too.", keep_input=True, kept=((25, len(told)),))
    assert told[25:] == "I luv teh sea"
    masked = signs(wording)
    assert "luv" not in masked
    assert "ths" not in masked
    read = wording.read([masked.replace("Correct the spelling of", "Corrige")])
    assert (read.instruction, read.input) == ("Corrige: I luv teh sea", "And ths too.")
    assert wording.pieces() == ("Correct the spelling of:",)
    pieces = wording.read_pieces(["Corrige :"])
    assert (pieces.instruction, pieces.input) == ("Corrige : I luv teh sea", "And ths too.")


def test_a_translator_of_whole_texts_gets_them_as_they_stand() -> None:
    whole = Wording(TASK.instruction, TASK.input, "whole")
    assert whole.texts() == (TASK.instruction, TASK.input)
    assert whole.read(["a", "b"]) == whole.read(["a", "b"])
    assert (whole.read(["a", "b"]).instruction, whole.read(["a", "b"]).input) == ("a", "b")
    kept = Wording("Count the letters.", "strawberry", "whole", keep_input=True)
    assert kept.texts() == ("Count the letters.", "")
    assert kept.read(["Compte les lettres.", ""]).input == "strawberry"


def test_pieces_hold_nothing_that_is_protected_and_put_it_back_whatever_comes() -> None:
    hostile = ["[X0X] \u200f" for _ in TASK.pieces()]
    read = TASK.read_pieces(hostile)
    assert "`x = [1]`" in read.instruction
    assert "https://a.org/b?c=1" in read.input
    assert "a@b.org" in read.input
    assert not any("a.org" in piece or "`" in piece for piece in TASK.pieces())


# -- a translator into each language that does to signs what translators do ----------------------


class Said(NamedTuple):
    """A translation, and the numbers of the signs that did not come back once."""

    text: str
    broken: set[int]


def translate(masked: str, sentence: str, script: str, chance: random.Random) -> Said:
    """Return a sentence in the language with the signs of ``masked`` in their order inside."""
    numbers = [int(found[1]) for found in SIGN.finditer(masked)]
    places = sorted(chance.randrange(1, len(sentence)) for _ in numbers)
    parts, done, broken = [], 0, set[int]()
    for number, place in zip(numbers, places, strict=True):
        draw = chance.random()
        times = 0 if draw < 0.04 else 2 if draw < 0.08 else 1
        if times != 1:
            broken.add(number)
        parts += [sentence[done:place], *[written(number, script, chance)] * times]
        done = place
    # a word before and after: instruction and input are never empty
    return Said("".join([sentence[0], *parts, sentence[done:], sentence[-1]]), broken)


def written(number: int, script: str, chance: random.Random) -> str:
    """Return a sign as a translator may write it."""
    zero = ZEROS.get(script, "0") if chance.random() < 0.5 else "0"
    digits = "".join(chr(ord(zero) + int(digit)) for digit in str(number))
    sign = chance.choice(
        ("[X{}X]", "[x{}x]", "[ X{} X ]", "［X{}X］", "【Х{}Х】", "\u200f[X{}X]\u200f")
    )
    return chance.choice(("", " ")) + sign.format(digits) + chance.choice(("", " "))


def real_rows() -> list[dict[str, str]]:
    rows: list[dict[str, str]] = json.loads(ALPACA.read_text(encoding="utf-8"))
    return [row for row in rows if Wording(row["instruction"], row["input"]).texts()]


def lost_of(row: Mapping[str, str], instruction: str, input: str) -> list[str]:
    """Return the protected parts of a row's texts that a translation of them does not hold."""
    both = ((row["instruction"], instruction), (row["input"], input))
    return [span.text for told, said in both for span in find(told) if span.text not in said]


@pytest.mark.parametrize("code", [language.code for language in languages.parse("all")])
def test_nothing_protected_is_lost_in_any_language(
    code: str, sentences: Mapping[str, Sequence[str]]
) -> None:
    chance = random.Random(code)
    script = languages.get(code).script
    told = mended = 0
    for row in chance.sample(real_rows(), 60):
        wording = Wording(row["instruction"], row["input"])
        sentence = " ".join(chance.sample(sentences[code], 2))
        said = translate(signs(wording), sentence, script, chance)
        read = wording.read([said.text])
        assert bool(read.broken) == bool(said.broken), (said.text, read)
        if read.broken:
            mended += 1
            read = wording.read_pieces([chance.choice(sentences[code]) for _ in wording.pieces()])
            assert not read.broken
        told += bool(said.broken)
        assert not lost_of(row, read.instruction, read.input), row
        assert read.instruction.strip()
        assert bool(read.input.strip()) == bool(row["input"].strip())
    assert told == mended


def test_nothing_protected_is_lost_whatever_happens_to_signs() -> None:
    chance = random.Random(7)
    broken = 0
    for row in real_rows() * 3:
        wording = Wording(row["instruction"], row["input"])
        text = "".join(
            mangled(part, chance) for part in re.split(r"(\[X\d+X\])", signs(wording)) if part
        )
        read = wording.read([text])
        if read.broken:
            broken += 1
            read = wording.read_pieces([piece.upper() for piece in wording.pieces()])
        assert not lost_of(row, read.instruction, read.input), row
    assert broken > 20, "the signs were hardly touched"


def mangled(part: str, chance: random.Random) -> str:
    if not SIGN.fullmatch(part):
        return part.upper().replace(" ", "  ")
    return chance.choice(("", part * 2, part.lower(), f"[ {part[1:-1]} ]", part, part, part))

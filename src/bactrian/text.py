"""What Unicode says about a text: scripts, graphemes, words, what is prose and what is not.

Knows no language, no row and no file: callers pass a script by its ISO 15924 name, and the
answers are the same on every machine that has the same Unicode tables.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, cast

import regex

Kind = Literal["code", "name", "markup", "url", "email", "placeholder", "number"]

SCRIPTS = [
    "Latn",
    "Cyrl",
    "Arab",
    "Deva",
    "Hani",
    "Hira",
    "Kana",
    "Hang",
    "Beng",
    "Gujr",
    "Taml",
    "Telu",
    "Mlym",
    "Sinh",
    "Thai",
    "Khmr",
    "Mymr",
    "Geor",
    "Hebr",
    "Grek",
    "Armn",
    "Ethi",
    "Laoo",
    "Tibt",
    "Guru",
    "Orya",
    "Knda",
    "Bopo",
    "Mong",
    "Thaa",
    "Syrc",
    "Cher",
    "Cans",
    "Nkoo",
    "Tfng",
    "Olck",
]
"""Scripts told apart, by ISO 15924 name; a letter of any other is counted as ``Zzzz``."""

_WRITTEN_IN = {
    "Jpan": frozenset({"Hira", "Kana", "Hani"}),
    "Kore": frozenset({"Hang", "Hani"}),
    "Hans": frozenset({"Hani", "Bopo"}),
    "Hant": frozenset({"Hani", "Bopo"}),
}
LETTER_WEIGHT = {"Hani": 3.0, "Hira": 2.0, "Kana": 2.0, "Hang": 2.0}
"""How many Latin letters say as much as one letter, from the lengths of parallel sentences;
1 for every other script."""
_SCRIPT = regex.compile("|".join(rf"(?P<{name}>\p{{Script={name}}})" for name in SCRIPTS))
_SHARED = regex.compile(r"[\p{Script=Common}\p{Script=Inherited}]")
_GRAPHEME = regex.compile(r"\X")

UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_TOKEN = regex.compile(rf"(?=[{UNSPACED}])\X|[\w--[{UNSPACED}]]+", flags=regex.VERSION1)

_IGNORABLE = regex.compile(r"[\p{Default_Ignorable_Code_Point}\p{Cc}\u2800--[\t\n\r]]", regex.V1)
_UNSEEN = regex.compile(r"[\p{Default_Ignorable_Code_Point}\p{Cc}\p{Z}\u2800]+")
_EMOJI_PART = regex.compile(
    r"[\ufe00-\ufe0f]|(?<=[\p{Emoji}\ufe0f])\u200d(?=\p{Emoji})|(?<=\p{Emoji})[\U000e0020-\U000e007f]+"
)
_JOINERS = "\u200c\u200d"
_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_BREAK = "\u200b"
_ORTHOGRAPHIC = {
    "Arab": _JOINERS + _BIDI,
    "Hebr": _BIDI,
    "Khmr": _JOINERS + _BREAK,
    "Mymr": _JOINERS + _BREAK,
    "Thai": _BREAK,
    "Laoo": _BREAK,
    "Mong": _JOINERS + "\u180b\u180c\u180d\u180e\u180f",
} | dict.fromkeys(
    ["Beng", "Deva", "Gujr", "Guru", "Knda", "Mlym", "Orya", "Sinh", "Taml", "Telu"], _JOINERS
)
"""Invisible characters that belong to the spelling of a script: ZWNJ in Persian verbs, ZWJ in
Sinhala clusters, the zero width space that marks where a Khmer line may break."""


_VOWEL_SIGNS = "\u0640\u064b-\u0652\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"
"""Arabic vowel signs and stretching dash, Hebrew points: spelt or left out at will."""
_LEFT_OUT = regex.compile(
    rf"[\p{{Default_Ignorable_Code_Point}}\p{{Cc}}{_VOWEL_SIGNS}--[\t\n\r]]", regex.V1
)
_PLAIN = str.maketrans(
    "\u2018\u2019\u02bc\u02bb\u201c\u201d\u201e\u00ab\u00bb\uff0c\u060c\u3001\u2010\u2011\u2013\u200c",
    '\'\'\'\'""""",,,--- ',
)
"""Quotes, commas and dashes in their plainest form."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a text that no translator should touch; offsets in code points."""

    start: int
    end: int
    kind: Kind


# -- letters and scripts ------------------------------------------------------------------


@lru_cache(maxsize=16384)
def script_of(char: str) -> str:
    """Return the ISO 15924 name of a letter's script, or "" for what is not a letter.

    Letters that belong to several scripts at once (the kana length mark, mathematical
    alphabets) have none: they say nothing about the language.
    """
    if not char or not unicodedata.category(char).startswith("L") or _SHARED.match(char):
        return ""
    found = _SCRIPT.match(char)
    return str(found.lastgroup) if found else "Zzzz"


def script_counts(text: str) -> dict[str, int]:
    """Return how many letters of each script the text has, by ISO 15924 name.

    Counts single scripts: Japanese text has ``Hira``, ``Kana`` and ``Hani``.
    """
    counts: dict[str, int] = {}
    for char, times in Counter(text).items():
        if name := script_of(char):
            counts[name] = counts.get(name, 0) + times
    return counts


def letter_weight(word: str) -> float:
    """Return how much a word of one script says, in Latin letters."""
    return len(word) * LETTER_WEIGHT.get(script_of(word[:1]), 1.0) if word else 0.0


def scripts_in(script: str) -> frozenset[str]:
    """Return the single scripts that a writing system uses: Kore is Hangul and Han."""
    return _WRITTEN_IN.get(script, frozenset({script}))


def script_share(text: str, script: str) -> float:
    """Return the share (0 to 1) of the letters that are written in ``script``.

    A text without letters has the share 1: nothing in it speaks against the script.
    """
    counts = script_counts(text)
    letters = sum(counts.values())
    if not letters:
        return 1.0
    return sum(counts.get(name, 0) for name in scripts_in(script)) / letters


# -- lengths and tokens -------------------------------------------------------------------


def grapheme_count(text: str) -> int:
    """Return the length of the text as a reader counts it, in grapheme clusters."""
    if text.isascii():
        return len(text) - text.count("\r\n")
    return len(_GRAPHEME.findall(text))


def first_graphemes(text: str, count: int) -> str:
    """Return the first ``count`` grapheme clusters; never splits one."""
    for number, cluster in enumerate(_GRAPHEME.finditer(text)):
        if number == count:
            return text[: cluster.start()]
    return text


def tokens(text: str) -> list[str]:
    """Return the words, or grapheme clusters where the script puts no space between words.

    Han, kana, Thai, Lao, Khmer and Burmese give clusters; everything else gives runs of
    letters, marks and digits. Punctuation gives nothing.
    """
    return [str(token) for token in _TOKEN.findall(text)]


def normalise(text: str) -> str:
    """Return the text for comparing: NFC, case folded, straight quotes, single spaces.

    Invisible characters and Arabic vowel signs go; the zero width non-joiner becomes a space,
    since Persian is typed with either.
    """
    text = unicodedata.normalize("NFC", text).casefold().replace("i\u0307", "i")
    if not text.isascii():
        text = _LEFT_OUT.sub("", text.translate(_PLAIN))
    return " ".join(text.split())


# -- what cannot be seen --------------------------------------------------------------------


def is_blank(text: str) -> bool:
    """Say whether a reader sees nothing: only space, control and invisible characters."""
    return not _UNSEEN.sub("", text)


def visible(text: str) -> str:
    """Return the text without the characters that have no width: Khmer of any keyboard compares.

    Joiners go as well, so the result is for counting and comparing, not for showing.
    """
    return text if text.isascii() else _IGNORABLE.sub("", text)


def invisibles(text: str, script: str) -> dict[str, int]:
    """Return the invisible characters that do not belong there, ``{"U+200B": 3}``.

    Those that the script's spelling uses (ZWNJ in Persian, ZWJ in Malayalam, the zero width
    space in Khmer, direction marks in Arabic and Hebrew) and the joints of emoji are not
    counted, nor are tabs and line ends.
    """
    if text.isascii() and text.isprintable():
        return {}
    allowed = _ORTHOGRAPHIC.get(script, "")
    found = Counter(_IGNORABLE.findall(_EMOJI_PART.sub("", text)))
    return {f"U+{ord(char):04X}": times for char, times in found.items() if char not in allowed}


# -- prose and what is not ------------------------------------------------------------------

_FENCE = re.compile(r"(?P<code>```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z))", re.DOTALL)
_PROTECTED = re.compile(
    r"""
      (?P<code>    `[^`\n]+` | \$\$[^$]+\$\$ | \\\([^\n]+?\\\) | \\\[.{1,400}?\\\]
                 | \$[^$\n]{0,200}[\\^_=][^$\n]{0,200}\$ )
    | (?P<name>    (?<![\w.])[A-Za-z0-9]+(?:[_-][A-Za-z0-9]+)*\.
                   (?:docx?|txt|pdf|csv|xlsx?|pptx?|jpe?g|png|py|js|json|html?|zip)\b
                 | (?<![A-Za-z0-9])[A-Za-z0-9]+(?:_[A-Za-z0-9]+)+ )
    | (?P<markup>  <!--.{0,2000}?--> | </?[A-Za-z!][^<>\n]{0,300}> | &[a-z]{2,8}; )
    | (?P<url>     (?:https?|ftp)://[^\s<>"'\u3001\u3002\uff0c\uff09\u300d]+
                 | (?<![\w@.-])(?:[A-Za-z0-9-]{1,63}\.){1,4}
                   (?:com|org|net|edu|gov|info|io|ai|uk)(?![A-Za-z0-9])(?:/[^\s<>"']*)? )
    | (?P<email>   (?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+ )
    | (?P<placeholder> \{\{?[^\W\d][\w\ .-]{0,40}\}?\} | \$\{\w+\} | %\(\w+\)[sd] | %[sd](?!\w) )
    | (?P<number>  (?<![A-Za-z\d_])[+-]?\d++(?:[.,:/-]\d++)*+%?(?![A-Za-z_]) )
    """,
    re.VERBOSE | re.DOTALL,
)
_CODE_HINT = re.compile(r"[;{}()=<>\[\]]|//|\bimport |SELECT ")
_CODE_LINE = re.compile(
    r"""
      ^\s*(?: (?:def|class|function|fn|func)\s+\w+\s*[({:] | \#include\b | import\s+[\w.*{]+
            | from\s+[\w.]+\s+import\b | (?:public|private|protected|static)\s.*[({;]
            | (?:let|const|var|int|double|float|char|String|bool|auto)\s+\w+(?:\[\])?\s*(?:=|;|\[)
            | (?:for|while|if|elif|switch|catch|foreach)\s*\(.*\)\s*\{?
            | (?:for|while|if|elif|with)\s[^.!?]*[=<>()\[\]][^.!?]*:\s*$
            | (?:else|try|finally)\s*[:{] | return\s.*[;()\[\]=+*] | print\w*\s*\(
            | (?:SELECT|INSERT\s+INTO|UPDATE|DELETE\s+FROM|CREATE\s+TABLE|ALTER\s+TABLE)\s
            | (?:FROM|WHERE|(?:LEFT\s|INNER\s)?JOIN|GROUP\s+BY|ORDER\s+BY|VALUES)\s*[\w(]
            | // | /\* | [\w.$\[\]"']+(?:,\s*[\w.]+)*\s*(?:=|\+=|-=|:=)\s*\S
            | [A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\(.*\)\s*$ | [{}()\[\];,\s]+$ | \} )
    | ^(?=[\x00-\x7f]+$)\s*\S+(?:\s+\S+){0,2}\s*[;{]\s*$ | [=\w]\s?\([^()]*\)\s*[;{]\s*$
    | (?:==|!=|=>|->|::|\+=|&&|\|\||[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*\(\))
      .*(?<![.!?:\u3002\u17d4])\s*$
    """,
    re.VERBOSE,
)
_GOES_ON = re.compile(r"[ \t]{2,}\S|\t|\s*(?:#|--|\*)\s?\S|(?:import|from)\s+\w")
_NOT_LINE_END = re.compile(r"[^\n]")


def protected_spans(text: str) -> list[Span]:
    """Return what is not prose, in order and without overlap.

    Fenced and inline code, lines that read as code, formulas between dollar signs, names of
    files and variables, markup, addresses, placeholders such as ``{name}``, and numbers. An
    open fence reaches to the end.
    """
    # each pass reads what the one before left, so that no two spans can overlap
    spans = _matches(_FENCE, text) if "```" in text or "~~~" in text else []
    rest = _blanked(text, spans)
    lines = list(_code_lines(rest)) if _CODE_HINT.search(rest) else []
    rest = _blanked(rest, lines)
    return sorted([*spans, *lines, *_matches(_PROTECTED, rest)], key=lambda span: span.start)


def prose(text: str) -> str:
    """Return the text with everything protected blanked out.

    As long as the text, so that an offset in one is an offset in the other.
    """
    return _blanked(text, protected_spans(text))


def code_share(text: str) -> float:
    """Return the share (0 to 1) of the text's characters that are code; spaces count."""
    code = sum(span.end - span.start for span in protected_spans(text) if span.kind == "code")
    return code / len(text) if text else 0.0


def _matches(pattern: re.Pattern[str], text: str) -> list[Span]:
    return [
        Span(found.start(), found.end(), cast("Kind", found.lastgroup))
        for found in pattern.finditer(text)
    ]


def _code_lines(text: str) -> Iterator[Span]:
    start = 0
    inside = False
    for line in text.split("\n"):
        # after a line of code, what is indented and what is a comment goes on with it
        goes_on = inside and (not line.strip() or bool(_GOES_ON.match(line)))
        inside = goes_on or bool(_CODE_LINE.search(line))
        if inside and line.strip():
            yield Span(start, start + len(line), "code")
        start += len(line) + 1


def _blanked(text: str, spans: list[Span]) -> str:
    """The text with a space for every character of the spans; line ends stay."""
    if not spans:
        return text
    parts = []
    done = 0
    for span in spans:
        inside = text[span.start : span.end]
        parts.append(text[done : span.start])
        parts.append(_NOT_LINE_END.sub(" ", inside) if "\n" in inside else " " * len(inside))
        done = span.end
    return "".join([*parts, text[done:]])

"""What the English task itself asks for, where that changes what a good row looks like.

A row about French, or one that corrects an English sentence, may rightly hold French or
English. Reads the English source by patterns, and knows nothing of any other language.
"""

from __future__ import annotations

import re
from functools import lru_cache

from bactrian import languages, text
from bactrian.data.checks.row import Checked

_MORE_NAMES = """
    Albanian Armenian Basque Bulgarian Cantonese Catalan Danish Filipino Greek Hungarian Icelandic
    Irish Latin Malay Mandarin Norwegian Punjabi Sanskrit Serbian Slovak Slovenian Tibetan Welsh
"""
_ASKS_TO_TRANSLATE = re.compile(
    r"\b(?:translat|transliterat|languages?\b|pig latin|morse|cipher|scientific name|latin name|"
    r"lorem ipsum|pronounc)",
    re.IGNORECASE,
)
_ABOUT_CODE = re.compile(
    r"\b(?:code|coding|script|program|programming|function|algorithm|method|class|regex|regular "
    r"expression|query|sql|html|css|xml|json|yaml|latex|java|javascript|python|c\+\+|c#|php|bash|"
    r"shell|command|unix|linux|url|website|link|equation|formula|expression|chemical|variable)\b",
    re.IGNORECASE,
)
_LATIN = "A-Za-zÀ-ÖØ-öø-ɏ"
# a word with a digit or an underscore in it is a name that somebody made up
_WORD = re.compile(rf"(?<![{_LATIN}\d_'’])[{_LATIN}]+(?:['’][{_LATIN}]+)*(?![{_LATIN}\d_])")
_QUOTED = re.compile(
    r"[\"“”«„]([^\"“”«»„]{2,400})[\"”“»]|[「『]([^」』]{2,400})[」』]|(?<!\w)['‘’]([^'‘’]{2,400})['’](?!\w)"
)
_FUNCTION_WORDS = """
    the of to that was be he his but at are this have had an they which one you were her she there
    would their we him been has will more out so said what its about than them can only other some
    could these may now such our how each those because very should your
"""
_PROSE_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Words of English prose that no programming language uses."""
_REPEATED = 0.4
"""Share of the output's words that stand in the row's own task, where it works on them."""
_KEPT_WORDS = 3
"""English words in a task that show it works on English: one or two are just terms."""
_TITLE_WORDS = frozenset({"the", "and", "for", "with", "from", "van", "von", "del"})
_LABELS = frozenset({"positive", "negative", "neutral", "true", "false", "yes", "no", "none"})


@lru_cache(maxsize=4096)
def asks_to_translate(instruction: str) -> bool:
    """Say whether an English instruction is about putting words into another language."""
    return bool(_ASKS_TO_TRANSLATE.search(instruction))


@lru_cache(maxsize=4096)
def languages_named(instruction: str) -> frozenset[str]:
    """Return the languages that an English instruction names: codes, or names without a code."""
    codes = _codes()
    return frozenset(codes[name] for name in _names().findall(instruction))


@lru_cache(maxsize=1)
def _codes() -> dict[str, str]:
    known = {language.name: language.code for language in languages.every_language()}
    return {name: name for name in _MORE_NAMES.split()} | known


@lru_cache(maxsize=1)
def _names() -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, _codes()))})\b")


@lru_cache(maxsize=4096)
def about_code(instruction: str) -> bool:
    """Say whether an English instruction asks for code, markup, a formula or an address."""
    return bool(_ABOUT_CODE.search(instruction))


def excused(row: Checked, code: str) -> bool:
    """Say whether the output may be in the language ``code`` rather than in the row's.

    The task names that language or asks to translate, is about code, gives English to work
    on, or is to repeat words of the row's own instruction or input.
    """
    task = row.source.instruction
    if asks_to_translate(task) or code in languages_named(task):
        return True
    if _repeats(row) or (code == "en" and works_on_english(row)):
        return True
    return about_code(task) and not reads_as_english(row.example.output) and _has_code(row)


def excused_script(row: Checked, script: str) -> bool:
    """Say the same of a script (one of `text.SCRIPTS`): some language asked for has it."""
    named = languages_named(row.source.instruction)
    likely = "en" if script == "Latn" else ""
    return excused(row, likely) or any(script in _scripts(code) for code in named)


@lru_cache(maxsize=256)
def _scripts(code: str) -> frozenset[str]:
    """The scripts of a language that was named; any of Europe's where it is not one of ours."""
    known = {language.code: language.script for language in languages.every_language()}
    return text.scripts_in(known[code]) if code in known else frozenset({"Latn", "Cyrl", "Grek"})


def _has_code(row: Checked) -> bool:
    """A fifth of the output is code, or it is too short to say."""
    left = len("".join(row.output_prose.split()))
    return left < 20 or left < 0.8 * len("".join(row.example.output.split()))


def _repeats(row: Checked) -> bool:
    """Most words of the output stand in the row's own instruction or input."""
    given = frozenset(text.tokens(f"{row.example.instruction}\n{row.example.input}".casefold()))
    words = text.tokens(row.output_prose.casefold())
    return sum(word in given for word in words) >= _REPEATED * len(words)


def works_on_english(row: Checked) -> bool:
    """Say whether the row itself gives English to work on, kept from the source.

    That is an input left as it was, or words in quotation marks that stand in the source; in
    another script than Latin, several words in small Latin letters that the source has, or
    one where the output is as short.
    """
    if row.is_english:
        return False
    given = text.normalise(row.example.input)
    if given == text.normalise(row.source.input) and not is_neutral(row.example.input):
        return True
    task = f"{row.example.instruction}\n{row.example.input}"
    if kept_quotes(task, f"{row.source.instruction}\n{row.source.input}"):
        return True
    if row.language.script == "Latn":
        return False
    words = (word for word in _WORD.findall(text.prose(task)) if word.islower())
    short = len(row.output_prose.split()) < 2 * _KEPT_WORDS
    return sum(word in row.source_words for word in words) >= (1 if short else _KEPT_WORDS)


def kept_quotes(value: str, source: str) -> list[tuple[int, int]]:
    """Return where quotations stand that the source has word for word, as (start, end).

    Without a source every quotation counts.
    """
    known = text.normalise(source)
    return [
        found.span()
        for found in _QUOTED.finditer(value)
        if not known or text.normalise(next(filter(None, found.groups()))) in known
    ]


def is_neutral(value: str, *, labels: bool = False) -> bool:
    """Say whether a text is the same in every language: numbers, code, addresses, names.

    Looks at Latin words only. Names are told by their capitals; words of one or two letters
    say nothing. ``labels`` counts answers such as "Positive" and "Yes", which have a capital
    as well, as English.
    """
    prose = text.prose(value)
    small = large = 0
    for word in _WORD.findall(prose):
        if labels and word.casefold() in _LABELS:
            return False
        if len(word) < 3 or word in _TITLE_WORDS:
            continue
        if word.islower():
            small += 1
        else:
            large += 1
    return small * 4 <= large


def has_words(prose: str) -> bool:
    """Say whether the prose has Latin words of three letters or more."""
    return any(len(word) > 2 for word in _WORD.findall(prose))


def reads_as_english(value: str) -> bool:
    """Say whether the prose has two English function words or more that are no code."""
    words = (word for word in _WORD.findall(text.prose(value)) if word in _PROSE_WORDS)
    return next(words, None) is not None and next(words, None) is not None

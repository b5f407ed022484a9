"""Defects of form: nothing there, placeholders, a second instruction, stray characters."""

from __future__ import annotations

import re

import regex

from bactrian import languages, text
from bactrian.data import programming
from bactrian.data.defects.row import NO_INPUT, Found, any_of, at
from bactrian.errors import LanguageError
from bactrian.schema import Example, Field

# -- merged instructions -------------------------------------------------------------------

_SECOND = re.compile(
    r"(?:^|\n)[^\w\n]{0,8}\s*(?:\d{1,3}\s*[.:)]\s*)Instructions?\s*:[^\n]*", re.IGNORECASE
)
_TAIL = re.compile(
    r"(?:^|\n)\s*(?:\d{1,3}\s*[.:)]\s*)(?:Input|Output)\s*:[^\n]*|\n#{2,}\s*(?:\d+\.?)?\s*\Z",
    re.IGNORECASE,
)
_MAYBE_SECOND = ("nstruction", "NSTRUCTION", "nput:", "nput :", "utput:", "utput :", "\n##")
"""Quick to look for: one of these stands in every second instruction."""


def merged(example: Example) -> Found | None:
    """Another instruction, with the number of the prompt that made it, hangs on the output."""
    for field, value in _fields(example):
        if not any(part in value for part in _MAYBE_SECOND):
            continue
        if found := _SECOND.search(value) or (_TAIL.search(value) if field != "input" else None):
            start = found.start() + len(found[0]) - len(found[0].lstrip())
            reason = "a second, numbered instruction hangs on it"
            return Found(field, reason, found[0].strip(), start)
    return None


# -- nothing, or a placeholder ---------------------------------------------------------------


_SEEN = re.compile(r"[A-Za-z0-9]")


def empty_output(example: Example) -> Found | None:
    """A reader sees nothing in the output."""
    if not _SEEN.search(example.output) and text.is_blank(example.output):
        return Found("output", "the output is empty", example.output)
    return None


_NOTHING = (
    r"(?:no[\s-]?(?:in|out)puts?"
    r"(?:\s(?:is\s)?(?:required|needed|necessary|possible|provided|available))?|n/a)"
)
_THING = any_of("""
    insert, output, attach, image, picture, photo, screenshot, logo, graph, chart, flow chart,
    flowchart, diagram, word cloud, sketch, drawing, vector, poster, presentation, melody, music,
    musical, audio, video, gif, animation, map, table, rendering, 3d, visual, sound, voice,
    spreadsheet, link, cropped, pie, bar, line
""")
_PLACEHOLDER = re.compile(
    rf"[\s\W]*{_NOTHING}[\s\W]*"
    rf"|\s*[<\[(]\s*(?:an?\s|the\s)?(?:[\w'-]+\s){{0,3}}{_THING}\b[^<>\[\]]{{0,120}}[>\])]\s*"
    r"|\s*!\[[^\]]{0,120}\]\([^)\s]{0,300}\)\s*"
    r"|\s*<img\s[^<>]{0,300}>\s*",
    re.IGNORECASE,
)
_INSIDE = re.compile(r"<\s*no\s?(?:in|out)put[s>\s.)-][^\n]{0,80}", re.IGNORECASE)
_CANNOT = any_of("""
    cannot, can't, is not possible, not suitable, is not suited, beyond, does not make sense
""")
_APOLOGY = re.compile(
    r"\s*(?:(?:I'?m\s)?sorry[,.]?\s(?:but\s)?(?:this (?:task|instruction|cannot)|the task|"
    r"the instruction|(?:I|we) (?:cannot|can't) (?:complete|do|perform) (?:this|the) task)\b"
    r".{0,160}"
    r"|(?:N/A|No (?:GPT )?output)\b.{0,160}"
    rf"|(?:This|The) (?:task|instruction|type of task)\b.{{0,60}}?\b{_CANNOT}\b.{{0,160}}"
    r"|I(?:'m| am) (?:unable|not able) to (?:complete|perform|generate) (?:this|the|an?)\b"
    r".{0,160}"
    r"|.{0,80}\bGPT (?:language )?models? (?:cannot|can't|(?:is|are) unable|is not able)\b"
    r".{0,160})",
    re.IGNORECASE,
)
_ABOUT_MODELS = re.compile(r"\b(?:GPT|models?|compile)\b", re.IGNORECASE)


def no_answer(example: Example) -> Found | None:
    """A placeholder or an apology stands where the answer should be."""
    output = example.output
    if (found := _PLACEHOLDER.fullmatch(output)) and "HTML" not in example.instruction:
        return at("output", found, "a placeholder stands in place of an answer")
    if found := _INSIDE.search(output):
        return at("output", found, "a marker for an empty field stands in the answer")
    if (found := _APOLOGY.match(output)) and not _ABOUT_MODELS.search(
        f"{example.instruction}\n{example.input}"
    ):
        return at("output", found, "the answer says that the task cannot be done")
    return None


# -- the input's marker ----------------------------------------------------------------------

_MARKED = re.compile(
    r"\\?[<({\[]\s*\\?no[\s-]?inputs?\b[^<>\n]{0,20}?\\?[>)}\]]|<noinput\w?\b\??|\bnoinput\b",
    re.IGNORECASE,
)


def input_marker(example: Example) -> Found | None:
    """The input should be empty, and says so in words."""
    whole = example.input.strip()
    if whole and NO_INPUT.fullmatch(whole):
        return Found("input", "the input says that there is none", whole, example.input.find(whole))
    if found := _MARKED.search(example.input):
        return at("input", found, "a marker for an empty input stands in the input")
    return None


# -- stray characters ------------------------------------------------------------------------

_SUSPECT = regex.compile(r"[\p{Cc}\p{Default_Ignorable_Code_Point}\ufffd--[\t\n\r]]", regex.V1)
_ESCAPE = re.compile(
    r"\\[\"<>]|(?<![\w\\:])\\[nrt](?![\w\\])|(?<=[.!?:,])\\[nrt]|\\u[0-9a-f]{4}"
    r"|&(?:nbsp|quot|amp|lt|gt|apos|#\d{2,4});"
)
_UNUSUAL = re.compile(r"[^ -~\t\n\r]")


def control_characters(example: Example) -> Found | None:
    """Control, invisible or doubly escaped characters that do not belong to the text."""
    for field, value in _fields(example):
        if not _UNUSUAL.search(value):
            continue
        if _SUSPECT.search(value) and (name := _stray(value, example.language)):
            char = chr(int(name[2:], 16))
            reason = f"it holds the control or invisible character {name}"
            return Found(field, reason, char, value.find(char))
        if "\ufffd" in value:
            return Found(field, "a character was lost (U+FFFD)", "\ufffd", value.find("\ufffd"))
    for field, value in _fields(example):
        if ("\\" in value or "&" in value) and (found := _ESCAPE.search(value)):
            if programming.find(example.instruction, example.input) or _is_code(example.output):
                return None
            return at(field, found, "it holds an escape that belongs to a file format")
    return None


def _stray(value: str, language: str) -> str:
    """The first invisible character that the language's spelling does not use, as ``U+200B``."""
    try:
        script = languages.get(language).script
    except LanguageError:
        script = ""
    return next(iter(text.invisibles(value, script)), "")


def _is_code(value: str) -> bool:
    words = programming.load()
    return bool(words.marked.search(value) and words.shaped.search(value))


def _fields(example: Example) -> tuple[tuple[Field, str], ...]:
    return (
        ("instruction", example.instruction),
        ("input", example.input),
        ("output", example.output),
    )

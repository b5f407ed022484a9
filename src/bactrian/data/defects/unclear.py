"""Tasks that nobody can do as they stand: nothing is given, or a deed is asked for."""

from __future__ import annotations

import re

from bactrian.data import programming
from bactrian.data.defects.row import Found, any_of, at, given
from bactrian.schema import Example

_THINGS = any_of("""
    text, article, sentences?, paragraph, passage, story, poem, haiku, email, letter, essay,
    statements?, document, report, dialogue, conversation, data, dataset, list, table, equation,
    expression, phrase, words?, tweet, review, input, problem, questions?, image, picture, photo,
    photograph, painting, figure, chart, graph, diagram, cartoon, gif, graphic, logo, song, video,
    website, product, recipe, book, movie, quote, items, numbers?, amount, value, terms, string,
    scenario, situation, topic, paper, speech, excerpt, blog post, post, map, advertisement,
    instructions, material, example, ingredients
""")
_POINTS = re.compile(
    r"(?<!\ba\s)(?<!\bany\s)(?<!\beach\s)\b(?:following|given|provided|below|attached)\s"
    rf"(?!the\b)(?:[\w'-]+\s){{0,2}}?{_THINGS}\b"
    rf"|\b{_THINGS}\s(?:below|above|provided|given below|given above)\b"
    r"(?!\s(?:by|in|to|from|the|a)\b)",
    re.IGNORECASE,
)
_MAYBE_POINTS = re.compile(r"ollowing|iven |rovided|ttached| below| above")
_MADE_UP = re.compile(
    r"\b(?:write|create|generate|design|develop|implement|build|construct)\b.{0,40}"
    r"\b(?:function|program|algorithm|code|script|query|regex|app|model|task|instruction)\b",
    re.IGNORECASE,
)
"""Tasks in which *the given text* is whatever will be given to a program."""
_BEFORE = re.compile(r"[:\"“\n]")
_AFTER = re.compile(
    r"[:\"“”‘`\n(?\[=\d–—]|\s[-']|'\s|[.!?]\s+\w"
    r"|\b(?:of|about|named|called|which|that|titled|like)\b.{3,}"
)
"""Signs that what is pointed to stands in the instruction itself."""
_DID = any_of("""
    booked, sent, set, clicked, deleted, stored, uploaded, photographed, located, ordered,
    scheduled, added a reminder, turned, opened, submitted, downloaded, saved, printed, called,
    played
""")
_CHANGED = any_of("""
    font size, volume, cell, spreadsheet, tweet, photo, email, message, file, reminder, alarm,
    link, meeting, task, document, operating system, lights?, table, image, video, assistant,
    appointment, order, temperature, settings?
""")
_DONE = re.compile(
    rf"\s*(?:(?:I have|I've) (?:successfully )?{_DID}\b"
    rf"|The {_CHANGED} (?:has|have) (?:now |successfully )?been \w+"
    r"|(?:Your |A )?(?:reminder|alarm|email|message|appointment|meeting|order|flight|ticket)s?"
    r" (?:has|have) been \w+)[^\n]{0,100}",
    re.IGNORECASE,
)
_LONGEST_CLAIM = 250
"""Code points of an output that only claims a deed."""


def unclear(example: Example) -> Found | None:
    """Nobody can tell what is to be worked on, or the task is a deed and not a text."""
    return _not_given(example) or _deed(example)


def _not_given(example: Example) -> Found | None:
    task = example.instruction
    found = _POINTS.search(task) if _MAYBE_POINTS.search(task) else None
    if not found or given(example) or _MADE_UP.search(task):
        return None
    if _BEFORE.search(task, 0, found.start()) or _AFTER.search(task, found.end()):
        return None
    if programming.find(task):
        return None
    return at("instruction", found, "what it points to is not given")


def _deed(example: Example) -> Found | None:
    found = _DONE.match(example.output) if len(example.output) < _LONGEST_CLAIM else None
    return at("output", found, "the answer claims a deed that text cannot do") if found else None

"""Tasks about a page, a picture or a file that is not in the row."""

from __future__ import annotations

import re

from bactrian.data import programming
from bactrian.data.defects.row import Found, any_of, at
from bactrian.schema import Example, Field

_LINK = re.compile(
    r"(?:https?://|www\.)[^\s\"'<>]+|(?<![@\w.])[a-z0-9-]+\.(?:com|org|net)\b(?!@)", re.IGNORECASE
)
_SHORT = 160
"""Code points beside a link that a task can still be about the page alone."""

_MATTER = any_of("""
    images?, pictures?, photos?, photographs?, paintings?, artwork, art, videos?, clip, audio,
    recording, song, figure, drawing, diagram, chart, graph, gif, screenshot, logo, cartoon, map,
    pdf, file, documents?, articles?, texts?, essay, paragraphs?, story, poem, email, letter,
    dataset, data, spreadsheet, table, report, links?, website, web ?page, code, passage, speech,
    review, resume, list, book, excerpt, post, cv, advertisement, design, sound, music, shape
""")
_LEAD = any_of("""
    insert, attach, attached, image, link, paste, see, upload, link to, a, an, the, of, your, full,
    some, original, given, provided, sample, long, short
""")
_HOLDER = re.compile(
    rf"\s*[<\[({{]\s*(?!input)(?:{_LEAD}[\s:_-]+)*(?:[\w'-]+\s){{0,2}}{_MATTER}\b"
    r"[^<>\[\]{}=]{0,120}[>\])}]\.?\s*",
    re.IGNORECASE,
)
"""``[Insert article]``, ``<image of a bird>``."""
_ATTACHED = re.compile(
    r"!\[[^\]\n]{0,120}\][(\[]|<img\s"
    rf"|\b{_MATTER}\s(?:is\s)?(?:attached|not shown|goes here|inserted)\b"
    rf"|\battach(?:ed)?\s(?:the\s|an?\s)?{_MATTER}\b",
    re.IGNORECASE,
)
_MAYBE_ATTACHED = re.compile(r"!\[|<img|ttach|not shown|goes here|inserted")

_ABOUT_ADDRESS = re.compile(
    r"\b"
    + any_of(r"""
    cite, citations?, bibliograph\w*, references?, api, https?, requests?, html, domain, urls?,
    normalize, regular expression, regex, hyperlinks?, link to, links? in, shorten, button,
    email address\w*, e-?mail, code, format, validate, valid, broken link, anchor, query, qr, parse,
    extract (?:the )?(?:domain|email|url|link)
    """)
    + r"\b",
    re.IGNORECASE,
)
"""Tasks about the link itself."""
_ABOUT_TEXT = re.compile(
    r"\b"
    + any_of(r"""
    ad, advert\w*, tweet, slogan, contact, rewrite, edit, proofread, spell\w*, grammar, sentence
    """)
    + r"\b",
    re.IGNORECASE,
)
"""Tasks about a text in which a link may stand."""
_BESIDE = 20
"""Code points beside a link that make a text of it."""
_READS = re.compile(r"\b(?:summar|open|visit|read|article|click)", re.IGNORECASE)
_WITHOUT_READING = re.compile(
    r"\b(?:crawler|scrap\w*|program|alternative|similar)\b", re.IGNORECASE
)


def unseen(example: Example) -> Found | None:
    """The task points to a page, a picture or a file that the row does not hold."""
    return _holder(example) or _page(example)


def _holder(example: Example) -> Found | None:
    """A placeholder or an attachment in place of an input."""
    value = example.input
    found = _HOLDER.fullmatch(value) if value.lstrip()[:1] in tuple("<[({") else None
    if found is None and _MAYBE_ATTACHED.search(value):
        found = _ATTACHED.search(value)
    if found is None:
        return None
    return at("input", found, "it stands for something that the row does not hold")


def _page(example: Example) -> Found | None:
    """A link, and hardly anything beside it."""
    fields: tuple[tuple[Field, str], ...] = (
        ("input", example.input),
        ("instruction", example.instruction),
    )
    for field, value in fields:
        found = _LINK.search(value) if "." in value else None
        if not found:
            continue
        beside = len(value) - sum(len(link[0]) for link in _LINK.finditer(value))
        if beside <= _SHORT and not _is_about_links(example.instruction, beside):
            return at(field, found, "the task is about a page that the row does not hold")
    return None


def _is_about_links(task: str, beside: int) -> bool:
    """Whether the task can be done without reading what a link leads to."""
    if _WITHOUT_READING.search(task) or programming.find(task):
        return True
    if _READS.search(task):
        return False
    return bool(_ABOUT_ADDRESS.search(task) or (beside > _BESIDE and _ABOUT_TEXT.search(task)))

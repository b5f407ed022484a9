"""Tasks that ask for a picture, which a text cannot be."""

from __future__ import annotations

import re

from bactrian.data.defects.row import Found, any_of, at
from bactrian.schema import Example

_VISUAL = any_of("""
    logos?, images?, pictures?, drawings?, sketch(?:es)?, paintings?, illustrations?, posters?,
    infographics?, collages?, comic strips?, word clouds?, mock-?ups?, icons?, banners?,
    animations?, videos?, gifs?, photos?, photographs?, graphics?, pie charts?, bar charts?,
    bar graphs?, line graphs?, line charts?, pictograms?, emblems?, wallpapers?, portraits?,
    3d models?, renderings?, screenshots?, sprites?
""")
_MAKE = any_of("""
    design, redesign, create, generate, make, produce, construct, build, develop, compose, render,
    provide, draft, prepare, sketch, draw, paint, come up with
""")
_NOT_MADE = any_of("""
    of, for, about, on, that, which, with, to, from, in, describing, using, based, as, program,
    code, script, function, app, list, prompt, caption, title, text, story, poem, slogan, tagline,
    description, character, biographical, brief, plan, ideas?, algorithm, copy, template, content,
    name, concept, dialogue, lyrics, html, css, ascii, tutorial, following, given
""")
"""Words between the verb and the picture that show that something else is made."""
_NOT_ITSELF = any_of("""
    ideas?, concepts?, captions?, titles?, description, script, search, recognition, processing,
    editing, games?, files?, tutorial, series, classif\\w*, generator, program, name, review,
    prompt, class, model, album, gallery, t-shirt, design elements
""")
"""Words after it that show the same: *a photo album*."""
_PICTURE = re.compile(
    rf"(?:^|[.,;:]\s|\bto\s|\band\s|\bplease\s){_MAKE}\b"
    rf"(?:\s(?!{_NOT_MADE}\b)[\w'\"“”-]+){{0,5}}?\s{_VISUAL}\b(?!\s{_NOT_ITSELF}\b)",
    re.IGNORECASE,
)
_TURNED = re.compile(
    r"\b(?:convert|turn|transform|present|represent|visualize|illustrate|format|reformat)\b"
    rf"[^.\n]{{0,60}}?\s(?:into|as|in|with)\s(?:an?\s)?(?:[\w-]+\s){{0,2}}{_VISUAL}\b",
    re.IGNORECASE,
)
_NOT_DRAWN = any_of("""
    up, out, on, from, upon, attention, inspiration, conclusions?, comparisons?, parallels,
    inferences?, how, why, what, with words, an? (?:\\w+ )?conclusion, a comparison, a parallel,
    a line between, a distinction, an inference, an analogy,
    (?:the|a|an) (?:verbal|word|character|comparison|conclusion|connection|lesson)
""")
"""*Draw a conclusion*, *paint a word picture*."""
_DRAW = re.compile(
    r"(?:^|[.;:]\s|\bplease\s)"
    r"(?:draw|sketch|paint|photograph|take a (?:photo|picture|photograph))\s"
    rf"(?!{_NOT_DRAWN}\b)[^\n.]{{3,80}}",
    re.IGNORECASE,
)
_IN_TEXT = re.compile(
    r"\b"
    + any_of("""
    ascii, html, css, svg, code, python, javascript, latex, markdown, in words, verbal, scripts?,
    program, emoji, character sketch, biographical sketch, personality, storyboard, algorithms?,
    GAN, AI model, learning model
    """)
    + r"\b|^"
    + any_of("""
    explain, describe, how, what, list, outline, discuss, name, suggest, identify, compare, give
    """)
    + r"\b",
    re.IGNORECASE,
)
"""Pictures that can be written, and questions about pictures."""


def image(example: Example) -> Found | None:
    """The task asks for a picture, an animation or a film."""
    task = example.instruction
    found = _PICTURE.search(task) or _TURNED.search(task) or _DRAW.search(task)
    if not found or _IN_TEXT.search(task):
        return None
    return at("instruction", found, "it asks for a picture, and the answer is text")

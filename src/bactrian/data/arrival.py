"""A look at a response when it comes, so that a bad one is asked for again while it is cheap.

Only what another try may mend: cut short, in English in place of the language, a refusal. The
checks of the later stage look at everything; what is let through here is judged there. It costs
some 80 µs an answer of 400 characters, and 340 µs where that is in English: a count of letters and
English words says which answers the check of the language has to see at all.
"""

from __future__ import annotations

import re
from collections.abc import Container

from bactrian.data.checks import Checked, CheckSettings
from bactrian.data.checks.language import language as other_language
from bactrian.data.checks.script import script as other_script
from bactrian.languages import Language
from bactrian.providers import Answer, Reason, Request
from bactrian.providers.terms import Accept
from bactrian.schema import Example
from bactrian.written.refusals import find_refusal

SETTINGS = CheckSettings()
NO_SOURCE = Example("", "en", "", "", "")
WINDOW = 400
"""Code points that are looked at first."""
LETTERS = re.compile(r"[A-Za-z]+")
ENGLISH = re.compile(
    r"\b(?:the|of|and|to|is|are|was|that|this|with|for|from|which|have|has|you|your|it|its)\b",
    re.IGNORECASE,
)
FEW = 24
"""ASCII letters below which nothing can be said: a name, a number, yes."""
MANY = 0.5
"""Share of ASCII letters from which text in another script than Latin is suspected."""
SOME = 0.12
"""English function words a word from which text in Latin script is suspected."""


def accepting(language: Language) -> Accept:
    """Return what says why a response in a language should be asked for again; None accepts it."""
    latin = language.script == "Latn"

    def accept(request: Request, answer: Answer, moot: Container[Reason]) -> Reason | None:
        if answer.finish == "length" and "length" not in moot:
            return "length"
        text, code = answer.output, language.code
        if "refusal" not in moot and find_refusal(text, code, SETTINGS.refusal_graphemes):
            return "refusal"
        if code == "en" or "language" in moot or not _suspected(text[:WINDOW], latin):
            return None
        row = Checked(Example("", code, "", "", text), NO_SOURCE, language)
        for check in (other_script, other_language):
            if (found := check(row, SETTINGS)) is not None and found.severity == "reject":
                return "language"
        return None

    return accept


def _suspected(window: str, latin: bool) -> bool:
    """Whether the text may be in English; cheap, and sure only that a no is right."""
    words = LETTERS.findall(window)
    letters = sum(map(len, words))
    if letters < FEW:
        return False
    if latin:
        return len(ENGLISH.findall(window)) > SOME * len(words)
    return letters > MANY * (len(window) - window.count(" "))

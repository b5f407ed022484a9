"""Tells languages of one script apart, by py3langid. Knows no vocabulary.

Reads only the letters of the script asked for: what is written in another script is for others to
tell. Where one language alone has a script, there is nothing to tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import regex

from bactrian.text import grapheme_count

_ALIKE = (
    frozenset({"hr", "bs", "sr"}),
    frozenset({"id", "ms"}),
    frozenset({"zh", "yue", "wuu"}),
    frozenset({"ar", "ary", "arz"}),
    frozenset({"es", "ext", "an"}),
    frozenset({"xh", "zu"}),
    frozenset({"tl", "bcl"}),
    frozenset({"mr", "gom"}),
    frozenset({"no", "nn", "da"}),
    frozenset({"fa", "sdh"}),
    frozenset({"he", "hbo"}),
    frozenset({"lv", "ltg"}),
)
"""Languages that the identifier cannot tell apart in a sentence, taken as one."""
ALONE = frozenset(
    {"Khmr", "Thai", "Mymr", "Geor", "Gujr", "Taml", "Telu", "Mlym", "Sinh", "Kore", "Laoo", "Grek"}
)
"""Scripts of one language among those the identifier knows."""
WORDS = {
    "Latn": regex.compile(r"[\p{Latin}\p{M}'’-]+"),
    "Cyrl": regex.compile(r"[\p{Cyrillic}\p{M}'’-]+"),
    "Arab": regex.compile(r"[\p{Arabic}\p{M}\u200c]+"),
    "Deva": regex.compile(r"[\p{Devanagari}\p{M}\u200c\u200d]+"),
    "Beng": regex.compile(r"[\p{Bengali}\p{M}\u200c\u200d]+"),
    "Hebr": regex.compile(r"[\p{Hebrew}\p{M}'\"]+"),
    "Jpan": regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}ー、。]+"),
    "Hans": regex.compile(r"[\p{Han}，。]+"),
    "Hant": regex.compile(r"[\p{Han}，。]+"),
}
_NO_LANGUAGE = "zxx"
"""What the identifier calls text that is in none."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the identifier takes a text for that it does not take for its own language."""

    best: str
    """Code of the likeliest language."""
    likely: float
    """Its probability, 0 to 1, with that of the languages like it."""
    own: float
    """Probability of the language that the text should be in."""


def is_told(script: str) -> bool:
    """Return whether languages of a writing system are there to be told apart."""
    return script not in ALONE and script in WORDS


def readable(prose: str, script: str, graphemes: int) -> str:
    """Return the words in the script, or "" where there are too few to tell a language by.

    ``graphemes`` is how many clusters of words that are no names it takes. Raises KeyError for a
    script in which there is nothing to tell.
    """
    words = [str(word) for word in WORDS[script].findall(prose)]
    # capitals alone are names; scripts without case count in full
    telling = "".join(word for word in words if word != word.title() and not word.isupper())
    telling = telling or "".join(word for word in words if word.lower() == word.upper())
    if grapheme_count(telling) < graphemes:
        return ""
    return " ".join(words)


def reads_otherwise(read: str, code: str, own: float, other: float) -> Reading | None:
    """Return what words are clearly in that are not in ``code``, None where that is not clear.

    Clearly: another language has at least the probability ``other``, ``code`` at most ``own``.
    """
    best = identifier().classify(read)[0]
    if best in alike(code):
        return None  # most texts end here, without the price of ranking 140 languages
    chances = dict(identifier().rank(read))
    mine = probability(chances, code)
    # the identifier names a neighbour for a language that it does not know
    if code not in chances or mine > own:
        return None
    likely = probability(chances, best)
    if best == _NO_LANGUAGE or likely < other:
        return None
    return Reading(best, likely, mine)


@lru_cache(maxsize=1)
def identifier() -> Any:
    """Return py3langid's model, loaded once: it takes 79 MB."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def probability(chances: dict[str, float], code: str) -> float:
    """Probability (0 to 1) of the language and of those that cannot be told from it."""
    return sum(chances.get(member, 0.0) for member in alike(code))


def alike(code: str) -> frozenset[str]:
    """Return the languages that the identifier cannot tell from one, itself among them."""
    return next((group for group in _ALIKE if code in group), frozenset({code}))

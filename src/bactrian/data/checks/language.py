"""Finds text in another language of the same script, by py3langid. Knows no vocabulary.

Reads only the letters of the language's own script: what is written in another script is the
business of ``script``. Where one language alone has a script, there is nothing to tell.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import regex

from bactrian.data.checks.row import Checked, flag, prose_of
from bactrian.data.checks.settings import CheckSettings
from bactrian.data.checks.task import excused, kept_quotes
from bactrian.schema import Field, Flag
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
_WORDS = {
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
_FIELDS: tuple[Field, ...] = ("instruction", "output")


def language(row: Checked, settings: CheckSettings) -> Flag | None:
    """Reject a row whose instruction or output is clearly in another language.

    Clearly: another one is likely (``language_other``) and the row's own all but ruled out
    (``language_own``). Short text, lists of names and tasks about a language are left alone.
    Without a source, an output in a third language only gets a warning: nobody knows whether
    it was asked for.
    """
    if row.language.script in ALONE or row.language.script not in _WORDS:
        return None
    for field in _FIELDS:
        if found := _other(row, field, settings):
            return found
    return None


def _other(row: Checked, field: Field, settings: CheckSettings) -> Flag | None:
    read = _readable(_own_words(row, field), row.language.script, settings)
    if not read:
        return None
    best = identifier().classify(read)[0]
    if best in alike(row.language.code):
        return None  # most rows end here, without the price of ranking 140 languages
    chances = dict(identifier().rank(read))
    own = probability(chances, row.language.code)
    # the identifier names a neighbour for a language that it does not know
    if row.language.code not in chances or own > settings.language_own:
        return None
    likely = probability(chances, best)
    if best == _NO_LANGUAGE or likely < settings.language_other:
        return None
    if field == "output" and excused(row, best):
        return None
    third = best != "en" and field == "output" and not row.has_source
    reason = f"reads as {best} ({likely:.0%}), expected {row.language.code} ({own:.0%})"
    evidence = getattr(row.example, field).strip()
    return flag("language", "warn" if third else "reject", field, reason, (evidence, 0))


def _own_words(row: Checked, field: Field) -> str:
    """The prose, without what the instruction quotes from the source."""
    prose = prose_of(row, field)
    if field == "instruction" and not row.is_english:
        for start, end in kept_quotes(row.example.instruction, row.source.instruction):
            prose = prose[:start] + " " * (end - start) + prose[end:]
    return prose


def _readable(prose: str, script: str, settings: CheckSettings) -> str:
    """The words in the script, or "" where there are too few to tell a language by."""
    words = [str(word) for word in _WORDS[script].findall(prose[: settings.language_window])]
    # capitals alone are names; scripts without case count in full
    telling = "".join(word for word in words if word != word.title() and not word.isupper())
    telling = telling or "".join(word for word in words if word.lower() == word.upper())
    if grapheme_count(telling) < settings.language_graphemes:
        return ""
    return " ".join(words)


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

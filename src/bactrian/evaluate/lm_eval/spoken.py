"""Which language a task of lm-eval is in, which its files do not say. Knows names only."""

from __future__ import annotations

import re
from typing import Any

from bactrian.errors import LanguageError
from bactrian.languages import Language, get

MISSPELT = {"jp": "ja"}
"""Codes of lm-eval's that are a country's, not a language's."""


def language_of(name: str, config: Any) -> Language | None:
    """Return the language that the name of a task or of its data tells, None where neither does.

    A FLORES code anywhere (``belebele_tam_Taml``) counts first, then the name of the data's part
    (``dataset_name: sw``), then the last word of the name (``xcopa_et``). Raises LanguageError for
    a FLORES code of a language that is not among ours.
    """
    part = getattr(config, "dataset_name", None) or ""
    for text in (part, name):
        if code := re.search(r"(?<![A-Za-z])[a-z]{3}_[A-Z][a-z]{3}(?![A-Za-z])", text):
            return get(code[0])
    last = re.split(r"[_:/.-]", name)[-1]
    return _known(part) or (_known(last) if last != name else None)


def _known(code: str) -> Language | None:
    """Return the language of a code; words of more letters are no codes, and mean other things."""
    code = MISSPELT.get(code.casefold(), code)
    if not re.fullmatch(r"[A-Za-z]{2,3}([_-][A-Za-z]{2,4})?", code):
        return None
    try:
        return get(code)
    except LanguageError:
        return None

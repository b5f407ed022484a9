"""What a file is held against its model with: texts in 52 languages, and odd corners of text."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from bactrian.models.prompts import PromptStyle
from bactrian.publish.probes import PROBES

SCRIPTS = ("Latin", "Cyrillic", "Arabic", "Devanagari", "Thai", "Han")
"""Of the probes that are answered: the more there are, the longer a proof takes."""
ODD = (
    "1234567890 3.14159 ١٢٣ १२३ 2nd 10km",
    "tabs\tand\n\nnew lines\r\n  and   spaces   ",
    "camelCase HTTPServer snake_case don't I'LL l'été",
    "if (x[0] != 'a') { return \"b\"; } // => №5 § ¶",
    "😀👩‍👩‍👧 e\u0301 ﬁ ½ ² ™ … “quotes” — dash",
    "🇨🇲 ꙮ 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 ‏עברית‏ ‎",
    "a",
)
SPACED = (" a text that begins with a space", "  two of them")


@cache
def sentences() -> Mapping[str, str]:
    """Return a text in each of 52 languages, by code."""
    said = files("bactrian.publish.gguf").joinpath("sentences.toml").read_text(encoding="utf-8")
    return dict(tomllib.loads(said))


def all_texts(style: PromptStyle) -> list[str]:
    """Return the texts whose ids are compared: sentences, the odd ones, and prompts of both."""
    asked = [style.render(text) for text in sentences().values()]
    asked += [style.render(text, text) for text in ODD]
    return [*sentences().values(), *ODD, *asked]


def prompts(style: PromptStyle) -> list[str]:
    """Return the prompts that are answered: one short question in six scripts."""
    return [style.render(PROBES[script]) for script in SCRIPTS]

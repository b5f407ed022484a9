"""The phrases of refusals: every language has them; the check of rows tests them in full."""

from __future__ import annotations

import pytest

from bactrian.languages import all_languages
from bactrian.written.refusals import find_refusal, phrases


@pytest.mark.parametrize("code", [language.code for language in all_languages()])
def test_the_phrases_of_a_language_are_found(code: str) -> None:
    for stem in phrases(code).opens:
        assert find_refusal(f"{stem.replace('…', ' ')} 42", code, 200) is not None, stem


def test_the_place_is_given() -> None:
    text = "Hm. As an AI language model, I have none."
    assert find_refusal(text, "sw", 200) == ("As an AI language model", 4)
    assert find_refusal("Habari ya asubuhi.", "sw", 200) is None

"""Languages of one script, told apart where there is enough to tell by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from bactrian.written.identifier import alike, is_told, readable, reads_otherwise

OWN, OTHER = 0.05, 0.7


def test_another_language_of_the_script_is_named(sentences: Mapping[str, Sequence[str]]) -> None:
    found = reads_otherwise(readable(sentences["en"][0], "Latn", 20), "de", OWN, OTHER)
    assert found is not None
    assert found.best == "en"
    assert found.likely >= OTHER
    assert found.own <= OWN


@pytest.mark.parametrize("code", ["de", "vi", "sw"])
def test_the_own_language_is_not_another(code: str, sentences: Mapping[str, Sequence[str]]) -> None:
    for sentence in sentences[code]:
        assert reads_otherwise(readable(sentence, "Latn", 20), code, OWN, OTHER) is None


def test_names_and_short_words_tell_nothing() -> None:
    assert readable("Maria Skłodowska-Curie, Albert Einstein, Niels Bohr", "Latn", 20) == ""
    assert readable("ja, gut", "Latn", 20) == ""
    assert readable("北京是中华人民共和国的首都", "Latn", 1) == "", "no word is in the script"


def test_a_script_of_one_language_has_nothing_to_tell() -> None:
    assert not is_told("Khmr")
    assert is_told("Latn")
    assert not is_told("Ethi"), "a script that is not read at all"


def test_neighbours_are_one_and_everybody_is_like_itself() -> None:
    assert {"hr", "sr"} <= alike("hr")
    assert alike("fi") == {"fi"}

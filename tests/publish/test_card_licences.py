"""Licences of base and data go through; what cannot be met or is unknown is said, not guessed."""

from __future__ import annotations

import pytest

from bactrian.errors import ConfigError
from bactrian.publish.card.licences import TERMS, Part, followed, of_base, together


@pytest.mark.parametrize(
    ("base", "data", "ids"),
    [
        ("apache-2.0", ("CC-BY-NC-4.0",), ("cc-by-nc-4.0",)),
        ("apache-2.0", ("cc-by-4.0",), ("cc-by-4.0",)),
        ("apache-2.0", ("mit",), ("apache-2.0", "mit")),
        ("apache-2.0", ("CC BY-SA 3.0",), ("cc-by-sa-3.0",)),
        ("mit", ("cc0-1.0",), ("mit",)),
        (
            "bigscience-bloom-rail-1.0",
            ("cc-by-nc-4.0",),
            ("bigscience-bloom-rail-1.0", "cc-by-nc-4.0"),
        ),
        ("llama2", ("cc-by-4.0",), ("llama2", "cc-by-4.0")),
        ("llama2", ("mit",), ("llama2",)),
        ("apache-2.0", ("cc-by-nc-4.0", "cc-by-sa-3.0"), ("cc-by-nc-4.0", "cc-by-sa-3.0")),
        ("apache-2.0", ("cc-by-nc-4.0", "cc-by-nc-sa-4.0"), ("cc-by-nc-sa-4.0",)),
        ("", ("cc-by-nc-4.0",), ("unknown", "cc-by-nc-4.0")),
        ("apache-2.0", ("house-rules",), ("apache-2.0", "house-rules")),
        ("", (), ("unknown",)),
    ],
)
def test_the_strictest_go_on(base: str, data: tuple[str, ...], ids: tuple[str, ...]) -> None:
    found = followed([Part("base", base), *(Part("data", one) for one in data)])
    assert found.ids == ids


def test_data_that_forbid_commerce_make_it_non_commercial() -> None:
    assert followed([Part("base", "mit"), Part("data", "CC-BY-NC-4.0")]).non_commercial
    assert not followed([Part("base", "mit"), Part("data", "CC-BY-4.0")]).non_commercial


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (("mit", ""), "The licence of b is not known"),
        (("mit", "house-rules"), "What house-rules (b) demands is not known here"),
        (("cc-by-nc-4.0", "cc-by-sa-3.0"), "whether both bind the weights"),
        (("llama2", "cc-by-sa-4.0"), "and llama2 asks for more than it allows"),
        (("mit", "cc-by-nd-4.0"), "forbids changed versions"),
    ],
)
def test_what_a_reader_has_to_know_is_said(ids: tuple[str, ...], words: str) -> None:
    notes = followed([Part(what, one) for what, one in zip("ab", ids, strict=True)]).notes
    assert any(words in note for note in notes), notes


def test_what_agrees_has_no_notes() -> None:
    for ids in (("mit", "cc-by-nc-4.0"), ("apache-2.0", "cc-by-sa-3.0")):
        assert followed([Part("x", one) for one in ids]).notes == ()


def test_a_licence_of_ones_own_keeps_to_the_others() -> None:
    data = [Part("data", "CC-BY-NC-4.0")]
    assert followed(data, "cc-by-nc-sa-4.0").ids == ("cc-by-nc-sa-4.0",)
    with pytest.raises(ConfigError) as told:
        followed(data, "apache-2.0")
    assert told.value.problem == (
        "--licence apache-2.0 allows commercial use, and cc-by-nc-4.0 (data) forbids it"
    )
    assert "--licence cc-by-nc-4.0" in told.value.hint


@pytest.mark.parametrize(
    ("base", "told", "licence"),
    [
        ("smollm2-135m", "", "apache-2.0"),
        ("bigscience/bloom-7b1", "", "bigscience-bloom-rail-1.0"),
        ("bigscience/bloomz-7b1-mt", "", "bigscience-bloom-rail-1.0"),
        ("huggyllama/llama-7b", "", "llama-1"),
        ("meta-llama/Llama-2-7b-hf", "", "llama2"),
        ("google/mt5-xl", "", "apache-2.0"),
        ("ann/mine", "", "unknown"),
        ("ann/mine", "MIT", "mit"),
    ],
)
def test_a_bases_licence_is_its_pages_or_told(base: str, told: str, licence: str) -> None:
    assert of_base(base, told) == licence


def test_several_lie_together_under_all_that_hold() -> None:
    one = followed([Part("base", "mit"), Part("data", "cc-by-nc-4.0")])
    other = followed([Part("base", "mit"), Part("data", "cc-by-4.0")])
    found = together([one, other])
    assert found.ids == ("cc-by-nc-4.0",)
    assert [part.id for part in found.parts] == ["mit", "cc-by-nc-4.0", "cc-by-4.0"]


def test_no_licence_is_stricter_than_itself() -> None:
    for licence in TERMS:
        assert followed([Part("a", licence), Part("b", licence)]).ids == (licence,)

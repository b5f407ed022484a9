"""Which translator takes which pair: facts that hold together, and an error that helps."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest

from bactrian import registry
from bactrian.errors import LanguageError
from bactrian.languages import every_language, get
from bactrian.providers.pairs import check, takers

TABLE = tomllib.loads(files("bactrian.providers").joinpath("pairs.toml").read_text("utf-8"))
CODES = {language.code for language in every_language()}


def test_every_section_is_a_registered_translator_with_its_source_and_date() -> None:
    assert set(TABLE) <= set(registry.names("translators"))
    for name, section in TABLE.items():
        assert section["date"] >= "2026", name
        assert section["source"], name


def test_every_code_is_one_of_the_languages() -> None:
    for name, section in TABLE.items():
        told = section.get("languages") or section["pairs"].replace("-", " ")
        codes = CODES if told == "every" else set(told.split())
        assert codes <= CODES, f"{name}: {codes - CODES}"


@pytest.mark.parametrize(
    ("source", "target", "wanted"),
    [
        ("en", "es", {"apertium", "chat", "deepl", "google", "libretranslate", "seq2seq"}),
        ("en", "xh", {"chat", "deepl", "google", "seq2seq"}),
        ("en", "km", {"chat", "google", "seq2seq"}),
        ("es", "ro", {"chat", "deepl", "google", "libretranslate", "seq2seq"}),
        ("ro", "es", {"apertium", "chat", "deepl", "google", "libretranslate", "seq2seq"}),
    ],
)
def test_who_takes_a_pair(source: str, target: str, wanted: set[str]) -> None:
    assert set(takers(source, target)) & set(TABLE) == wanted


def test_the_error_names_the_pair_and_who_takes_it() -> None:
    check("deepl", get("en"), get("xh"))
    with pytest.raises(LanguageError) as raised:
        check("deepl", get("en"), get("si"))
    assert raised.value.problem == "deepl does not translate English into Sinhala (en into si)"
    assert "chat" in raised.value.hint
    assert "google" in raised.value.hint
    assert raised.value.hint.endswith("--languages all,!si")
    check("deepl", get("en"), get("si"), unlisted=True)

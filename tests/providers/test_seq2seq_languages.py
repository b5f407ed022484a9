"""Which languages a family takes, and what is asked of it: known without any weights."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from bactrian import languages
from bactrian.errors import ConfigError, LanguageError
from bactrian.providers import Told
from bactrian.providers.seq2seq import Seq2Seq, families, family_of
from bactrian.recipe import Translate

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

ENGLISH, FRENCH = map(languages.get, ("en", "fr"))
CONFIGS = {
    "nllb": {"model_type": "m2m_100", "tokenizer_class": "NllbTokenizer"},
    "m2m100": {"model_type": "m2m_100", "tokenizer_class": "M2M100Tokenizer"},
    "mbart50": {"model_type": "mbart", "tokenizer_class": "MBart50Tokenizer"},
    "mbart-large-50-many-to-one-mmt": {
        "model_type": "mbart",
        "tokenizer_class": "MBart50Tokenizer",
    },
}


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """Folders with configurations and no weights: enough to say what would be asked."""
    for name, config in CONFIGS.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    return {name: tmp_path / name for name in CONFIGS}


def provider(folder: Path, **options: Any) -> Seq2Seq:
    usual = {"device": "cpu", "dtype": "float32"}
    section = Translate(using="seq2seq", model=folder.name, options={**usual, **options})
    return Seq2Seq(Told(section, folder.parent))


# -- languages ----------------------------------------------------------------------------------


def test_the_table_says_what_the_published_lists_say() -> None:
    from transformers.models.m2m_100 import tokenization_m2m_100 as m2m100
    from transformers.models.mbart50 import tokenization_mbart50 as mbart50
    from transformers.models.nllb import tokenization_nllb as nllb

    published = {
        "nllb": set(nllb.FAIRSEQ_LANGUAGE_CODES),
        "m2m100": set(m2m100.FAIRSEQ_LANGUAGE_CODES["m2m100"]),
        "mbart50": set(mbart50.FAIRSEQ_LANGUAGE_CODES),
    }
    pytest.importorskip("sentencepiece")
    for name, codes in published.items():
        family = families()[name]
        for language in languages.every_language():
            code = family.code(language)
            own = str(getattr(language, family.column))
            assert (code in codes) if code else (own not in codes), (name, language.code)
    assert families()["madlad400"].code(languages.get("tl")) == "fil"


def test_a_pair_that_a_family_lacks_is_refused_before_anything_is_loaded(
    folders: dict[str, Path],
) -> None:
    made = provider(folders["m2m100"])
    with pytest.raises(LanguageError, match=r"M2M-100 does not translate English into Telugu"):
        made.request(["Hello"], ENGLISH, languages.get("te"))
    with pytest.raises(LanguageError, match="into itself"):
        made.request(["Hello"], ENGLISH, ENGLISH)
    assert "model" not in vars(made)
    told = provider(folders["m2m100"], codes={"te": "ta"})
    assert told.request(["Hello"], ENGLISH, languages.get("te"))["codes"] == {"te": "ta"}


def test_a_model_of_one_side_translates_from_or_into_english_only(
    folders: dict[str, Path],
) -> None:
    made = provider(folders["mbart-large-50-many-to-one-mmt"])
    assert made.request(["Salut"], FRENCH, ENGLISH)["target"] == "en"
    with pytest.raises(LanguageError, match="mBART-50 does not translate English into French"):
        made.request(["Hello"], ENGLISH, FRENCH)


@pytest.mark.parametrize(
    ("model_type", "tokenizer", "name"),
    [
        ("m2m_100", "NllbTokenizerFast", "NLLB-200"),
        ("m2m_100", "M2M100Tokenizer", "M2M-100"),
        ("nllb-moe", "", "NLLB-200"),
        ("t5", "T5Tokenizer", "MADLAD-400"),
        ("mbart", "MBart50TokenizerFast", "mBART-50"),
        ("mbart", "MBartTokenizer", None),
        ("marian", "MarianTokenizer", None),
    ],
)
def test_the_family_follows_from_the_configuration(
    model_type: str, tokenizer: str, name: str | None
) -> None:
    found = family_of(model_type, tokenizer)
    assert (found.name if found else None) == name


# -- what is asked --------------------------------------------------------------------------------


def test_a_request_holds_what_changes_a_translation_and_nothing_else(
    folders: dict[str, Path],
) -> None:
    def asks(**options: Any) -> dict[str, Any]:
        return provider(folders["nllb"], **options).request(["Hello", ""], ENGLISH, FRENCH)

    first = asks()
    assert first["texts"] == ["Hello", ""]
    assert (first["source"], first["target"], first["engine"]) == ("en", "fr", "seq2seq:nllb")
    for same in ({"batch": 3}, {"batch_tokens": 64}, {"device": "auto"}, {"ray": {"actors": 2}}):
        assert asks(**same) == first
    others = ({"num_beams": 2}, {"max_ratio": 5}, {"together": True}, {"dtype": "bfloat16"})
    for other in others:
        assert asks(**other) != first
    assert len({provider(folder).weights.mark for folder in folders.values()}) == 3


def test_what_is_wrong_in_the_recipe_is_said_at_once(
    folders: dict[str, Path], tiny_base: Path
) -> None:
    with pytest.raises(ConfigError, match=r"unknown key options\.num_beam"):
        provider(folders["nllb"], num_beam=4)
    with pytest.raises(ConfigError, match="unknown family nlb"):
        provider(folders["nllb"], family="nlb")
    with pytest.raises(ConfigError, match="no translation model of a known family"):
        provider(tiny_base).request(["Hello"], ENGLISH, FRENCH)
    with pytest.raises(ConfigError, match="needs a model"):
        Seq2Seq(Told(Translate(using="seq2seq"), Path()))
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="no GPU is usable here"):
            made = provider(folders["nllb"], device="cuda")
            asyncio.run(made.send([made.request(["Hello there"], ENGLISH, FRENCH)]))

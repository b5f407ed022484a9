"""The facts about each language, and every way in which a user may name one."""

from __future__ import annotations

import csv
import dataclasses
import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from importlib.resources import files
from pathlib import Path

import pytest

from bactrian.errors import LanguageError
from bactrian.languages import Language, all_languages, every_language, get, parse

SHARED = Path(__file__).parents[2] / "shared"

THE_52 = (
    "af ar az bn cs de en es et fa fi fr gl gu he hi hr id it ja ka kk km ko lt lv mk ml mn mr my "
    "ne nl pl ps pt ro ru si sl sv sw ta te th tl tr uk ur vi xh zh"
)
THE_NINE = "ht qu eu bg hu sq sr jv su"
LLAMA_15 = "cs de en es fr hr it nl pl pt ro ru sl sv uk"
BLOOM_18 = "ar en es fr gu hi id ml mr ne pt sw ta te ur vi xh zh"
EVERY = pytest.mark.parametrize("language", every_language(), ids=lambda known: known.code)

LETTERS = {
    "Arab": {"ARABIC"},
    "Beng": {"BENGALI"},
    "Cyrl": {"CYRILLIC"},
    "Deva": {"DEVANAGARI"},
    "Geor": {"GEORGIAN"},
    "Gujr": {"GUJARATI"},
    "Hans": {"CJK"},
    "Hebr": {"HEBREW"},
    "Jpan": {"CJK", "HIRAGANA", "KATAKANA"},
    "Khmr": {"KHMER"},
    "Kore": {"HANGUL"},
    "Latn": {"LATIN"},
    "Mlym": {"MALAYALAM"},
    "Mymr": {"MYANMAR"},
    "Sinh": {"SINHALA"},
    "Taml": {"TAMIL"},
    "Telu": {"TELUGU"},
    "Thai": {"THAI"},
}
"""How Unicode begins the names of a script's letters."""


def codes(languages: Iterable[Language]) -> str:
    return " ".join(language.code for language in languages)


def letter_names(text: str) -> set[str]:
    return {unicodedata.name(char).split()[0] for char in text if not char.isspace()}


def refused(call: Callable[[str], object], spec: str) -> tuple[str, str]:
    with pytest.raises(LanguageError) as caught:
        call(spec)
    return caught.value.problem, caught.value.hint


def shared(path: str) -> Path:
    if not (SHARED / path).exists():
        pytest.skip(f"needs shared/{path} beside the repository")
    return SHARED / path


# -- the facts ----------------------------------------------------------------------------


def test_there_are_52_languages_and_nine_more() -> None:
    assert codes(all_languages()) == THE_52
    assert codes(every_language()) == f"{THE_52} {THE_NINE}"
    assert (len(all_languages()), len(every_language())) == (52, 61)


def test_mbart_flores_and_names_are_those_of_the_data() -> None:
    with shared("data/langs.tsv").open(encoding="utf-8", newline="") as lines:
        theirs = [
            (row["code"], row["mbart50"], row["name"], row["flores200"])
            for row in csv.DictReader(lines, delimiter="\t")
        ]
    assert theirs == [
        (ours.code, ours.mbart50, ours.name, ours.flores200) for ours in all_languages()
    ]


def test_the_lists_are_those_of_the_original() -> None:
    text = shared("facts/original.md").read_text("utf-8")
    section = text[text.index("### 1.7") : text.index("## 2.")]
    for after, ours in (("ISO-639-1", THE_52), ("LLaMA:", LLAMA_15), ("BLOOM:", BLOOM_18)):
        listed = re.search(rf"{after}.*?((?:\b[a-z]{{2}} ){{10,}}[a-z]{{2}})\b", section)
        assert listed and listed[1] == ours, after


def test_bases_saw_what_they_were_trained_on() -> None:
    assert codes(parse("seen:llama")) == LLAMA_15
    assert codes(parse("seen:bloom")) == BLOOM_18.replace("ar ", "ar bn ")  # decisions/0002
    assert codes(parse("seen:bloom,!bn")) == BLOOM_18
    nine = every_language()[52:]
    assert codes(known for known in nine if known.llama) == "bg hu sr"
    assert codes(known for known in nine if known.bloom) == "eu"
    for known in every_language():
        assert (known.seen_by_llama, known.seen_by_bloom) == (known.llama, known.bloom)


def test_flores_codes_of_the_nine() -> None:
    assert " ".join(known.flores200 for known in every_language()[52:]) == (
        "hat_Latn quy_Latn eus_Latn bul_Cyrl hun_Latn als_Latn srp_Cyrl jav_Latn sun_Latn"
    )
    assert not any(known.mbart50 for known in every_language()[52:])


@EVERY
def test_the_native_name_is_in_the_declared_script(language: Language) -> None:
    assert letter_names(language.native) <= LETTERS[language.script]


def test_a_native_name_in_another_script_would_be_found() -> None:
    wrong = dataclasses.replace(get("sr"), native="srpski")
    assert not letter_names(wrong.native) <= LETTERS[wrong.script]


@EVERY
def test_flores_declares_the_same_script(language: Language) -> None:
    written = language.flores200.partition("_")[2]
    assert written == ("Hang" if language.code == "ko" else language.script)


@EVERY
def test_the_direction_is_that_of_the_letters(language: Language) -> None:
    leanings = {unicodedata.bidirectional(char) for char in language.native if char.isalpha()}
    assert bool(leanings & {"R", "AL"}) == (language.direction == "rtl")


def test_what_is_written_otherwise_than_english() -> None:
    every = every_language()
    assert codes(known for known in every if known.direction == "rtl") == "ar fa he ps ur"
    assert codes(known for known in every if not known.spaces) == "ja km my th zh"
    assert codes(known for known in every if known.script == "Cyrl") == "kk mk mn ru uk bg sr"
    google = {known.code: known.google for known in every if known.google != known.code}
    assert google == {"tl": "fil", "zh": "zh-CN"}


def test_groups_and_families() -> None:
    sizes = Counter(known.group for known in all_languages())
    assert " ".join(f"{group} {sizes[group]}" for group in sorted(sizes)) == (
        "austroasiatic 2 austronesian 2 baltic 2 bantu 2 dravidian 3 germanic 5 indic 7 iranian 2 "
        "japonic 1 kartvelian 1 koreanic 1 mongolic 1 romance 6 semitic 2 sino-tibetan 2 slavic 7 "
        "tai 1 turkic 3 uralic 2"
    )
    families = {known.code: known.family for known in every_language()}
    assert (families["fi"], families["hu"]) == ("Uralic", "Uralic")
    assert (families["vi"], families["km"]) == ("Austroasiatic", "Austroasiatic")
    assert (families["eu"], families["sq"]) == ("Isolate", "Indo-European")


def test_a_language_is_a_value() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        get("id").code = "in"  # type: ignore[misc]
    assert get("id") is get("ind")
    assert len({*every_language()}) == 61


# -- spellings ----------------------------------------------------------------------------


def test_every_spelling_means_one_language_only() -> None:
    owners: dict[str, set[str]] = {}
    for language in every_language():
        for word in language.spellings:
            owners.setdefault(word.casefold().replace("_", "-"), set()).add(language.code)
    assert {word: who for word, who in owners.items() if len(who) > 1} == {}


@EVERY
def test_every_spelling_is_understood_in_any_case(language: Language) -> None:
    for word in language.spellings:
        for typed in (word, word.upper(), f" {word} ", word.replace("_", "-")):
            assert get(typed) is language, typed
        assert get(unicodedata.normalize("NFD", word)) is language, word


@EVERY
def test_an_alias_is_listed_once_and_not_what_a_field_says_already(language: Language) -> None:
    plain = dataclasses.replace(language, aliases=())
    assert len(set(language.aliases)) == len(language.aliases)
    assert not set(language.aliases) & set(plain.spellings)


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("zh_CN", "zh"),
        ("zh-Hans", "zh"),
        ("ZHO_HANS", "zh"),
        ("中文", "zh"),
        ("simplified chinese", "zh"),
        ("iw", "he"),
        ("jw", "jv"),
        ("mo", "ro"),
        ("fil", "tl"),
        ("Filipino", "tl"),
        ("afr_Latn", "af"),
        ("pes", "fa"),
        ("farsi", "fa"),
        ("pt_BR", "pt"),
        ("en-US", "en"),
        ("es-419", "es"),
        ("de_DE", "de"),
        ("Japanese", "ja"),
        ("தமிழ்", "ta"),
        ("हिंदी", "hi"),
        ("TÜRKÇE", "tr"),
        ("tiếng việt", "vi"),
        ("Haitian_Creole", "ht"),
        ("sr-Cyrl", "sr"),
    ],
)
def test_other_spellings(typed: str, code: str) -> None:
    assert get(typed).code == code


def test_a_neighbour_is_not_taken_for_the_language() -> None:
    for other in ("arz", "ary_Arab", "azb", "als", "ckb", "zsm_Latn", "yue_Hant", "prs"):
        assert refused(get, other)[0] == f'unknown language "{other}"'


NO_TRADITIONAL = 'Traditional Chinese is not among the languages; Simplified Chinese is "zh"'
SEE_ALL = "bactrian languages prints them all"


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("jp", 'Japanese is "ja"'),
        ("cn", 'Chinese is "zh"'),
        ("kr", 'Korean is "ko"'),
        ("ua", 'Ukrainian is "uk"'),
        ("in", 'Indonesian is "id", Hindi is "hi"'),
        ("in_ID", 'Indonesian is "id", Hindi is "hi"'),
        ("za", 'Afrikaans is "af", Xhosa is "xh"'),
        ("dk", "Danish is not among the languages"),
        ("da_DK", "Danish is not among the languages"),
        ("gr", "Greek is not among the languages"),
        ("norwegian", "Norwegian is not among the languages"),
        ("prs_Arab", "Dari is not among the languages"),
        ("fa_AF", 'Dari is not among the languages; Persian of Iran is "fa"'),
        ("zh_TW", NO_TRADITIONAL),
        ("zh_Hant_HK", NO_TRADITIONAL),
        ("繁體中文", NO_TRADITIONAL),
        ("sr_Latn", 'Serbian is "sr"'),
        ("en-de", 'English is "en"'),
        ("indic", 'the group is "group:indic"'),
        ("ukranian", f"did you mean ukrainian? {SEE_ALL}"),
        ("francais", f"did you mean français? {SEE_ALL}"),
        ("xx", SEE_ALL),
        ("", SEE_ALL),
    ],
)
def test_a_wrong_spelling_is_refused_with_the_right_one(typed: str, hint: str) -> None:
    assert refused(get, typed) == (f'unknown language "{typed}"', hint)


def test_no_word_is_both_refused_and_understood() -> None:
    facts = tomllib.loads(files("bactrian").joinpath("languages.toml").read_text("utf-8"))
    told = [word for words in facts["refused"].values() for word in words]
    assert len(told) == len(set(told))
    for word in (*told, *facts["absent"], *facts["absent"].values()):
        assert refused(get, word)[1] != SEE_ALL
    for hint in facts["refused"]:
        for name, code in re.findall(r'(\w+)(?: of Iran)? is "(\w+)"', hint):
            assert get(code).name == name


# -- choosing several ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "chosen"),
    [
        ("id,ta", "id ta"),
        (" ta , id ", "ta id"),
        ("id,", "id"),
        ("id,Indonesian,ind_Latn,ta", "id ta"),
        ("group:indic", "bn gu hi mr ne si ur"),
        ("group:indic,id", "bn gu hi mr ne si ur id"),
        ("id,group:indic", "id bn gu hi mr ne si ur"),
        ("ur,group:indic", "ur bn gu hi mr ne si"),
        ("Group:Sino_Tibetan", "my zh"),
        ("group:slavic", "cs hr mk pl ru sl uk"),
        ("group:slavic,bg,sr", "cs hr mk pl ru sl uk bg sr"),
        ("group:romance,-es,!pt_BR", "fr gl it ro"),
        ("group:indic,-seen:bloom", "si"),
        ("!en,group:germanic", "af de nl sv"),
        ("seen:bloom,-group:indic,!group:romance", "ar en id ml sw ta te vi xh zh"),
        ("eu,ht", "eu ht"),
        ("seen: LLaMA,!group:slavic", "de en es fr it nl pt ro sv"),
    ],
)
def test_a_list_chooses_languages(spec: str, chosen: str) -> None:
    assert codes(parse(spec)) == chosen


def test_all_means_the_52() -> None:
    assert parse("all") == parse("ALL") == all_languages()
    for spec in ("all,!en", "all,-en", "!en,all", "all,en,!eng_Latn"):
        assert codes(parse(spec)) == THE_52.replace("en ", ""), spec
    assert codes(parse("all,ht")) == f"{THE_52} ht"


@pytest.mark.parametrize("base", ["llama", "bloom"])
def test_seen_and_unseen_share_out_the_52(base: str) -> None:
    seen, unseen = parse(f"seen:{base}"), parse(f"unseen:{base}")
    assert codes(sorted(seen + unseen, key=lambda known: known.code)) == THE_52
    assert len(unseen) == {"llama": 37, "bloom": 33}[base]


HOW = 'write codes such as "id,ta", or "all", "seen:llama", "group:indic"'
GROUPS = (
    "groups are: austroasiatic, austronesian, baltic, bantu, dravidian, germanic, indic, iranian, "
    "japonic, kartvelian, koreanic, mongolic, romance, semitic, sino-tibetan, slavic, tai, turkic, "
    "uralic"
)


@pytest.mark.parametrize(
    ("spec", "problem", "hint"),
    [
        ("", "no language is chosen", HOW),
        (" , ", "no language is chosen", HOW),
        ("id,jp", 'unknown language "jp"', 'Japanese is "ja"'),
        ("all,!jp", 'unknown language "jp"', 'Japanese is "ja"'),
        ("group:indi", 'unknown group "indi"', GROUPS),
        ("group:creole", 'the group "creole" has none of the 52 languages', 'choose by code: "ht"'),
        ("seen:gpt", 'unknown base "gpt"', "known are: bloom, llama"),
        ("unseen:lama", 'unknown base "lama"', "did you mean llama?"),
        ("family:indic", 'unknown selection "family:indic"', HOW),
        ("-en", '"-en" takes languages away from none', 'put "all" first: "all,-en"'),
        ("en,!en", '"en,!en" takes away every language it chooses', HOW),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(spec: str, problem: str, hint: str) -> None:
    assert refused(parse, spec) == (problem, hint)

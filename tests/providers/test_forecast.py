"""Tokens and lengths before any call, against real tokenizers' counts in 52 languages."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import timeit
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bactrian import languages
from bactrian.errors import ConfigError
from bactrian.providers import forecast
from bactrian.providers.forecast import Range

SHARED = Path(__file__).parents[3] / "shared" / "data"
ALL_52 = [known.code for known in languages.all_languages()]
ALL_61 = [known.code for known in languages.every_language()]
NOT_LATIN = [known.code for known in languages.all_languages() if known.script != "Latn"]
KHMER = "ផ្តល់គន្លឹះបីយ៉ាងដើម្បីរក្សាសុខភាព។"

# Tokens of the five sentences in tests/samples by OpenAI's o200k_base / cl100k_base (tiktoken).
COUNTED = """
af=135/163 ar=120/266 az=178/259 bn=179/583 cs=147/192 de=125/154 en=100/100 es=126/154
et=132/173 fa=162/330 fi=148/196 fr=131/153 gl=127/153 gu=184/743 he=141/350 hi=173/479
hr=150/184 id=119/151 it=142/162 ja=181/238 ka=165/905 kk=159/368 km=334/880 ko=141/232
lt=158/204 lv=189/239 mk=177/264 ml=187/862 mn=193/389 mr=181/506 my=301/1081 ne=165/489
nl=138/184 pl=152/182 ps=190/375 pt=116/137 ro=165/187 ru=124/219 si=277/898 sl=147/177
sv=129/152 sw=146/196 ta=211/805 te=206/855 th=215/474 tl=174/203 tr=145/181 uk=159/285
ur=175/431 vi=142/234 xh=171/206 zh=132/197
"""


def counted() -> Iterator[tuple[str, str, int]]:
    for told in COUNTED.split():
        code, _, numbers = told.partition("=")
        for tokenizer, number in zip(("o200k", "cl100k"), numbers.split("/"), strict=True):
            yield code, tokenizer, int(number)


def shared(*parts: str) -> Path:
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"the real data {'/'.join(parts)} are not at hand")
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    text = gzip.decompress(path.read_bytes()).decode("utf-8")
    return [json.loads(line) for line in text.split("\n") if line]


# -- tokens -------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "tokenizer", "number"), list(counted()))
def test_the_forecast_is_near_what_the_tokenizer_counts(
    sentences: Mapping[str, Sequence[str]], code: str, tokenizer: str, number: int
) -> None:
    guess = sum(forecast.tokens_of(text, code, tokenizer) for text in sentences[code])
    assert guess == pytest.approx(number, rel=0.15)


def test_all_52_were_counted() -> None:
    assert sorted({code for code, _, _ in counted()}) == ALL_52


@pytest.mark.parametrize("code", ALL_61)
def test_every_language_was_measured_and_no_rate_is_zero(code: str) -> None:
    for tokenizer in forecast.tokenizers():
        assert 0.15 < forecast.tokens_per_character(code, tokenizer) < 3.5
    assert (forecast._facts_of(code)["usual"] == 0) == (languages.get(code).script == "Latn")


def test_another_language_has_other_rates() -> None:
    """What one average would get wrong: Khmer against English, and by tokenizer."""
    rates = {name: forecast.tokens_per_character("km", name) for name in forecast.tokenizers()}
    assert rates["cl100k"] / forecast.tokens_per_character("en", "cl100k") > 7
    assert rates["cl100k"] / rates["o200k"] > 2.5
    assert rates["mistral"] / rates["o200k"] > 4


@pytest.mark.parametrize("code", ALL_52)
def test_a_longer_text_never_has_fewer_tokens(
    sentences: Mapping[str, Sequence[str]], code: str
) -> None:
    text = f"{sentences[code][0]} def f(x): return 2 * x 🐪 {sentences[code][1]}"
    guesses = [forecast.tokens_of(text[:end], code) for end in range(len(text) + 1)]
    assert guesses == sorted(guesses)
    assert guesses[0] == 0 < guesses[1]


@pytest.mark.parametrize("code", NOT_LATIN)
def test_english_within_another_script_is_taken_as_english(
    sentences: Mapping[str, Sequence[str]], code: str
) -> None:
    own, english = sentences[code][0], sentences["en"][0] * 3
    whole = forecast.tokens_of(own + english, code)
    apart = forecast.tokens_of(own, code) + forecast.tokens_of(english, "en")
    assert whole == pytest.approx(apart, rel=0.12)
    assert forecast.tokens_of(english, code) == forecast.tokens_of(english, "en")


def test_text_that_is_no_unicode_is_counted_all_the_same() -> None:
    assert forecast.tokens_of("\ud83d half a camel", "km") > 1


def test_a_forecast_takes_less_than_three_microseconds() -> None:
    for text, code in (((KHMER * 9)[:200], "km"), ("a camel " * 25, "en")):
        assert len(text) == 200
        told = {"tokens_of": forecast.tokens_of, "text": text, "code": code}
        best = min(timeit.repeat("tokens_of(text, code)", globals=told, number=20_000))
        assert best / 20_000 < 3e-6


@pytest.mark.parametrize(
    ("model", "tokenizer"),
    [
        ("gpt-3.5-turbo-0125", "cl100k"),
        ("gpt-4-turbo", "cl100k"),
        ("gpt-4o-mini", "o200k"),
        ("openai/gpt-4.1-nano", "o200k"),
        ("Qwen/Qwen2.5-7B-Instruct-Turbo", "qwen"),
        ("deepseek-chat", "deepseek"),
        ("ministral-8b-latest", "mistral"),
        ("meta-llama/Llama-2-7b-chat-hf", "llama"),
        ("a-model-that-nobody-has-heard-of", forecast.TOKENIZER),
        ("", forecast.TOKENIZER),
    ],
)
def test_a_model_has_a_tokenizer(model: str, tokenizer: str) -> None:
    assert forecast.tokenizer_of(model) == tokenizer
    assert tokenizer in forecast.tokenizers()


def test_an_unknown_tokenizer_is_refused_with_the_nearest() -> None:
    for wrong in ("o200", "length", "usual"):
        with pytest.raises(ConfigError) as told:
            forecast.tokens_of("camel", "en", wrong)
        assert wrong in told.value.problem
    with pytest.raises(ConfigError, match="did you mean o200k"):
        forecast.tokens_of("camel", "en", "o200")


# -- languages that were not measured -----------------------------------------------------


def test_an_unknown_language_is_taken_by_its_script_and_then_by_all_scripts() -> None:
    bengali = forecast.tokens_per_character("bn")
    assert forecast.tokens_per_character("as_Beng") == pytest.approx(bengali)
    assert forecast.tokens_per_character("as-beng") == pytest.approx(bengali)
    lao = forecast.tokens_per_character("lo_Laoo")
    assert lao == forecast.tokens_per_character("zz") == forecast.tokens_per_character("")
    rates = {forecast.tokens_per_character(code) for code in NOT_LATIN}
    assert min(rates) < lao < max(rates)
    assert forecast.characters_ratio("lo_Laoo").middle > 0
    assert forecast.tokens_of("ສະບາຍດີ", "lo_Laoo") > 2


def test_a_script_is_the_mean_of_its_languages() -> None:
    hindi_marathi_nepali = [forecast.tokens_per_character(code) for code in ("hi", "mr", "ne")]
    bhojpuri = forecast.tokens_per_character("bho_Deva")
    assert min(hindi_marathi_nepali) < bhojpuri < max(hindi_marathi_nepali)


@pytest.mark.parametrize("code", ALL_61)
def test_every_spelling_of_a_language_means_it(code: str) -> None:
    for spelling in languages.get(code).spellings:
        same = forecast.tokens_per_character(spelling)
        assert same == forecast.tokens_per_character(code)


# -- lengths ------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ALL_61)
def test_a_length_is_a_range(code: str) -> None:
    ratio = forecast.characters_ratio(code)
    if code == "en":
        assert ratio == Range(1.0, 1.0, 1.0)
    else:
        assert 0.2 < ratio.low < ratio.middle < ratio.high < 1.8


@pytest.mark.parametrize("code", ALL_52)
def test_the_lengths_of_human_translations_are_near_it(
    sentences: Mapping[str, Sequence[str]], code: str
) -> None:
    ratio = forecast.characters_ratio(code)
    own, english = (
        sum(len(text.replace("\u200b", "")) for text in sentences[each]) for each in (code, "en")
    )
    assert own / english == pytest.approx(ratio.middle, rel=0.25)  # of five sentences


@pytest.mark.parametrize("code", ALL_61)
def test_answers_cost_more_than_their_translation_would(code: str) -> None:
    answer = forecast.response_tokens(270.3, code)
    translated = 270.3 * forecast.characters_ratio(code).middle
    tokens = translated * forecast.tokens_per_character(code)
    assert 0 < answer.low <= tokens < answer.middle < answer.high
    assert forecast.response_tokens(540.6, code).middle == pytest.approx(2 * answer.middle)
    assert forecast.response_tokens(0, code) == Range(0.0, 0.0, 0.0)


# -- against what was measured by others --------------------------------------------------


def test_the_papers_table_1_lies_within_the_range() -> None:
    """Li et al. 2023: 134 tokens a response; outputs of Alpaca and Dolly have 266 characters."""
    for base, codes, said in (
        ("mbart50", ALL_52, 133.65),
        ("llama", [known.code for known in languages.parse("seen:llama")], 185.18),
        ("llama", [known.code for known in languages.parse("unseen:llama")], 448.61),
    ):
        ranges = [forecast.response_tokens(265.6, code, base) for code in codes]
        low, high = (
            sum(getattr(each, end) for each in ranges) / len(ranges) for end in ("low", "high")
        )
        middle = sum(each.middle for each in ranges) / len(ranges)
        assert low < said < high
        assert 0.65 < said / middle < 0.78  # the middle lies between it and later models


@pytest.mark.parametrize(
    ("file", "code"), [("zh_carbonz0_0_10020.jsonl.gz", "zh"), ("km_google_1551.jsonl.gz", "km")]
)
def test_the_tokens_of_translated_instructions_are_foretold(file: str, code: str) -> None:
    from tokenizers import Tokenizer

    rows = lines(shared("alpaca_translated", file))[:1551]
    table = gzip.decompress(shared("tokenizers", "mbart50", "tokenizer.json.gz").read_bytes())
    rows = [row.get(code, row) for row in rows]
    texts = [row[key] for row in rows for key in ("instruction", "input", "output")]
    encoded = Tokenizer.from_str(table.decode()).encode_batch(texts, add_special_tokens=False)
    real = sum(len(read.ids) for read in encoded)
    guess = sum(forecast.tokens_of(text, code, "mbart50") for text in texts)
    assert guess == pytest.approx(real, rel=0.05)


def test_the_length_of_googles_khmer_lies_within_the_range() -> None:
    rows = lines(shared("alpaca_translated", "km_google_1551.jsonl.gz"))
    keys = ("instruction", "input", "output")
    own, english = (
        sum(len(row[side][key]) for row in rows for key in keys) for side in ("km", "en")
    )
    ratio = forecast.characters_ratio("km")
    assert ratio.low < own / english < ratio.high


def test_the_table_needs_nothing_heavy() -> None:
    script = (
        "import sys; from bactrian.providers.forecast import tokens_of; tokens_of('a', 'km');"
        "print([name for name in ('numpy', 'tokenizers', 'tiktoken', 'pyarrow', 'torch')"
        " if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"

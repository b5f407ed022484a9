"""Tokenizers in GGUF files: llama.cpp gives the ids that transformers gives, in 52 languages."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("gguf")

import gguf_toys as toys

from bactrian.errors import ConfigError, MissingExtra
from bactrian.models.base import cache_folder
from bactrian.models.fit import ids_of
from bactrian.publish.gguf import choosing, pretokenizers, vocabulary
from bactrian.publish.gguf.choosing import vocabulary_of
from bactrian.publish.gguf.proof import composes
from bactrian.publish.gguf.texts import ODD
from bactrian.publish.gguf.vocabulary import PREFIX, readings

SHARED = Path(__file__).parents[3] / "shared" / "data"
FLORES = SHARED / "flores_sib200"
EACH = 20
MARKS_LEFT_OUT = ("tekken", "gpt-4o")
"""What llama.cpp calls so leaves the marks of Arabic and Indic scripts out; another name is found.
"""
LLAMA3, QWEN2 = pretokenizers.LLAMA3, pretokenizers.QWEN2
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""What a ByteLevel step cuts by when nothing cuts before it (Radford et al. 2019)."""


@pytest.fixture(scope="session")
def lines(sentences: Mapping[str, Sequence[str]]) -> list[str]:
    return [text for code in ("en", "zh", "hi", "ar", "ru", "th", "vi") for text in sentences[code]]


@pytest.fixture(scope="session")
def spoken(sentences: Mapping[str, Sequence[str]]) -> list[str]:
    """Two sentences in each language, and odd ones."""
    return [*(text for texts in sentences.values() for text in texts[:2]), *ODD]


@pytest.fixture(scope="session")
def flores() -> list[str]:
    if not FLORES.is_dir():
        pytest.skip("FLORES is not beside the repository")
    found = []
    for path in sorted(FLORES.glob("*.tsv.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            found += [row["text"].strip() for row, _ in zip(rows, range(EACH), strict=False)]
    return found


def cut(regex: str) -> Any:
    from tokenizers import Regex, pre_tokenizers

    return pre_tokenizers.Split(Regex(regex), "isolated")


def first(tokenizer: Any, folder: Path = Path("none"), more: int = 0) -> vocabulary.Vocabulary:
    return next(readings(tokenizer, ids_of(tokenizer) + more, folder))


def real(name: str) -> Path:
    """Return the folder of a tokenizer that is really used; skips where it is not here."""
    folder = SHARED / {"llama": "tokenizers/llama", "stories": "models/stories260K"}.get(name, "-")
    if name == "smollm2":
        found = sorted((cache_folder() / "bases").glob("SmolLM2-135M-*"))
        folder = found[0] if found else folder
    if not folder.is_dir():
        pytest.skip(f"the tokenizer of {name} is not here")
    return folder


@pytest.mark.parametrize("name", ["llama", "stories", "smollm2", "fast only", "bloom"])
def test_ids_are_equal_on_flores_in_52_languages(
    name: str, flores: list[str], lines: list[str]
) -> None:
    pytest.importorskip("xllamacpp")
    from transformers import AutoTokenizer
    from transformers.utils import logging

    folder = Path("none")
    if name in ("fast only", "bloom"):
        tokenizer = toys.by_pieces(lines) if name == "fast only" else toys.by_bytes(flores[::5])
    else:
        folder = real(name)
        logging.set_verbosity_error()  # a text longer than the toy's context is no trouble here
        tokenizer = AutoTokenizer.from_pretrained(folder)
    assert len(flores) == 52 * EACH
    # raises where any text is read otherwise
    way = vocabulary_of(tokenizer, ids_of(tokenizer) + 3, folder, [*flores, *ODD])
    wanted = {"smollm2": "gpt2 (gpt-2)", "bloom": "gpt2 (bloom)"}
    assert way.name == wanted.get(name, "llama (default)")


def test_flat_scores_would_be_found_out(
    lines: list[str], spoken: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xllamacpp")
    tokenizer = toys.by_pieces(lines)
    monkeypatch.setattr(vocabulary, "_scores", lambda tokens, merges, own: [-1000.0] * len(tokens))
    with pytest.raises(ConfigError, match="in every way it knows"):
        vocabulary_of(tokenizer, ids_of(tokenizer), Path("none"), spoken)


def test_earlier_merges_have_higher_scores(lines: list[str]) -> None:
    tokenizer = toys.by_pieces(lines)
    keys = first(tokenizer).keys
    told = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    scores = dict(zip(keys[f"{PREFIX}tokens"], keys[f"{PREFIX}scores"], strict=True))
    made = ["".join(merge) for merge in told["merges"]]
    assert scores[made[0]] == 0
    assert scores[made[5]] > scores[made[90]]
    assert scores["<s>"] == vocabulary.NEVER
    assert keys[f"{PREFIX}add_space_prefix"] is True


def test_sentencepieces_own_scores_are_kept_where_it_reads_the_same() -> None:
    pytest.importorskip("sentencepiece")
    from transformers import AutoTokenizer

    folder = real("llama")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = ids_of(tokenizer)
    plain = ["Ein Satz.", "一句话。"]
    own = next(readings(tokenizer, rows, folder, plain)).keys[f"{PREFIX}scores"]
    ranks = next(readings(tokenizer, rows, folder, [*plain, "two  spaces"])).keys[f"{PREFIX}scores"]
    spaces = tokenizer.convert_tokens_to_ids("▁▁")
    assert own[spaces] == -1e9  # SentencePiece joins spaces last of all
    assert ranks[spaces] > -100  # transformers 5 joins them first


@pytest.mark.parametrize(
    ("name", "regex", "whole_words"),
    [
        ("gpt-2", "", False),
        ("smollm", "digits", False),
        ("bloom", pretokenizers.BLOOM, False),
        ("llama-bpe", LLAMA3, True),
        ("smaug-bpe", LLAMA3, False),
        ("qwen2", QWEN2, False),
        ("tekken", pretokenizers.TEKKEN, True),
        ("gpt-4o", pretokenizers.GPT4O, False),
    ],
)
def test_cuts_are_recognised_and_equal(
    name: str, regex: str, whole_words: bool, lines: list[str], spoken: list[str]
) -> None:
    pytest.importorskip("xllamacpp")
    from tokenizers import pre_tokenizers

    cuts = [cut(regex)] if regex else []
    if regex == "digits":
        cuts = [pre_tokenizers.Digits(individual_digits=True)]
    if not regex:
        cuts = [pre_tokenizers.Sequence([])]
    tokenizer = toys.by_bytes(lines, *cuts, whole_words=whole_words)
    told = json.loads(tokenizer.backend_tokenizer.to_str())
    assert pretokenizers.recognised(told) == name
    way = vocabulary_of(tokenizer, ids_of(tokenizer), Path("none"), spoken)
    assert way.pre == name or name in MARKS_LEFT_OUT


def test_cuts_that_have_no_name_here_are_found_by_trying(
    lines: list[str], spoken: list[str]
) -> None:
    pytest.importorskip("xllamacpp")
    tokenizer = toys.by_bytes(lines, cut(GPT2))  # GPT-2's, spelt out
    told = json.loads(tokenizer.backend_tokenizer.to_str())
    assert pretokenizers.recognised(told) is None
    assert vocabulary_of(tokenizer, ids_of(tokenizer), Path("none"), spoken).pre == "gpt-2"


def test_cuts_that_llama_cpp_does_not_know_are_refused(
    lines: list[str], spoken: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xllamacpp")
    monkeypatch.setattr(pretokenizers, "OTHERS", ("gpt-2", "bloom", "no-such-name"))
    tokenizer = toys.by_bytes(lines, cut("e|[^e]+"))
    with pytest.raises(ConfigError, match="otherwise than the base's tokenizer in every way"):
        vocabulary_of(tokenizer, ids_of(tokenizer), Path("none"), spoken)


def test_cuts_without_a_name_need_llama_cpp(
    lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "installed", lambda: False)
    tokenizer = toys.by_bytes(lines, cut(GPT2))
    with pytest.raises(MissingExtra, match="not known here by name"):
        vocabulary_of(tokenizer, ids_of(tokenizer), Path("none"), [])
    known = toys.by_bytes(lines)
    assert vocabulary_of(known, ids_of(known), Path("none"), []).pre == "bloom"


@pytest.mark.parametrize("within", [False, True], ids=["alone", "in a sequence"])
def test_a_tokenizer_that_composes_letters_is_held_against_composed_texts(
    within: bool, lines: list[str]
) -> None:
    pytest.importorskip("xllamacpp")
    from tokenizers import normalizers

    tokenizer = toys.by_bytes(lines)
    assert not composes(tokenizer)
    composing = normalizers.NFC()
    tokenizer.backend_tokenizer.normalizer = (
        normalizers.Sequence([composing]) if within else composing
    )
    assert composes(tokenizer)
    # raises where the text reaches llama.cpp as it is written here: e and its accent apart
    vocabulary_of(tokenizer, ids_of(tokenizer), Path("none"), ["un cafe\u0301", *ODD])


def test_tokens_have_their_types(lines: list[str]) -> None:
    tokenizer = toys.by_pieces(lines)
    tokenizer.add_tokens(["[name]"])
    keys = first(tokenizer, more=2).keys
    types = dict(zip(keys[f"{PREFIX}tokens"], keys[f"{PREFIX}token_type"], strict=True))
    assert types["<s>"] == vocabulary.CONTROL
    assert types["<unk>"] == vocabulary.UNKNOWN
    assert types["<0x0A>"] == vocabulary.BYTE
    assert types["[name]"] == vocabulary.USER_DEFINED
    assert types[f"[PAD{ids_of(tokenizer)}]"] == vocabulary.UNUSED
    assert types["▁"] == vocabulary.NORMAL


@pytest.mark.parametrize(("single", "begins", "ends"), [("$A", 0, 0), ("<s> $A </s>", 1, 1)])
def test_the_tokenizer_is_asked_what_it_adds(
    single: str, begins: int, ends: int, lines: list[str]
) -> None:
    from tokenizers import processors

    tokenizer = toys.by_bytes(lines)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    keys = first(tokenizer).keys
    assert keys[f"{PREFIX}add_bos_token"] is bool(begins)
    assert keys[f"{PREFIX}add_eos_token"] is bool(ends)
    assert keys[f"{PREFIX}padding_token_id"] == 3


def test_other_tokens_around_a_text_are_refused(lines: list[str]) -> None:
    from tokenizers import processors

    tokenizer = toys.by_bytes(lines)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<pad> $A", special_tokens=[("<pad>", 3)]
    )
    with pytest.raises(ConfigError, match="sets <pad> around a text"):
        first(tokenizer)


def test_more_ids_than_rows_are_refused(lines: list[str]) -> None:
    tokenizer = toys.by_bytes(lines)
    with pytest.raises(ConfigError, match=r"has 900 ids and the embedding 899 rows"):
        first(tokenizer, more=-1)


def test_unigrams_are_refused() -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0)], 0))
    with pytest.raises(ConfigError, match="of the kind Unigram"):
        first(PreTrainedTokenizerFast(tokenizer_object=inner))


def test_every_language_has_its_text() -> None:
    from bactrian.languages import parse
    from bactrian.publish.gguf.texts import sentences

    assert sorted(sentences()) == sorted(language.code for language in parse("all"))
    assert all(len(text) > 40 or code in ("zh", "ja", "ko") for code, text in sentences().items())

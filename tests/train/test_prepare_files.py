"""Languages become files of ids once, whole or not at all, and nothing goes missing unsaid."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import ConfigError, DataError
from bactrian.models import base, prompts
from bactrian.schema import Example
from bactrian.text import grapheme_count
from bactrian.train import encode_texts, encoding
from bactrian.train.encoding import Encoder
from bactrian.train.prepare import LanguageRows, Limits, Prepared, prepare, prepare_files
from bactrian.train.shorten import is_boundary

pytest.importorskip("transformers")

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="module")
def tokenizer(tiny_base: Path) -> Any:
    return base.tokenizer_of(base.locate(str(tiny_base)))


@dataclass
class Rows:
    """A language whose rows are counted as they are read."""

    code: str
    examples: Sequence[Example]
    content: str = ""
    drawn: list[str] = field(default_factory=list)

    def source(self) -> LanguageRows:
        return LanguageRows(self.code, self.content or self.code, self.read, len(self.examples))

    def read(self) -> Iterator[Example]:
        for example in self.examples:
            self.drawn.append(example.id)
            yield example


def many(sentences: Mapping[str, Sequence[str]], *codes: str, times: int = 1) -> list[Rows]:
    """Return rows of each language: every sentence asked about, answered by the next ones."""
    return [
        Rows(
            code,
            [
                Example(
                    f"flores-{turn}-{place}",
                    code,
                    sentences[code][place],
                    sentences[code][(place + 1) % 5] if place % 2 else "",
                    " ".join(sentences[code][: 1 + (place + turn) % 5]),
                )
                for turn in range(times)
                for place in range(5)
            ],
        )
        for code in codes
    ]


def told(prepared: Prepared) -> list[tuple[str, list[int], int]]:
    """Return (language, ids, tokens of the prompt) of every row."""
    rows = [prepared.row(index) for index in range(len(prepared))]
    return [(prepared.names[language], ids.tolist(), prompt) for ids, prompt, language in rows]


@pytest.fixture
def encoder(tokenizer: Any) -> Encoder:
    return Encoder(tokenizer, prompts.BACTRIAN, Limits(900), len(tokenizer))


def test_files_hold_what_is_encoded_in_memory(
    tokenizer: Any, sentences: Mapping[str, Sequence[str]], tmp_path: Path
) -> None:
    rows = many(sentences, *sentences, times=2)
    encoder = Encoder(tokenizer, prompts.BACTRIAN, Limits(900, overlong="refuse"))
    found = prepare_files([each.source() for each in rows], encoder, tmp_path, may_lack=True)
    flat = [example for each in rows for example in each.examples]
    beside = prepare(flat, tokenizer, prompts.BACTRIAN, 900)
    assert told(found) == told(beside)
    assert found.names == beside.names
    assert found.too_long == beside.too_long != {}
    assert len(found) + sum(found.too_long.values()) == len(flat) == 520


@pytest.mark.parametrize("parallel", ["false", "true"])
def test_many_groups_stay_in_their_order(
    parallel: str,
    encoder: Encoder,
    sentences: Mapping[str, Sequence[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = many(sentences, "en", "th", times=9)
    whole = told(prepare_files([each.source() for each in rows], encoder, tmp_path / "one"))
    monkeypatch.setenv(encode_texts.PARALLEL, parallel)
    monkeypatch.setattr(encoding, "GROUP", 4)
    found = prepare_files([each.source() for each in rows], encoder, tmp_path / "many")
    assert told(found) == whole
    assert len(found.tokens.blocks) > 20


def test_finished_languages_are_not_read_again(
    encoder: Encoder, sentences: Mapping[str, Sequence[str]], tmp_path: Path
) -> None:
    rows = many(sentences, "en", "km", "zh")
    first = prepare_files([each.source() for each in rows], encoder, tmp_path)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = many(sentences, "en", "km", "zh", "vi")
    found = prepare_files([each.source() for each in again], encoder, tmp_path)
    assert [len(each.drawn) for each in again] == [0, 0, 0, 5]
    assert told(found)[: len(first)] == told(first)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    alone = many(sentences, "km")
    one = prepare_files([alone[0].source()], encoder, tmp_path)
    assert alone[0].drawn == []
    assert {language for language, _, _ in told(one)} == {"km"}


def test_other_rows_limits_styles_and_tokenizers_are_other_files(
    tokenizer: Any, sentences: Mapping[str, Sequence[str]], tmp_path: Path
) -> None:
    (rows,) = many(sentences, "en")
    limits = Limits(900)
    for encoder in (
        Encoder(tokenizer, prompts.BACTRIAN, limits),
        Encoder(tokenizer, prompts.ALPACA, limits),
        Encoder(tokenizer, prompts.BACTRIAN, Limits(899)),
    ):
        prepare_files([rows.source()], encoder, tmp_path)
    rows.content = "other"
    prepare_files([rows.source()], Encoder(tokenizer, prompts.BACTRIAN, limits), tmp_path)
    assert len(list(tmp_path.iterdir())) == 4
    assert len(rows.drawn) == 4 * 5
    found = prepare_files(
        [rows.source()],
        Encoder(tokenizer, prompts.BACTRIAN, limits),
        tmp_path,
        train_on_inputs=True,
    )
    assert len(rows.drawn) == 4 * 5, "where the loss is changes no file"
    assert (found.targets == found.lengths - 1).all()


def test_a_file_that_was_cut_or_is_anothers_is_made_anew(
    encoder: Encoder, sentences: Mapping[str, Sequence[str]], tmp_path: Path
) -> None:
    (rows,) = many(sentences, "my")
    first = told(prepare_files([rows.source()], encoder, tmp_path))
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"other"):
        path.write_bytes(damaged)
        rows.drawn.clear()
        assert told(prepare_files([rows.source()], encoder, tmp_path)) == first
        assert len(rows.drawn) == 5
        assert path.read_bytes() == whole


def test_a_stop_costs_the_language_that_was_in_the_making(
    encoder: Encoder,
    sentences: Mapping[str, Sequence[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = many(sentences, "en", "zh")

    def stopped() -> Iterator[Example]:
        yield from rows[1].examples[:2]
        raise KeyboardInterrupt

    monkeypatch.setattr(encoding, "GROUP", 1)
    monkeypatch.setenv(encode_texts.PARALLEL, "true")
    with pytest.raises(KeyboardInterrupt):
        prepare_files(
            [rows[0].source(), replace(rows[1].source(), read=stopped)], encoder, tmp_path
        )
    assert [path.name[:3] for path in tmp_path.iterdir()] == ["en-"]
    rows[0].drawn.clear()
    prepare_files([each.source() for each in rows], encoder, tmp_path)
    assert (len(rows[0].drawn), len(rows[1].drawn)) == (0, 5)


def test_shortened_rows_are_counted_and_made_of_whole_characters(
    tokenizer: Any, sentences: Mapping[str, Sequence[str]], tmp_path: Path
) -> None:
    rows = many(sentences, *sentences)
    encoder = Encoder(tokenizer, prompts.BACTRIAN, Limits(800))
    found = prepare_files([each.source() for each in rows], encoder, tmp_path, may_lack=True)
    assert found.lengths.max() <= 800
    assert sum(found.shortened.values()) > 50
    assert len(found) + sum(found.too_long.values()) == 52 * 5
    whole = {
        (code, example.instruction): example.output
        for code, each in zip(sentences, rows, strict=True)
        for example in each.examples
    }
    for code, ids, prompt in told(found):
        text, output = tokenizer.decode(ids[1:prompt]), tokenizer.decode(ids[prompt:-1])
        assert ids[-1] == tokenizer.eos_token_id
        assert text.endswith("\n\n### Output:\n")
        asked = text.removeprefix("### Input:\n").partition("\n\n")[0]
        answer = whole[code, asked]
        assert answer.startswith(output)
        assert is_boundary(answer, len(output))


def test_a_language_of_which_nothing_is_left_is_named(
    tokenizer: Any, sentences: Mapping[str, Sequence[str]], tmp_path: Path
) -> None:
    rows = many(sentences, "en", "km")
    rows[1].examples = [replace(rows[1].examples[0], output=" ") for _ in range(3)]
    encoder = Encoder(tokenizer, prompts.BACTRIAN, Limits(700))
    with pytest.raises(DataError, match=r"km: no rows to train on \(0 longer .* 3 without"):
        prepare_files([each.source() for each in rows], encoder, tmp_path)
    found = prepare_files([each.source() for each in rows], encoder, tmp_path, may_lack=True)
    assert (found.names, found.empty) == (("en",), {"km": 3})
    with pytest.raises(DataError, match=r"^no rows .* 3 without"):
        prepare_files([rows[1].source()], encoder, tmp_path, may_lack=True)
    with pytest.raises(DataError, match="zh: there are no rows"):
        prepare_files([Rows("zh", []).source()], encoder, tmp_path)
    with pytest.raises(DataError, match=r"^there are no rows"):
        prepare_files([], encoder, tmp_path)


def test_a_tokenizer_of_another_base_is_refused_with_and_without_files(
    tokenizer: Any, sentences: Mapping[str, Sequence[str]], tmp_path: Path
) -> None:
    (rows,) = many(sentences, "zh")
    found = prepare_files(
        [rows.source()], Encoder(tokenizer, prompts.BACTRIAN, Limits(900)), tmp_path / "there"
    )
    largest = max(int(ids.max()) for ids in found.tokens.blocks)
    short = Encoder(tokenizer, prompts.BACTRIAN, Limits(900), largest)
    for folder in ("there", "new"):
        with pytest.raises(ConfigError, match=f"gives the id {largest}"):
            prepare_files([rows.source()], short, tmp_path / folder)


def test_settings_that_cannot_be_meant_are_refused(
    tokenizer: Any, sentences: Mapping[str, Sequence[str]], tmp_path: Path
) -> None:
    (rows,) = many(sentences, "zh")
    with pytest.raises(ConfigError, match=r"max_tokens = 12 .* bactrian alone takes"):
        prepare_files([rows.source()], Encoder(tokenizer, prompts.BACTRIAN, Limits(12)), tmp_path)
    both = Encoder(tokenizer, prompts.BACTRIAN, Limits(900, encoder_decoder=True))
    with pytest.raises(ConfigError, match="train_on_inputs has no meaning"):
        prepare_files([rows.source()], both, tmp_path, train_on_inputs=True)
    assert rows.drawn == []


def test_no_core_is_left_to_hang_after_a_fork(
    encoder: Encoder,
    sentences: Mapping[str, Sequence[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(encode_texts.PARALLEL, encode_texts.OURS)
    rows = many(sentences, "en")
    prepare_files([each.source() for each in rows], encoder, tmp_path)
    assert encode_texts.PARALLEL in os.environ
    assert os.environ[encode_texts.PARALLEL].lower() == "false"


@pytest.mark.parametrize("name", ["zh_carbonz0_0_10020", "km_google_1551"])
def test_real_rows_through_the_real_llama_tokenizer(name: str, tmp_path: Path) -> None:
    folder, file = DATA / "tokenizers" / "llama", DATA / "alpaca_translated" / f"{name}.jsonl.gz"
    if not folder.is_dir() or not file.is_file():
        pytest.skip("the shared LLaMA tokenizer and Alpaca translations are not beside this clone")
    from transformers import AutoTokenizer

    llama, code = AutoTokenizer.from_pretrained(folder), name[:2]
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        read = [json.loads(line) for line, _ in zip(lines, range(400), strict=False)]
    read = [row.get(code, row) for row in read]
    rows = Rows(
        code,
        [
            Example(str(place), code, row["instruction"], row["input"], row["output"])
            for place, row in enumerate(read)
        ],
    )
    limit = 220
    encoder = Encoder(llama, prompts.ALPACA, Limits(limit), 32000)
    found = prepare_files([rows.source()], encoder, tmp_path)
    left = sum(found.too_long.values()) + sum(found.empty.values())
    assert found.shortened[code] > 10
    assert len(found) + left == len(rows.examples)
    outputs = {example.output for example in rows.examples}
    for _, ids, prompt in told(found):
        text = llama.decode(ids[prompt:-1])
        assert (
            (len(ids) <= limit) and ids[-1] == llama.eos_token_id and ids[0] == llama.bos_token_id
        )
        assert llama.decode(ids[:prompt]).endswith("\n\n### Response:\n")
        assert "\ufffd" not in text
        source = next(output for output in outputs if output.startswith(text))
        assert is_boundary(source, len(text))
        assert grapheme_count(source[: len(text)]) == grapheme_count(text)

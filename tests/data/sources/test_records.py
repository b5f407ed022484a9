"""Files of every kind, whole and broken: what is there, or the place where it breaks."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from bactrian.data.sources import json_array
from bactrian.data.sources.json_faults import kind_of
from bactrian.data.sources.record import Record
from bactrian.data.sources.records import digest, is_known, opened, records
from bactrian.errors import DataError

BROKEN = Path("alpaca_translated") / "zh_hikariming_9407_12344_broken.json.gz"
SHARED = Path(__file__).parents[3].parent / "shared" / "data"
CUT = "ended before the end-of-stream marker was reached"


def written(tmp_path: Path, name: str, data: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
    return path


def problem_of(path: Path) -> str:
    """Return what is said of the file, without the folder."""
    with pytest.raises(DataError) as told:
        list(records(path))
    assert told.value.hint
    return told.value.problem.replace(f"{path.parent}/", "")


@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "a.jsonl", "a.jsonl.gz"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_every_kind_of_file_gives_the_same_records(
    tmp_path: Path, name: str, end: str, mark: str
) -> None:
    rows = ['{"a": "中文 עברית \\n"}', '{"a": "x \u2028\u0085"}', "3"]
    text = end.join(rows) if "jsonl" in name else f"[{end}{f',{end}'.join(rows)}{end}]{end}"
    data = f"{mark}{text}".encode()
    path = written(tmp_path, name, gzip.compress(data) if name.endswith("gz") else data)
    first = 1 if "jsonl" in name else 2
    assert list(records(path)) == [
        Record(first, {"a": "中文 עברית \n"}),
        Record(first + 1, {"a": "x \u2028\u0085"}),
        Record(first + 2, 3),
    ]


def test_empty_lines_are_skipped_and_counted(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", '\n  \r\n{"a": 1}\n\n{"a": 2}')
    assert list(records(path)) == [Record(3, {"a": 1}), Record(5, {"a": 2})]
    assert list(records(written(tmp_path, "b.jsonl", ""))) == []
    assert list(records(written(tmp_path, "b.json", " [ ] \n"))) == []


def test_rows_on_one_line_and_over_several_have_their_lines(tmp_path: Path) -> None:
    path = written(tmp_path, "a.json", '[1, 2,\n{"a":\n[3]}, 4\n,\n5]')
    assert [record.line for record in records(path)] == [1, 1, 2, 3, 5]


# what is expected and what is found: every fault that Python's parser knows, in one sentence each
FAULTS = {
    "[1,": "line 1, column 4: expected a value, found the end of the file",
    "[": "line 1, column 2: expected a value, found the end of the file",
    "[1,\n]": "line 2, column 1: expected a value, found ']'",
    "['a']": "line 1, column 2: expected a value, found ''a']'",
    "[1, tru]": "line 1, column 5: expected a value, found 'tru]'",
    "[1 2]": "line 1, column 4: expected a comma or a closing bracket, found '2]'",
    '[{"a": 1 "b": 2}]': (
        "line 1, column 10: expected a comma or a closing bracket, found '\"b\": 2}]'"
    ),
    '[{"a": 1}\n{"b": 1}]': (
        "line 2, column 1: expected a comma or a closing bracket, found '{\"b\": 1}]'"
    ),
    '[{"a": 1}': (
        "line 1, column 10: expected a comma or a closing bracket, found the end of the file"
    ),
    '[{"a" 1}]': "line 1, column 7: expected a colon after the name, found '1}]'",
    "[{a: 1}]": "line 1, column 3: expected a name in double quotes, found 'a: 1}]'",
    '[{"a": "xyz': (
        "line 1, column 8: expected a closing quote for the text that begins with '\"xyz'"
    ),
    '[{"a": "x\ny"}]': (
        "line 1, column 10: expected an escape such as \\n inside the text, found a line break"
    ),
    '[{"a": "x\ty"}]': (
        "line 1, column 10: expected an escape such as \\n inside the text, found a tab"
    ),
    '["\\x"]': "line 1, column 3: expected an escape such as \\n, found '\\x\"]'",
    '["\\u12"]': "line 1, column 4: expected four hexadecimal digits after \\u, found 'u12\"]'",
    "[1] [2]": "line 1, column 5: expected the end, found '[2]'",
    "[1]\n]": "line 2, column 1: expected the end, found ']'",
    "[\x1b[31m]": "line 1, column 2: expected a value, found '\\x1b[31m]'",
    "": "line 1: expected a list of rows, found nothing",
    '\n{"a": 1}\n': "line 2: expected a list of rows, found an object",
    '{"a": 1} {"a": 2}': "line 1: expected a list of rows, found an object",
    '"a"': "line 1: expected a list of rows, found a text",
}


@pytest.mark.parametrize("window", [1, 2, 7, json_array.CHUNK])
@pytest.mark.parametrize("text", FAULTS)
def test_a_fault_is_said_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, window: int
) -> None:
    monkeypatch.setattr(json_array, "CHUNK", window)
    assert problem_of(written(tmp_path, "a.json", text)) == f"a.json, {FAULTS[text]}"
    packed = written(tmp_path, "a.json.gz", gzip.compress(text.encode()))
    assert problem_of(packed) == f"a.json.gz, {FAULTS[text]}"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"a": 1', "column 8: expected a comma or a closing bracket, found the end of the line"),
        ('{"a": 1},', "column 9: expected the end, found ','"),
        ("[", "column 2: expected a value, found the end of the line"),
        ("hello", "column 1: expected a value, found 'hello'"),
    ],
)
def test_a_broken_line_is_named_after_the_good_ones(tmp_path: Path, line: str, told: str) -> None:
    path = written(tmp_path, "a.jsonl", f'{{"a": 0}}\r\n\r\n{line}\r\n{{"a": 2}}\r\n')
    drawn = records(path)
    assert next(drawn) == Record(1, {"a": 0})
    with pytest.raises(DataError) as error:
        next(drawn)
    assert error.value.problem == f"{path}, line 3, {told}"


def test_an_array_that_breaks_at_its_end_gives_no_row(tmp_path: Path) -> None:
    path = written(tmp_path, "a.json", "[1, 2")
    with pytest.raises(DataError, match="found the end of the file"):
        next(records(path))
    drawn = records(path, verify=False)  # for a reader that comes to the end
    assert next(drawn).value == 1
    with pytest.raises(DataError, match="found the end of the file"):
        list(drawn)


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_lines_under_the_name_of_an_array_are_read_as_lines(tmp_path: Path, name: str) -> None:
    data = '{"a": 1}\n\n{"a": "中 } {"}\n'.encode()
    path = written(tmp_path, name, gzip.compress(data) if name.endswith("gz") else data)
    assert list(records(path)) == [Record(1, {"a": 1}), Record(3, {"a": "中 } {"})]
    told = problem_of(written(tmp_path, "b.json", '{"a": 1}\n{"a": 2\n'))
    assert told == (
        "b.json, line 2, column 8: expected a comma or a closing bracket, found the end of the line"
    )


def test_a_comma_after_the_last_name_is_said(tmp_path: Path) -> None:
    # the sentence differs between versions of Python, the line does not
    problem = problem_of(written(tmp_path, "a.json", '[\n{"a": 1,}\n]'))
    assert problem.startswith("a.json, line 2, column ")
    assert ": expected " in problem


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.json.gz", "a.jsonl.gz"])
def test_what_is_not_utf8_is_named_to_the_byte(tmp_path: Path, name: str) -> None:
    data = '["中文"\n, "café"]\n'.encode().replace("é".encode(), b"\xe9")
    if "jsonl" in name:
        data = data.replace(b'"\n,', b'"]\n[')
    path = written(tmp_path, name, gzip.compress(data) if name.endswith("gz") else data)
    told = f"{name}, line 2, column 7: expected UTF-8, found the byte 0xe9"
    assert problem_of(path) == told


def test_utf16_is_not_taken_for_json(tmp_path: Path) -> None:
    path = written(tmp_path, "a.json", "[1]".encode("utf-16"))
    assert problem_of(path) == "a.json, line 1, column 1: expected UTF-8, found the byte 0xff"


@pytest.mark.parametrize("name", ["a.json.gz", "a.jsonl.gz"])
def test_a_gzip_file_that_is_cut_or_damaged_is_said(tmp_path: Path, name: str) -> None:
    whole = gzip.compress(b'{"a": "b"}\n' * 999 if "jsonl" in name else b"[1" + b",1" * 999 + b"]")
    cut = problem_of(written(tmp_path, name, whole[: len(whole) // 2]))
    assert cut.startswith(f"{name} is not a whole gzip file: ")
    assert CUT in cut
    wrong = whole[:14] + b"x" * 8 + whole[22:]
    assert "is not a whole gzip file: Error" in problem_of(written(tmp_path, name, wrong))
    plain = problem_of(written(tmp_path, name, b"[1]"))
    assert "is not a whole gzip file: Not a gzipped file" in plain


def test_a_file_that_is_absent_unknown_or_a_folder_is_named(tmp_path: Path) -> None:
    assert problem_of(tmp_path / "a.json") == "a.json does not exist"
    assert problem_of(written(tmp_path, "a.txt", "a,b")) == "a.txt: unknown kind of file"
    assert problem_of(written(tmp_path, "jsonl", "{}")) == "jsonl: unknown kind of file"
    (tmp_path / "b.json").mkdir()
    assert problem_of(tmp_path / "b.json") == "b.json is not a file"


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_zstandard_is_unpacked_and_damage_is_said(tmp_path: Path, name: str) -> None:
    pa = pytest.importorskip("pyarrow")
    rows = [{"a": f"中文 {number}"} for number in range(20_000)]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    text = {
        "a.jsonl": "\n".join(lines),
        "a.json": f"[{','.join(lines)}]",
        "a.csv": "\n".join(["a", *(row["a"] for row in rows)]),
    }[name]
    path = tmp_path / f"{name}.zst"
    with pa.output_stream(str(path), compression="zstd") as file:
        file.write(text.encode())
    assert [record.value for record in records(path)] == rows
    path.write_bytes(path.read_bytes()[:-40])
    assert problem_of(path).startswith(f"{name}.zst is not a whole zstd file: ")


def test_known_are_the_names_that_can_be_read() -> None:
    known = ["a.json", "a.JSON", "b.c.jsonl.gz", "a.ndjson", "a.tsv.zst", "a.parquet", "a.csv"]
    assert all(is_known(Path(name)) for name in known)
    assert not any(is_known(Path(name)) for name in ["json", "a.gz", "a.json.bz2", "README.md"])


def test_digest_is_of_the_bytes(tmp_path: Path) -> None:
    one, two = written(tmp_path, "a.json", "[1]"), written(tmp_path, "b.json", "[1]")
    assert digest(one) == digest(two)
    two.write_bytes(two.read_bytes() + b"\n")
    assert digest(one) != digest(two)
    with pytest.raises(DataError, match=r"c\.json does not exist"):
        digest(tmp_path / "c.json")


def test_what_a_reader_of_the_file_raises_keeps_its_name(tmp_path: Path) -> None:
    path = written(tmp_path, "a.json.gz", gzip.compress(b"[1]"))
    with pytest.raises(KeyError, match="mine"), opened(path):
        raise KeyError("mine")


def test_only_the_last_suffixes_count(tmp_path: Path) -> None:
    path = written(tmp_path, "from.jsonl.json", "[1]")
    assert [record.value for record in records(path)] == [1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[\n" + "[" * 200_000, "line 2: expected a row of texts, found lists or objects nested"),
        ("[\n1,\n" + "1" * 5000 + "]", "line 3: expected a row of texts, found a number too long"),
    ],
)
def test_what_python_cannot_read_is_said(tmp_path: Path, text: str, told: str) -> None:
    assert problem_of(written(tmp_path, "a.json", text)).startswith(f"a.json, {told}")


def test_every_json_value_has_a_name() -> None:
    values = [{}, [], "a", 1, 1.5, True, False, None]
    assert [kind_of(value) for value in values] == [
        "an object",
        "a list",
        "a text",
        "a number",
        "a number",
        "true",
        "false",
        "null",
    ]


def test_a_real_broken_file_is_named_to_the_line() -> None:
    path = SHARED / BROKEN
    if not path.exists():
        pytest.skip(f"real data is not beside the repository: {path.name}")
    told = f"{path.name}, line 14007, column 1: expected a value, found ']'"
    assert problem_of(path) == told

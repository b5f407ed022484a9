"""Files of every kind, whole and damaged, and a data set as the Hub has it."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest

from bactrian.errors import ConfigError, DataError
from bactrian.evaluate.tasks import reading
from bactrian.evaluate.tasks.reading import Hub, Record, find, from_hub, read

ROWS = [{"id": "a", "text": "ខ្មែរ, “x”"}, {"id": "b", "text": "x\u2028y\u0085z"}]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
CSV = 'id,text\na,"ខ្មែរ, “x”"\nb,"x\u2028y\u0085z"\n'.encode()
TSV = "id\ttext\na\tខ្មែរ, “x”\nb\tx\u2028y\u0085z\n".encode()


def tarred(content: bytes) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as packed:
        info = tarfile.TarInfo("folder/rows.jsonl")
        info.size = len(content)
        packed.addfile(info, io.BytesIO(content))
    return whole.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl", LINES),
        ("rows.jsonl", b"\xef\xbb\xbf" + LINES),
        ("rows.jsonl", LINES.rstrip(b"\n").replace(b"\n", b"\r\n")),
        ("rows.json", LINES),
        ("rows.json", json.dumps(ROWS, indent=1).encode()),
        ("rows.jsonl.gz", gzip.compress(LINES)),
        ("rows.jsonl.tar.gz", tarred(LINES)),
        ("rows.csv", CSV),
        ("rows.tsv", TSV),
        ("rows.tsv", TSV.replace(b"\n", b"\r\n")),
        ("rows.tsv.gz", gzip.compress(TSV)),
    ],
)
def test_the_same_records_come_from_every_kind_of_file(
    tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert [record.values for record in read(path)] == ROWS
    assert next(iter(read(path))).where.startswith(f"{path}, ")


def test_quotes_mean_something_in_csv_only(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('id,text\n1,"two\nlines, and ""this"""\n')
    (tmp_path / "a.tsv").write_text('id\ttext\n1\t"this\n')
    (quoted,) = read(tmp_path / "a.csv")
    (plain,) = read(tmp_path / "a.tsv")
    assert quoted.values["text"] == 'two\nlines, and "this"'
    assert quoted.where.endswith("line 3"), "the line at which the record ends"
    assert plain.values["text"] == '"this'


def test_a_file_without_a_header_is_given_its_columns(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("x\ty\n")
    (found,) = read(tmp_path / "a.tsv", ("one", "two"))
    assert found.values == {"one": "x", "two": "y"}


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.jsonl", b'{"a": 1}\n{"a": \n', "line 2: no JSON"),
        ("a.jsonl", b'{"a": 1}\n\n', "line 2: no JSON"),
        ("a.jsonl", b'{"a": 1}\n[1]\n', "line 2: this is no record"),
        ("a.jsonl", b'{"a": 1}\n\xff\xfe\n', "line 2: not UTF-8"),
        ("a.json", b"[1]", "record 1: this is no record"),
        ("a.tsv", b"a\tb\n1\t2\n1\n", "line 3: 1 columns, not 2"),
        ("a.csv", b"a,b\n1,2,3\n", "line 2: 3 columns, not 2"),
        ("a.jsonl.gz", gzip.compress(LINES * 99)[:-20], "is cut short or damaged"),
        ("a.jsonl.gz", LINES, "is cut short or damaged"),
        ("a.jsonl.tar.gz", tarred(LINES)[:40], "is cut short or damaged"),
        ("a.txt", b"", "is of no kind that can be read"),
    ],
)
def test_what_is_damaged_is_named(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        list(read(path))
    assert str(path) in caught.value.problem
    assert problem in caught.value.problem


def test_an_archive_without_a_file_is_named(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.jsonl.tar.gz", "w:gz"):
        pass
    with pytest.raises(DataError, match="holds no file"):
        list(read(tmp_path / "a.jsonl.tar.gz"))


def test_the_first_name_that_is_there_is_found(tmp_path: Path) -> None:
    (tmp_path / "b.tsv.gz").touch()
    assert find(tmp_path, "a.tsv", "b.tsv") == tmp_path / "b.tsv.gz"
    (tmp_path / "a.tsv").touch()
    assert find(tmp_path, "a.tsv", "b.tsv") == tmp_path / "a.tsv"
    assert find(tmp_path, "c.tsv") is None


@pytest.mark.parametrize(
    ("value", "problem"),
    [(None, "no whole number"), (True, "no whole number"), ("x", "no"), (1.0, "no"), ("²", "no")],
)
def test_numbers_are_whole_or_refused(value: object, problem: str) -> None:
    assert Record("f, line 1", {"a": " 7 "}).whole("a") == Record("f, line 1", {"a": 7}).whole("a")
    with pytest.raises(DataError, match=f"f, line 1: a is .*{problem}"):
        Record("f, line 1", {"a": value}).whole("a")


def test_texts_are_there_or_refused() -> None:
    record = Record("f, line 1", {"a": " x ", "b": " ", "c": 3})
    assert (record.text("a"), record.raw("a")) == ("x", " x ")
    for key, problem in (("b", "b is no text"), ("c", "c is no text"), ("d", "d is lacking")):
        with pytest.raises(DataError, match=problem):
            record.raw(key)


# -- the Hub ----------------------------------------------------------------------------------


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set repository of two subsets, which ``datasets`` reads as it would the Hub's."""
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "repository"
    for code in ("et", "th"):
        (folder / code).mkdir(parents=True)
        (folder / code / "test.jsonl").write_bytes(LINES)
    configs = "".join(
        f"- config_name: {code}\n  data_files:\n  - split: test\n    path: {code}/test.jsonl\n"
        for code in ("et", "th")
    )
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    return folder


def test_a_data_set_of_the_hub_is_read_by_subset_and_split(repository: Path) -> None:
    found = list(from_hub(Hub(str(repository), "th")))
    assert [record.values for record in found] == ROWS
    assert found[1].where == f"{repository}, test, row 2"


@pytest.mark.parametrize("place", [("xx", "test"), ("th", "train")])
def test_what_the_hub_does_not_have_is_told(repository: Path, place: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match="could not be read from the Hub") as caught:
        list(from_hub(Hub(str(repository), *place)))
    assert "[eval.data]" in caught.value.hint


def test_what_has_a_loading_script_is_read_from_the_hubs_export(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets
    import pyarrow as pa
    import pyarrow.parquet as parquet

    (repository / "README.md").unlink()  # the export is a branch without one
    (repository / "et" / "test").mkdir()
    parquet.write_table(pa.Table.from_pylist(ROWS), repository / "et" / "test" / "0000.parquet")
    load, asked = datasets.load_dataset, []

    def refusing(path: str, *told: object, revision: str | None = None, **more: object) -> object:
        asked.append(revision)
        if revision != reading.EXPORTED:
            raise RuntimeError("Dataset scripts are no longer supported, but found x.py")
        return load(path, *told, **more)

    monkeypatch.setattr(datasets, "load_dataset", refusing)
    assert [record.values for record in from_hub(Hub(str(repository), "et"))] == ROWS
    assert asked == [None, "refs/convert/parquet"]

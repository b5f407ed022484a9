"""Parquet: rows in order, a batch at a time, packed ones too, and files that are none."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from bactrian.data.sources.record import Record
from bactrian.data.sources.records import records
from bactrian.errors import DataError

pa = pytest.importorskip("pyarrow")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    import pyarrow.parquet as parquet

    rows = [
        {"id": number, "messages": [{"role": "user", "content": f"字 {number}"}], "none": None}
        for number in range(3000)
    ]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=700)
    return tmp_path / "a.parquet"


@pytest.mark.parametrize("packed", [False, True])
def test_rows_come_in_order_with_their_numbers(path: Path, packed: bool) -> None:
    if packed:
        path = path.rename(path.with_suffix(".parquet.gz"))
        path.write_bytes(gzip.compress(path.read_bytes()))
    found = list(records(path))
    assert len(found) == 3000
    message = {"role": "user", "content": "字 2999"}
    assert found[-1] == Record(3000, {"id": 2999, "messages": [message], "none": None})


def test_a_file_that_is_cut_is_said(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"a\.parquet is not a whole Parquet file: "):
        list(records(path))

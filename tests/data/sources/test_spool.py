"""Rows kept on disk by name, in order, without a trace afterwards."""

from __future__ import annotations

from pathlib import Path

from bactrian.data.sources.spool import Spool


def test_rows_come_back_in_order_by_name_and_nothing_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "stages"
    with Spool[tuple[int, str]](folder) as spool:
        for number in range(1000):
            spool.put("en" if number % 3 else "zh", (number, "字\ud83d"))
        assert spool.names == ("zh", "en")
        assert list(spool.take("zh")) == [(number, "字\ud83d") for number in range(0, 1000, 3)]
        assert len(list(spool.take("en"))) == 666
        assert len(list(spool.take("zh"))) == 334  # again
        assert list(spool.take("km")) == []
        assert list(folder.iterdir()) == []

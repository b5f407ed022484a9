"""Counts by collection, there and back through plain JSON."""

from __future__ import annotations

from dataclasses import replace

import orjson

from bactrian.data.sources.collection import Read
from bactrian.data.tally import Counts, plain, read_back, together
from bactrian.schema import Example, Flag


def test_rows_what_is_left_out_and_what_is_set_aside_are_counted() -> None:
    counts = Counts("sharegpt")
    flag = Flag("defect-no-output", "warn", "output", "it is empty")
    counts.count(
        Read("a", Example("x-1", "en", "a", "", "")),
        [flag, flag, replace(flag, check="programming")],
    )
    counts.count(Read("b", Example("x-2", "zh", "a", "", ""), {"later turns": 2}))
    counts.count(Read("c", Example("x-3", "zh", "a", "", ""), {"later turns": 4}))
    counts.count(Read("d", Example("x-4", "", "a", "", "", missing="not told: ca 98%")))
    assert counts.rows == {"en": 1, "zh": 2}
    assert counts.set_aside == {"not told": 1}
    assert counts.left_out == {"later turns": 6}
    assert counts.shortened == {"later turns": 2}
    assert counts.marks == {"programming": 1}
    assert counts.defects == {"defect-no-output": 2}
    both = {"a": counts, "b": Counts()}
    assert read_back(orjson.loads(orjson.dumps(plain(both)))) == both
    assert together(one.rows for one in (counts, counts)) == {"en": 2, "zh": 4}

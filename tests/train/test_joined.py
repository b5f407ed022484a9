"""Rows of several adapters by one index are the rows that each of them has."""

from __future__ import annotations

import numpy as np
import pytest

from bactrian.train.joined import joined
from bactrian.train.prepared import Prepared, Tokens


def rows(names: tuple[str, ...], lengths: list[int], first: int) -> Prepared:
    """Rows in two blocks, whose tokens are numbered from ``first`` on."""
    ids = np.arange(first, first + sum(lengths), dtype=np.int32)
    cut = sum(lengths[:1])
    begin = np.array([0, *np.cumsum(lengths[1:-1]).tolist()], dtype=np.int64)
    begin = np.concatenate([[0], np.cumsum([0, *lengths[1:]])[:-1]]).astype(np.int64)
    return Prepared(
        names=names,
        languages=np.arange(len(lengths), dtype=np.int16) % len(names),
        prompts=np.ones(len(lengths), dtype=np.int32),
        lengths=np.array(lengths, dtype=np.int32),
        too_long={names[0]: 1},
        shortened={},
        empty={},
        tokens=Tokens([ids[:cut], ids[cut:]], ()),
        block=np.array([0] + [1] * (len(lengths) - 1), dtype=np.int32),
        begin=begin,
    )


ONE, TWO = rows(("zh", "vi"), [3, 2, 4], 0), rows(("vi", "ar"), [5, 2], 100)


def test_every_row_is_found_under_its_place() -> None:
    both = joined([ONE, TWO])
    assert len(both) == 5
    expected = [part.row(index) for part in (ONE, TWO) for index in range(len(part))]
    for index, (tokens, prompt, _) in enumerate(expected):
        found = both.row(index)
        assert found[0].tolist() == tokens.tolist()
        assert found[1] == prompt
    assert [both.names[index] for index in both.languages] == ["zh", "vi", "zh", "vi", "ar"]
    assert both.targets.tolist() == [*ONE.targets, *TWO.targets]


def test_a_language_that_two_learn_has_one_name_and_its_rows_twice() -> None:
    both = joined([ONE, TWO])
    assert both.names == ("zh", "vi", "ar")
    assert (both.languages == both.names.index("vi")).sum() == 2


def test_one_alone_is_itself() -> None:
    assert joined([ONE]) is ONE


@pytest.mark.parametrize("times", [3, 52])
def test_many_keep_their_order(times: int) -> None:
    many = joined([TWO] * times)
    assert many.row(2 * times - 1)[0].tolist() == TWO.row(1)[0].tolist()
    assert many.block.max() == 2 * times - 1

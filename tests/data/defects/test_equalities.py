"""Equalities are found in a text, and only whole ones."""

from __future__ import annotations

import pytest

from bactrian.data.defects.equalities import equalities


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("5 x 6 = 30", [True]),
        ("Area = 5 * 6 = 31", [False]),
        ("10/3 = 3.33, 2/3 = 0.67", [True, True]),
        ("(50/120) x 100 = 41.67%", [True]),
        ("1. 1 + 5 = 9\n2. 9 + 5 = 14", [False, True]),
        ("3 + 4 = 10 - 3 = 7", [True, True]),
        ("2 * 2 = 4 -2 * -2 = 4", [True]),
        ("the square root of 9 + 16 = 5", []),
        ("2x + 3 = 7", []),
        ("y = 3 + 4 = 8", [False]),
        ("x - 3 + 4 = 9", []),
        ("if (a == 3 + 4)", []),
        ("4 cm x 5 cm = 20 cm2", []),
    ],
)
def test_equalities_in_a_text(text: str, holds: list[bool]) -> None:
    assert [one.holds for one in equalities(text)] == holds

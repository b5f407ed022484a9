"""Expressions, equations and numbers are read exactly, or not at all."""

from __future__ import annotations

from fractions import Fraction

import pytest

from bactrian.data.defects.exact import numbers, root
from bactrian.data.defects.exact import value as value_of


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("2 + 3 x 4", "14"),
        ("9 − 4 + 8 × 5", "45"),
        ("(2+3)(3-2)", "5"),
        ("2^3 + 3²", "17"),
        ("-3 - -2", "-1"),
        ("1,200 / 50", "24"),
        ("$1.50 * 2", "3"),
        ("20% * 50", "10"),
        ("1 1/2 + 1/2", "2"),
        ("8/2(2+2)", None),
        ("2 +", None),
        ("(1 + 2", None),
        ("1 / 0", None),
        ("1 1/0", None),
        ("2020-01-05", None),
        ("2 ^ 2 ^ 2 ^ 99999999", None),
        ("(" * 5000 + "1" + ")" * 5000, None),
        ("9" * 5000, None),
        ("x + 1", None),
        ("", None),
    ],
)
def test_expressions_are_worked_out_exactly(written: str, value: str | None) -> None:
    assert value_of(written) == (None if value is None else Fraction(value))


@pytest.mark.parametrize(
    ("left", "right", "value"),
    [("2x + 5", "11", "3"), ("3(2x+1)", "15", "2"), ("5(x-7)", "2x + 4", "13"), ("x", "x", None),
     ("x*x", "4", None), ("a + b", "1", None), ("1/x", "2", None), ("y/4 - 1", "2", "12")],
)  # fmt: skip
def test_linear_equations_have_one_root(left: str, right: str, value: str | None) -> None:
    assert root(left, right) == (None if value is None else Fraction(value))


def test_numbers_are_read_as_they_are_written() -> None:
    text = "x = -2, 1,200.50 or 7/2, 1 1/2 and 2 x 10^3; no 5-3, not " + "1" * 9000
    values = [float(number.value) for number in numbers(text)]
    assert values == [-2, 1200.5, 3.5, 1.5, 2000, 5, 3]

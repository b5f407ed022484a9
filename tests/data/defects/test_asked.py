"""The number that a task asks for is worked out where the task says it all."""

from __future__ import annotations

from fractions import Fraction

import pytest

from bactrian.data.defects.asked import wanted


@pytest.mark.parametrize(
    ("instruction", "given", "value"),
    [
        ("Calculate 14 + 6.", "", "20"),
        ("Evaluate the following expression", "(5+7)*3.", "36"),
        ("What is 8 added to 3?", "", "11"),
        ("Subtract 83 from 140.", "", "57"),
        ("Multiply 987,654,321 by 12.", "", "11851851852"),
        ("What is 25 percent of 80?", "", "20"),
        ("Find the average of the numbers 3, 5, 9, and 11.", "", "7"),
        ("Calculate the median of this list", "[7, 5, 3, 4]", "4.5"),
        ("Find the mode of the numbers.", "1, 2, 2, 3", "2"),
        ("Find the largest number in the list", "{4, 15, -2}", "15"),
        ("Solve the equation 2x + 5 = 20", "", "7.5"),
        ("Convert 6 feet to inches", "", "72"),
        ("Convert the following temperature to Fahrenheit", "25 Celsius", "77"),
        ("How many minutes are in 3 hours?", "", "180"),
        ("What is 9/11?", "", None),
        ("Find the mode of the numbers.", "1, 2, 3", None),
        ("Evaluate 3x + 10", "x = 4", None),
        ("Find the slope of y = 2x + 1", "", None),
        ("Convert 30 km per hour to m per second", "", None),
        ("Convert 3 miles to pounds", "", None),
        ("Find the average price of a house.", "", None),
        ("Find the sum of the first 10 multiples of 7", "", None),
    ],
)
def test_the_number_that_is_asked_for(instruction: str, given: str, value: str | None) -> None:
    found = wanted(instruction, given)
    assert (found and found.value) == (None if value is None else Fraction(value))

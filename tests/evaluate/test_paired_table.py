"""The lines of a comparison: aligned, in points, without a minus zero."""

from __future__ import annotations

import math

from rich.cells import cell_len

from bactrian.evaluate.paired_table import HEAD, lines
from bactrian.schema import Difference


def found(task: str, value: float, low: float, high: float, **more: object) -> Difference:
    return Difference(
        "ไทย", "base", task, "th", "acc", value, low, high, 1_500, "paired",
        model_value=0.5, against_value=0.5 - value, **more,  # type: ignore[arg-type]
    )  # fmt: skip


def test_figures_stand_under_their_heads() -> None:
    told = list(lines([
        found("xcopa", -0.0123, -0.02, -0.004, p=0.0004, adjusted=0.004, detectable=0.011),
        found("exams:letter", 0.1, -math.inf, math.inf, p=1.0, group="natural"),
    ]))  # fmt: skip
    assert told[0] == "A = ไทย   B = base"
    head, first, second = told[1:4]
    assert all(word in head for word in HEAD)
    for name in ("n", "A - B", "95 %", "p", "Holm", "detectable"):
        end = head.index(f" {name} ") + len(name) + 1 if name != "detectable" else len(head)
        assert (first.ljust(200)[end - 1], first.ljust(200)[end]) != (" ", " ")
        assert first.ljust(200)[end] == " "
    assert first.split()[3:] == [
        "1,500", "50.0", "51.2", "-1.2", "[-2.0,", "-0.4]", "<0.001", "0.004", "1.1", "worse",
    ]  # fmt: skip
    assert second.split()[:2] == ["exams:letter", "natural"]
    assert "[-∞, +∞]" in second
    assert second.split()[-1] == "-"


def test_nothing_is_not_minus_nothing() -> None:
    line = list(lines([found("xcopa", -1e-9, -1e-9, 0.0)]))[2]
    assert "-0.0" not in line
    assert "[+0.0, +0.0]" in line


def test_every_pair_of_models_has_its_table() -> None:
    one = found("xcopa", 0.1, 0.0, 0.2)
    other = Difference("b", "base", "xcopa", "th", "acc", 0.1, 0.0, 0.2, 9, "paired")
    told = list(lines([one, other]))
    assert [line for line in told if line.startswith("A = ")] == [
        "A = ไทย   B = base", "A = b   B = base",
    ]  # fmt: skip


def test_names_in_every_script_take_the_columns_they_are_seen_in() -> None:
    names = ("xcopa", "รู้เรื่อง", "常識", "상식")
    told = list(lines([found(name, 0.1, 0.0, 0.2) for name in names]))[2:6]
    assert len({cell_len(line[: line.index(" th ")]) for line in told}) == 1
    assert len({line.index(" th ") for line in told}) > 1

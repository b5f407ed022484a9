"""What one of several adapters reported reads as if it had been trained alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bactrian.train.history import HELD_OUT, TRAINING, Course, courses, own


@dataclass
class Short:
    """A plan of three steps, two an epoch."""

    steps: int = 3

    def epoch_at(self, step: int) -> float:
        return step / 2


HISTORY: list[dict[str, Any]] = [
    {"step": 0, "validation_a/zh": 9.0, "validation_ab/zh": 8.0},
    {"step": 2, "loss": 5.0, "loss_a/zh": 4.0, "mean_a": 4.5, "loss_ab/zh": 6.0, "mean_ab": 6.0},
    {"step": 2, "validation_a/zh": 7.0, "validation_ab/zh": 8.0},
    {"step": 4, "loss": 3.0, "loss_a/zh": 3.0, "loss_a/vi": 2.0, "mean_a": 2.5, "mean_ab": 1.0},
    {"step": 4, "validation_a/zh": 6.0, "validation_ab/zh": 7.0},
    {"step": 6, "loss": 2.0, "loss_ab/zh": 2.0, "mean_ab": 2.0},
    {"step": 6, "validation_a/zh": 6.0, "validation_ab/zh": 6.0},
]


def test_it_ends_with_the_adapters_own_last_step() -> None:
    found = own(HISTORY, "a", Short())  # type: ignore[arg-type]
    assert found == [
        {"step": 0, "validation_zh": 9.0},
        {"step": 2, "validation_zh": 7.0},
        {"step": 2, "epoch": 1.0, "loss": 4.5, "loss_zh": 4.0},
        {"step": 3, "validation_zh": 6.0},
        {"step": 3, "epoch": 1.5, "loss": 2.5, "loss_zh": 3.0, "loss_vi": 2.0},
    ]


def test_first_and_last_are_of_each_language() -> None:
    mine = own(HISTORY, "a", Short())  # type: ignore[arg-type]
    assert courses(mine, HELD_OUT, ["zh", "vi"]) == {"zh": Course(9.0, 6.0)}
    assert courses(mine, TRAINING, ["zh", "vi"]) == {
        "zh": Course(4.0, 3.0),
        "vi": Course(2.0, 2.0),
    }

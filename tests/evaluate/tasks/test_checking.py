"""Items that are not in order are refused by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bactrian.errors import DataError
from bactrian.evaluate.tasks import Item, Rules
from bactrian.evaluate.tasks.checking import checked

ACC = Rules("acc", "together", ())
GOOD = Item("1", "Q", (" a", " b"), 1)


def test_what_is_in_order_comes_through_as_it_is() -> None:
    items = [GOOD, replace(GOOD, id="2", contexts=("x", "y"), options=(" ", " "))]
    assert list(checked(items, "t en", ACC)) == items


def test_the_first_items_come_before_the_last_are_read() -> None:
    def endless() -> Any:
        number = 0
        while True:
            yield replace(GOOD, id=str(number := number + 1))

    assert next(iter(checked(endless(), "t en", ACC))).id == "1"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"id": "1"}, "t en: the id 1 is there twice"),
        ({"options": ()}, "t en 2: it has no options"),
        ({"gold": 2}, "t en 2: the right answer is option 2 of 2, counted from 0"),
        ({"gold": -1}, "t en 2: the right answer is option -1 of 2"),
        ({"options": (" a", "")}, "t en 2: an option is empty"),
        ({"options": (" a", " ")}, "t en 2: an option is empty"),
        ({"contexts": ("x",)}, "t en 2: 1 contexts for 2 options"),
        ({"texts": ("x", "y", "z")}, "t en 2: 3 texts for 2 options"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(DataError) as caught:
        list(checked([GOOD, replace(GOOD, **{"id": "2", **changes})], "t en", ACC))
    assert caught.value.problem.startswith(problem)


def test_labels_are_the_same_in_every_item() -> None:
    labels = Rules("f1", "together", ())
    turned = replace(GOOD, id="2", options=(" b", " a"))
    assert len(list(checked([GOOD, turned], "t en", ACC))) == 2
    with pytest.raises(DataError, match="its labels are"):
        list(checked([GOOD, turned], "t en", labels))


def test_a_task_without_items_is_told() -> None:
    with pytest.raises(DataError, match="t en has no items"):
        list(checked([], "t en", ACC))

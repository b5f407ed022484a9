"""Which shape the rows have: found by their keys, named by the recipe, or said to be unclear."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from bactrian import registry
from bactrian.data.sources.shape import RowOf, Taken, shape_for
from bactrian.errors import ConfigError, DataError
from bactrian.events import Event, reading

ROWS: dict[str, dict[str, Any]] = {
    "alpaca": {"instruction": "a", "input": "", "output": "b"},
    "dolly": {"instruction": "a", "context": "", "response": "b", "category": "open_qa"},
    "guanaco": {"instruction": "User: a\nAssistant: b", "input": "User: c", "output": "d"},
    "messages": {"messages": [{"role": "user", "content": "a"}]},
    "openassistant-guanaco": {"text": "### Human: a### Assistant: b"},
    "pairs": {"prompt": "a", "response": "b"},
    "self-instruct": {"instruction": "a", "instances": [{"input": "", "output": "b"}]},
    "sharegpt": {"conversations": [{"from": "human", "value": "a"}]},
}


class Seen:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def see(self, event: Event) -> None:
        self.texts.append(f"{event.kind}: {event.facts['text']}")


class Anything:
    """A plug-in that claims everything."""

    example = "each row looks like anything"

    def fits(self, rows: Sequence[RowOf]) -> bool:
        return True

    def take(self, row: RowOf) -> Taken:
        return Taken("taken by a plug-in")


def test_every_built_in_shape_is_told_from_the_others() -> None:
    assert ROWS.keys() == registry.BUILT_IN["shapes"].keys()
    for name, row in ROWS.items():
        fitting = [one for one in ROWS if registry.find("shapes", one)().fits([row, row])]
        assert fitting == [name]
        assert registry.find("shapes", name)().example.startswith("each row looks like {")


@pytest.mark.parametrize("name", ROWS)
def test_the_shape_that_is_found_is_said(name: str) -> None:
    seen = Seen()
    with reading(seen):
        found, shape = shape_for("auto", [ROWS[name]], "mine")
    assert found == name
    assert type(shape) is registry.find("shapes", name)
    keys = ", ".join(ROWS[name])
    assert seen.texts == [f"decision: mine: rows with {keys} are read as {name}"]


def test_a_named_shape_is_taken_at_its_word_without_a_look() -> None:
    seen = Seen()
    with reading(seen):
        assert shape_for("dolly", [ROWS["alpaca"]], "mine")[0] == "dolly"
    assert seen.texts == []
    with pytest.raises(ConfigError, match="unknown shape dollly") as told:
        shape_for("dollly", [], "mine")
    assert told.value.hint == "did you mean dolly?"


def test_rows_of_no_known_shape_are_named_by_their_keys() -> None:
    rows = [{"i": 0, "en": {}, "km": {}, "bad\x1b[31m": 1}]
    with pytest.raises(DataError) as told:
        shape_for("auto", rows, "mine")
    problem = "mine: the rows, with the keys i, en, km, bad\\x1b[31m, fit no known shape"
    assert told.value.problem == problem
    assert told.value.hint.startswith('say which one: shape = "…" under [sources.mine]; known are')
    assert "sharegpt" in told.value.hint


def test_rows_that_mix_shapes_fit_none() -> None:
    with pytest.raises(DataError, match="fit no known shape"):
        shape_for("auto", [ROWS["alpaca"], ROWS["dolly"]], "mine")


def test_a_second_shape_that_fits_is_no_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    find, names = registry.find, registry.names
    monkeypatch.setattr(registry, "names", lambda kind: (*names(kind), "zzz"))
    monkeypatch.setattr(
        registry, "find", lambda kind, name: Anything if name == "zzz" else find(kind, name)
    )
    with pytest.raises(DataError, match="fit several shapes: alpaca, zzz"):
        shape_for("auto", [ROWS["alpaca"]], "mine")
    assert shape_for("zzz", [], "mine")[1].take({}).instruction == "taken by a plug-in"

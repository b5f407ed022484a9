"""Batches of few shapes: every row once, its shape from its own length alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bactrian.errors import ProviderError
from bactrian.events import Event, reading
from bactrian.providers.here.batches import Room, batches, edge_of, filled, in_halves


class Seen:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def see(self, event: Event) -> None:
        self.events.append(event)


def test_edges_are_near_and_few() -> None:
    edges = sorted({edge_of(length) for length in range(1, 2000)})
    assert edges == [16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048]
    assert all(edge_of(edge) == edge and edge_of(edge + 1) > edge for edge in edges)


def test_every_row_is_in_one_batch_and_its_shape_is_that_of_its_length() -> None:
    lengths = [5, 40, 300, 41, 17, 3, 40, 90, 9, 16, 250]
    made = batches(lengths, lambda edge: 96 // edge, most=280)
    assert sorted(place for batch in made for place in batch.places) == list(range(len(lengths)))
    assert [batch.edge for batch in made] == sorted((b.edge for b in made), reverse=True)
    for batch in made:
        assert 1 <= len(batch.places) <= batch.rows == max(96 // batch.edge, 1)
        for place in batch.places:
            (alone,) = batches([lengths[place]], lambda edge: 96 // edge, most=280)
            assert (alone.edge, alone.rows) == (batch.edge, batch.rows)
    assert [b.edge for b in made if 2 in b.places] == [
        300
    ]  # longer than the most that is padded to
    assert [b.edge for b in made if 10 in b.places] == [256]
    assert batches([], lambda edge: 1, most=10) == []


def test_room_is_what_was_told_or_what_is_usual() -> None:
    usual = Room(1024, 16)
    assert usual.fit(0, 16) == 16
    assert usual.fit(0, 128) == 8
    assert usual.fit(4096, 16) == 256
    assert usual.fit(0, 5000) == 0  # a batch has one row all the same


def test_missing_rows_are_copies() -> None:
    assert filled([1, 2], 4) == [1, 2, 1, 1]
    assert filled([1, 2], 2) == [1, 2]


def test_where_memory_runs_out_half_of_the_shape_is_tried_and_said() -> None:
    torch = pytest.importorskip("torch")
    tried: list[int] = []

    def work(rows: Sequence[int]) -> list[int]:
        tried.append(len(rows))
        if len(rows) > 3:
            raise torch.OutOfMemoryError("none left")
        return [row * 10 for row in rows]

    seen = Seen()
    with reading(seen):
        assert in_halves(range(7), 8, work) == [row * 10 for row in range(7)]
    assert tried == [8, 4, 2, 2, 4, 2, 2]
    assert "8 rows do not fit" in seen.events[0].facts["text"]
    with pytest.raises(ProviderError, match="one text alone"):
        in_halves([1], 1, lambda rows: work([0] * 9))

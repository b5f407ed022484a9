"""Rows become micro-batches: every token with a loss is named once, at the place before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bactrian.models import base, prompts
from bactrian.schema import Example
from bactrian.train.prepare import prepare
from bactrian.train.prepared import Prepared

torch = pytest.importorskip("torch")

from bactrian.train.batches import UNIT, collate, collate_pairs  # noqa: E402


@pytest.fixture(scope="module")
def prepared(tiny_base: Path, sentences: Mapping[str, Sequence[str]]) -> Prepared:
    tokenizer = base.tokenizer_of(base.locate(str(tiny_base)))
    rows = [
        Example(f"{code}-{place}", code, sentences[code][place][:20], "", sentences[code][0][:size])
        for code in ("zh", "ar", "km")
        for place, size in enumerate((1, 7, 30))
    ]
    return prepare(rows, tokenizer, prompts.BACTRIAN, 1000)


def by_hand(prepared: Prepared, rows: Sequence[int]) -> list[tuple[int, list[int], int]]:
    """(row, all tokens before it, the token) of every token with a loss."""
    return [
        (place, prepared.row(row)[0][:at].tolist(), int(prepared.row(row)[0][at]))
        for place, row in enumerate(rows)
        for at in range(int(prepared.firsts[row]), int(prepared.lengths[row]))
    ]


def read_back(micro: Mapping[str, Any]) -> list[tuple[int, list[int], int]]:
    """The same, from the micro-batch: what the model has seen where it has to predict."""
    ids, length = micro["input_ids"], micro["input_ids"].shape[1]
    found = []
    for at, target, row in zip(micro["at"], micro["targets"], micro["row_of"], strict=True):
        line, place = divmod(int(at), length)
        begin = place - int(micro["position_ids"][line, place]) if "documents" in micro else 0
        found.append((int(row), ids[line, begin : place + 1].tolist(), int(target)))
    return found


@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("inputs", [False, True])
@pytest.mark.parametrize("rows", [[0], [5, 0, 3], list(range(9))])
def test_every_target_follows_what_is_before_it(
    prepared: Prepared, rows: list[int], inputs: bool, packing: bool
) -> None:
    told = replace(prepared, train_on_inputs=inputs)
    micro = collate(told, rows, packing=packing)
    assert read_back(micro) == by_hand(told, rows)
    assert len(micro["targets"]) == int(told.targets[rows].sum())
    assert all(micro[name].dtype == torch.int64 for name in ("input_ids", "at", "targets"))


def test_packed_rows_lie_end_to_end(prepared: Prepared) -> None:
    micro = collate(prepared, [2, 4], packing=True)
    *documents, blank = micro["documents"]
    assert documents == [int(prepared.lengths[row]) - 1 for row in (2, 4)]
    assert sum(documents) + blank == -(-sum(documents) // UNIT) * UNIT
    assert micro["input_ids"].shape == (1, sum(documents) + blank)
    begins = (micro["position_ids"][0] == 0).nonzero().flatten().tolist()
    assert begins == [0, documents[0], sum(documents)]
    assert int(micro["at"].max()) < sum(documents)


def test_a_process_without_rows_has_something_to_run(prepared: Prepared) -> None:
    for micro in (
        collate(prepared, []),
        collate(prepared, np.zeros(0, dtype=np.int32), packing=True),
        collate_pairs(prepared, [], start=0, pad=0),
    ):
        assert micro["input_ids"].shape == (1, 1)
        assert len(micro["at"]) == len(micro["targets"]) == len(micro["row_of"]) == 0


def test_source_and_target_are_apart(prepared: Prepared) -> None:
    told = replace(prepared, encoder_decoder=True)
    rows = [7, 1]
    micro = collate_pairs(told, rows, start=9, pad=3)
    longest = micro["decoder_input_ids"].shape[1]
    for place, row in enumerate(rows):
        tokens, prompt, _ = told.row(row)
        source, target = tokens[:prompt].tolist(), tokens[prompt:].tolist()
        assert micro["input_ids"][place].tolist()[: len(source)] == source
        assert micro["input_ids"][place, len(source) :].eq(3).all()
        assert int(micro["attention_mask"][place].sum()) == len(source)
        assert micro["attention_mask"][place, : len(source)].all()
        assert micro["decoder_input_ids"][place].tolist()[: len(target)] == [9, *target[:-1]]
        mine = micro["row_of"] == place
        assert micro["targets"][mine].tolist() == target
        assert (micro["at"][mine] - place * longest).tolist() == list(range(len(target)))

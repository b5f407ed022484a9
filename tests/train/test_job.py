"""A step of a run: whose tokens weigh what, and where each adapter's rows are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bactrian.models import base, prompts
from bactrian.schema import Example
from bactrian.train.plan import Shape, plan
from bactrian.train.prepare import prepare
from bactrian.train.prepared import Prepared
from bactrian.train.processes import Processes

torch = pytest.importorskip("torch")

from bactrian.train.job import Job, Member, Pairs, Rows, Steps  # noqa: E402

SHAPE = Shape(2, 0, 4, 0, 120, False, 1.0, 3)


@pytest.fixture(scope="module")
def several(tiny_base: Path, sentences: Mapping[str, Sequence[str]]) -> dict[str, Prepared]:
    tokenizer = base.tokenizer_of(base.locate(str(tiny_base)))

    def rows(codes: str, count: int) -> Prepared:
        told = [
            Example(
                f"{place}", code, sentences[code][place % 5][:9], "", sentences[code][0][:place]
            )
            for code in codes.split(",")
            for place in range(1, count + 1)
        ]
        return prepare(told, tokenizer, prompts.BACTRIAN, 1000)

    return {"zh": rows("zh", 9), "multi": rows("vi,zh", 4), "vi": rows("vi", 5)}


def job(several: Mapping[str, Prepared], *, packing: bool = False) -> Job:
    shape = Shape(2, 0, 4, 0, 120, packing, 1.0, 3)
    return Job(
        tuple(
            Member(name, rows, plan(rows.lengths, rows.languages, rows.names, shape))
            for name, rows in several.items()
        ),
        packing,
    )


@pytest.mark.parametrize("packing", [False, True])
def test_the_weights_of_each_adapter_add_up_to_one_in_every_step(
    several: dict[str, Prepared], packing: bool
) -> None:
    told = job(several, packing=packing)
    steps = Steps(told, Processes())
    assert len(steps) == max(member.plan.steps for member in told.members)
    labels = told.rows.labels
    assert labels == ("zh/zh", "multi/vi", "multi/zh", "vi/vi")
    for step in range(len(steps)):
        sums = dict.fromkeys(several, 0.0)
        for micro in steps[step]:
            for label, weight in zip(micro["labels_of"], micro["weights"], strict=True):
                sums[labels[label].partition("/")[0]] += float(weight)
        at_work = {member.name for member in told.members if step < member.plan.steps}
        assert sums == pytest.approx({name: float(name in at_work) for name in several})


@pytest.mark.parametrize("packing", [False, True])
def test_segments_say_whose_each_row_is(several: dict[str, Prepared], packing: bool) -> None:
    told = job(several, packing=packing)
    for micro in Steps(told, Processes())[0]:
        rows = micro["input_ids"].shape[0]
        if packing:  # what fills the row up is nobody's
            rows = 1 + int(micro["at"].max())
        assert micro["segments"][0][1] == 0
        assert micro["segments"][-1][2] == rows
        for (_, _, end), (_, first, _) in pairwise(micro["segments"]):
            assert end == first
        width = 1 if packing else micro["input_ids"].shape[1]
        for label, at in zip(micro["labels_of"], micro["at"], strict=True):
            place = int(at) // width
            (whose,) = (name for name, first, end in micro["segments"] if first <= place < end)
            assert told.rows.labels[label].partition("/")[0] == whose


def test_each_sees_the_rows_that_it_would_see_alone(several: dict[str, Prepared]) -> None:
    told = job(several)
    for place, member in enumerate(told.members):
        for step in range(member.plan.steps):
            rows = told.plan.rows_of(step)
            mine = rows[told.rows.adapters_of(rows) == place] - told.rows.firsts[place]
            assert sorted(mine.tolist()) == sorted(member.plan.rows_of(step).tolist())


def test_processes_have_a_step_between_them(several: dict[str, Prepared]) -> None:
    alone = job({"zh": several["zh"]})
    for step in range(alone.plan.steps):
        whole = Steps(alone, Processes())[step]
        parts = [Steps(alone, Processes(rank, 2))[step] for rank in (0, 1)]
        assert len(parts[0]) == len(parts[1])
        assert "segments" not in whole[0]
        tokens = sorted(int(token) for micro in whole for token in micro["targets"])
        shared = [int(token) for part in parts for micro in part for token in micro["targets"]]
        assert sorted(shared) == tokens
        weight = sum(float(micro["weights"].sum()) for part in parts for micro in part)
        assert weight == pytest.approx(1.0)


def test_one_of_several_is_told_apart_also_where_only_it_has_rows(
    several: dict[str, Prepared],
) -> None:
    """Held-out rows of one adapter, in a model that has more of them."""
    rows = Rows((("vi", several["vi"]),), several=True)
    assert rows.labels == ("vi/vi",)
    assert rows.micro(np.arange(2))["segments"] == [("vi", 0, 2)]
    assert "segments" not in Rows((("vi", several["vi"]),)).micro(np.arange(2))


def test_an_encoder_decoder_gets_pairs(several: dict[str, Prepared]) -> None:
    micro = Rows((("zh", several["zh"]),), pairs=Pairs(7, 5)).micro(np.arange(3))
    assert micro["decoder_input_ids"][:, 0].tolist() == [7, 7, 7]

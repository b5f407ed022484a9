"""The probes: many scripts, padding that changes nothing, and differences that are found."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from bactrian.models import base, prompts  # noqa: E402
from bactrian.publish.probes import PROBES, Heard, apart, hear  # noqa: E402


def script(text: str) -> str:
    return unicodedata.name(next(sign for sign in text if sign.isalpha())).split()[0]


def test_the_probes_are_written_in_many_scripts() -> None:
    assert len({script(text) for text in PROBES.values()}) >= 10


@pytest.fixture(scope="module")
def loaded(tiny_base: Path) -> base.Base:
    return base.load(str(tiny_base), dtype="float32")


def test_greedy_answers_are_those_of_each_prompt_alone(loaded: base.Base) -> None:
    style = prompts.get("alpaca")
    heard = hear(loaded.model, loaded.tokenizer, style, steps=3)
    assert heard.tokens.shape == (len(PROBES), 3)
    for row, text in enumerate(PROBES.values()):
        ids = loaded.tokenizer(style.render(text), return_tensors="pt").input_ids
        for step in range(3):
            with torch.inference_mode():
                logits = loaded.model(ids).logits[0, -1]
            torch.testing.assert_close(heard.logits[step, row], logits, rtol=1e-4, atol=1e-4)
            assert int(heard.tokens[row, step]) == int(logits.argmax())
            ids = torch.cat([ids, heard.tokens[row : row + 1, step : step + 1]], dim=1)


def test_an_answer_goes_on_after_its_end_token(loaded: base.Base) -> None:
    loaded.model.generation_config.eos_token_id = list(range(320))
    assert hear(loaded.model, loaded.tokenizer, prompts.BACTRIAN, steps=4).tokens.shape[1] == 4


def heard(tokens: list[list[int]], logits: Any) -> Heard:
    return Heard(torch.tensor(tokens), logits)


def test_a_difference_is_measured_as_long_as_both_read_the_same() -> None:
    rows = len(PROBES)
    tokens = [[1, 2, 3]] * rows
    logits = torch.zeros(3, rows, 5)
    one = heard(tokens, logits)
    found = apart(one, one)
    assert (found.difference, found.same_tokens, found.tokens) == (0.0, 3 * rows, 3 * rows)
    other = logits.clone()
    other[1, 2, 4] = 0.5  # before the second token, of the third script
    other[2, 2, 4] = 9.0  # after it: the texts differ by then
    differing = [list(row) for row in tokens]
    differing[2] = [1, 7, 3]
    found = apart(one, heard(differing, other))
    assert found.difference == 0.5
    assert found.same_tokens == 3 * rows - 2
    assert found.differing == (list(PROBES)[2],)


def test_rows_that_only_one_has_are_not_compared() -> None:
    logits = torch.randn(1, len(PROBES), 5)
    tokens = [[1]] * len(PROBES)
    wider = torch.cat([logits, torch.full((1, len(PROBES), 2), 99.0)], dim=-1)
    assert apart(heard(tokens, logits), heard(tokens, wider)).difference == 0.0


def test_values_that_are_no_numbers_are_no_small_difference() -> None:
    logits = torch.zeros(1, len(PROBES), 5)
    broken = replace(heard([[1]] * len(PROBES), logits), logits=logits + float("nan"))
    found = apart(heard([[1]] * len(PROBES), logits), broken)
    assert not found.difference <= 1.0

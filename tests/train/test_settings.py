"""What several adapters cannot have in one pass is refused before anything is loaded."""

from __future__ import annotations

from typing import Any

import pytest

from bactrian.errors import ConfigError
from bactrian.recipe import Train
from bactrian.train.processes import Processes
from bactrian.train.settings import refuse


@pytest.mark.parametrize(
    ("told", "world", "problem"),
    [
        ({"adapter": "none"}, 1, "trains the base itself"),
        ({}, 2, "in one process, and there are 2"),
        ({"patience": 3}, 1, "train.patience = 3 stops one training"),
    ],
)
def test_what_several_cannot_have_in_one_pass(
    told: dict[str, Any], world: int, problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem) as said:
        refuse(Train(**told), 2, Processes(0, world))
    assert "together = false" in said.value.hint
    refuse(Train(), 2, Processes())

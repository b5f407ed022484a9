"""What other programs take of an adapter."""

from __future__ import annotations

import pytest

from bactrian.models.portability import vllm_rank


@pytest.mark.parametrize(
    ("rank", "allowed"), [(1, 8), (8, 8), (9, 16), (64, 64), (257, 320), (512, 512), (513, None)]
)
def test_vllm_takes_the_next_rank_it_knows(rank: int, allowed: int | None) -> None:
    assert vllm_rank(rank) == allowed

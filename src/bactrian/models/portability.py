"""What other programs take of an adapter. Knows names and numbers, opens nothing."""

from __future__ import annotations

VLLM_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM's --max-lora-rank may be; an adapter needs its own rank or the next one."""


def vllm_rank(rank: int) -> int | None:
    """Return the --max-lora-rank that vLLM needs for an adapter, None where it takes none."""
    return next((allowed for allowed in VLLM_RANKS if rank <= allowed), None)

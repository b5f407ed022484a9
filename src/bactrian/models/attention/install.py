"""Decides which kernels a model gets: the first that agree with its own attention.

Knows nothing of what the kernels do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from bactrian.models.attention import agreement
from bactrian.models.attention.agreement import Seen
from bactrian.models.attention.families import layers_patched
from bactrian.models.attention.layers import registered
from bactrian.models.attention.state import Attention
from bactrian.models.attention.ways import Way, chains

OWN_KEPT = "its own attention is used, and rows are not packed"
UNPACKED = "rows are not packed"
FAILURES = (
    ArithmeticError,
    AttributeError,
    ImportError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What kernels and models raise where they cannot do something; our own checks among them."""


@contextmanager
def install(causal: Any, attention: Attention) -> Iterator[None]:
    """Have the model's layers call ``attention`` inside the block; all is put back after it.

    Raises ValueError for a model whose layers cannot be reached.
    """
    with layers_patched(causal, attention) as patched:
        if not patched and not _by_name(causal):
            raise ValueError("its layers do not look attention up by name")
        with registered(causal, attention, bool(patched)):
            yield


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a test of some kernels on a model found."""

    ways: tuple[Way, ...]
    fast: bool
    packs: bool
    why: str


def choose(causal: Any) -> Outcome:
    """Return the kernels that agree with the model's own attention, packed rows first of all.

    A kernel that fails, for whatever reason, is left out; with none left the model keeps its own.
    """
    device = causal.get_input_embeddings().weight.device
    found: list[Outcome] = []
    with agreement.quiet(causal):
        try:
            documents = agreement.probes(causal)
            plain = agreement.alone(causal, documents)
            noise = agreement.padded(causal, documents).distance(plain)
        except FAILURES as error:
            return Outcome((), False, False, f"{_said(error)}: {OWN_KEPT}")
        limit = agreement.alone_limit(causal.dtype, noise)
        for chain in chains(device):
            found.append(_tried(causal, chain, documents, Own(plain, limit)))
            if found[-1].packs:
                return found[-1]
    return next((outcome for outcome in found if outcome.fast), found[0])


@dataclass(frozen=True, slots=True)
class Own:
    """What the model gives by its own attention."""

    plain: Seen
    limit: float
    """Accepted distance of padded and packed rows to single documents."""


def _tried(
    causal: Any, ways: tuple[Way, ...], documents: Sequence[torch.Tensor], own: Own
) -> Outcome:
    """Test kernels on single documents, on padded rows and on a packed one."""
    attention = Attention(ways)
    try:
        with install(causal, attention):
            fault = _fault(causal, attention, documents, own)
    except FAILURES as error:
        fault = _said(error)
    if fault:
        return Outcome(ways, False, False, f"{fault}: {OWN_KEPT}")
    try:
        with install(causal, attention):
            distance = agreement.packed(causal, documents, attention).distance(
                agreement.alone(causal, documents)
            )
    except FAILURES as error:
        return Outcome(ways, True, False, f"packed rows fail ({_said(error)}): {UNPACKED}")
    if not distance <= own.limit:  # NaN as well
        told = f"packed rows differ from single documents by {distance:.3f} of the spread"
        return Outcome(ways, True, False, f"{told}: {UNPACKED}")
    return Outcome(ways, True, True, "")


def _fault(causal: Any, attention: Attention, documents: Sequence[torch.Tensor], own: Own) -> str:
    """Return what is wrong with single documents and padded rows, or nothing."""
    ours = agreement.alone(causal, documents)
    if not attention.calls:
        return "its layers do not look attention up by name"
    if strange := attention.untold - attention.windows:
        return f"its layers do not tell of their window of {max(strange)} tokens"
    for distance, limit in (
        (ours.distance(own.plain), agreement.own_limit(causal.dtype)),
        (agreement.padded(causal, documents).distance(ours), own.limit),
    ):
        if not distance <= limit:  # NaN as well
            return f"our attention differs from its own by {distance:.3f} of the spread"
    return ""


def _said(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _by_name(causal: Any) -> bool:
    """Whether transformers lets this model's attention be chosen after it was loaded."""
    asked = getattr(type(causal), "_can_set_attn_implementation", None)
    return asked is None or bool(asked())

"""A model that scores requests: plans batches, computes them, leaves the model as it was.

Which way it goes is decided elsewhere (``choice``). Knows no texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from bactrian.models.blocks import fast_blocks
from bactrian.models.head import Split
from bactrian.models.lora_layers import fast_lora
from bactrian.models.scoring.first_layer import Repeated, deduplicated
from bactrian.models.scoring.last_layer import Asked, narrowed
from bactrian.models.scoring.requests import Likelihood, Request
from bactrian.models.scoring.rows import Batch, packed, padded

if TYPE_CHECKING:
    from bactrian.models.attention.state import Attention
    from bactrian.models.scoring.ways import Row

Name = Literal["packed", "padded", "plain"]
ROW_ON_CPU = 2048
"""Tokens of a row at most on a CPU: weights are read once for them, and a stop costs seconds."""
LOGITS = 256 << 20
"""Bytes of float32 logits of a batch whose model makes them all."""


class Scorer:
    """A causal model that says how likely texts are."""

    def __init__(self, parts: Split, way: Name, attention: Attention | None = None) -> None:
        """Take the model in parts and a way; ``attention`` is needed for rows of tries."""
        self.parts = parts
        self.way = way
        self._attention = attention
        self._repeated = Repeated()
        self._asked = Asked()
        self._working = False
        self._last: tuple[Batch, Row] | None = None

    def plan(self, requests: Sequence[Request], budget: int) -> list[Batch]:
        """Return batches of up to about ``budget`` tokens that hold every request once.

        They follow from the requests, the budget and the kind of device alone. Raises ValueError
        for a request that has something to score and no context.
        """
        if self.way == "packed":
            most = ROW_ON_CPU if self._device.type == "cpu" else budget
            return packed(requests, min(budget, most))
        if self.way == "plain":
            budget = min(budget, LOGITS // (4 * self.parts.head.linear.weight.shape[0]))
        return padded(requests, budget)

    def score(self, batch: Batch) -> list[Likelihood]:
        """Return what the model says of ``batch.requests``, in their order.

        Many batches are scored inside one ``at_work``.
        """
        from bactrian.models.scoring import ways

        if self.way != "packed" or self._attention is None:
            return ways.padded(self.parts, batch.given)
        with self.at_work():
            row = self._row(batch)
            repeated = self._repeated.row(row.repeats)
            with repeated, self._asked.only(row.at, row.ids.shape[1]):
                return ways.packed(self.parts, self._attention, row, len(batch.requests))

    def likelihoods(self, requests: Sequence[Request], budget: int) -> list[Likelihood]:
        """Return what the model says of all requests, in their order."""
        found: dict[int, Likelihood] = {}
        with self.at_work():
            for batch in self.plan(requests, budget):
                found.update(zip(batch.requests, self.score(batch), strict=True))
        return [found[index] for index in range(len(requests))]

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Have our attention, norms and gates in the model inside the block; as it was after it."""
        if self._working or self._attention is None:
            yield
            return
        from bactrian.models.attention.install import install

        with ExitStack() as stack:
            causal = self.parts.causal
            stack.enter_context(_frozen(causal))
            stack.enter_context(install(causal, self._attention))
            # after it: a layer whose forward is replaced twice (Falcon's) keeps the first one
            stack.enter_context(fast_blocks(causal))
            stack.enter_context(_gates_in_place(causal))
            if _adapted_in_full_precision(causal):
                stack.enter_context(fast_lora(causal))
            # last, around whatever the forwards are by now
            stack.enter_context(deduplicated(self.parts.body, self._repeated))
            stack.enter_context(narrowed(self.parts.body, self._asked))
            self._working = True
            try:
                yield
            finally:
                self._working, self._last = False, None

    def _row(self, batch: Batch) -> Row:
        """Return the batch as tensors, made once for all adapters that score it in turn."""
        from bactrian.models.scoring.ways import row_of

        if self._last is None or self._last[0] is not batch:
            self._last = batch, row_of(batch, self._device)
        return self._last[1]

    @property
    def _device(self) -> Any:
        return self.parts.head.linear.weight.device


@contextmanager
def _frozen(model: Any) -> Iterator[None]:
    """Have no weight of the model ask for a gradient: its norms may be computed in fewer passes."""
    trained = [weights for weights in model.parameters() if weights.requires_grad]
    for weights in trained:
        weights.requires_grad = False
    try:
        yield
    finally:
        for weights in trained:
            weights.requires_grad = True


@contextmanager
def _gates_in_place(model: Any) -> Iterator[None]:
    """Have gated MLPs with silu write into the gate: nothing is kept for a backward pass."""
    from torch.nn.functional import silu

    from bactrian.models.activations import fast_gate

    def forward(mlp: Any, x: Any) -> Any:
        return mlp.down_proj(silu(mlp.gate_proj(x), inplace=True).mul_(mlp.up_proj(x)))

    gated = [module for module in model.modules() if fast_gate(module) is not None]
    try:
        for module in gated:
            module.forward = partial(forward, module)
        yield
    finally:
        for module in gated:
            vars(module).pop("forward", None)


def _adapted_in_full_precision(causal: Any) -> bool:
    """Whether LoRA can go our way and give PEFT's numbers: it multiplies in the base's dtype."""
    import torch

    full = causal.dtype in (torch.float32, torch.float64)
    return full and any(hasattr(module, "lora_A") for module in causal.modules())

"""Logits at the positions that matter only. Knows nothing of losses, tasks or adapters.

A causal language model is a body (tokens to hidden states) and a head (hidden state to logits).
Running the head at every position is what makes vocabularies of 250,000 impossible; here it runs
where it is asked. Scales and caps that some architectures apply to the logits are applied too, and
a self-test compares the result with the plain model: where it differs, the plain way is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bactrian.events import emit

TOLERANCE = 0.02
"""Largest accepted difference, as a share of the spread (standard deviation) of the logits."""


@dataclass(frozen=True, slots=True)
class Head:
    """The last linear layer and what the architecture does to its result."""

    linear: Any
    scale: float
    cap: float | None

    def logits(self, hidden: Any) -> Any:
        """Return float32 logits [n, vocab] of hidden states [n, width]."""
        import torch

        logits = self.linear(hidden).float() * self.scale
        if self.cap is not None:
            logits = torch.tanh(logits / self.cap) * self.cap
        return logits


@dataclass(frozen=True, slots=True)
class Split:
    """A causal model taken apart; ``fast`` is False where only the plain way agrees."""

    causal: Any
    body: Any
    head: Head
    fast: bool

    def hidden(self, input_ids: Any) -> Any:
        """Return hidden states [rows, length, width] of right-padded token ids [rows, length]."""
        return self.body(input_ids=input_ids, use_cache=False).last_hidden_state

    def logits_at(self, input_ids: Any, where: Any) -> Any:
        """Return float32 logits [n, vocab] at the True positions of ``where`` [rows, length]."""
        if self.fast:
            return self.head.logits(self.hidden(input_ids)[where])
        return self.causal(input_ids=input_ids, use_cache=False).logits[where].float()


def split(model: Any) -> Split:
    """Take a causal model (plain or with PEFT's layers inside) apart and test the parts.

    Causal attention keeps real tokens from seeing the padding on their right, so no mask is sent.
    """
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    config = causal.config.get_text_config()
    scale = float(getattr(config, "logit_scale", None) or 1.0)
    scale /= float(getattr(config, "logits_scaling", None) or 1.0)
    head = Head(
        causal.get_output_embeddings(), scale, getattr(config, "final_logit_softcapping", None)
    )
    parts = Split(causal, causal.base_model, head, fast=True)
    distance = _self_test(parts)
    if distance <= TOLERANCE:
        return parts
    emit(
        "warning",
        text=f"{type(causal).__name__}: the fast head differs from the model by "
        f"{distance:.3f} of the logits' spread; the plain way is used",
    )
    return Split(causal, parts.body, head, fast=False)


def _self_test(parts: Split) -> float:
    """Return the largest difference between both ways, as a share of the logits' spread."""
    import torch

    vocabulary = parts.head.linear.weight.shape[0]
    device = parts.head.linear.weight.device
    ids = torch.arange(2, 10, device=device).reshape(2, 4) * 7 % vocabulary
    everywhere = torch.ones_like(ids, dtype=torch.bool)
    was_training = parts.causal.training
    parts.causal.eval()
    with torch.inference_mode():
        fast = parts.logits_at(ids, everywhere)
        plain = parts.causal(input_ids=ids, use_cache=False).logits[everywhere].float()
    parts.causal.train(was_training)
    return float((fast - plain).abs().max() / plain.std().clamp_min(1e-9))

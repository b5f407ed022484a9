"""A model that returns -log p of targets when it is given targets.

The model's ``forward`` is replaced for as long as a block lasts, so that everything that wraps a
model (PEFT, DistributedDataParallel, FSDP) wraps the response-only path as well. Body first, then
the head at the named positions only; an encoder-decoder runs its own forward with an empty head.
Knows nothing of batches or losses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from bactrian.events import emit
from bactrian.models.cross_entropy import token_nats
from bactrian.models.head import TOLERANCE, Head, split

Forward = Callable[..., Any]
SHARDED = "set_reshard_after_forward"
"""What a layer can do that FSDP has a part in."""


@contextmanager
def answering(model: Any) -> Iterator[None]:
    """Have ``model(input_ids=…, at=[n], targets=[n])`` return nats, float32 [n], in the block.

    ``at`` are places in the hidden states [rows x length]. Without ``targets`` the model does what
    it does. Where a self-test says that body and head alone are not the model, the logits are the
    model's own, and a warning says so.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    plain = inner.forward
    if inner.config.is_encoder_decoder:
        nats = _of_pairs(inner, plain)
    else:
        parts = split(inner)
        nats = _of_body(parts.body, parts.head) if parts.fast else _of_logits(plain)

    def forward(*given: Any, at: Any = None, targets: Any = None, **named: Any) -> Any:
        if targets is None:
            return plain(*given, **named)
        told = {name: value for name, value in named.items() if value is not None}
        for name in ("return_dict", "labels", "output_attentions", "output_hidden_states"):
            told.pop(name, None)  # PEFT passes them on, set or not
        return nats(at, targets, told)

    inner.forward = forward
    try:
        yield
    finally:
        del inner.forward


def _of_body(body: Any, head: Head) -> Forward:
    def nats(at: torch.Tensor, targets: torch.Tensor, told: dict[str, Any]) -> torch.Tensor:
        hidden = body(**told, use_cache=False).last_hidden_state
        if hasattr(head.linear, SHARDED):
            head.linear(hidden[:, :0])  # FSDP brings weights to where a layer is called
        return token_nats(hidden.flatten(0, 1).index_select(0, at), targets, head)

    return nats


def _of_logits(plain: Forward) -> Forward:
    def nats(at: torch.Tensor, targets: torch.Tensor, told: dict[str, Any]) -> torch.Tensor:
        logits = plain(**told, use_cache=False).logits
        chosen = logits.flatten(0, 1).index_select(0, at).float()
        return cross_entropy(chosen, targets, reduction="none")

    return nats


def _of_pairs(inner: Any, plain: Forward) -> Forward:
    """The head's input is taken on its way in, and the head is given nothing to do."""
    head = Head(inner.get_output_embeddings(), 1.0, None)

    def hidden_of(told: dict[str, Any]) -> torch.Tensor:
        kept: list[torch.Tensor] = []

        def take(_: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
            kept.append(given[0])
            return (given[0][:, :0],)

        hook = head.linear.register_forward_pre_hook(take)
        try:
            plain(**told, use_cache=False)
        finally:
            hook.remove()
        return kept[0]

    def nats(at: torch.Tensor, targets: torch.Tensor, told: dict[str, Any]) -> torch.Tensor:
        hidden = hidden_of(told).flatten(0, 1).index_select(0, at)
        return token_nats(hidden, targets, head)

    if _agrees(inner, plain, nats):
        return nats
    emit(
        "warning",
        text=f"{type(inner).__name__}: its logits are not those of its last layer alone; the plain "
        "way is used",
    )
    return _of_logits(plain)


def _agrees(inner: Any, plain: Forward, nats: Forward) -> bool:
    """Whether -log p by the head's input is the model's own, on two rows."""
    device = inner.get_input_embeddings().weight.device
    ids = torch.arange(2, 18, device=device).reshape(2, 8)
    told = {"input_ids": ids, "decoder_input_ids": ids, "attention_mask": torch.ones_like(ids)}
    at, targets = torch.arange(16, device=device), ids.flatten()
    was_training = inner.training
    inner.eval()
    with torch.inference_mode():
        ours, theirs = nats(at, targets, told), _of_logits(plain)(at, targets, told)
    inner.train(was_training)
    spread = theirs.std().clamp_min(1e-3)
    return bool((ours - theirs).abs().max() <= TOLERANCE * spread)

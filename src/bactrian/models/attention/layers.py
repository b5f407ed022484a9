"""Puts our attention where transformers looks attention up by name, for as long as a block lasts.

A call that is not plain causal attention over whole rows (a mask, a cache, two directions) goes to
the model's own attention, and gets the model's own mask. Knows nothing of kernels.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch

from bactrian.models.attention.scores import Scores
from bactrian.models.attention.state import Attention

UNKNOWN = ("s_aux", "position_bias", "cache", "head_mask", "indices", "block_indices")
"""Arguments that change the scores in ways that no kernel of ours knows (sinks, learned biases)."""
Mixed = tuple[torch.Tensor, torch.Tensor | None]
_numbers = count(1)


class UnknownScores(ValueError):
    """A layer asked for scores that our kernels do not compute."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Our attention as transformers calls it."""

    ours: Attention
    patched: bool = False
    """Whether the layers are ours to the end, so that no mask is needed that a model insists on."""

    def attend(
        self,
        module: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        *,
        scaling: float | None = None,
        sliding_window: int | None = None,
        softcap: float | None = None,
        dropout: float = 0.0,
        is_causal: bool | None = None,
        **others: Any,
    ) -> Mixed:
        """Return the mixed values [rows, length, heads, width], and no weights.

        Raises UnknownScores where a layer asks for more than we know.
        """
        causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
        if attention_mask is not None or not causal or query.shape[2] != key.shape[2]:
            told = {"scaling": scaling, "sliding_window": sliding_window, "dropout": dropout}
            if softcap is not None:
                told["softcap"] = softcap
            if is_causal is not None:
                told["is_causal"] = is_causal
            own = self._own(module)
            given: Mixed = own(module, query, key, value, attention_mask, **told, **others)
            return given
        if strange := [name for name in UNKNOWN if others.get(name) is not None]:
            raise UnknownScores(f"its layers pass {', '.join(strange)}")
        scale = query.shape[-1] ** -0.5 if scaling is None else float(scaling)
        scores = Scores(scale, sliding_window or None, softcap or None, None, dropout)
        return self.ours.attend(query, key, value, scores), None

    def mask(self, **asked: Any) -> Any:
        """Return None for plain causal attention over whole rows, else the model's own mask."""
        from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

        plain = asked.get("attention_mask") is None and not asked.get("use_vmap", False)
        free = asked.get("allow_is_causal_skip", True) or self.ours.packed or self.patched
        if not (plain and free and _whole(asked)) or self._chunked(asked):
            return ALL_MASK_ATTENTION_FUNCTIONS[self.ours.own](**asked)
        if asked.get("local_size") is not None:
            self.ours.untold.add(asked["local_size"])
        return None

    def _chunked(self, asked: dict[str, Any]) -> bool:
        """Whether a mask is asked for that is neither causal nor a window the layers tell of."""
        size = asked.get("local_size")
        if size is None or size >= asked["kv_length"]:
            return False
        return bool(size != getattr(asked.get("config"), "sliding_window", size))

    def _own(self, module: Any) -> Callable[..., Any]:
        """Return the attention that ours stands in for: by name, or eager from the model's file."""
        from transformers import AttentionInterface

        plain = getattr(sys.modules[type(module).__module__], "eager_attention_forward", None)
        found: Callable[..., Any] = AttentionInterface().get(self.ours.own, plain)
        return found


def _whole(asked: dict[str, Any]) -> bool:
    """Whether queries and keys are the same positions: nothing comes from a cache."""
    places = asked.get("cache_position")
    queries = asked.get("q_length") if places is None else len(places)
    first = asked.get("q_offset", 0)
    return bool(queries == asked["kv_length"]) and isinstance(first, int) and first == 0


@contextmanager
def registered(model: Any, attention: Attention, patched: bool) -> Iterator[None]:
    """Have the layers of a causal model call ``attention``; the model's own name comes back after.

    Only the configuration object that the text layers share is touched, and no file is written
    with the new name: transformers keeps it out of what it saves.
    """
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    config = model.config.get_text_config()
    attention.own = config._attn_implementation or "eager"
    entry, name = Entry(attention, patched), f"bactrian-{next(_numbers)}"
    AttentionInterface.register(name, entry.attend)
    AttentionMaskInterface.register(name, entry.mask)
    before = config._attn_implementation_internal
    config._attn_implementation_internal = name
    try:
        yield
    finally:
        config._attn_implementation_internal = before
        AttentionInterface._global_mapping.pop(name, None)
        AttentionMaskInterface._global_mapping.pop(name, None)

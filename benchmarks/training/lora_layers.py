"""The LoRA layers and what lies between the multiplications: ours beside PEFT and transformers.

    PYTHONPATH=. python -m benchmarks.training.lora_layers

Forward and backward pass of the llama-like body (no head) over padded micro-batches of up to 3,072
tokens, scaled_dot_product_attention in every way, one thread; the ways take turns on each batch,
ratios are medians over the batches of CPU seconds. The distance is that of the LoRA gradients from
float64, ours over PEFT's. Prints a line a figure; ends with 1 where one falls short.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from statistics import median
from time import process_time
from typing import Any

from benchmarks.training import shapes
from benchmarks.training.report import Figure

TOKENS = 3072
WAYS = ("peft", "lora", "blocks", "both", "lean")
LIMITS = {
    ("bfloat16", 0.0): {"lora": 1.15, "both": 1.4},
    ("float32", 0.0): {"both": 1.1},
    ("bfloat16", 0.05): {"both": 1.5},
}
"""How many times as fast as PEFT's layers in transformers' model, by dtype and LoRA dropout."""
DISTANCE = 1.15
"""Of ours from float64, over that of PEFT's: the same roundings in another order."""

Way = Callable[[], AbstractContextManager[Any]]


def main() -> int:
    """Measure every dtype and dropout, print the figures; 1 where one falls short."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--batches", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=5)
    told = parser.parse_args()
    torch.set_num_threads(1)
    found = []
    for (dtype, dropout), limits in LIMITS.items():
        body = adapted(getattr(torch, dtype), dropout)
        name = f"{dtype}_dropout" if dropout else dtype
        for way, ratio in ratios(body, told.batches, told.rounds).items():
            limit = limits.get(way)
            found.append(Figure(f"body_{name}_{way}_over_peft", ratio, limit, at_most=False))
            print(found[-1].line(), flush=True)
        if not dropout:
            most = DISTANCE if dtype == "bfloat16" else None
            found.append(Figure(f"body_{name}_distance_over_pefts", distance(body), most))
            print(found[-1].line(), flush=True)
    return int(any(figure.short for figure in found))


def adapted(dtype: Any, dropout: float) -> Any:
    """Return the llama-like model with an adapter whose B is not zero, ready to train."""
    import torch
    from peft import get_peft_model

    config = shapes.lora("llama")
    config.lora_dropout = dropout
    model = get_peft_model(shapes.model("llama").to(dtype), config)
    torch.manual_seed(1)
    for path, weight in model.named_parameters():
        if "lora_B" in path:
            torch.nn.init.normal_(weight, std=0.02)
    model.config._attn_implementation = "sdpa"
    return model.train()


def batches(count: int) -> Iterator[Any]:
    """Yield micro-batches of ids [rows, length] of the bench's lengths, sorted by length."""
    import torch

    rows = sorted(shapes.rows(32_000), key=lambda row: len(row.ids))
    cut: list[list[shapes.Row]] = [[]]
    for row in rows:
        if cut[-1] and (len(cut[-1]) + 1) * len(row.ids) > TOKENS:
            cut.append([])
        cut[-1].append(row)
    for place in range(count):
        chosen = cut[int((place + 0.5) * len(cut) / count)]
        ids = [torch.from_numpy(row.ids).long() for row in chosen]
        yield torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)


def ways(model: Any) -> dict[str, Way]:
    """Return what is put around the model, by name."""
    from bactrian.models.blocks import fast_blocks
    from bactrian.models.lora_layers import fast_lora

    @contextmanager
    def around(*pieces: Any, lean: bool = False) -> Iterator[None]:
        with ExitStack() as stack:
            for piece in pieces:
                stack.enter_context(
                    piece(model, **({"lean": lean} if piece is fast_blocks else {}))
                )
            yield

    return {
        "peft": lambda: around(),
        "lora": lambda: around(fast_lora),
        "blocks": lambda: around(fast_blocks),
        "both": lambda: around(fast_lora, fast_blocks),
        "lean": lambda: around(fast_lora, fast_blocks, lean=True),
    }


def pass_through(model: Any, ids: Any) -> None:
    """One forward and backward pass of the body."""
    import torch

    hidden = model.get_base_model().model(input_ids=ids, use_cache=False).last_hidden_state
    slope = torch.linspace(-1, 1, hidden.shape[-1], dtype=hidden.dtype).expand_as(hidden)
    hidden.backward(slope.contiguous())


def ratios(model: Any, count: int, rounds: int) -> dict[str, float]:
    """Return how many times as fast as PEFT's each way is."""
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for turn in range(rounds + 1):
        for ids in batches(count):
            for name, way in ways(model).items():
                with way():
                    began = process_time()
                    pass_through(model, ids)
                if turn:  # the first turn warms up
                    seconds[name].append(process_time() - began)
                model.zero_grad(set_to_none=True)
    plain = seconds.pop("peft")
    return {
        name: median(one / other for one, other in zip(plain, spent, strict=True))
        for name, spent in seconds.items()
    }


def distance(model: Any) -> float:
    """Return how far our LoRA gradients are from float64, over how far PEFT's are."""
    import copy

    ids = next(batches(1))[:4]
    exact = gradients(copy.deepcopy(model).double(), ids)
    around = ways(model)
    found = {}
    for name in ("peft", "both"):
        with around[name]():
            found[name] = gradients(model, ids)
    far = {
        name: sum(float((one[path] - exact[path]).norm() / exact[path].norm()) for path in exact)
        for name, one in found.items()
    }
    return far["both"] / far["peft"]


def gradients(model: Any, ids: Any) -> dict[str, Any]:
    """Return the gradients of A and B of one pass, float64."""
    model.zero_grad(set_to_none=True)
    pass_through(model, ids)
    found = {
        path: one.grad.double() for path, one in model.named_parameters() if one.grad is not None
    }
    model.zero_grad(set_to_none=True)
    return found


if __name__ == "__main__":
    sys.exit(main())

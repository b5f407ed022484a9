"""Our loss path against full logits in float64, and packed rows against one row at a time.

    PYTHONPATH=. python -m benchmarks.training.gradients

For LLaMA, BLOOM, Gemma, Qwen and Mistral shapes with their real vocabularies, in float32 on the
CPU. ``gradient_difference_*`` is the largest |ours - theirs| / |theirs| (2-norm) over the adapter's
matrices: ours those that ``engine.learn`` hands to the optimizer, of padded and of packed rows;
theirs of PEFT's plain model in float64, a row at a time, with logits at every position.
``packed_log_likelihood_*`` is the largest relative difference of a row's log-likelihood, packed
among others and alone in that plain model. Prints a line a figure; ends with 1 where one falls
short.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from benchmarks.training import ours, shapes
from benchmarks.training.report import Figure

LIMIT = 1e-5
ROWS = 5
RANK = 4
NAME = "bench"
SMALL = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "initializer_range": 0.1,
}
BLOOM = {"hidden_size": 64, "n_layer": 2, "n_head": 4, "initializer_range": 0.1}
FAMILIES: dict[str, tuple[str, int, dict[str, Any]]] = {
    "llama": ("Llama", 32_000, SMALL),
    "bloom": ("Bloom", 250_880, BLOOM),
    "gemma": (
        "Gemma2",
        256_000,
        {
            **SMALL,
            "sliding_window": 16,
            "attn_logit_softcapping": 5.0,
            "final_logit_softcapping": 3.0,
        },
    ),
    "qwen": ("Qwen3", 151_936, SMALL),
    "mistral": ("Mistral", 32_000, {**SMALL, "sliding_window": 16}),
}
"""Windows shorter than the rows and caps near the logits, so that leaving them out would show."""


def model(family: str) -> Any:
    """Return a small causal model of a family, float32, its norms and biases random as well."""
    import torch
    import transformers

    name, vocabulary, sizes = FAMILIES[family]
    special = {"pad_token_id": shapes.PAD, "bos_token_id": shapes.BOS, "eos_token_id": shapes.EOS}
    config = getattr(transformers, f"{name}Config")(vocab_size=vocabulary, **special, **sizes)
    torch.manual_seed(11)
    made = getattr(transformers, f"{name}ForCausalLM")(config)
    for weights in made.parameters():
        if weights.dim() == 1:
            torch.nn.init.normal_(weights.data, 0.5, 0.3)
    return made


def rows(family: str) -> list[shapes.Row]:
    """Return a few rows of unequal lengths, none longer than forty-five tokens."""
    drawn = shapes.rows(FAMILIES[family][1], 4 * ROWS, seed=5)
    cut = [shapes.Row(row.ids[: 25 + 5 * (place % ROWS)], 8) for place, row in enumerate(drawn)]
    return [row for row in cut if len(row.ids) > 16][:ROWS]


def measured(family: str) -> Iterator[Figure]:
    """Yield the figures of a family: gradients padded and packed, and packed log-likelihoods."""
    for packing in ("pad", "pack"):
        with TemporaryDirectory() as folder:
            yield from _of(family, packing, Path(folder))


def _of(family: str, packing: Literal["pad", "pack"], work: Path) -> Iterator[Figure]:
    from bactrian.models.base import Base, Location
    from bactrian.recipe import Lora, Recipe, Train
    from bactrian.train import engine

    examples = rows(family)
    steps: dict[str, Any] = {"max_steps": 1, "batch_rows": len(examples), "clip": 0.0}
    train = Train(lora=Lora(rank=RANK, dropout=0.0), packing=packing, **steps)
    recipe = Recipe(train=train)
    location = Location(family, work, "", "")
    base = Base(location, model(family), shapes.tokenizer(), "cpu", "float32")
    with engine.made_ready(base, train, [NAME], recipe.seed) as ready:
        if packing == "pack":
            yield Figure(f"packs_{family}", float(ready.attention.packs), 1, at_most=False)
            if not ready.attention.packs:
                return
        _stir(ready.model)
        plain = _plain(family, ready.model)
        job = ours.job_of({NAME: examples}, recipe, packing=packing == "pack")
        if packing == "pack":
            yield Figure(
                f"packed_log_likelihood_difference_{family}",
                _apart(
                    _packed(ready, job, examples), [_log_likelihood(plain, row) for row in examples]
                ),
                LIMIT,
            )
        kept: dict[str, Any] = {}
        with ours.listening(_keeping(kept)):
            ours.learn(ready, base, recipe, job, work)
    _plain_loss(plain, examples).backward()
    yield Figure(f"gradient_difference_{packing}_{family}", _distance(kept, plain), LIMIT)


def _stir(adapted: Any) -> None:
    """Give the B matrices values, so that the adapter does something and A has a gradient."""
    import torch

    torch.manual_seed(3)
    for name, weights in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, 0.0, 0.1)


def _plain(family: str, adapted: Any) -> Any:
    """Return the plain PEFT model in float64 with the same weights, nothing of ours in it."""
    from peft import get_peft_model

    config = adapted.peft_config[NAME]
    plain = get_peft_model(model(family), config, adapter_name=NAME, autocast_adapter_dtype=False)
    learnt = {name: weights for name, weights in adapted.named_parameters() if "lora_" in name}
    missing, strange = plain.load_state_dict(learnt, strict=False)
    assert not strange, strange
    assert not any("lora_" in name for name in missing), missing
    return plain.double()


def _keeping(kept: dict[str, Any]) -> Any:
    """Return a TrainerCallback that keeps the gradients of a step, before the optimizer's."""
    from transformers import TrainerCallback

    class Keeping(TrainerCallback):  # type: ignore[misc]  # transformers is not followed
        def on_pre_optimizer_step(
            self, args: Any, state: Any, control: Any, model: Any = None, **_: Any
        ) -> None:
            kept.update(
                (name, weights.grad.clone())
                for name, weights in model.named_parameters()
                if weights.requires_grad
            )

    return Keeping()


def _distance(kept: dict[str, Any], plain: Any) -> float:
    """Return the largest relative difference of an adapter's gradients."""
    theirs = {name: weights.grad for name, weights in plain.named_parameters()}
    assert kept, "no gradient was seen"
    return max(
        float((ours.double() - theirs[name]).norm() / theirs[name].norm())
        for name, ours in kept.items()
    )


def _packed(ready: Any, job: Any, examples: list[shapes.Row]) -> list[float]:
    """Return -log p of each row's response, all rows in one packed row."""
    import numpy as np
    import torch

    from bactrian.train.trainer import FORWARD

    micro = job.rows.micro(np.arange(len(examples)))
    owners = np.repeat(np.arange(len(examples)), [row.response for row in examples])
    with torch.no_grad(), ready.attention.documents(micro["documents"]):
        nats = ready.model(**{name: micro[name] for name in FORWARD if name in micro})
    sums: list[float] = np.bincount(owners, nats.double().numpy()).tolist()
    return sums


def _log_likelihood(plain: Any, row: shapes.Row) -> float:
    """Return -log p of one row's response, alone."""
    import torch

    with torch.no_grad():
        return float(_plain_loss(plain, [row])) * row.response


def _apart(ones: list[float], others: list[float]) -> float:
    return max(abs(one - other) / other for one, other in zip(ones, others, strict=True))


def _plain_loss(plain: Any, examples: list[shapes.Row]) -> Any:
    """Return the mean over response tokens of -log p, from logits at every position.

    One row at a time: in float64 transformers' own masks of padded rows give NaN where a window
    sees padding only (their least float64 is -inf in the softmax's float32).
    """
    import torch
    from torch.nn.functional import cross_entropy

    total: Any = 0.0
    for row in examples:
        tokens = torch.from_numpy(row.ids).long()
        logits = plain(input_ids=tokens[None], use_cache=False).logits[0]
        scored = slice(row.prompt - 1, len(tokens) - 1)
        total += cross_entropy(logits[scored], tokens[row.prompt :], reduction="sum")
    return total / sum(row.response for row in examples)


def figures() -> Iterator[Figure]:
    """Yield the figures of all families."""
    for family in FAMILIES:
        yield from measured(family)


def main() -> int:
    """Print the figures; 1 where one falls short."""
    import torch

    from bactrian.models.base import quiet

    quiet()
    torch.set_num_threads(1)
    short = False
    for figure in figures():
        print(figure.line(), flush=True)
        short |= figure.short
    return int(short)


if __name__ == "__main__":
    sys.exit(main())

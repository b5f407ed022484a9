"""The words in which a training is foretold. Knows no command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from bactrian.cli.terminal import duration

if TYPE_CHECKING:
    from bactrian.train.forecast import Forecast
    from bactrian.train.forecast.memory import Memory

NAMED = 8
"""Languages that are named one by one; more are counted."""


def lines(told: Forecast) -> Iterator[str]:
    """Yield what a person reads of the forecast of one adapter."""
    yield (
        f"{told.name}  would train on {told.rows} rows in {_languages(told.languages)}: "
        f"{told.steps} steps, {told.tokens} tokens, {told.padding_share:.0%} padding"
    )
    for counts, what in (
        (told.shortened, "shortened to fit"),
        (told.too_long, "too long: left out"),
        (told.empty, "without a response: left out"),
    ):
        if counts:
            yield f"  rows {what}: {_counts(counts)}"
    yield (
        f"  parameters  {told.trained_parameters:,} trained of {told.base_parameters:,} "
        f"({told.trained_share:.2%})"
    )
    if told.name == told.together[0]:
        yield from _of_the_pass(told)
    disk = told.disk
    yield (
        f"  disk        {size(disk.adapter_bytes)} adapter, {size(disk.checkpoints_bytes)} "
        f"checkpoints meanwhile, {size(disk.tokens_bytes)} token ids (here already)"
        + ("" if disk.fits else f": MORE THAN THE {size(disk.free_bytes)} THAT ARE FREE")
    )


def _of_the_pass(told: Forecast) -> Iterator[str]:
    memory, probe = told.memory, told.probe
    if len(told.together) > 1:
        yield f"  in one pass {len(told.together)} adapters: {', '.join(told.together)}"
    yield f"  memory      {_memory(memory)}"
    if not memory.fits:
        yield (
            f"  DOES NOT FIT: this {_device(memory)} has {size(memory.device_bytes)}; "
            + (f"it would with {told.fits_with}" if told.fits_with else "no setting is enough")
        )
    if (measured := memory.measured_activations_bytes) is not None:
        yield (
            f"              activations: {size(memory.activations_bytes)} by the formula, "
            f"{size(measured)} measured ({memory.activations_bytes / max(1, measured) - 1:+.0%})"
        )
    if probe is not None:
        yield (
            f"  time        {duration(probe.hours * 3600)} at {probe.tokens_per_second:,.0f} "
            f"tokens/s (two micro-batches of {probe.smallest_tokens} and {probe.largest_tokens} "
            "tokens, measured)"
        )
    elif told.unmeasured:
        yield f"  time        not measured: {told.unmeasured}"


def _memory(memory: Memory) -> str:
    told = memory.measured_activations_bytes
    activations = memory.activations_bytes if told is None else told
    lean = memory.activations_with_checkpointing_bytes
    besides = f" ({size(lean)} with checkpointing)" if lean < memory.activations_bytes else ""
    adapters = f"{memory.adapters} adapters" if memory.adapters > 1 else "adapter"
    return (
        f"{size(memory.total_bytes)}: weights {size(memory.weights_bytes)}, {adapters} with "
        f"gradients and optimizer {size(memory.learning_bytes)}, activations "
        f"{size(activations)}{besides}"
    )


def _device(memory: Memory) -> str:
    return "GPU" if memory.device == "cuda" else "machine"


def _languages(codes: tuple[str, ...]) -> str:
    return ", ".join(codes) if len(codes) <= NAMED else f"{len(codes)} languages"


def _counts(counts: Mapping[str, int]) -> str:
    """Return all counts, the largest first where there are many."""
    told = sorted(counts.items(), key=lambda one: -one[1])
    named = ", ".join(f"{code} {count}" for code, count in told[:NAMED])
    rest = told[NAMED:]
    more = f", and {sum(count for _, count in rest)} in {len(rest)} languages more" if rest else ""
    return f"{named}{more}"


def size(number: float) -> str:
    """Return bytes as a person writes them: 134 MB, 13.5 GB."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= factor:
            return f"{number / factor:.3g} {unit}"
    return f"{number:.0f} B"

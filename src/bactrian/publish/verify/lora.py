"""Pairs of A and B: whether they are whole, of the rank that is told, and do something.

Knows tensors by name, shape and what their values are like; opens nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bactrian.models.adapter_checks import PREFIX, place_of
from bactrian.publish.verify.finding import Finding, counted, fault, note, ok, some
from bactrian.publish.verify.header import WORDS, Entry
from bactrian.publish.verify.values import Values

SAVED_EMPTY = (
    "a script that replaces model.state_dict, as those of alpaca-lora and Bactrian-X do, has PEFT "
    "filter what is filtered already, and nothing is left: train again without that line (bactrian "
    "train looks at what it saved before it says so)"
)
A, B = ("lora_A", "lora_embedding_A"), ("lora_B", "lora_embedding_B")


@dataclass(frozen=True, slots=True)
class Pair:
    """The two sides of one layer's change."""

    down: Entry | None
    """A: [rank, in]; of an embedding [rank, tokens]."""
    up: Entry | None
    """B: [out, rank]."""


def pairs_of(entries: Mapping[str, Entry]) -> dict[str, Pair]:
    """Return the pair of every layer that has a side of one, by the layer's path in the base."""
    sides: dict[str, dict[str, Entry]] = {}
    for name, entry in entries.items():
        place, side = place_of(name)
        if side in (*A, *B):
            sides.setdefault(place, {})["A" if side in A else "B"] = entry
    return {place: Pair(found.get("A"), found.get("B")) for place, found in sides.items()}


def check(
    config: Mapping[str, Any], entries: Mapping[str, Entry], values: Mapping[str, Values]
) -> Iterator[Finding]:
    """Yield what there is to say of the tensors of a LoRA adapter."""
    pairs = pairs_of(entries)
    if not pairs:
        yield fault(f"it holds {counted(len(entries), 'tensor')}, and none of LoRA", SAVED_EMPTY)
        return
    found = [
        *_names(entries),
        *_finite(values),
        *_lonely(pairs),
        *_shapes(pairs),
        *_ranks(config, pairs),
        *_targets(config, pairs),
        *_alive(config, entries, values),
    ]
    if not any(one.level == "fault" for one in found):
        parameters = sum(_count(entry.shape) for entry in entries.values())
        dtypes = sorted({WORDS.get(entry.dtype, entry.dtype) for entry in entries.values()})
        yield ok(
            f"{counted(len(pairs), 'pair')} of A and B, {counted(parameters, 'value')} in "
            f"{' and '.join(dtypes)}, all finite"
        )
    yield from found


def rank_of(config: Mapping[str, Any], place: str) -> Any:
    """Return the rank that the configuration gives a layer, as PEFT reads its patterns."""
    patterns = config.get("rank_pattern")
    for pattern, rank in patterns.items() if isinstance(patterns, Mapping) else ():
        if _ends_as(str(pattern), place):
            return rank
    return config.get("r")


def is_target(config: Mapping[str, Any], place: str) -> bool:
    """Whether target_modules names a layer, as PEFT reads it."""
    told = config.get("target_modules")
    if isinstance(told, str):
        return told == "all-linear" or _matches(told, place)
    return any(place == name or place.endswith(f".{name}") for name in told or ())


def _names(entries: Mapping[str, Entry]) -> Iterator[Finding]:
    """Names that PEFT passes over in silence when it loads the file."""
    wrong = {
        "the mark of torch.compile (_orig_mod)": [n for n in entries if "_orig_mod" in n],
        "the adapter's own name after lora_A or lora_B": [
            n for n in entries if re.search(r"\.lora_[AB]\.(?!weight$|bias$)[^.]+\.", n)
        ],
        f"no {PREFIX} before it": [n for n in entries if not n.startswith(PREFIX)],
    }
    for what, names in wrong.items():
        if names:
            yield fault(
                f"{counted(len(names), 'name')} with {what}: PEFT leaves such tensors out in "
                f"silence ({some(names, 1)})",
                "rename the tensors as PEFT writes them: base_model.model.PATH.lora_A.weight, or "
                "save again with model.save_pretrained of the unwrapped PeftModel",
            )


def _finite(values: Mapping[str, Values]) -> Iterator[Finding]:
    broken = [name for name, one in values.items() if not one.finite]
    if broken:
        yield fault(
            f"{counted(len(broken), 'tensor')} with values that are not finite: {some(broken, 1)}",
            "the training diverged: train again with a lower learning rate, or in bfloat16",
        )


def _lonely(pairs: Mapping[str, Pair]) -> Iterator[Finding]:
    for lacking, places in (
        ("A", [place for place, pair in pairs.items() if pair.down is None]),
        ("B", [place for place, pair in pairs.items() if pair.up is None]),
    ):
        if places:
            yield fault(
                f"lora_{lacking} is missing of {counted(len(places), 'layer')}: {some(places, 1)}",
                "fetch the adapter again: readers fill the gap with what does nothing, or refuse",
            )


def _shapes(pairs: Mapping[str, Pair]) -> Iterator[Finding]:
    wrong = [
        place
        for place, pair in pairs.items()
        if pair.down and pair.up and not _fit(pair.down.shape, pair.up.shape)
    ]
    if wrong:
        pair = pairs[wrong[0]]
        down, up = (list(side.shape) if side else [] for side in (pair.down, pair.up))
        yield fault(
            f"A and B of {counted(len(wrong), 'layer')} cannot be multiplied: {wrong[0]} has A "
            f"{down} and B {up}",
            "fetch the adapter again; A is [rank, in] and B [out, rank]",
        )


def _fit(down: tuple[int, ...], up: tuple[int, ...]) -> bool:
    return len(down) >= 2 and len(up) >= 2 and down[0] == up[1] and _count(down) * _count(up) > 0


def _ranks(config: Mapping[str, Any], pairs: Mapping[str, Pair]) -> Iterator[Finding]:
    wrong = {
        place: pair.down.shape[0]
        for place, pair in pairs.items()
        if pair.down and pair.down.shape and pair.down.shape[0] != rank_of(config, place)
    }
    if wrong:
        place = min(wrong)
        yield fault(
            f"{counted(len(wrong), 'layer')} of another rank than adapter_config.json tells: "
            f"{place} has {wrong[place]}, told is {rank_of(config, place)}",
            f"write the rank of the tensors there: r, or rank_pattern where they differ ("
            f"{', '.join(str(rank) for rank in sorted(set(wrong.values())))})",
        )


def _targets(config: Mapping[str, Any], pairs: Mapping[str, Pair]) -> Iterator[Finding]:
    told = config.get("target_modules")
    if not told or config.get("target_parameters"):
        return  # the first is said with the configuration, the second names layers as well
    strangers = [place for place in pairs if not is_target(config, place)]
    if strangers:
        yield fault(
            f"{counted(len(strangers), 'layer')} with A and B that target_modules does not name: "
            f"PEFT leaves them out in silence ({some(strangers, 1)})",
            f"name them in adapter_config.json: {some({_last(one) for one in strangers}, 8)}",
        )
    idle = [
        name
        for name in (told if isinstance(told, list) else ())
        if not any(place == name or place.endswith(f".{name}") for place in pairs)
    ]
    if idle and not strangers:
        yield note(
            f"target_modules names {some(idle, 8)}, and there are no tensors of it",
            "nothing, where the base has no such layers; else the file lacks a part of the adapter",
        )


def _alive(
    config: Mapping[str, Any], entries: Mapping[str, Entry], values: Mapping[str, Values]
) -> Iterator[Finding]:
    """Whether some product of A and B is not zero."""
    zero: dict[str, bool] = {}
    for name in entries:
        place, side = place_of(name)
        if side in (*A, *B):
            zero[place] = zero.get(place, False) or values[name].zero
    dead = [place for place, nothing in zero.items() if nothing]
    if len(dead) == len(zero):
        if config.get("use_dora") or config.get("modules_to_save"):
            yield note("every product of A and B is zero: only what stands beside them counts")
            return
        yield fault(
            "every lora_B is zero (or every lora_A), so the adapter does nothing",
            "it was saved before training, or under other names than the trained ones: train it "
            "again, and look at the file before the machine is given back",
        )
    elif dead:
        yield note(
            f"{counted(len(dead), 'layer')} of {len(zero)} unchanged, their B is zero: "
            f"{some(dead, 1)}",
            "nothing, where training was to leave them out",
        )


def _ends_as(pattern: str, place: str) -> bool:
    return _matches(rf"(.*\.)?({pattern})", place)


def _matches(pattern: str, place: str) -> bool:
    try:
        return re.fullmatch(pattern, place) is not None
    except re.error:
        return False


def _last(place: str) -> str:
    return place.rpartition(".")[2]


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count

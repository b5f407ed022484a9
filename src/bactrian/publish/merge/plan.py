"""Which tensors adapters change, and what becomes of weights that layers of the base share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from bactrian.errors import AdapterError
from bactrian.publish.merge.adapter import Tensors, changes_of, open_tensors
from bactrian.publish.merge.changes import Change, Get, Tokens, Whole
from bactrian.publish.merge.mix import Mix, Mixed, Shared
from bactrian.publish.merge.places import Places
from bactrian.publish.source import Chosen, Source
from bactrian.publish.weights import Weights


@dataclass(frozen=True, slots=True)
class Made:
    """How one tensor comes about."""

    origin: str
    """The tensor of the base that it begins as."""
    shape: tuple[int, ...]
    mixed: Mixed | None
    """What is added to it."""
    replaced: Get | None = None
    """What stands in the place of ``origin``, of another size where tokens were added."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An adapter with its tensors placed in the base."""

    chosen: Chosen
    tensors: Tensors
    changes: Mapping[str, tuple[Change, ...]]
    """By the model's parameter."""


def plan(source: Source, mix: Mix, base: Weights, places: Places) -> dict[str, Made]:
    """Return what is changed, by the name of the tensor that is written.

    A head that shares its values with the embedding gets values of its own where only one of the
    two is changed. Raises AdapterError for what does not fit, and for sharing that cannot end.
    """
    opened = [_open(chosen, places) for chosen in source.adapters]
    work = _Work(opened, mix, base, places)
    found: dict[str, Made] = {}
    for parameter in dict.fromkeys(name for one in opened for name in one.changes):
        found |= work.made(parameter)
    _check_vocabulary(found, work)
    return found


def _open(chosen: Chosen, places: Places) -> Opened:
    tensors = open_tensors(chosen.folder)
    return Opened(chosen, tensors, changes_of(tensors, places))


@dataclass(frozen=True, slots=True)
class _Work:
    """What is known of adapters and base while the plan is made."""

    opened: Sequence[Opened]
    mix: Mix
    base: Weights
    places: Places

    def made(self, parameter: str) -> dict[str, Made]:
        """Return the tensors that a changed parameter asks for: itself, or all that it shares."""
        group = self.places.sharing(parameter)
        first = group[0]
        if len(group) == 1:
            return {self._name(parameter): self._one(parameter, first)}
        touched = [one for one in group if any(one in each.changes for each in self.opened)]
        changes = [
            change
            for each in self.opened
            for one in touched
            for change in each.changes.get(one, ())
        ]
        if self._stays_tied(touched, changes):
            return {self._name(first): self._one(touched[0], first)}
        self._check_untying(first)
        return {self._name(one): self._one(one, first) for one in group}

    def _name(self, parameter: str) -> str:
        return self.places.names.get(parameter, parameter)

    def _one(self, parameter: str, origin: str) -> Made:
        name = self._name(origin)
        shape = tuple(self.base.shapes[name])
        parts = [
            Shared(one.changes[parameter], one.chosen.share)
            for one in self.opened
            if parameter in one.changes
        ]
        replaced = self._replaced(parameter, parts, shape)
        if replaced is not None:
            shape = replaced.shape
            others = parts[0].changes[1:]
            parts = [Shared(others, 1.0)] if others else []
        self._check_fit(parameter, parts, shape)
        mixed = Mixed(tuple(parts), self.mix, shape, name) if parts else None
        return Made(name, shape, mixed, None if replaced is None else replaced.saved)

    def _replaced(
        self, parameter: str, parts: Sequence[Shared], shape: tuple[int, ...]
    ) -> Whole | None:
        """Return what stands in the place of a tensor: of an adapter alone, exactly as it saved it.

        Of other size only where it is the vocabulary's.
        """
        if len(self.opened) > 1 or not parts or parts[0].share != 1:
            return None
        first = parts[0].changes[0]
        if not isinstance(first, Whole):
            return None
        resized = parameter in self.places.vocabulary and first.shape[1:] == shape[1:]
        return first if resized or first.shape == shape else None

    def _check_fit(self, parameter: str, parts: Sequence[Shared], shape: tuple[int, ...]) -> None:
        for part in parts:
            if all(change.fits(shape) for change in part.changes):
                continue
            one = next(one for one in self.opened if parameter in one.changes)
            told = one.tensors.config.get("base_model_name_or_path") or "unknown"
            added = parameter in self.places.vocabulary and len(self.opened) > 1
            raise AdapterError(
                f"{one.chosen.folder} does not fit: {parameter} is {list(shape)} in the base"
                + (", and adapters with tokens of their own cannot be mixed" if added else ""),
                "merge it alone" if added else f"use the base that it was made for: {told}",
            )

    def _stays_tied(self, touched: Sequence[str], changes: Sequence[Change]) -> bool:
        """Whether the shared values stay shared: changed as one, or replaced by the same."""
        if all(isinstance(change, Tokens) for change in changes):
            return len(touched) == 1
        if not all(isinstance(change, Whole) for change in changes):
            return False
        if len(touched) > 1:
            saved = [change.saved() for change in changes if isinstance(change, Whole)]
            return len(self.opened) == 1 and all(torch.equal(saved[0], one) for one in saved)
        shape = tuple(self.base.shapes[self._name(self.places.sharing(touched[0])[0])])
        resized = any(not change.fits(shape) for change in changes)
        return resized or any(one.tensors.config.get("ensure_weight_tying") for one in self.opened)

    def _check_untying(self, first: str) -> None:
        folder = self.opened[0].chosen.folder
        if self.places.kind == "encoder-decoder":
            raise AdapterError(
                f"{folder} changes {first}, which encoder, decoder and head share in this base",
                "use the adapter beside its base with PEFT",
            )
        if any(one.tensors.config.get("ensure_weight_tying") for one in self.opened):
            raise AdapterError(
                f"{folder} changes {first} and its head as one (ensure_weight_tying)",
                "use the adapter beside its base with PEFT",
            )


def _check_vocabulary(found: Mapping[str, Made], work: _Work) -> None:
    """Raise AdapterError where embedding and head would end with different numbers of rows."""
    places, rows = work.places, []
    for end in places.vocabulary:
        name = places.names.get(end, end)
        if name not in found:
            name = places.names.get(places.sharing(end)[0], name)
        rows.append(found[name].shape[0] if name in found else work.base.shapes[name][0])
    resized = any(made.shape != tuple(work.base.shapes[made.origin]) for made in found.values())
    if resized and len(set(rows)) > 1:
        raise AdapterError(
            f"{work.opened[0].chosen.folder} brings tokens of its own to the embedding or to the "
            "head, and not to both",
            "save both with the adapter: modules_to_save = ['embed_tokens', 'lm_head']",
        )

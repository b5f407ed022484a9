"""Where a model's parameters lie in its folder: files often name them otherwise than the model.

BLOOM's files leave out ``transformer.``, tied heads are in no file, and transformers 5 joins
experts into one parameter as it loads them. The model is built without weights to find out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bactrian.models.architecture import Kind, kind_of
from bactrian.models.base import Location, config_of


@dataclass(frozen=True, slots=True)
class Places:
    """A base's parameters and the names of their tensors."""

    names: Mapping[str, str]
    """Parameter of the model to the name of its tensor."""
    tied: Mapping[str, str]
    """Parameter that is in no file to the one that it shares its values with."""
    turned: frozenset[str]
    """Modules whose weight lies as [in, out] (GPT-2's layers)."""
    fused: frozenset[str]
    """Parameters that are made of several tensors."""
    files: frozenset[str]
    """Every tensor of the folder."""
    kind: Kind
    vocabulary: tuple[str, ...]
    """The embedding and, where the model has one, the head."""

    def sharing(self, parameter: str) -> tuple[str, ...]:
        """Return every parameter that has the same values, this one included."""
        source = self.tied.get(parameter, parameter)
        return (source, *(one for one, of in self.tied.items() if of == source))


def places_of(base: Location, names: Iterable[str]) -> Places:
    """Build the base without weights and find the tensors called ``names`` in it.

    Raises ConfigError for an architecture that writes no text.
    """
    model, kind = empty_model(base)
    files = frozenset(names)
    found, fused = _named(model, files)
    tied = {one: of for one, of in model.all_tied_weights_keys.items() if one not in found}
    for one, of in list(tied.items()):
        if of not in found:  # the files may have the head and not the embedding
            there = [other for other in model.all_tied_weights_keys if other in found]
            if there:
                tied |= {one: there[0], of: there[0]}
    turned = {path for path, part in model.named_modules() if type(part).__name__ == "Conv1D"}
    return Places(found, tied, frozenset(turned), frozenset(fused), files, kind, _ends(model))


def empty_model(base: Location) -> tuple[Any, Kind]:
    """Return the base's model on the meta device, and its kind."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    config = config_of(base)
    kind = kind_of(config, base.id)
    family = AutoModelForSeq2SeqLM if kind == "encoder-decoder" else AutoModelForCausalLM
    with torch.device("meta"):
        return family.from_config(config), kind


def _ends(model: Any) -> tuple[str, ...]:
    ends = [model.get_input_embeddings(), model.get_output_embeddings()]
    paths = [next((path for path, one in model.named_modules() if one is end), "") for end in ends]
    return tuple(f"{path}.weight" for path in paths if path)


def _named(model: Any, names: Iterable[str]) -> tuple[dict[str, str], set[str]]:
    """Return parameter to tensor, and the parameters that several tensors are joined into."""
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import (
        WeightConverter,
        WeightRenaming,
        rename_source_key,
    )

    mapping = get_model_conversion_mapping(model)
    renamings = [one for one in mapping if isinstance(one, WeightRenaming)]
    converters = [one for one in mapping if isinstance(one, WeightConverter)]
    known = model.state_dict()
    found: dict[str, str] = {}
    fused: set[str] = set()
    for name in names:
        parameter, joined = rename_source_key(
            name, renamings, converters, model.base_model_prefix, known
        )
        if joined is not None:
            fused.add(parameter)
        elif parameter in known:
            found[parameter] = name
    return found, fused

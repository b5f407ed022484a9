"""Holds a folder that was written against base and adapters, and refuses one that differs."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from bactrian.errors import RunError
from bactrian.events import emit
from bactrian.models.base import quiet
from bactrian.models.memory import free_memory
from bactrian.models.prompts import PromptStyle
from bactrian.publish.merge.changes import LowRank
from bactrian.publish.merge.merged import MergedWeights
from bactrian.publish.merge.mix import Mix
from bactrian.publish.probes import PROBES, apart, hear
from bactrian.publish.source import Source
from bactrian.publish.weights import FolderWeights

Kind = Literal["auto", "logits", "weights", "none"]
KINDS: tuple[str, ...] = get_args(Kind)
SPARE = 1 << 30
"""Bytes beside a model's weights in float32 that the probes need."""
NEAR = 1e-3
"""Largest difference of logits in float32, as part of their spread: a rounding, no mistake."""
ROUNDED = {"float32": 1e-6, "float16": 2.0**-10, "bfloat16": 2.0**-7, "float64": 1e-12}
"""Largest difference of a tensor's values as part of their length, by the dtype it is kept in."""


def chosen(kind: Kind, weights: MergedWeights) -> Kind:
    """Return the proof that is made: by logits where a model in float32 fits into memory."""
    if kind != "auto":
        return kind
    needed = 4 * weights.parameters + SPARE
    return "logits" if needed < max(free_memory(), _free_on_gpu()) else "weights"


@dataclass(frozen=True, slots=True)
class Written:
    """A folder of weights and what it was made of."""

    folder: Path
    weights: MergedWeights
    source: Source
    mix: Mix


def prove(kind: Kind, written: Written, tokenizer: Any, style: PromptStyle) -> dict[str, Any]:
    """Return what was compared, and how far apart it lay.

    Raises RunError where the folder is not base + adapters.
    """
    if kind == "none":
        return {"kind": "none"}
    if kind == "weights":
        return _by_weights(written.weights, written.folder)
    return _by_logits(written, tokenizer, style)


def _free_on_gpu() -> int:
    return int(torch.cuda.mem_get_info()[0]) if torch.cuda.is_available() else 0


def _by_weights(weights: MergedWeights, folder: Path) -> dict[str, Any]:
    """Hold every tensor against the sum made again in float64, a tensor at a time."""
    written = FolderWeights(folder)
    worst, where = 0.0, ""
    for done, name in enumerate(weights.shapes, start=1):
        apart = _apart(weights, name, written.get(name))
        if apart >= worst:
            worst, where = apart, name
        limit = ROUNDED[str(weights.dtypes[name]).removeprefix("torch.")] if apart else 0.0
        if not apart <= limit:
            raise _differs(f"{name} lies {apart:.1e} of its length from base + adapter", limit)
        emit("progress", task="proof", done=done, total=len(weights.shapes))
    return {
        "kind": "weights",
        "against": "base + change of every layer, in float64",
        "difference": worst,
        "where": where,
        "tensors": len(weights.shapes),
        "changed": len(weights.made),
    }


def _apart(weights: MergedWeights, name: str, written: torch.Tensor) -> float:
    """Return ||written - made again|| / ||made again||; 0 where the base's own tensor stands."""
    if name not in weights.made:
        same = torch.equal(weights.get(name), written)
        return 0.0 if same else float("inf")
    off = length = 0.0
    for exact, found in _pieces(weights, name, written):
        off += float((found.double() - exact).square().sum())
        length += float(exact.square().sum())
    return float((off / length) ** 0.5) if length else float(off > 0)


def _pieces(
    weights: MergedWeights, name: str, written: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield rows made in float64 and the same rows as they were read back."""
    made = weights.made[name]
    before = weights.before(made)
    if made.mixed is None:
        yield before.double(), written
        return
    found = written.T if made.mixed.transposed else written
    for where, exact in made.mixed.blocks(before, torch.float64):
        yield exact, found[where]


def _by_logits(written: Written, tokenizer: Any, style: PromptStyle) -> dict[str, Any]:
    """Hold the answers of the folder's model against those of base + adapters, both in float32."""
    weights, source = written.weights, written.source
    with_peft = _peft_can(weights, source, written.mix)
    with _loaded(source.base.folder, weights) as model:
        reference = _attached(model, source, weights) if with_peft else _changed(model, weights)
        wanted = hear(reference, tokenizer, style)
        del model, reference  # one model at a time
    with _loaded(written.folder, weights) as model:
        found = apart(wanted, hear(model, tokenizer, style))
        del model
    limit = found.spread * (NEAR if weights.dtype == "float32" else 1.0)
    if not found.difference <= limit:
        raise _differs(f"its logits lie {found.difference:.2g} from those of base + adapter", limit)
    return {
        "kind": "logits",
        "against": "base + adapter in PEFT, float32"
        if with_peft
        else "base + the changes summed in float64, float32",
        "difference": found.difference,
        "spread": found.spread,
        "same_tokens": found.same_tokens,
        "tokens": found.tokens,
        "probes": len(PROBES),
        "scripts": list(PROBES),
        "differing": list(found.differing),
    }


@contextmanager
def _loaded(folder: Path, weights: MergedWeights) -> Iterator[Any]:
    """Yield the model of a folder in float32, on a GPU that has room for it, and let it go."""
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    quiet()
    answers = weights.places.kind == "encoder-decoder"
    family = AutoModelForSeq2SeqLM if answers else AutoModelForCausalLM
    model, found = family.from_pretrained(
        folder, local_files_only=True, dtype=torch.float32, output_loading_info=True
    )
    if lacking := sorted(found["missing_keys"]):
        raise RunError(f"{folder} lacks {lacking[0]}", "run the same command again")
    needed = 4 * weights.parameters + SPARE
    yield model.to("cuda" if needed < _free_on_gpu() else "cpu").eval()
    del model
    gc.collect()


def _peft_can(weights: MergedWeights, source: Source, mix: Mix) -> bool:
    """Whether PEFT computes base + adapters as they are meant, without merging."""
    if len(source.adapters) == 1 and source.adapters[0].share == 1:
        return mix.method in ("linear", "svd") and not (mix.method == "svd" and mix.rank)
    changes = [
        change
        for made in weights.made.values()
        if made.mixed is not None
        for part in made.mixed.parts
        for change in part.changes
    ]
    plain = all(isinstance(one, LowRank) and one.magnitude is None for one in changes)
    return mix.method == "linear" and plain


def _attached(model: Any, source: Source, weights: MergedWeights) -> Any:
    """Return the base with every adapter beside it, each at its share."""
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer

    if weights.rows is not None:
        model.resize_token_embeddings(weights.rows, mean_resizing=False)
    adapted: Any = None
    names = [f"part{number}" for number in range(len(source.adapters))]
    for name, one in zip(names, source.adapters, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what does not fit shows in the logits
            if adapted is None:
                adapted = PeftModel.from_pretrained(model, one.folder, adapter_name=name)
            else:
                adapted.load_adapter(one.folder, adapter_name=name)
    if len(names) > 1:
        adapted.base_model.set_adapter(names)
    for part in adapted.modules():
        if isinstance(part, LoraLayer):
            for name, one in zip(names, source.adapters, strict=True):
                if name in part.scaling:
                    part.scaling[name] *= one.share
    return model.eval()  # PEFT has put its layers into it


def _changed(model: Any, weights: MergedWeights) -> Any:
    """Return the base with the tensors that change made in float64 and put in one by one."""
    parameters = {name: parameter for parameter, name in weights.places.names.items()}
    for name in weights.made:
        place, _, kind = parameters.get(name, name).rpartition(".")
        layer = model.get_submodule(place)
        device = getattr(layer, kind).device
        values = weights.exact(name).float().to(device)
        setattr(layer, kind, torch.nn.Parameter(values, requires_grad=False))
    return model


def _differs(told: str, limit: float) -> RunError:
    return RunError(
        f"the merged model is not base + adapter: {told} (at most {limit:.1e} is rounding)",
        "nothing was kept; please report it with bactrian verify ADAPTER",
    )

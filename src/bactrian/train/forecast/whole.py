"""All that is told of a training before it begins: rows, steps, memory, disk, hours.

Loads the tokenizer, and no weights but for the probe. Knows nothing of how it is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bactrian.models import prompts
from bactrian.models.architecture import Kind, kind_of
from bactrian.models.base import best_dtype, config_of, place_of, tokenizer_of
from bactrian.recipe import Train
from bactrian.train.assemble import limits_of, planned
from bactrian.train.data import training_rows
from bactrian.train.encoding import Encoder
from bactrian.train.forecast.activations import Extents
from bactrian.train.forecast.memory import Disk, Memory, disk_of, fitting, memory_of
from bactrian.train.forecast.shapes import Model, model_of
from bactrian.train.job import Job, Member
from bactrian.train.run import languages_of
from bactrian.workspace import Workspace

if TYPE_CHECKING:
    from bactrian.train.forecast.probe import Probe


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the training of one adapter would do."""

    name: str
    languages: tuple[str, ...]
    rows: int
    rows_by_language: Mapping[str, int]
    too_long: Mapping[str, int]
    """Rows left out because they do not fit the limits, by language."""
    shortened: Mapping[str, int]
    empty: Mapping[str, int]
    """Rows left out because they have no response, by language."""
    steps: int
    micro_batches: int
    tokens: int
    """Of all steps, padding not counted."""
    padded_tokens: int
    padding_share: float
    base_parameters: int
    trained_parameters: int
    trained_share: float
    largest: Extents
    """The micro-batch that takes the most memory."""
    together: tuple[str, ...]
    """Adapters trained in the same pass over the base, this one among them."""
    memory: Memory
    """Of the whole pass."""
    fits_with: str
    """Settings with which it would fit, where it does not and some are known."""
    disk: Disk
    probe: Probe | None = None
    """Of the whole pass; None where nothing was measured."""
    unmeasured: str = ""
    """Why nothing was measured, where it was wanted."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What all trainings of a recipe share."""

    workspace: Workspace
    kind: Kind
    device: str
    folder: Path
    """Where the base lies."""
    encoder: Encoder
    model: Model
    by_train: partial[Model]
    """The same base under other settings."""


def forecast(workspace: Workspace, name: str) -> Forecast:
    """Return what the training of one adapter would do; loads the tokenizer, not the weights."""
    return forecasts(workspace, [name])[0]


def forecasts(
    workspace: Workspace, names: Sequence[str], *, probed: bool = False
) -> list[Forecast]:
    """Return what the trainings would do, with two steps on the real weights where ``probed``.

    Raises ConfigError and DataError for what could not be trained on.
    """
    names = list(dict.fromkeys(names))
    setting = _setting(workspace)
    together = workspace.recipe.train.together and len(names) > 1
    passes = [sorted(names)] if together else [[name] for name in names]
    jobs = [_job(setting, several) for several in passes]
    probes = _probed(setting, jobs) if probed else [""] * len(jobs)
    found = {
        member.name: _forecast(setting, job, member, measured)
        for job, measured in zip(jobs, probes, strict=True)
        for member in job.members
    }
    return [found[name] for name in names]


def extents_of(job: Job, step: int, micro: int) -> Extents:
    """Return what a micro-batch of a job computes."""
    rows = job.plan.step(step)[micro]
    parts = job.plan.data.parts[rows]
    longest = [int(size) for size in parts.max(axis=0)]
    tokens = int(parts[:, -1].sum()) if job.packing else len(rows) * longest[-1]
    source = longest[0] if len(longest) > 1 else 0
    return Extents(len(rows), source, longest[-1], tokens, int(job.rows.targets[rows].sum()))


def _setting(workspace: Workspace) -> Setting:
    import torch

    recipe, where = workspace.recipe, place_of(workspace.recipe)
    config = config_of(where)
    kind = kind_of(config, recipe.train.base)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = recipe.train.dtype if recipe.train.dtype != "auto" else best_dtype(device)
    tokenizer = tokenizer_of(where)
    style = prompts.get(recipe.train.prompt, tokenizer, workspace.recipe_folder)
    limits = limits_of(recipe, encoder_decoder=kind == "encoder-decoder")
    by_train = partial(model_of, config, kind, dtype=dtype, device=device)
    encoder = Encoder(tokenizer, style, limits)
    model = by_train(recipe.train)
    return Setting(workspace, kind, device, where.folder, encoder, model, by_train)


def _job(setting: Setting, names: Sequence[str], train: Train | None = None) -> Job:
    """Return the rows and the order of one pass; ``train`` are other settings than the recipe's."""
    recipe = setting.workspace.recipe
    if train is not None:
        recipe = recipe.model_copy(update={"train": train})
    packing = recipe.train.packing != "pad" and setting.kind == "causal"
    members = []
    for name in names:
        languages = languages_of(setting.workspace, name)
        rows = training_rows(setting.workspace, languages, setting.encoder)
        members.append(Member(name, rows, planned(rows, recipe, packing=packing)))
    return Job(tuple(members), packing)


def _probed(setting: Setting, jobs: Sequence[Job]) -> list[Probe | str]:
    """Return what was measured of each pass, or why nothing was."""
    from bactrian.train.forecast.probe import probe, with_hours

    train = setting.workspace.recipe.train
    if not any(setting.folder.glob("*.safetensors")) and not any(setting.folder.glob("*.bin")):
        return ["the weights are not here"] * len(jobs)
    fits = [_memory(setting, job, train).fits for job in jobs]
    asked = [job for job, does in zip(jobs, fits, strict=True) if does]
    names = [[one.name for one in job.members] for job in asked]
    found = iter(probe(setting.workspace, names) if names else [])
    told: list[Probe | str] = []
    for job, does in zip(jobs, fits, strict=True):
        one = next(found) if does else None
        if one is None:
            told.append("the memory did not suffice" if does else "it would not fit")
        else:
            told.append(with_hours(one, job.plan.total, train))
    return told


def _memory(setting: Setting, job: Job, train: Train) -> Memory:
    """Return the memory of a pass under the recipe's settings, or under others."""
    largest = job.plan.total.largest
    extents = extents_of(job, largest.step, largest.micro)
    model = setting.model
    if train.quantize != setting.workspace.recipe.train.quantize:
        model = setting.by_train(train)
    return memory_of(model, extents, train, setting.device, len(job.members))


def _forecast(setting: Setting, job: Job, member: Member, found: Probe | str) -> Forecast:
    recipe, model, rows = setting.workspace.recipe, setting.model, member.prepared
    names = tuple(one.name for one in job.members)
    total, largest = member.plan.total, job.plan.total.largest
    memory = _memory(setting, job, recipe.train)
    measured = None if isinstance(found, str) else found
    if measured is not None:
        memory = measured.told(memory)

    def foretold(train: Train) -> Memory:
        return _memory(setting, _job(setting, names, train), train)

    better = next(fitting(memory, recipe.train, foretold), ("", 0))[0]
    sizes = sum(file.path.stat().st_size for file in rows.tokens.files)
    folder = setting.workspace.tokens.parent
    counts = [int((rows.languages == place).sum()) for place in range(len(rows.names))]
    return Forecast(
        name=member.name,
        languages=tuple(one.code for one in languages_of(setting.workspace, member.name)),
        rows=len(rows),
        rows_by_language=dict(zip(rows.names, counts, strict=True)),
        too_long=dict(rows.too_long),
        shortened=dict(rows.shortened),
        empty=dict(rows.empty),
        steps=member.plan.steps,
        micro_batches=total.micro_batches,
        tokens=total.useful_tokens,
        padded_tokens=total.padded_tokens,
        padding_share=total.padding,
        base_parameters=model.base_parameters,
        trained_parameters=model.trained_parameters,
        trained_share=model.trained_parameters / model.base_parameters,
        largest=extents_of(job, largest.step, largest.micro),
        together=names,
        memory=memory,
        fits_with=better,
        disk=disk_of(model, recipe.train, member.plan.steps, sizes, folder),
        probe=measured,
        unmeasured=found if isinstance(found, str) else "",
    )

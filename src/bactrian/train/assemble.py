"""Puts together what a training needs before its first step: rows, their order, held-out rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bactrian.events import emit
from bactrian.languages import Language
from bactrian.models import prompts
from bactrian.models.base import Base
from bactrian.models.fit import Fit, fit
from bactrian.recipe import Recipe
from bactrian.train.data import held_out_rows, tell, training_rows
from bactrian.train.encoding import Encoder
from bactrian.train.job import Job, Member, Pairs, Rows
from bactrian.train.plan import Plan, Shape, plan
from bactrian.train.prepared import Prepared
from bactrian.train.processes import Processes, main_first
from bactrian.train.shorten import Limits
from bactrian.workspace import Workspace


class Adapter(Protocol):
    """An adapter to train."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def languages(self) -> tuple[Language, ...]:
        """What it learns."""


class Packs(Protocol):
    """A model that may take packed rows."""

    def packs(self, packing: str) -> bool:
        """Return whether rows are packed."""


@dataclass(frozen=True, slots=True, eq=False)
class Assembled:
    """A training before its first step."""

    job: Job
    held_out: Rows | None
    fit: Fit
    style: prompts.PromptStyle


def assemble(
    workspace: Workspace,
    wanted: Sequence[Adapter],
    base: Base,
    ready: Packs,
    processes: Processes,
) -> Assembled:
    """Encode the rows (the first process does, the others find them done) and plan the steps.

    Raises ConfigError and DataError for what cannot be trained on.
    """
    train = workspace.recipe.train
    fitted = fit(base.tokenizer, base.model)
    style = prompts.get(train.prompt, base.tokenizer, workspace.recipe_folder)
    encoder = encoder_of(workspace.recipe, base, style)
    packing = ready.packs(train.packing)
    pairs = None
    if fitted.start is not None:
        pairs = Pairs(fitted.start, fitted.pad)
    several = len(wanted) > 1
    members, held = list[Member](), list[tuple[str, Prepared]]()
    with main_first(processes):
        for one in wanted:
            rows = training_rows(workspace, one.languages, encoder)
            order = planned(rows, workspace.recipe, packing=packing, world=processes.world)
            members.append(Member(one.name, rows, order))
            if (apart := held_out_rows(workspace, one.languages, encoder)) is not None:
                held.append((one.name, apart))
    job = Job(tuple(members), packing, pairs)
    apart_of_all = Rows(tuple(held), packing, pairs, several) if held else None
    return Assembled(job, apart_of_all, fitted, style)


def encoder_of(recipe: Recipe, base: Base, style: prompts.PromptStyle) -> Encoder:
    """Return what turns rows into ids for this base."""
    vocabulary = int(base.model.get_input_embeddings().weight.shape[0])
    limits = limits_of(recipe, encoder_decoder=base.kind == "encoder-decoder")
    return Encoder(base.tokenizer, style, limits, vocabulary)


def limits_of(recipe: Recipe, *, encoder_decoder: bool) -> Limits:
    """Return how long rows may be."""
    train = recipe.train
    return Limits(train.max_tokens, train.max_source_tokens, train.overlong, encoder_decoder)


def planned(rows: Prepared, recipe: Recipe, *, packing: bool, world: int = 1) -> Plan:
    """Return the order of the rows; source and target of an encoder-decoder are padded apart."""
    import numpy as np

    lengths: Any = rows.lengths
    if rows.encoder_decoder:
        lengths = np.stack([rows.prompts, rows.lengths - rows.prompts], axis=1)
    return plan(lengths, rows.languages, rows.names, shape_of(recipe, packing=packing, world=world))


def shape_of(recipe: Recipe, *, packing: bool, world: int = 1) -> Shape:
    """Return what the plan follows from beside the rows."""
    train = recipe.train
    return Shape(
        train.epochs,
        train.max_steps,
        train.batch_rows,
        train.batch_tokens,
        min(train.micro_batch_tokens, train.batch_tokens),
        packing,
        train.temperature,
        recipe.seed,
        processes=world,
    )


def tell_of(made: Assembled) -> None:
    """Say what is about to be done: rows, steps, tokens, padding."""
    for member in made.job.members:
        total = member.plan.total
        tell(member.name, member.prepared)
        emit(
            "note",
            text=f"{member.name}: {len(member.prepared)} rows, {member.plan.steps} steps, "
            f"{total.useful_tokens} tokens ({total.padding:.0%} padding)",
        )

"""What translate, respond and build share: asking providers language by language, and saying so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import typer

from bactrian.cli.options import Verb, shown

Stage = Literal["translate", "respond"]
DONE = {"translation": "translated", "response": "answered"}
ShardOption = Annotated[
    str,
    typer.Option(
        "--shard",
        help="Ask for a part of the requests only, such as 2/4; merge the ledgers afterwards.",
        metavar="I/N",
    ),
]
EngineOption = Annotated[
    str,
    typer.Option("--engine", help="ray: on the actors of a Ray cluster (docs/providers-local.md)."),
]


def ask_all(at: Verb, stage: Stage, using: Any, shard: str) -> dict[str, Any]:
    """Run a stage in every language of the recipe; return what to say of it as plain values."""
    stages = stages_of(at, stage, using, shard)
    try:
        languages = dict(asked(at, stages, using))
    finally:
        release(using)
    return {"using": using.provider.name, "languages": languages}


def release(using: Any) -> None:
    """Free the weights or the actors of a provider that runs here; others have nothing to free."""
    getattr(using.provider, "release", lambda: None)()


def stages_of(at: Verb, stage: Stage, using: Any, shard: str = "") -> dict[str, Any]:
    """Return the stage in every language; a pair that nobody translates is said before the first.

    Raises LanguageError and ConfigError.
    """
    from bactrian.data.ask import Shard
    from bactrian.data.respond import responding
    from bactrian.data.translate import translating

    made, part = translating if stage == "translate" else responding, Shard.parse(shard)
    return {
        language.code: made(at.workspace, language, using, part)
        for language in at.workspace.languages
    }


def asked(at: Verb, stages: dict[str, Any], using: Any) -> Iterator[tuple[str, Any]]:
    """Run the stage in every language: one after the other, or side by side in batches."""
    if not getattr(using.section, "batch", False):
        yield from ((code, ask_one(at, stage)) for code, stage in stages.items())
        return
    from bactrian.data.ask_batches import ask_in_batches
    from bactrian.providers.batches import Options

    options = Options(enqueued_tokens=using.section.enqueued_tokens)
    for stage, done in ask_in_batches(list(stages.values()), options):
        yield stage.language.code, tell(at, stage, done)


def ask_one(at: Verb, stage: Any) -> dict[str, Any]:
    """Run a stage in one language, and say what came of it."""
    from bactrian.data.ask import ask

    return tell(at, stage, ask(stage))


def tell(at: Verb, stage: Any, done: Any) -> dict[str, Any]:
    """Say what came of a stage in one language; return it as plain values."""
    cost = sum(one.cost_usd for one in done.filled)
    told = [f"{done.answered} {DONE[stage.kind]}"]
    if done.missing:
        told.append(f"{done.missing} missing")
    if cost:
        told.append(f"{cost:.4f} USD")
    at.say(f"{stage.language.code}  {', '.join(told)}  {shown(done.path)}")
    return {
        "rows": done.rows,
        "missing": done.missing,
        "asked": sum(one.answered for one in done.filled),
        "cost_usd": round(cost, 6),
    }


def foretell(at: Verb, stage: Stage, using: Any) -> dict[str, Any]:
    """Say what a stage would send and cost, language by language; send nothing."""
    from bactrian.data.plan import plan_stage

    plans = [
        plan_stage(at.workspace, language, stage, using) for language in at.workspace.languages
    ]
    for plan in plans:
        at.say(plan.line())
    return {
        "using": using.provider.name,
        "languages": {plan.language: plan.facts() for plan in plans},
    }

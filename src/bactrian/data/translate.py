"""Second stage: the instructions in another language. Knows nothing of responses.

Instruction and input are asked for together and come back apart.
"""

from __future__ import annotations

from dataclasses import replace

import orjson

from bactrian import registry
from bactrian.data.ask import Asking
from bactrian.languages import Language
from bactrian.ledger import Entry
from bactrian.providers import Provider
from bactrian.schema import Example
from bactrian.workspace import Workspace


def translator(workspace: Workspace) -> Provider:
    """Return the translator that the recipe names."""
    told = workspace.recipe.translate
    found: Provider = registry.find("translators", told.using)(
        told.model, workspace.given(told.recording)
    )
    return found


def translating(workspace: Workspace, language: Language, using: Provider) -> Asking:
    """Return the stage that writes ``stages/translated/<language>.parquet``."""

    def settle(source: Example, entry: Entry) -> Example:
        instruction, input = orjson.loads(entry.output)
        provenance = replace(
            source.provenance, translator=entry.provider, translation_key=entry.key
        )
        return Example(source.id, language.code, instruction, input, "", provenance)

    def lack(source: Example, why: str) -> Example:
        provenance = replace(source.provenance, translator=using.name)
        return Example(source.id, language.code, "", "", "", provenance, why)

    return Asking(
        kind="translation",
        rows_from=workspace.stage("sources", "en"),
        rows_to=workspace.stage("translated", language.code),
        ledger=workspace.ledger(language),
        language=language,
        provider=using,
        concurrency=workspace.recipe.translate.concurrency,
        limit=workspace.recipe.limit,
        settle=settle,
        lack=lack,
    )

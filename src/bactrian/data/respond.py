"""Third stage: an answer to each translated instruction, in its language.

English keeps the source's own output (Li et al. 2023, section 3.1). Knows nothing of translators.
"""

from __future__ import annotations

import time
from dataclasses import replace

from bactrian import registry
from bactrian.data.ask import Asking
from bactrian.languages import Language
from bactrian.ledger import Entry
from bactrian.providers import Provider
from bactrian.schema import Example
from bactrian.workspace import Workspace


def responder(workspace: Workspace) -> Provider:
    """Return the chat model that the recipe names."""
    told = workspace.recipe.respond
    found: Provider = registry.find("chats", told.using)(
        told.model, workspace.given(told.recording)
    )
    return found


def responding(workspace: Workspace, language: Language, using: Provider) -> Asking:
    """Return the stage that writes ``stages/answered/<language>.parquet``."""

    def settle(task: Example, entry: Entry) -> Example:
        provenance = replace(
            task.provenance,
            responder=entry.provider,
            response_key=entry.key,
            date=time.strftime("%Y-%m-%d", time.gmtime(entry.time)),
        )
        return replace(task, output=entry.output, provenance=provenance)

    def lack(task: Example, why: str) -> Example:
        provenance = replace(task.provenance, responder=using.name)
        return replace(task, provenance=provenance, missing=why)

    return Asking(
        kind="response",
        rows_from=workspace.stage("translated", language.code),
        rows_to=workspace.stage("answered", language.code),
        ledger=workspace.ledger(language),
        language=language,
        provider=using,
        concurrency=workspace.recipe.respond.concurrency,
        limit=workspace.recipe.limit,
        settle=settle,
        lack=lack,
    )

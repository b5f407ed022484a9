"""Third stage: an answer to each translated instruction, in its language.

Rows that bring their own output keep it: English keeps the source's (Li et al. 2023, section 3.1),
and so do rows that stay in English or were collected in the language. Knows nothing of
translators.
"""

from __future__ import annotations

import time
from dataclasses import replace

from bactrian import table
from bactrian.data.arrival import accepting
from bactrian.data.ask import WHOLE, Asking, Paid, Shard
from bactrian.data.providers import Engaged
from bactrian.data.translate import own_ids
from bactrian.languages import Language
from bactrian.ledger import Entry
from bactrian.providers import Request
from bactrian.schema import Example, Instruction
from bactrian.workspace import Workspace

PROBE = Instruction("probe", "en", "instruction", "input")


def responding(
    workspace: Workspace, language: Language, using: Engaged, shard: Shard = WHOLE
) -> Asking:
    """Return the stage that writes ``stages/answered/<language>.parquet``."""
    english = language.code == "en"
    model = using.provider

    def way(row: table.Row, paid: Paid) -> Request | None:
        task = row.example
        if english or task.output or task.kept:
            return None
        request: Request = model.request(task.task, language)
        return request

    def settle(row: table.Row, paid: Paid) -> table.Row:
        request = way(row, paid)
        if request is None:
            return row
        entry = paid.answer(request)
        if entry is None:
            provenance = replace(row.example.provenance, responder=model.name)
            why = f"no response: {paid.why_not(request)}"
            return replace(row, example=replace(row.example, provenance=provenance, missing=why))
        return replace(row, example=_answered(row.example, entry))

    return Asking(
        kind="response",
        rows_from=(workspace.stage("translated", language.code),),
        rows_to=workspace.stage("answered", language.code),
        ledger=workspace.ledger(language),
        language=language,
        provider=model,
        ways=() if english else (way,),
        settle=settle,
        # what is sent besides the row (a prompt, a temperature) is in the request for any row
        follows=None if english else model.request(PROBE, language),
        terms=using.terms(language, accepting(language)),
        limit=workspace.recipe.limit,
        shard=shard,
        joined=frozenset() if english else own_ids(workspace, language),
    )


def _answered(task: Example, entry: Entry) -> Example:
    provenance = replace(
        task.provenance,
        responder=entry.provider,
        response_key=entry.key,
        date=time.strftime("%Y-%m-%d", time.gmtime(entry.time)),
    )
    return replace(task, output=entry.output, provenance=provenance)

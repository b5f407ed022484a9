"""Where a dataset stands: rows, failures and money by language, read beside a run that is going.

Reads tables and ledgers, writes and sends nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bactrian import table
from bactrian.languages import Language
from bactrian.ledger import Kind, Ledger, Total
from bactrian.workspace import Workspace

STAGES: tuple[tuple[Literal["translated", "answered"], Kind], ...] = (
    ("translated", "translation"),
    ("answered", "response"),
)


@dataclass(frozen=True, slots=True)
class StageStatus:
    """One stage in one language."""

    stage: Literal["translated", "answered"]
    done: int
    """Rows of the finished table, else answers in the ledger."""
    rows: int
    """Rows that there are; 0 where nobody knows yet."""
    failed: int
    """Requests without an answer, by their last attempt."""
    charged: int
    """Attempts that were paid for without an answer that is kept."""
    cost_usd: float
    finished: bool
    """The table is written."""

    @property
    def forecast_usd(self) -> float:
        """What the whole will have cost, if the rest costs what the answers so far did."""
        if self.finished or not self.done or self.rows <= self.done:
            return self.cost_usd
        return self.cost_usd * self.rows / self.done


@dataclass(frozen=True, slots=True)
class LanguageStatus:
    """Where one language stands."""

    language: str
    translated: StageStatus
    answered: StageStatus

    @property
    def cost_usd(self) -> float:
        """USD spent, all runs together."""
        return self.translated.cost_usd + self.answered.cost_usd


def status(workspace: Workspace) -> tuple[LanguageStatus, ...]:
    """Return where every language of the recipe stands."""
    sources = table.info(workspace.stage("sources", "en"))
    rows = sources.rows if sources else 0
    return tuple(_language(workspace, language, rows) for language in workspace.languages)


def _language(workspace: Workspace, language: Language, rows: int) -> LanguageStatus:
    path = workspace.ledger(language)
    totals: tuple[Total, ...] = ()
    failed: dict[Kind, int] = {}
    if path.is_file():
        with Ledger(path, read_only=True) as ledger:
            totals, unanswered = ledger.totals(), len(ledger.failures())
        # failures carry no kind: responses come last, so they are theirs once there are any
        last: Kind = "response" if _of(totals, "response") else "translation"
        failed = {last: unanswered}
    before, stages = rows, []
    for stage, kind in STAGES:
        found = table.info(workspace.stage(stage, language.code))
        if found is not None and found.rows < before:
            found = None  # made before the rows grew: what is going on now is in the ledger
        sums = _of(totals, kind)
        answers = sum(total.answers for total in sums)
        stages.append(
            StageStatus(
                stage,
                found.rows - found.facts.get("missing", 0) if found else answers,
                found.rows if found else before,
                failed.get(kind, 0),
                sum(total.charges for total in sums),
                sum(total.cost_usd for total in sums),
                found is not None,
            )
        )
        before = found.rows if found else before
    return LanguageStatus(language.code, *stages)


def _of(totals: tuple[Total, ...], kind: Kind) -> list[Total]:
    return [total for total in totals if total.kind == kind]

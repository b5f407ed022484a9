"""A stage through a batch API: all languages side by side, as a batch may take a day.

The same ledger, keys and tables as `ask`; each table is written when its language is in.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack

from bactrian.data.ask import Asked, Asking, Paid, derived, drawn, finished, paid_for, requests_of
from bactrian.providers.batches import Options
from bactrian.providers.batches.fill import USUAL, fill_by_batches
from bactrian.providers.batches.running import Job


def ask_in_batches(
    stages: Sequence[Asking], options: Options = USUAL
) -> Generator[tuple[Asking, Asked]]:
    """Yield every stage with what it made, in the order in which they end.

    Raises what `ask` raises, and ConfigError for a provider without a batch API. Interrupted, the
    batches run on at the provider, and the same call collects them.
    """
    with ExitStack() as held:
        open_jobs: dict[int, tuple[Asking, Job]] = {}
        for stage in stages:
            if (done := finished(stage)) is not None:
                yield stage, done
                continue
            ledger = held.enter_context(paid_for(stage))
            if ledger is None:
                yield stage, derived(stage, None, ())
                continue
            (way,) = stage.ways
            requests = requests_of(stage, drawn(stage), way, Paid(ledger))
            task = f"{stage.kind} {stage.language.code}"
            job = Job(ledger, requests, stage.kind, stage.terms, task)
            open_jobs[id(job)] = stage, job
        if not open_jobs:
            return
        jobs = [job for _, job in open_jobs.values()]
        for job, filled in fill_by_batches(jobs, stages[0].provider, options=options):
            stage = open_jobs[id(job)][0]
            yield stage, derived(stage, job.ledger, (filled,))

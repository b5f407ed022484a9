"""One cell of the evaluation bench: one engine, one model, one set of questions, one process.

    python -m benchmarks.evaluation.cell ours --model llama --suite exams_full --work FOLDER
    python -m benchmarks.evaluation.cell lm-eval --adapters 2 …

Timed is the way from token ids to log-likelihoods, planning included; loading (with the choice of
a way to score) and encoding are not. Prints one line with every number.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.evaluation import bases
from benchmarks.training import meter as metering

BUDGET = 4096
"""The recipe's default."""
BATCH = 8
"""lm-eval's fastest fixed batch here; ``auto`` takes 64 rows on a CPU, and 4 times the time."""
Pairs = list[tuple[list[int], list[int]]]
Answers = list[tuple[float, bool]]


def main() -> None:
    """Score, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("--model", default="llama", choices=["llama", "bloom"])
    parser.add_argument("--suite", required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--adapters", default="", help="folders, commas between them")
    parser.add_argument("--work", type=Path, required=True)
    told = parser.parse_args()
    import torch

    torch.set_num_threads(told.threads)
    logging.disable(logging.WARNING)
    asked = json.loads((told.work / "questions" / f"{told.suite}.json").read_text())
    pairs: Pairs = [(pair[0], pair[1]) for question in asked for pair in question]
    adapters = [Path(path) for path in told.adapters.split(",") if path]
    answered, counted, meter = ENGINES[told.engine](told, pairs, adapters)
    metering.told(
        meter.result(
            contender=told.engine,
            suite=told.suite,
            base=told.model,
            questions=len(asked),
            nats=[[nats for nats, _ in answers] for answers in answered],
            greedy=[[greedy for _, greedy in answers] for answers in answered],
            **counted,
        )
    )


def ours(
    told: argparse.Namespace, pairs: Pairs, adapters: list[Path]
) -> tuple[list[Answers], dict[str, Any], metering.Meter]:
    """Score under the base, or under each adapter in turn, as `bactrian eval` does."""
    from bactrian.models.adapters import attach
    from bactrian.models.base import load
    from bactrian.models.huge_pages import huge_pages
    from bactrian.models.scoring import Request, scorer

    huge_pages()
    base = load(str(bases.folder(told.model, told.work)), dtype="float32")
    names = {path.name: path for path in adapters}
    model = attach(base, names) if names else base.model
    meter = started(model)
    ready = scorer(model)
    meter.begin()  # choosing a way is a part of loading
    requests = [Request(tuple(context), tuple(after)) for context, after in pairs]
    plan = ready.plan(requests, BUDGET)
    found: list[Answers] = [[(0.0, False)] * len(pairs) for _ in names or [""]]
    with ready.at_work():
        for batch in plan:
            for answers, name in zip(found, names or [""], strict=True):
                if name:
                    model.set_adapter(name)
                for index, one in zip(batch.requests, ready.score(batch), strict=True):
                    answers[index] = one.nats, one.greedy
    meter.step()
    counted = {
        "tokens": sum(batch.tokens - batch.blank for batch in plan),
        "cells": sum(batch.tokens for batch in plan),
        "states": sum(_states(batch) for batch in plan),
        "pairs": sum(len(after) for _, after in pairs),
        "way": ready.way,
    }
    return found, counted, meter


def _states(batch: Any) -> int:
    return sum(len({node for one in trie.asked for node in one.nodes}) for trie in batch.tries)


def started(model: Any) -> metering.Meter:
    """Start the clock; weights that the file only lends are read before, they are the model's."""
    for weights in model.parameters():
        weights.sum()
    return metering.Meter("cpu", 0, 1, 1e9)


def lm_eval(
    told: argparse.Namespace, pairs: Pairs, adapters: list[Path]
) -> tuple[list[Answers], dict[str, Any], metering.Meter]:
    """Score by lm-eval's own backend, a fresh model for each adapter as its runs have."""
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    TaskManager()  # every run of lm-eval begins with it; only the whole process's time has it
    folder = str(bases.folder(told.model, told.work))
    asked = [(("", ""), context, after) for context, after in pairs]
    found: list[Answers] = []
    for path in adapters or (None,):
        given = {"peft": str(path)} if path else {}
        harness = HFLM(pretrained=folder, device="cpu", dtype="float32", batch_size=BATCH, **given)
        if not found:
            meter = started(harness.model)
        answers = harness._loglikelihood_tokens(asked, disable_tqdm=True)
        found.append([(float(nats), bool(greedy)) for nats, greedy in answers])
    meter.step()
    tokens = sum(len(context) + len(after) - 1 for context, after in pairs)
    return found, {"tokens": tokens}, meter


Engine = Callable[
    [argparse.Namespace, Pairs, list[Path]], tuple[list[Answers], dict[str, Any], metering.Meter]
]
ENGINES: dict[str, Engine] = {"ours": ours, "lm-eval": lm_eval}

if __name__ == "__main__":
    main()

"""The client of the side-by-side benchmark that is this project's: the real loop, the real ledger.

Takes the flags of the peers' clients and prints the same report line. Runs as a process of its own
so that its memory and CPU can be watched.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bactrian import languages
from bactrian.ledger import Ledger
from bactrian.providers import Price, Request, Told
from bactrian.providers.budget import Budget, Reserve
from bactrian.providers.chat import OpenAIChat
from bactrian.providers.fill import fill
from bactrian.providers.terms import Terms
from bactrian.recipe import Respond
from bactrian.schema import Instruction

SYSTEM = "You answer in the language of the instruction."
VERBS = (
    "Explain",
    "Describe",
    "Summarise",
    "Translate",
    "Compare",
    "Rewrite",
    "Classify",
    "List",
    "Write",
    "Answer",
)
NOUNS = (
    "camel",
    "desert",
    "river",
    "market",
    "school",
    "harvest",
    "poem",
    "recipe",
    "law",
    "bridge",
    "planet",
    "engine",
    "festival",
)


def instructions(n: int) -> Iterator[Instruction]:
    """Yield n distinct instructions of some 17 words, every third with an input."""
    for number in range(n):
        verb, one, two = VERBS[number % 10], NOUNS[number % 13], NOUNS[number // 13 % 13]
        yield Instruction(
            f"p{number:07}",
            "en",
            f"{verb} how a {one} relates to a {two} in the {number}-th region, with two short "
            "examples, and say why.",
            f"The {two} of year {number} was noted by the {one}." if number % 3 == 0 else "",
        )


def arguments() -> argparse.Namespace:
    """Return the flags, those of every client in the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base-url", default="http://127.0.0.1:8099/v1")
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--out", default="bactrian-bench-out")
    parser.add_argument("--rpm", type=int, default=0)
    parser.add_argument(
        "--times", type=int, default=1, help="how often the same rows are asked for"
    )
    parser.add_argument("--budget", type=float, default=1e6, help="USD; the reserve is kept too")
    return parser.parse_args()


def main() -> None:
    """Fill a ledger, then count the rows that have an answer in it."""
    told = arguments()
    section = Respond(
        model="mock",
        endpoints=(told.base_url,),
        rpm=told.rpm,
        system=SYSTEM,
        temperature=0.7,
        max_tokens=512,
    )
    price = Price(0.15, 0.60)
    provider = OpenAIChat(Told(section, Path(), price))
    english = languages.get("en")
    budget = Budget(told.budget)

    def requests() -> Iterator[Request]:
        for _ in range(told.times):
            yield from (provider.request(row, english) for row in instructions(told.n))

    folder = Path(told.out)
    with Ledger(folder / "en.sqlite") as ledger:
        began = time.perf_counter()
        filled = fill(
            ledger,
            requests(),
            provider,
            "response",
            terms=Terms(told.concurrency, budget=budget, reserve=Reserve(price, "en", budget)),
            task="bench",
            total=told.n,
        )
        took = time.perf_counter() - began
    with closing(sqlite3.connect(folder / "en.sqlite")) as disk:  # what is there, whoever says so
        counted = "SELECT count(*), count(DISTINCT key), total(output = '') FROM answers"
        rows, ids, empty = disk.execute(counted).fetchone()
    report = {
        "rows": rows,
        "ids": ids,
        "empty": int(empty),
        "failed": filled.failed,
        "spent": round(filled.cost_usd, 6),
        "fill_s": round(took, 3),
        "again": dict(filled.again),
    }
    print("REPORT " + json.dumps(report), flush=True)


if __name__ == "__main__":
    main()

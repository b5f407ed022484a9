"""Whether llama.cpp reads text as the tokenizer does: FLORES sentences in 52 languages."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "flores_sib200"
SENTENCES = 20
"""Of each language."""


@dataclass(frozen=True)
class Compared:
    """How many texts were read, and how many of them otherwise."""

    texts: int
    otherwise: int


def compared(file: Path, adapter: Path) -> Compared | None:
    """Compare the ids of a GGUF file with those of its base; None without the sentences."""
    from bactrian.models.base import tokenizer_of
    from bactrian.publish.gguf.asking import asking
    from bactrian.publish.source import open_source

    texts = list(sentences())
    if not texts:
        print(f"# skipped: {DATA} is not there")
        return None
    tokenizer = tokenizer_of(open_source({adapter: 1.0}).base)
    wanted = tokenizer(texts)["input_ids"]
    with asking(file) as server:
        found = [server.ids(text) for text in texts]
    return Compared(len(texts), sum(a != b for a, b in zip(found, wanted, strict=True)))


def sentences() -> Iterator[str]:
    """Yield the first sentences of every language."""
    for file in sorted(DATA.glob("*.tsv.gz")):
        with gzip.open(file, "rt", encoding="utf-8", newline="") as lines:
            rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
            yield from (row["text"] for row in islice(rows, SENTENCES))

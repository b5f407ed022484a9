"""Preparing 0.1, 1 and 3.4 million rows in 52 languages: time, memory and disk as they grow.

    python -m benchmarks.training.scale                           0.1 million rows, a minute
    python -m benchmarks.training.scale --millions 0.1 1 3.4      a quarter of an hour on two cores
    python -m benchmarks.training.scale --keep FOLDER             leave the files there

Each size is a process of its own, so that its peak is its own. Lengths are those of Bactrian-X
(prompt 45 and response 134 tokens on average, log-normal), texts are cut out of real sentences in
each language, at other places for every row, so that the tokenizer really works. Prints a line a
figure, ``name value limit ok|short``, and ends with 1 where one falls short. Where the whole is not
run its time is projected from the CPU time of the largest size, as if two cores had nothing else to
do; its peak is not: it grows by more than the rows that are kept.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.training import tokenizing

WHOLE = 3.4
"""Millions of rows: 67,017 in each of 52 languages."""
PEAK_GB, MINUTES, CORES = 4.0, 30.0, 2
PROMPT, RESPONSE = (45.0, 0.8), (134.0, 1.0)
"""Mean in tokens and sigma of the logarithm."""
CUTOFF = 768
LONGEST = 4000
SAID = "SCALE "


def main() -> None:
    """Run every size in a process of its own, and print the figures."""
    told = _arguments()
    if told.one:
        print(SAID + json.dumps(measure(told.one, told.keep)), flush=True)
        return
    found = [_apart(millions, told.keep) for millions in sorted(told.millions)]
    lines: list[tuple[str, float, float | None]] = []
    for size in found:
        name = f"{size['millions']:g}M"
        print(f"# {name} {json.dumps(size)}")
        lines += [
            (f"prepare_{name}_peak_gb", size["peak_gb"], PEAK_GB),
            (f"prepare_{name}_minutes", size["minutes"], MINUTES),
            (f"prepare_{name}_open_s", size["open_s"], None),
        ]
    largest = found[-1]
    if largest["millions"] < WHOLE:
        growth = WHOLE / largest["millions"]
        quiet = largest["cpu_minutes"] / min(CORES, os.cpu_count() or 1)
        lines.append((f"projected_{WHOLE:g}M_quiet_minutes", quiet * growth, MINUTES))
    for name, value, limit in lines:
        state = "ok" if limit is None or value <= limit else "short"
        print(f"{name} {value:.3g} {'-' if limit is None else f'<={limit:g}'} {state}")
    sys.exit(any(limit is not None and value > limit for _, value, limit in lines))


def measure(millions: float, keep: str) -> dict[str, Any]:
    """Prepare so many rows; return seconds, peak memory and bytes."""
    from bactrian import languages
    from bactrian.models.prompts import BACTRIAN
    from bactrian.train.encoding import Encoder
    from bactrian.train.prepare import LanguageRows, Limits, prepare_files

    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    codes = [language.code for language in languages.parse("all")]
    rows = round(millions * 1e6 / len(codes))
    _, tokenizer = next(tokenizing.tokenizers(tokenizing.rows(2000)))
    encoder = Encoder(tokenizer, BACTRIAN, Limits(CUTOFF), len(tokenizer))
    texts = _texts(codes)
    sources = [
        LanguageRows(code, f"synthetic-{rows}", _reader(code, texts[code], rows, encoder), rows)
        for code in codes
    ]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(keep or scratch) / f"{millions:g}"
        before = _held()
        began, spent = time.perf_counter(), time.process_time()
        prepare_files(sources, encoder, folder)
        took, cpu = time.perf_counter() - began, time.process_time() - spent
        began = time.perf_counter()
        found = prepare_files(sources, encoder, folder)
        opening = time.perf_counter() - began
        kept = [found.languages, found.prompts, found.lengths, found.block, found.begin]
        return {
            "millions": millions,
            "rows": len(found),
            "tokens": int(found.lengths.sum(dtype="int64")),
            "shortened": sum(found.shortened.values()),
            "too_long": sum(found.too_long.values()),
            "minutes": round(took / 60, 3),
            "cpu_minutes": round(cpu / 60, 3),
            "open_s": round(opening, 3),
            "before_gb": before,
            "peak_gb": _peak(),
            "row_bytes": sum(array.nbytes for array in kept) // len(found),
            "disk_gb": round(sum(path.stat().st_size for path in folder.iterdir()) / 1e9, 3),
        }


def _reader(code: str, text: str, rows: int, encoder: Any) -> Callable[[], Iterator[Any]]:
    """Return a maker of rows whose lengths in tokens are drawn as Bactrian-X's."""
    from bactrian.schema import Example

    (ids,) = encoder.texts.texts([text[:20000]], special=False)
    letters = min(len(text), 20000) / len(ids)  # a token

    def read() -> Iterator[Example]:
        chance = random.Random(code)

        def drawn(mean: float, sigma: float) -> str:
            middle = math.log(mean) - sigma**2 / 2
            tokens = min(chance.lognormvariate(middle, sigma), LONGEST)
            size = max(1, round(tokens * letters))
            start = chance.randrange(max(1, len(text) - size))
            return text[start : start + size]

        for place in range(rows):
            asked = drawn(*PROMPT)
            half = len(asked) // 2 if place % 3 == 0 else len(asked)
            yield Example(str(place), code, asked[:half], asked[half:], "a" + drawn(*RESPONSE))

    return read


def _texts(codes: list[str]) -> dict[str, str]:
    """Return a long text in each language, of sentences in several orders."""
    found: dict[str, str] = {}
    for code in codes:
        path = tokenizing.DATA / "flores_sib200" / f"{code}.tsv.gz"
        if path.is_file():
            sentences = [" ".join(row) for row in tokenizing.flores(path)]
        else:
            lines = tokenizing.SAMPLES.read_text(encoding="utf-8").splitlines()
            sentences = [line.split("\t")[-1] for line in lines if line.startswith(f"{code}\t")]
        chance, parts = random.Random(code), list[str]()
        while sum(map(len, parts)) < 200_000:
            chance.shuffle(sentences)
            parts += sentences
        found[code] = " ".join(parts)
    return found


def _apart(millions: float, keep: str) -> dict[str, Any]:
    command = [sys.executable, "-m", __spec__.name, "--one", str(millions), "--keep", keep]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith(SAID))
    return dict(json.loads(line.removeprefix(SAID)))


def _held() -> float:
    return _status("VmRSS")


def _peak() -> float:
    return _status("VmHWM")


def _status(name: str) -> float:
    """Return a number of /proc/self/status in GB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name + ":"):
            return round(float(line.split()[1]) * 1024 / 1e9, 3)
    raise OSError(f"/proc/self/status has no {name}: the bench needs Linux")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--millions", type=float, nargs="+", default=[0.1])
    parser.add_argument("--keep", default="", help="folder that the files stay in")
    parser.add_argument("--one", type=float, default=0.0, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()

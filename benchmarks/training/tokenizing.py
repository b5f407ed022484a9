"""Encoding beside the raw Rust encoder and alpaca-lora's way, on real text in many scripts.

    python benchmarks/training/tokenizing.py                     what is at hand, one thread
    python benchmarks/training/tokenizing.py --threads 2 --rows 8000
    python benchmarks/training/tokenizing.py --groups 256 1024 4096

Prints a line a figure, ``name value limit ok|short``, and ends with 1 where one falls short. Rates
are per second of CPU with one thread, of wall time with more; contenders take turns, and a figure
is the median of the turns' ratios. Text is Alpaca in English, Chinese, Khmer and Vietnamese and
FLORES in 52 languages from the project's shared data (BACTRIAN_DATA, by default ../shared/data
beside the checkout), with the tokenizers of LLaMA and mBART-50; without them the samples of the
tests are taken, with a byte-level BPE that is trained on the spot.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("BACTRIAN_DATA", ROOT.parent / "shared" / "data"))
SAMPLES = ROOT / "tests" / "samples" / "flores_52.tsv"
CUTOFF = 768
RAW, TIMES = 0.85, 2.5
Texts = tuple[str, str, str]
"""Instruction, input, output."""


def main() -> None:
    """Measure every tokenizer at hand."""
    told = _arguments()
    os.environ["TOKENIZERS_PARALLELISM"] = "false" if told.threads == 1 else "true"
    os.environ["RAYON_NUM_THREADS"] = str(told.threads)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    texts = rows(told.rows)
    size = sum(len("".join(row).encode()) for row in texts)
    print(f"# {len(texts)} rows, {size / 1e6:.1f} MB, {told.threads} threads, {told.repeat} turns")
    short = False
    for name, tokenizer in tokenizers(texts):
        if told.tokenizers and name not in told.tokenizers:
            continue
        if told.groups:
            _groups(name, tokenizer, texts, told)
        else:
            short |= _figures(name, tokenizer, texts, told)
    sys.exit(short)


def rows(count: int) -> list[Texts]:
    """Return real rows in many scripts, in an order that mixes them."""
    found = list(islice(_shared(), count)) if DATA.is_dir() else []
    if not found:
        lines = [line.split("\t") for line in SAMPLES.read_text(encoding="utf-8").splitlines()[1:]]
        found = [
            (one[-1], two[-1] if place % 2 else "", three[-1])
            for place, (one, two, three) in enumerate(
                zip(lines, lines[1:], lines[2:], strict=False)
            )
        ]
    found = list(islice(cycle(found), count))
    random.Random(0).shuffle(found)
    return found


def tokenizers(texts: list[Texts]) -> Iterator[tuple[str, Any]]:
    """Yield (name, tokenizer) of all that are at hand."""
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    folder = DATA / "tokenizers"
    if (folder / "llama" / "tokenizer.model").is_file():
        yield "llama", AutoTokenizer.from_pretrained(folder / "llama")
    if (packed := folder / "mbart50" / "tokenizer.json.gz").is_file():
        inner = Tokenizer.from_str(gzip.decompress(packed.read_bytes()).decode())
        yield (
            "mbart50",
            PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>"),
        )
    yield "bytes", _byte_level(texts)


def raw(tokenizer: Any, texts: list[Texts]) -> int:
    """Encode prompts and responses by the Rust encoder alone; return the tokens."""
    from bactrian.models.prompts import BACTRIAN

    backend = tokenizer.backend_tokenizer
    prompts = [BACTRIAN.render(instruction, given) for instruction, given, _ in texts]
    outputs = [output for _, _, output in texts]
    tokens = 0
    for start in range(0, len(texts), 1024):
        part = slice(start, start + 1024)
        for encodings in (
            backend.encode_batch_fast(prompts[part]),
            backend.encode_batch_fast(outputs[part], add_special_tokens=False),
        ):
            tokens += sum(map(len, encodings))
    return tokens + len(texts)


@cache
def _encoder(tokenizer: Any, cutoff: int) -> Any:
    """Return what is made once a run: rules are hashed and pieces laid out before the clock."""
    from bactrian.models.prompts import BACTRIAN
    from bactrian.train.encoding import Encoder
    from bactrian.train.prepare import Limits

    encoder = Encoder(tokenizer, BACTRIAN, Limits(cutoff))
    return (encoder, encoder.key, encoder.texts.pieces)[0]


def ours(tokenizer: Any, texts: list[Texts], cutoff: int = CUTOFF) -> int:
    """Encode rows into a file and open it, as the product does; return the tokens."""
    from bactrian.train.prepare import LanguageRows, prepare_files

    examples = _examples(tuple(texts))
    with tempfile.TemporaryDirectory() as folder:
        rows = LanguageRows("en", "rows", lambda: iter(examples))
        found = prepare_files([rows], _encoder(tokenizer, cutoff), Path(folder))
        return int(found.lengths.sum())


@cache
def _examples(texts: tuple[Texts, ...]) -> list[Any]:
    """Return the rows as they come from a dataset, for all contenders read before the clock."""
    from bactrian.schema import Example

    return [Example(str(place), "en", *row) for place, row in enumerate(texts)]


def uncut(tokenizer: Any, texts: list[Texts]) -> int:
    """Encode rows without cutting any, as the raw encoder does; return the tokens."""
    return ours(tokenizer, texts, cutoff=1 << 30)


def alpaca(tokenizer: Any, texts: list[Texts]) -> int:
    """Encode as alpaca-lora's script does: one example at a time, its prompt twice."""
    from datasets import Dataset, disable_caching, disable_progress_bars

    from bactrian.models.prompts import BACTRIAN

    disable_caching()
    disable_progress_bars()

    def one(row: dict[str, str]) -> dict[str, Any]:
        prompt = BACTRIAN.render(row["instruction"], row["input"])
        whole = prompt + row["output"] + tokenizer.eos_token
        found = tokenizer(whole, truncation=True, max_length=CUTOFF)
        before = len(tokenizer(prompt, truncation=True, max_length=CUTOFF)["input_ids"])
        ids = found["input_ids"]
        return {**found, "labels": [-100] * before + ids[before:]}

    names = ("instruction", "input", "output")
    data = Dataset.from_list([dict(zip(names, row, strict=True)) for row in texts])
    made = data.map(one, remove_columns=list(names))
    return sum(map(len, made["input_ids"]))


def _figures(name: str, tokenizer: Any, texts: list[Texts], told: argparse.Namespace) -> bool:
    for call in (raw, ours, uncut):  # first calls fill the encoder's cache of words, and ours
        call(tokenizer, texts[:200])
    _examples(tuple(texts))
    fewer = texts[: max(1, len(texts) // 4)]
    ways = {"raw": (raw, texts), "uncut": (uncut, texts), "cut": (ours, texts)}
    ways["alpaca"] = (alpaca, fewer)
    rates: dict[str, list[_Rate]] = {way: [] for way in ways}
    for _ in range(told.repeat):
        for way, (call, given) in ways.items():
            rates[way].append(_rate(call, tokenizer, given, told.threads))
    for way, found in rates.items():
        tokens = statistics.median(rate.tokens for rate in found)
        print(f"# {name} {way}: {tokens / 1e3:.0f} k tokens a second", flush=True)
    share, times = _ratio(rates["uncut"], rates["raw"]), _ratio(rates["cut"], rates["alpaca"])
    print(_line(f"{name}_share_of_raw", share, RAW))
    print(_line(f"{name}_share_of_raw_with_cuts", _ratio(rates["cut"], rates["raw"]), None))
    # one core cannot show what a peer leaves idle, and Unigram is nearly all of its own time
    limit = None if name == "mbart50" and told.threads == 1 else TIMES
    print(_line(f"{name}_times_alpaca_lora", times, limit), flush=True)
    return share < RAW or (limit is not None and times < limit)


def _ratio(mine: list[_Rate], theirs: list[_Rate]) -> float:
    """Return how many times as many rows a second, the median over the turns."""
    return statistics.median(one.rows / two.rows for one, two in zip(mine, theirs, strict=True))


def _groups(name: str, tokenizer: Any, texts: list[Texts], told: argparse.Namespace) -> None:
    from bactrian.train import encoding

    found: dict[int, list[float]] = {size: [] for size in told.groups}
    for _ in range(told.repeat):
        for size in told.groups:
            encoding.GROUP = size
            found[size].append(_rate(ours, tokenizer, texts, told.threads).tokens)
    for size, rates in found.items():
        print(f"{name}_group_{size} {statistics.median(rates):.0f} - ok", flush=True)


class _Rate:
    def __init__(self, tokens: float, rows: float) -> None:
        self.tokens, self.rows = tokens, rows


def _rate(
    way: Callable[[Any, list[Texts]], int], tokenizer: Any, texts: list[Texts], threads: int
) -> _Rate:
    clock = time.process_time if threads == 1 else time.perf_counter
    began = clock()
    tokens = way(tokenizer, texts)
    took = clock() - began
    return _Rate(tokens / took, len(texts) / took)


def _line(name: str, value: float, limit: float | None) -> str:
    if limit is None:
        return f"{name} {value:.3g} - ok"
    return f"{name} {value:.3g} >={limit:g} {'ok' if value >= limit else 'short'}"


def _shared() -> Iterator[Texts]:
    """Yield rows of Alpaca in four languages and of FLORES in all, in turns."""
    sources: list[Iterator[Texts]] = []
    folder = DATA / "alpaca_translated"
    if (path := folder / "zh_carbonz0_0_10020.jsonl.gz").is_file():
        sources.append((row["instruction"], row["input"], row["output"]) for row in _lines(path))
    if (path := folder / "km_google_1551.jsonl.gz").is_file():
        for code in ("km", "en"):
            sources.append(
                (row[code]["instruction"], row[code]["input"], row[code]["output"])
                for row in list(_lines(path))
            )
    if (path := folder / "vi_alpaca_reduced.jsonl.gz").is_file():
        sources.append((row["prompt"], "", row["response"]) for row in _lines(path))
    for path in sorted((DATA / "flores_sib200").glob("*.tsv.gz")):
        sources.append(flores(path))
    while sources:
        for source in list(sources):
            row = next(source, None)
            if row is None:
                sources.remove(source)
            else:
                yield row


def _lines(path: Path) -> Iterator[Any]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def flores(path: Path) -> Iterator[Texts]:
    """Yield rows made of the sentences of one language, four a row."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        texts = [line.rstrip("\n").split("\t")[-1] for line in file][1:]
    for place in range(0, len(texts) - 4, 4):
        one, two, *rest = texts[place : place + 4]
        yield one, two if place % 8 else "", " ".join(rest)


def _byte_level(texts: list[Texts]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=32000,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator((" ".join(row) for row in texts[:4000]), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tokenizers", nargs="*", help="llama, mbart50, bytes; default all")
    parser.add_argument("--groups", type=int, nargs="*", help="compare sizes of a group instead")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""Makes what the demo reads: English rows, recorded translations and answers, XCOPA questions.

    python demo/make.py ../shared/data

reads the rows named in ``demo/rows.tsv`` from the data described there, and writes
``demo/alpaca.json``, ``demo/recorded/<language>.sqlite`` and ``demo/xcopa/<language>.jsonl``.
The recording goes through the same classes as any provider, so its keys are the demo's own.
"""

from __future__ import annotations

import csv
import gzip
import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from choose_rows import split_prompt

from bactrian.languages import get
from bactrian.ledger import Entry, Ledger, key_of
from bactrian.providers import Told
from bactrian.providers.recorded import RecordedChat, RecordedTranslator
from bactrian.recipe import Provider
from bactrian.schema import Instruction

HERE = Path(__file__).parent
MODEL = "alpaca-translated"
XCOPA = ("zh", "et", "th")
QUESTIONS = 100
MADE = 1_679_616_000.0  # 24 March 2023: the translations carry no date of their own

ORIGINS = {
    "zh": "carbonz0/alpaca-chinese-dataset",
    "vi": "telexyz/GPT4VN",
    "km": "NanoCode012/alpaca-khmer (Google Cloud Translation)",
}


def main(data: Path) -> None:
    """Write everything under ``demo/``."""
    with (HERE / "rows.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    texts = _texts(data / "alpaca_translated")
    english = [_english(row, data, texts["km"]) for row in rows]
    _write_json(HERE / "alpaca.json", english)
    for language in ORIGINS:
        translated = [
            _there(texts[language][int(row[language])], source)
            for row, source in zip(rows, english, strict=True)
        ]
        _record(language, english, translated)
    for language in XCOPA:
        _questions(data / "xcopa" / "data" / language / f"test.{language}.jsonl", language)


def _there(found: dict[str, str], source: dict[str, str]) -> dict[str, str]:
    """Return the translated row; the Vietnamese file joins instruction and input in one prompt."""
    if "prompt" not in found:
        return found
    instruction, text = split_prompt(found["prompt"], bool(source["input"]))
    return {"instruction": instruction, "input": text, "output": found["response"]}


def _english(row: dict[str, str], data: Path, khmer: Any) -> dict[str, str]:
    if row["english"] == "km":
        found = khmer[int(row["km"])]["en"]
    else:
        found = _alpaca(data)[int(row["id"].removeprefix("alpaca-"))]
    keys = ("instruction", "input", "output")
    return {"id": row["id"], **{key: found[key] for key in keys}}


_ROWS: list[dict[str, str]] = []


def _alpaca(data: Path) -> list[dict[str, str]]:
    if not _ROWS:
        with gzip.open(data / "alpaca" / "alpaca_data.json.gz", "rt", encoding="utf-8") as file:
            _ROWS.extend(json.load(file))
    return _ROWS


def _texts(folder: Path) -> dict[str, Any]:
    chinese = {row["alpaca_index"]: row for row in _lines(folder / "zh_carbonz0_0_10020.jsonl.gz")}
    khmer = {row["i"]: row | row["km"] for row in _lines(folder / "km_google_1551.jsonl.gz")}
    vietnamese = dict(enumerate(_lines(folder / "vi_alpaca_reduced.jsonl.gz")))
    return {"zh": chinese, "km": khmer, "vi": vietnamese}


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _record(code: str, english: list[dict[str, str]], translated: list[dict[str, str]]) -> None:
    path = HERE / "recorded" / f"{code}.sqlite"
    path.unlink(missing_ok=True)
    language, folder = get(code), path.parent
    folder.mkdir(exist_ok=True)
    told_of = Told(Provider(model=MODEL), folder)
    translator, chat = RecordedTranslator(told_of), RecordedChat(told_of)
    with Ledger(path) as ledger:
        for source, there in zip(english, translated, strict=True):
            both = (source["instruction"], source["input"])
            asked = translator.request(both, get("en"), language)
            texts = json.dumps([there["instruction"], there["input"]], ensure_ascii=False)
            ledger.put(Entry(key_of(asked), "translation", ORIGINS[code], texts, time=MADE))
            task = Instruction(source["id"], code, there["instruction"], there["input"])
            asked = chat.request(task, language)
            ledger.put(Entry(key_of(asked), "response", ORIGINS[code], there["output"], time=MADE))
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")  # one file, readable where it is read-only
        connection.execute("VACUUM")
    connection.close()


def _questions(path: Path, language: str) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()[:QUESTIONS]
    target = HERE / "xcopa" / f"{language}.jsonl"
    target.parent.mkdir(exist_ok=True)
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_json(path: Path, rows: list[dict[str, str]]) -> None:
    text = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text(f"[\n{text}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))

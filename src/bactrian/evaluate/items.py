"""Every item with what each model gave its options, as one Parquet table beside results.json.

Statistics of another day, other metrics and comparisons with other runs are made from it without
the texts, the models or the score store.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bactrian.errors import DataError
from bactrian.evaluate.answered import Answered, Question
from bactrian.files import atomic

if TYPE_CHECKING:
    import pyarrow as pa

NAME = "items.parquet"
VERSION = 1
AGAIN = "run bactrian eval on its folder again: nothing is scored twice"


def write_items(path: Path, found: Sequence[Answered]) -> Path:
    """Write one row an item, whole or not at all; a row group is a task in a language."""
    import orjson
    import pyarrow.parquet as parquet

    models = list(dict.fromkeys(model for one in found for model in one.nats))
    schema = _schema(models)
    told = [
        {
            "task": one.task,
            "language": one.language,
            "metric": one.metric,
            "signature": one.signature,
            "labels": one.labels,
            "blank": dict(one.blank),
        }
        for one in found
    ]
    with (
        atomic(path) as unfinished,
        parquet.ParquetWriter(
            unfinished, schema, compression="zstd", write_page_checksum=True
        ) as file,
    ):
        for one in found:
            file.write_table(_table(one, models, schema))
        facts = {"version": VERSION, "models": models, "parts": told}
        file.add_key_value_metadata({"bactrian": orjson.dumps(facts).decode()})
    return path


def read_items(path: Path) -> tuple[Answered, ...]:
    """Return what ``write_items`` wrote.

    Raises DataError for a file that is absent, damaged or of another version.
    """
    import orjson
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            facts = orjson.loads((file.metadata.metadata or {}).get(b"bactrian", b"{}"))
            if facts.get("version") != VERSION:
                raise DataError(f"{path} is not of this version", AGAIN)
            return tuple(_parts(file, facts))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", AGAIN) from None
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a whole Parquet file: {error}", AGAIN) from None


def _schema(models: Sequence[str]) -> pa.Schema:
    import pyarrow as pa

    texts = [(name, pa.string()) for name in ("task", "language", "id", "hash", "group", "cluster")]
    counts = [("characters", pa.list_(pa.int32())), ("sizes", pa.list_(pa.int32()))]
    nats = [(f"nats of {model}", pa.list_(pa.float64())) for model in models]
    return pa.schema([*texts, ("gold", pa.int32()), *counts, *nats])


def _table(one: Answered, models: Sequence[str], schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    rows: list[dict[str, Any]] = [
        {"task": one.task, "language": one.language, **asdict(question)}
        for question in one.questions
    ]
    for model in models:
        if model in one.nats:
            for row, values in zip(rows, one.nats[model], strict=True):
                row[f"nats of {model}"] = values
    return pa.Table.from_pylist(rows, schema=schema)


def _parts(file: Any, facts: dict[str, Any]) -> Iterator[Answered]:
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in file.read().to_pylist():
        rows.setdefault((row.pop("task"), row.pop("language")), []).append(row)
    for part in facts["parts"]:
        mine = rows.get((part["task"], part["language"]), [])
        nats = {
            model: tuple(tuple(row[f"nats of {model}"]) for row in mine)
            for model in facts["models"]
            if mine and mine[0][f"nats of {model}"] is not None
        }
        yield Answered(
            part["task"],
            part["language"],
            part["metric"],
            part["signature"],
            tuple(_question(row) for row in mine),
            nats,
            tuple(part["labels"]),
            {model: tuple(values) for model, values in part["blank"].items()},
        )


def _question(row: dict[str, Any]) -> Question:
    return Question(
        row["id"],
        row["hash"],
        row["gold"],
        row["group"],
        row["cluster"],
        tuple(row["characters"]),
        tuple(row["sizes"]),
    )

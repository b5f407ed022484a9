"""``bactrian status``: where the data stand, also while a run is going."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from bactrian.cli.options import Folder, Json, Languages, Set

HEAD = ("language", "translated", "answered", "failed", "paid for nothing", "USD", "USD in all")


def status(
    folder: Folder, languages: Languages = "", as_json: Json = False, overrides: Set = None
) -> None:
    """Show by language what is done, what failed, what was spent and what it will come to."""
    from bactrian.data.status import status as status_of
    from bactrian.workspace import open_workspace

    told = [*(overrides or []), *([f'languages="{languages}"'] if languages else [])]
    workspace = open_workspace(folder, tuple(told))
    found = status_of(workspace)
    going = _going(workspace.runs)
    if as_json:
        import orjson

        facts = {"languages": [asdict(one) for one in found], "run": going}
        print(orjson.dumps(facts, default=str).decode())
        return
    for line in _table(found):
        print(line)
    spent = sum(one.cost_usd for one in found)
    coming = sum(one.translated.forecast_usd + one.answered.forecast_usd for one in found)
    print(f"{spent:,.4f} USD spent; {coming:,.4f} USD in all at this cost a row")
    if going:
        print(_line(going))


def _table(found: Any) -> list[str]:
    rows = [
        (
            one.language,
            _of(one.translated),
            _of(one.answered),
            str(one.translated.failed + one.answered.failed),
            str(one.translated.charged + one.answered.charged),
            f"{one.cost_usd:.4f}",
            f"{one.translated.forecast_usd + one.answered.forecast_usd:.4f}",
        )
        for one in found
    ]
    widths = [max(len(row[at]) for row in [HEAD, *rows]) for at in range(len(HEAD))]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in [HEAD, *rows]
    ]


def _of(stage: Any) -> str:
    return f"{stage.done:,}/{stage.rows:,}" if stage.rows else f"{stage.done:,}"


def _going(folder: Any) -> dict[str, Any] | None:
    """Return what the newest run says of itself, with its rate, if it is still going."""
    from bactrian.runs import every_run

    running = [run for run in every_run(folder) if run.status.state == "running"]
    if not running:
        return None
    run = running[-1]
    now = run.status
    return {"path": str(run.path), **asdict(now), **_rate(run)}


def _rate(run: Any) -> dict[str, float]:
    """Return rows a second over the last minute, and the seconds that are left of this task."""
    from bactrian.events import read

    now = run.status
    recent = [
        event
        for event in read(run.events)
        if event["kind"] == "progress" and event["task"] == now.task
    ][-300:]
    recent = [event for event in recent if event["time"] > time.time() - 60] or recent[-2:]
    if len(recent) < 2 or recent[-1]["time"] <= recent[0]["time"]:
        return {}
    rate = (recent[-1]["done"] - recent[0]["done"]) / (recent[-1]["time"] - recent[0]["time"])
    if rate <= 0 or now.total is None:
        return {"rate": rate}
    return {"rate": rate, "seconds_left": (now.total - now.done) / rate}


def _line(going: dict[str, Any]) -> str:
    from bactrian.cli.terminal import duration

    line = f"running ({going['verb']}, process {going['pid']}): {going['task']} {going['done']}"
    if going["total"] is not None:
        line += f"/{going['total']}"
    if going.get("rate"):
        line += f", {going['rate']:.1f} rows/s"
    if going.get("seconds_left") is not None:
        line += f", {duration(going['seconds_left'])} left of this task"
    return line

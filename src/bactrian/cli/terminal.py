"""Shows the events to a person: a live panel on a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from bactrian.events import Event, Reader

PLAIN_SECONDS = 5.0


@contextmanager
def reader(to_stderr: bool = False) -> Iterator[Reader]:
    """Yield the reader that suits where the output goes."""
    stream = sys.stderr if to_stderr else sys.stdout
    if stream.isatty():
        panel = Panel(stream)
        try:
            yield panel
        finally:
            panel.close()
    else:
        yield Plain(stream)


class Plain:
    """One line every few seconds, and one for whatever should not be missed."""

    def __init__(self, stream: TextIO, every: float = PLAIN_SECONDS) -> None:
        self.stream = stream
        self.every = every
        self._told = time.monotonic()
        self._begun: dict[str, tuple[float, int]] = {}

    def see(self, event: Event) -> None:
        """Print the event if it is time, or if it matters."""
        now = time.monotonic()
        line = None
        if event.kind == "progress":
            facts = event.facts
            begun, first = self._begun.setdefault(facts["task"], (now, facts["done"]))
            if now - self._told >= self.every:
                line = progress_line(facts, facts["done"] - first, now - begun)
        elif event.kind == "metric":
            if now - self._told >= self.every:
                line = metric_line(event.facts)
        else:
            line = line_of(event)
        if line is not None:
            self._told = now
            print(f"  {line}", file=self.stream, flush=True)


class Panel:
    """Bars that live while there is work, with lines of note above them."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self.progress = Progress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=Console(file=stream, highlight=False),
            transient=True,
        )
        self._tasks: dict[str, Any] = {}
        self._live = False

    def see(self, event: Event) -> None:
        """Move a bar, or print a line above them."""
        if event.kind == "progress":
            self._move(event.facts)
        elif event.kind == "metric":
            if self._tasks:
                newest = list(self._tasks.values())[-1]
                self.progress.update(newest, note=metric_line(event.facts))
        elif (line := line_of(event)) is not None:
            self.progress.console.print(f"  {line}", markup=False)

    def close(self) -> None:
        """Take the bars away."""
        self.progress.stop()

    def _move(self, facts: dict[str, Any]) -> None:
        name, total = facts["task"], facts["total"]
        if not self._live:
            self.progress.start()
            self._live = True
        if name not in self._tasks:
            self._tasks[name] = self.progress.add_task(name, total=total, note="")
        self.progress.update(self._tasks[name], completed=facts["done"], total=total)
        if total is not None and facts["done"] >= total:
            self.progress.remove_task(self._tasks.pop(name))
        if not self._tasks:
            self.progress.stop()
            self._live = False


def line_of(event: Event) -> str | None:
    """Return what a person should read of an event, if anything."""
    if event.kind == "warning":
        return f"warning: {event.facts['text']}"
    if event.kind in ("decision", "note"):
        return str(event.facts["text"])
    return None


def progress_line(facts: dict[str, Any], done: int, seconds: float) -> str:
    """Return ``task  done/total  rate  time left``."""
    total = facts["total"]
    line = f"{facts['task']}  {facts['done']}/{total if total is not None else '?'}"
    if done and seconds > 0:
        rate = done / seconds
        line += f"  {rate:.1f}/s"
        if total:
            line += f"  {duration((total - facts['done']) / rate)} left"
    return line


def metric_line(facts: dict[str, Any]) -> str:
    """Return step and losses."""
    losses = [
        f"{name.removeprefix('loss_').replace('_', ' ')} {value:.3f}"
        for name, value in facts.items()
        if name.startswith(("loss", "validation"))
    ]
    return f"step {facts['step']}  {'  '.join(losses)}"


def duration(seconds: float) -> str:
    """Return 45 s, 3 min 20 s, 2 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"

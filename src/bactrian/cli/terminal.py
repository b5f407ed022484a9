"""Shows the events to a person: a live panel on a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from bactrian.cli import losses
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
        self._measured = float("-inf")
        self._begun: dict[str, tuple[float, int]] = {}

    def see(self, event: Event) -> None:
        """Print the event if it is time, or if it matters."""
        now = time.monotonic()
        if event.kind == "metric":
            # its own clock: progress comes with every step and would always be first
            if now - self._measured >= self.every:
                self._measured = now
                self._print(losses.lines(event.facts))
            return
        line = None
        if event.kind == "progress":
            facts = event.facts
            begun, first = self._begun.setdefault(facts["task"], (now, facts["done"]))
            if now - self._told >= self.every:
                line = progress_line(facts, facts["done"] - first, now - begun)
        else:
            line = line_of(event)
        if line is not None:
            self._told = now
            self._print([line])

    def _print(self, lines: Iterable[str]) -> None:
        for line in lines:
            print(f"  {line}", file=self.stream, flush=True)


class Panel:
    """Bars that live while there is work, the losses below them, lines of note above them."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.table import Column

        self._tasks: dict[str, Any] = {}
        self._begun: dict[str, tuple[float, int]] = {}
        self._losses: dict[str, dict[str, Any]] = {}
        """The newest facts of each kind of loss."""
        self.console = Console(file=stream, highlight=False)
        name = Column(no_wrap=True, overflow="ellipsis", max_width=max(12, self.console.width // 4))
        self.progress = Progress(
            TextColumn("  {task.description}", table_column=name, markup=False),
            BarColumn(bar_width=max(8, min(24, self.console.width // 6))),
            MofNCompleteColumn(),
            TextColumn("[dim]{task.fields[pace]}", table_column=Column(no_wrap=True)),
            console=self.console,
        )
        self.live = Live(
            get_renderable=self._drawn, console=self.console, transient=True, refresh_per_second=5
        )

    def see(self, event: Event) -> None:
        """Move a bar, or print a line above them."""
        if event.kind == "progress":
            self._move(event.facts)
        elif event.kind == "metric":
            for kind in losses.KINDS:
                if any(name.startswith(kind) for name in event.facts):
                    self._losses[kind] = event.facts
        elif (line := line_of(event)) is not None:
            self.console.print(f"  {line}", markup=False)

    def close(self) -> None:
        """Take the bars away."""
        self.live.stop()

    def _drawn(self) -> Any:
        from rich.console import Group
        from rich.text import Text

        told = [
            Text(f"  {line}", style="dim", no_wrap=True, overflow="ellipsis")
            for kind, facts in self._losses.items()
            for line in losses.lines(facts, self.console.width - 2)
            if f" {kind} " in line
        ]
        return Group(self.progress, *told)

    def _move(self, facts: dict[str, Any]) -> None:
        name, total, now = facts["task"], facts["total"], time.monotonic()
        if not self.live.is_started:
            self.live.start()
        if name not in self._tasks:
            self._tasks[name] = self.progress.add_task(name, total=total, pace="")
            self._begun[name] = now, facts["done"]
        begun, first = self._begun[name]
        told = "  ".join(pace(facts, facts["done"] - first, now - begun))
        self.progress.update(self._tasks[name], completed=facts["done"], total=total, pace=told)
        if total is not None and facts["done"] >= total:
            self.progress.remove_task(self._tasks.pop(name))
            if "tokens_per_second" in facts:
                self._losses.clear()  # they were of the training that has ended
        if not self._tasks:
            self.live.stop()


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
    begin = f"{facts['task']}  {facts['done']}/{total if total is not None else '?'}"
    return "  ".join([begin, *pace(facts, done, seconds)])


def pace(facts: dict[str, Any], done: int, seconds: float) -> list[str]:
    """Return the rate and the time that is left, each where it is known.

    As the facts tell them; else by what was ``done`` in so many ``seconds``.
    """
    told, total = [], facts["total"]
    left = facts.get("seconds_left")
    if (tokens := facts.get("tokens_per_second")) is not None:
        told.append(f"{tokens:,.0f} tokens/s")
    if done > 0 and seconds > 0:
        rate = done / seconds
        if not told:
            told.append(f"{rate:.1f}/s" if rate >= 1 else f"{duration(1 / rate)} each")
        if left is None and total:
            left = (total - facts["done"]) / rate
    return told if left is None else [*told, f"{duration(left)} left"]


def duration(seconds: float) -> str:
    """Return 45 s, 3 min 20 s, 2 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"

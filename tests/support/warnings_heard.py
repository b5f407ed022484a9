"""A reader of events that keeps the texts of warnings, and takes nothing else."""

from __future__ import annotations

from bactrian import events


class Heard:
    """What warnings said, in order."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def see(self, event: events.Event) -> None:
        """Keep a warning; anything else fails the test."""
        assert event.kind == "warning"
        self.texts.append(event.facts["text"])

"""Whether asking again helps. Where second answers are no better than first ones, it stops.

A model that cannot answer in a language answers every row in another one, and each would be paid
for twice.
"""

from __future__ import annotations

from bactrian.providers import Reason

ENOUGH = 20
"""Second answers after which it is judged."""
HELPS = 0.2
"""Share of second answers that have to be better."""


class Doubts:
    """How second answers did, by the reason for which they were asked."""

    def __init__(self) -> None:
        self._second: dict[Reason, int] = {}
        self._better: dict[Reason, int] = {}

    def useless(self, asked_for: Reason, *, better: bool) -> bool:
        """Take note of a second answer; return whether asking again has been of no use by now."""
        second = self._second[asked_for] = self._second.get(asked_for, 0) + 1
        helped = self._better[asked_for] = self._better.get(asked_for, 0) + better
        return second >= ENOUGH and helped < HELPS * second

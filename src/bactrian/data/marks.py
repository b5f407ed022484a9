"""What is said of an English row before anything is done with it: flags, and nothing dropped.

Known defects, whether it is a programming task, whether translation destroys it. The later stages
act on them as the recipe says.
"""

from __future__ import annotations

from bactrian.data import defects, destroyed, programming
from bactrian.data.programming import Words
from bactrian.schema import Example, Flag

VERSION = 1
"""To be raised when the rules find something else in the same rows."""
DEFECT = "defect-"
"""How the flags of a known defect begin."""
PROGRAMMING = "programming"
DESTROYED = "destroyed-"
"""How the flags begin of tasks that translation destroys: ``destroyed-rhyme``."""


def marks(example: Example, words: Words | None = None) -> tuple[Flag, ...]:
    """Return the flags of an English row; all are warnings. ``words`` are those of programming."""
    found = defects.find(example)
    if (code := programming.find(example.instruction, example.input, words)) is not None:
        reason = "asks for code, or holds code"
        flag = Flag(PROGRAMMING, "warn", code.field, reason, code.word[:200], code.start)
        found = (*found, flag)
    if (lost := destroyed.recognise(example.instruction, example.input)) is not None:
        reason = f"translation destroys the task: it works on English {lost.kind}"
        name = f"{DESTROYED}{lost.kind}"
        flag = Flag(name, "warn", "instruction", reason, lost.evidence[:200], lost.start)
        found = (*found, flag)
    return found

"""What stands after the name of a task: ``exams:letter``, ``xcopa@lm-eval``, ``lm_eval:NAME``.

Knows how a name is taken apart, not what the parts mean to a task.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bactrian.errors import ConfigError, did_you_mean

CLOZE, LETTER, HYBRID = "cloze", "letter", "hybrid"
FORMS = (CLOZE, LETTER, HYBRID)
"""Of a multiple-choice question: its options unseen and their texts scored; shown with letters
and the letter scored; shown with letters and the texts scored (the words are lighteval's)."""
NATIVE = "native"
LM_EVAL = "lm-eval"


@dataclass(frozen=True, slots=True)
class Variant:
    """One way of asking a benchmark."""

    name: str
    """As results call it; what is not the default stands in it."""
    form: str
    protocol: str


def parts(name: str) -> tuple[str, str]:
    """Return the registered name, and what stands after it: ``("exams", ":letter")``."""
    stem = re.split("[:@]", name, maxsplit=1)[0]
    return stem, name[len(stem) :]


def variant(task: str, told: str, forms: Sequence[str], protocols: Sequence[str]) -> Variant:
    """Return the variant that ``told`` names; the first of each is the default.

    Raises ConfigError for a formulation or a protocol that the task does not have.
    """
    form, _, protocol = told.removeprefix(":").partition("@")
    for what, word, known in (("form", form, forms), ("protocol", protocol, protocols)):
        if word and word not in known:
            raise ConfigError(f"{task} has no {what} {word}", did_you_mean(word, known))
    form, protocol = form or forms[0], protocol or protocols[0]
    if protocol == LM_EVAL and form != CLOZE:
        raise ConfigError(
            f"{task}{told}: lm-eval asks {task} as a cloze only", f"write {task}@{LM_EVAL}"
        )
    name = task + (f":{form}" if form != forms[0] else "")
    return Variant(name + (f"@{protocol}" if protocol != protocols[0] else ""), form, protocol)

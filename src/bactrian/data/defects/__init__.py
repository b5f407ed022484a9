"""Finds the ten known classes of defects of machine-written English instructions, and drops none.

They are those that were found in Stanford Alpaca (AlpacaDataCleaned, README, "Issues with the
Original Dataset"); in its order:

==============================  =====================================================
``defect-unseen``               points to a page, picture or file that is not in the row
``defect-merged``               another numbered instruction hangs on the output
``defect-empty-output``         nothing to be seen in the output
``defect-no-code``              code that the task points to, or asks for, is not there
``defect-image``                asks for a picture, which text is not
``defect-no-answer``            a placeholder or an apology in place of an answer
``defect-input-marker``         the input says in words that there is none
``defect-wrong-number``         a number that is not what the arithmetic comes to
``defect-unclear``              points to a text that is not given, or to deeds
``defect-control-characters``   escapes and invisible characters that do not belong there
==============================  =====================================================

Each rule looks at the English side alone and is held to English: in another language most say
nothing. What was measured stands in docs/sources.md. Knows nothing of files or of translations.
"""

from __future__ import annotations

from bactrian.data.defects.form import (
    control_characters,
    empty_output,
    input_marker,
    merged,
    no_answer,
)
from bactrian.data.defects.image import image
from bactrian.data.defects.no_code import no_code
from bactrian.data.defects.row import Rule
from bactrian.data.defects.unclear import unclear
from bactrian.data.defects.unseen import unseen
from bactrian.data.defects.wrong import wrong_number
from bactrian.schema import Example, Flag

RULES: dict[str, Rule] = {
    "defect-unseen": unseen,
    "defect-merged": merged,
    "defect-empty-output": empty_output,
    "defect-no-code": no_code,
    "defect-image": image,
    "defect-no-answer": no_answer,
    "defect-input-marker": input_marker,
    "defect-wrong-number": wrong_number,
    "defect-unclear": unclear,
    "defect-control-characters": control_characters,
}
"""The rules by the name of their flag, in the order of the list that they come from."""


def find(example: Example) -> tuple[Flag, ...]:
    """Return what is known to be wrong with an English example, each with its evidence.

    All are warnings: whether such rows are kept is the recipe's word (``check.defects``).
    """
    flags = []
    for name, rule in RULES.items():
        if found := rule(example):
            flags.append(found.flag(name))
    return tuple(flags)

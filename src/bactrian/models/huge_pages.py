"""Large tensors in huge pages: fewer faults, and fewer looks at page tables.

For scoring on a CPU, whose tensors of some megabytes come and go with every layer; a training,
which keeps many of odd sizes, would have half as much memory again and be no faster. Linux alone
has them, and other systems take no notice.
"""

from __future__ import annotations

import os

SWITCH = "THP_MEM_ALLOC_ENABLE"
"""torch's; read when the first tensor is made."""


def huge_pages() -> None:
    """Have torch ask for huge pages in this process and those it starts, unless it is told."""
    os.environ.setdefault(SWITCH, "1")

"""Models that are scored elsewhere: behind a server, or by llama.cpp from a GGUF file.

``opened`` gives the same ``Scorers`` as transformers in this process does: requests in, rows of the
store out. What a server offers is found out by asking it; see docs/backends.md.
"""

from __future__ import annotations

from bactrian.evaluate.backends.opening import GGUF, opened
from bactrian.evaluate.backends.served import Served, ServedScorer, prepare

__all__ = ["GGUF", "Served", "ServedScorer", "opened", "prepare"]

"""What can go wrong, said to the user. Knows nothing of any stage.

BactrianError            problem, hint, exit_code
├── ConfigError      2   recipe.toml: unknown key lora.ranl        did you mean rank?
├── MissingExtra     3   the chat page needs gradio                pip install 'bactrian[chat]'
├── LanguageError    4   unknown language "jp"                     Japanese is "ja"
├── DataError        5   a.json, line 14007: expected a value      mend the file there
├── ProviderError    6   the recording has no answer for …         retryable: bool
├── AdapterError     7   adapters/zh holds no LoRA tensors         it was saved empty …
├── RunError         8   runs/… is in use by process 4711          wait for it or stop it
├── LedgerError      9   ledger/zh.sqlite could not be written     free some space …
└── BudgetError     10   the budget of 20.00 USD is reached        --set budget.usd=40

Anything else that reaches the user is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable

EXIT_INTERRUPTED = 130


class BactrianError(Exception):
    """A problem the user can do something about: what is wrong, and the next step."""

    exit_code = 1

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.problem} ({self.hint})"


class ConfigError(BactrianError):
    """A recipe or an option that cannot be meant as it stands."""

    exit_code = 2


class MissingExtra(BactrianError):
    """A package that this verb needs is not installed."""

    exit_code = 3


class LanguageError(BactrianError):
    """A language code that is unknown or spelt otherwise here."""

    exit_code = 4


class DataError(BactrianError):
    """A file whose content is not what it has to be; names the file and the place."""

    exit_code = 5


class ProviderError(BactrianError):
    """A translator or a chat model did not answer."""

    exit_code = 6

    def __init__(self, problem: str, hint: str, *, retryable: bool = False) -> None:
        super().__init__(problem, hint)
        self.retryable = retryable


class AdapterError(BactrianError):
    """An adapter folder that is empty, damaged or made for another base."""

    exit_code = 7


class RunError(BactrianError):
    """A run directory that cannot be used: locked, full, or of another recipe."""

    exit_code = 8


class LedgerError(BactrianError):
    """The ledger could not be read or written; what was committed before is safe."""

    exit_code = 9


class BudgetError(BactrianError):
    """Going on would cost more than was allowed; what was paid for is safe."""

    exit_code = 10


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``did you mean x?``, or the list of what is known when nothing is near."""
    from difflib import get_close_matches

    choices = sorted(known)
    near = get_close_matches(word, choices, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]}?"
    return f"known are: {', '.join(choices)}"

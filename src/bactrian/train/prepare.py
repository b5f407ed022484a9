"""Examples become token ids with an exact boundary between prompt and response.

Prompt and response are encoded apart, so that training sees the very tokens that stand before the
answer in use; EOS always ends the response. A row that is longer than the limit is left out and
counted by language, never cut. Knows nothing of batches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from bactrian.errors import ConfigError, DataError
from bactrian.models.prompts import PromptStyle
from bactrian.models.tokens import prompt_ids
from bactrian.schema import Example

if TYPE_CHECKING:
    import numpy as np

GROUP = 1024


@dataclass(frozen=True, slots=True)
class Prepared:
    """Token ids of all rows, end to end, with where each row and its response begins."""

    tokens: np.ndarray[Any, Any]
    """All ids, int32 [tokens]."""
    starts: np.ndarray[Any, Any]
    """Where each row begins, and the end of the last, int64 [rows + 1]."""
    prompts: np.ndarray[Any, Any]
    """Tokens of each row's prompt, int32 [rows]."""
    languages: np.ndarray[Any, Any]
    """Index of each row's language in ``names``, int16 [rows]."""
    names: tuple[str, ...]
    too_long: Mapping[str, int]
    """Rows left out because they are longer than the limit, by language."""
    empty: Mapping[str, int]
    """Rows left out because they have no response to learn, by language."""

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def lengths(self) -> np.ndarray[Any, Any]:
        """Tokens of each row, int64 [rows]."""
        lengths: np.ndarray[Any, Any] = self.starts[1:] - self.starts[:-1]
        return lengths

    def row(self, index: int) -> tuple[np.ndarray[Any, Any], int, int]:
        """Return (token ids, tokens of the prompt, language) of one row."""
        tokens = self.tokens[self.starts[index] : self.starts[index + 1]]
        return tokens, int(self.prompts[index]), int(self.languages[index])


def prepare(
    examples: Iterable[Example], tokenizer: Any, style: PromptStyle, max_tokens: int
) -> Prepared:
    """Encode every example; rows come out in the order they came in.

    Raises ConfigError for a tokenizer without EOS, DataError when nothing is left to train on.
    """
    import numpy as np

    if tokenizer.eos_token_id is None:
        raise ConfigError(
            "the base's tokenizer has no EOS token, so the model could not learn to stop",
            "use a base whose tokenizer_config.json names an eos_token",
        )
    names: dict[str, int] = {}
    tokens, lengths, prompts, languages = [np.empty(0, np.int32)], [], [], []
    too_long, empty = Counter[str](), Counter[str]()
    for example, prompt, response in _encoded(examples, tokenizer, style):
        code = example.language
        if not example.output.strip():
            empty[code] += 1
            continue
        row = [*prompt, *response, tokenizer.eos_token_id]
        if len(row) > max_tokens:
            too_long[code] += 1
            continue
        tokens.append(np.asarray(row, dtype=np.int32))
        lengths.append(len(row))
        prompts.append(len(prompt))
        languages.append(names.setdefault(code, len(names)))
    if not lengths:
        raise DataError(
            f"no rows to train on ({sum(too_long.values())} longer than {max_tokens} tokens, "
            f"{sum(empty.values())} without a response)",
            "build the dataset first, or raise train.max_tokens",
        )
    return Prepared(
        tokens=np.concatenate(tokens),
        starts=np.concatenate([[0], np.cumsum(lengths)]),
        prompts=np.asarray(prompts, dtype=np.int32),
        languages=np.asarray(languages, dtype=np.int16),
        names=tuple(names),
        too_long=dict(too_long),
        empty=dict(empty),
    )


def encode_pair(
    tokenizer: Any, prompts: Sequence[str], responses: Sequence[str]
) -> Iterator[tuple[list[int], list[int]]]:
    """Yield (prompt ids, response ids); only the prompt gets the tokenizer's special tokens."""
    after = tokenizer(list(responses), add_special_tokens=False)["input_ids"]
    yield from zip(prompt_ids(tokenizer, prompts), after, strict=True)


def _encoded(
    examples: Iterable[Example], tokenizer: Any, style: PromptStyle
) -> Iterator[tuple[Example, list[int], list[int]]]:
    drawn = iter(examples)
    while group := list(islice(drawn, GROUP)):
        prompts = [style.render(example.instruction, example.input) for example in group]
        pairs = encode_pair(tokenizer, prompts, [example.output for example in group])
        for example, (prompt, response) in zip(group, pairs, strict=True):
            yield example, prompt, response

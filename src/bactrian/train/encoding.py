"""Examples become token ids with an exact boundary between prompt and response.

Prompt and response are encoded apart, so that training sees the very tokens that stand before the
answer in use; EOS always ends the response. A row that is longer than the limits is shortened by
the rule of ``shorten`` or left out, and its fate is told. Knows nothing of files or batches.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from functools import cached_property, lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from bactrian.errors import ConfigError, DataError
from bactrian.models.prompts import PromptStyle
from bactrian.schema import Example
from bactrian.table import hash_of
from bactrian.text import is_blank
from bactrian.train.encode_texts import PROBES, TextEncoder
from bactrian.train.shorten import Ids, Limits, Long, shorten

if TYPE_CHECKING:
    import numpy as np

Fate = Literal["whole", "shortened", "too_long", "empty"]
KEPT: tuple[Fate, ...] = ("whole", "shortened")
GROUP = 512
"""Rows that are encoded together: enough to keep every core busy, little enough to stay small."""
RULES = 1
"""Raised when the same rows would become other ids than before."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of the rows of one group that are kept, end to end, and what became of each."""

    ids: np.ndarray[Any, Any]
    """int32 [tokens]."""
    lengths: np.ndarray[Any, Any]
    """Tokens of each row that is kept, int32 [kept]."""
    prompts: np.ndarray[Any, Any]
    """Tokens of each such row's prompt, int32 [kept]."""
    fates: tuple[Fate, ...]
    """What became of each row of the group, in order."""


class Encoder:
    """Turns examples into ids by one tokenizer, one prompt style and one pair of limits.

    ``vocabulary`` is the number of rows of the base's embedding, 0 where that is not to be checked.
    Raises ConfigError for a tokenizer without EOS, or one whose ids go past the embedding.
    """

    def __init__(
        self, tokenizer: Any, style: PromptStyle, limits: Limits, vocabulary: int = 0
    ) -> None:
        if tokenizer.eos_token_id is None:
            raise ConfigError(
                "the base's tokenizer has no EOS token, so the model could not learn to stop",
                "use a base whose tokenizer_config.json names an eos_token",
            )
        self.texts = TextEncoder(tokenizer)
        self.style = style
        self.limits = limits
        self.vocabulary = vocabulary
        self._eos = int(tokenizer.eos_token_id)
        self.check_largest(self._eos)

    @cached_property
    def key(self) -> str:
        """The hash of all that decides about ids but the rows themselves."""
        asked = [self.style.render(text, given) for text in PROBES[:2] for given in PROBES[::2]]
        return hash_of("ids", RULES, self.texts.key(), asked, astuple(self.limits))

    def template_tokens(self) -> int:
        """Return how many tokens the prompt style takes around a one-letter instruction."""
        return len(self._prompts([self.style.render("a")])[0])

    def encode(self, group: Sequence[Example]) -> Encoded:
        """Return the ids of the rows that can be trained on; counts add up to the group."""
        rows = array("i")
        lengths, prompts, fates = array("i"), array("i"), list[Fate]()
        for example, before, after in self._pairs(group):
            fate, before, after = self._fitted(example, before, after)
            fates.append(fate)
            if fate not in KEPT:
                continue
            rows.fromlist(before)
            rows.fromlist(after)
            rows.append(self._eos)
            lengths.append(len(before) + len(after) + 1)
            prompts.append(len(before))
        found = Encoded(_int32(rows), _int32(lengths), _int32(prompts), tuple(fates))
        if len(found.ids):
            self.check_largest(int(found.ids.max()))
        return found

    def check_largest(self, largest: int) -> None:
        """Raise ConfigError where an id has no row in the base's embedding."""
        if self.vocabulary and largest >= self.vocabulary:
            raise ConfigError(
                f"the tokenizer gives the id {largest}, but the base's embedding ends at "
                f"{self.vocabulary - 1}: they do not belong together",
                "use the tokenizer that came with the base",
            )

    def _pairs(self, group: Sequence[Example]) -> Iterator[tuple[Example, Ids, Ids]]:
        style = self.style
        asked = [style.render(example.instruction, example.input) for example in group]
        before = self._prompts(asked)
        after = self._responses([example.output for example in group])
        return zip(group, before, after, strict=True)

    def _prompts(self, texts: Sequence[str]) -> list[Ids]:
        if self.limits.encoder_decoder:  # a source is a whole text, and ends as one
            return self.texts.texts(texts, special=True)
        return self.texts.prompts(texts)

    def _responses(self, texts: Sequence[str]) -> list[Ids]:
        return self.texts.responses(texts, special=self.limits.encoder_decoder)

    def _fitted(self, example: Example, before: Ids, after: Ids) -> tuple[Fate, Ids, Ids]:
        if not after or _blank(example.output):
            return "empty", before, after
        if self.limits.fit(len(before), len(after)):
            return "whole", before, after
        if self.limits.overlong == "refuse":
            return "too_long", before, after
        fitting = shorten(self._long(example, before, after), self.limits)
        return ("too_long", before, after) if fitting is None else ("shortened", *fitting)

    def _long(self, example: Example, before: Ids, after: Ids) -> Long:
        def rendered(given: str) -> Ids:
            return self._prompts([self.style.render(example.instruction, given)])[0]

        def answered(text: str) -> Ids:
            return self._responses([text])[0]

        return Long(
            input=example.input,
            output=example.output,
            asked=self.style.render(example.instruction, example.input),
            prompt=before,
            response=after,
            rendered=rendered,
            answered=answered,
            pieces=self.texts.pieces,
        )


def check_room(encoder: Encoder) -> None:
    """Raise ConfigError where the limits leave no room beside the prompt style itself."""
    limits, taken = encoder.limits, encoder.template_tokens()
    name = "max_tokens"
    if limits.encoder_decoder and limits.max_source_tokens:
        name = "max_source_tokens"
    if taken > limits.prompt_room(1) or limits.response_room(0) < 1:
        raise ConfigError(
            f"train.{name} = {getattr(limits, name)} is shorter than a row without content: the "
            f"prompt style {encoder.style.name} alone takes {taken} tokens",
            "set it to several times that; 768 is usual",
        )


def grouped(examples: Iterable[Example]) -> Iterator[list[Example]]:
    """Yield the examples in lists of ``GROUP``, the last one shorter."""
    drawn = iter(examples)
    while group := list(islice(drawn, GROUP)):
        yield group


def nothing_left(where: str, too_long: int, empty: int, limits: Limits) -> DataError:
    """Return what to tell where no row is left to train on."""
    if not too_long and not empty:
        return DataError(f"{where}there are no rows to train on", "build the dataset first")
    return DataError(
        f"{where}no rows to train on ({too_long} longer than {limits.max_tokens} tokens, "
        f"{empty} without a response)",
        "raise train.max_tokens, or leave the language out of the adapter",
    )


def _blank(text: str) -> bool:
    """Whether a reader sees nothing; the first character settles nearly every text."""
    return _unseen(text[:1]) and is_blank(text)


@lru_cache(maxsize=4096)
def _unseen(letter: str) -> bool:
    return is_blank(letter)


def _int32(values: array[int]) -> np.ndarray[Any, Any]:
    import numpy as np

    return np.frombuffer(values, dtype=np.int32)

"""Texts as token ids, cut as lm-evaluation-harness 0.4.13 cuts them. Knows nothing of models.

Its rules: a context and what continues it are encoded together and cut at the length of the
context's own tokens, white space between them being the continuation's; a text that begins with
BOS gets no second one; an empty context is one token, the prefix.

Its hole: where a token spans the join, the rest of a token is scored, or nothing at all (there it
ends with an AssertionError). Such pairs are encoded apart here, and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from bactrian.errors import ConfigError
from bactrian.models.scoring import Request
from bactrian.models.tokens import open_ended

AT_ONCE = 512
"""Pairs that are handed to the tokenizer together."""

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Join:
    """One pair as token ids."""

    context: Ids
    continuation: Ids
    """Empty where there is nothing to score."""
    spanned: bool
    """A token spanned the join, so that the parts were encoded apart."""

    @property
    def request(self) -> Request | None:
        """What there is to score; None for an empty continuation, whose probability is one."""
        return Request(self.context, self.continuation) if self.continuation else None


@dataclass(frozen=True, slots=True)
class PairEncoder:
    """Encodes for one tokenizer."""

    tokenizer: Any
    prefix: int | None
    """What stands before a text that has nothing before it: BOS, EOS, or what was told; None where
    a server tells of no such token."""
    add_bos: bool | None = None
    """Whether texts begin with BOS; None leaves it to the tokenizer."""

    def pairs(self, pairs: Iterable[tuple[str, str]]) -> Iterator[Join]:
        """Yield each pair of context and continuation as token ids, in order."""
        rest = iter(pairs)
        while some := list(islice(rest, AT_ONCE)):
            moved = [_moved(*pair) for pair in some]
            together = dict.fromkeys(text for pair in moved if pair[0] for text in _both(pair))
            known = dict(zip(together, self.begun(list(together)), strict=True))
            alone = list(dict.fromkeys(text for stem, text in moved if not stem))
            bare = dict(zip(alone, self._bare(alone), strict=True))
            for (context, _), (stem, after) in zip(some, moved, strict=True):
                if not context:
                    yield self._first(bare[after])
                elif not stem:
                    yield self._after_nothing(bare[after])
                else:
                    yield self._joined(stem, after, known[stem], known[stem + after])

    @property
    def first(self) -> int:
        """The prefix; raises ConfigError where there is none."""
        if self.prefix is None:
            raise ConfigError(
                "the server begins texts with no token of its own, and one without a context has "
                "nothing to be scored after",
                "leave the task out, or measure it without --backend",
            )
        return self.prefix

    def begun(self, texts: Sequence[str]) -> list[Ids]:
        """Return each text's ids, begun as the tokenizer begins a text."""
        begin = "" if self.prefix is None else self.tokenizer.decode(self.prefix)
        own = [bool(begin) and text.startswith(begin) for text in texts]
        found = dict[int, Ids]()
        for given in (True, False):
            places = [place for place, has in enumerate(own) if has is given]
            special = False if given else self.add_bos
            ids = self._ids([texts[place] for place in places], special)
            found.update(zip(places, ids, strict=True))
        return [found[place] for place in range(len(texts))]

    def _bare(self, texts: Sequence[str]) -> list[Ids]:
        return self._ids(texts, False)

    def _ids(self, texts: Sequence[str], special: bool | None) -> list[Ids]:
        if not texts:
            return []
        told = {} if special is None else {"add_special_tokens": special}
        return [tuple(ids) for ids in self.tokenizer(list(texts), **told)["input_ids"]]

    def _first(self, after: Ids) -> Join:
        """A continuation of nothing: the prefix is before it, unless it begins with that itself."""
        if after[:1] == (self.first,):
            return Join(after[:1], after[1:], spanned=False)
        return Join((self.first,), after, spanned=False)

    def _after_nothing(self, after: Ids) -> Join:
        """A context of white space, which is all the continuation's: what begins a text is left."""
        (begin,) = self.begun([""])
        return Join(begin or (self.first,), after, spanned=False)

    def _joined(self, stem: str, text: str, before: Ids, whole: Ids) -> Join:
        if whole[: len(before)] == before and (len(whole) > len(before) or not text):
            return Join(before, whole[len(before) :], spanned=False)
        opened = tuple(open_ended(self.tokenizer, stem, before)) or (self.first,)
        (after,) = self._bare([text])
        return Join(opened, after, spanned=True)


def tally(joins: Iterable[Join]) -> Counter[str]:
    """Count what a reader of the numbers has to know: ``spanned`` and ``empty`` pairs."""
    counts = Counter[str]()
    for join in joins:
        counts["spanned"] += join.spanned
        counts["empty"] += not join.continuation
    return counts


def _moved(context: str, continuation: str) -> tuple[str, str]:
    """Return both texts with the white space between them in the second."""
    stem = context.rstrip()
    return stem, context[len(stem) :] + continuation


def _both(pair: tuple[str, str]) -> tuple[str, str]:
    return pair[0], pair[0] + pair[1]

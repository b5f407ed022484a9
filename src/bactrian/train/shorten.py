"""How a row that is too long is made to fit: its input is cut first, then its response.

The rule, in this order:

1. the input is cut at its end, down to nothing; instruction and headings stay whole;
2. the response is cut at its end, down to ``LEAST`` tokens, and EOS still ends it;
3. a row that does not fit even so is refused.

A cut never falls inside a character or a grapheme cluster, in any script. For an encoder-decoder
the two limits are apart: the input makes the source fit, the response is cut for itself.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

import regex

LEAST = 16
"""Tokens that a cut response has at least; less teaches little more than to stop."""
TRIES = 12
NEAR = 32
"""A cut that leaves less than this part of the room empty is near enough."""
_CLUSTER = regex.compile(r"\X")
_GLUED = regex.compile(r"\p{Grapheme_Cluster_Break=Prepend}")

Ids = list[int]


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a row may be, in tokens, and what becomes of one that is longer."""

    max_tokens: int
    """Prompt, response and EOS together; of an encoder-decoder, response and EOS."""
    max_source_tokens: int = 0
    """Source of an encoder-decoder, with its EOS; 0 takes ``max_tokens``."""
    overlong: Literal["shorten", "refuse"] = "shorten"
    encoder_decoder: bool = False

    def prompt_room(self, response: int) -> int:
        """Return how many tokens the prompt may have before so many of a response."""
        if self.encoder_decoder:
            return self.max_source_tokens or self.max_tokens
        return self.max_tokens - response - 1

    def response_room(self, prompt: int) -> int:
        """Return how many tokens, EOS not counted, may follow so many of a prompt."""
        return self.max_tokens - 1 - (0 if self.encoder_decoder else prompt)

    def fit(self, prompt: int, response: int) -> bool:
        """Whether a prompt and a response (EOS not counted) of so many tokens fit."""
        return prompt <= self.prompt_room(response) and response <= self.response_room(prompt)


@dataclass(frozen=True, slots=True)
class Long:
    """A row that does not fit, and how its texts become tokens."""

    input: str
    output: str
    asked: str
    """The prompt as a text."""
    prompt: Ids
    response: Ids
    """Without EOS."""
    rendered: Callable[[str], Ids]
    """The ids of the whole prompt with this input."""
    answered: Callable[[str], Ids]
    """The ids of a response, without EOS."""
    pieces: Sequence[bytes] | None
    """What each id spells, where that puts every text together again."""


def shorten(row: Long, limits: Limits) -> tuple[Ids, Ids] | None:
    """Return (prompt ids, response ids without EOS) that fit, or None where nothing fits."""
    prompt, response = row.prompt, row.response
    room = limits.prompt_room(len(response))
    if len(prompt) > room and row.input.strip():
        prompt = cut_prompt(row, room)
    if limits.encoder_decoder and len(prompt) > room:
        return None
    room = limits.response_room(len(prompt))
    if len(response) > room:
        response = cut_response(row, room)
        if len(response) < min(len(row.response), LEAST):
            return None
    return prompt, response


def cut_prompt(row: Long, room: int) -> Ids:
    """Return the prompt with as much of the input as fits in ``room`` tokens.

    Where none of it does, the prompt is that of a row without input, and may be longer than room.
    """
    guess = _without(row, len(row.prompt) - room) if room > 0 else 0
    if guess > 0:
        fixed = len(row.prompt) - len(row.prompt) * len(row.input) // len(row.asked)
        found = longest(row.input, guess, room, lambda text: row.rendered(text.rstrip()), fixed)
        if found:
            return found
    return row.rendered("")


def _without(row: Long, excess: int) -> int:
    """Return where about the input ends, in code points, when the prompt loses so many tokens."""
    if row.pieces is None:
        # only a guess: where it says that nothing fits, that is tried
        return max(1, len(row.input) - excess * len(row.asked) // len(row.prompt))
    place = row.asked.rfind(row.input)
    after = len(row.asked[place + len(row.input) :].encode()) if place >= 0 else 0
    ends = list(accumulate(len(row.pieces[token]) for token in reversed(row.prompt)))
    last = bisect_left(ends, after) + excess
    if last >= len(ends):
        return 0
    data = row.input.encode()
    return len(data[: max(0, len(data) - ends[last] + after)].decode(errors="ignore"))


def cut_response(row: Long, room: int) -> Ids:
    """Return the longest beginning of at most ``room`` tokens that breaks no character."""
    if room <= 0:
        return []
    read = Reading(row.output, row.response, row.pieces)
    if read.exact:
        return row.response[: read.whole(room)]
    return longest(row.output, read.end(room), room, row.answered)


def longest(text: str, guess: int, room: int, ids: Callable[[str], Ids], fixed: int = 0) -> Ids:
    """Return the ids of a beginning of the text that fits and nearly fills the room.

    ``guess`` is the first place to cut, in code points, ``fixed`` how many of the ids are not the
    text's; the cut is on a boundary. Empty where nothing fits.
    """
    best: Ids = []
    low, high = (0, fixed), (len(text), 0)  # places, and tokens up to there where they are known
    for turn in range(TRIES):
        cut = boundary(text, guess)
        found = ids(text[:cut]) if cut else []
        if len(found) > room:
            high = (cut, len(found))
        elif cut > low[0]:
            low, best = (cut, len(found)), found
            if room - len(found) <= room // NEAR:
                break
        else:
            low = (guess, low[1])  # one cluster reaches from the last cut to here
        guess = _between(low, high, room, turn)
        if not low[0] < guess < high[0]:
            break
    return best


def _between(low: tuple[int, int], high: tuple[int, int], room: int, turn: int) -> int:
    """Return the next place to cut: in proportion to the tokens, and in the middle by turns."""
    if turn % 2 or high[1] <= low[1]:
        return (low[0] + high[0]) // 2
    reached = (room - low[1]) * (high[0] - low[0]) // (high[1] - low[1])
    return max(low[0] + 1, low[0] + reached)


class Reading:
    """Where in a text its tokens end; exact where their pieces put the text together again."""

    def __init__(self, text: str, ids: Ids, pieces: Sequence[bytes] | None) -> None:
        self.text = text
        self.tokens = len(ids)
        self._ends: list[int] = []
        """Bytes up to the end of each token."""
        self._data = b""
        self._lead = 0
        if pieces is not None:
            self._lay(b"".join(spelt := [pieces[token] for token in ids]), spelt)

    @property
    def exact(self) -> bool:
        """Whether every token has its place in the text."""
        return bool(self._ends)

    def end(self, keep: int) -> int:
        """Return where the first ``keep`` tokens end, in code points; a guess if not exact."""
        if not self._ends:
            return len(self.text) * keep // self.tokens
        begun = self._data[self._lead : self._ends[keep - 1]]
        return len(begun.decode(errors="ignore"))  # a character that is cut into bytes is left off

    def whole(self, keep: int) -> int:
        """Return the largest number of tokens, up to ``keep``, that end on a boundary."""
        while keep > 0:
            clean = boundary(self.text, self.end(keep))
            size = self._lead + len(self.text[:clean].encode())
            if size == self._ends[keep - 1]:
                return keep
            keep = bisect_right(self._ends, size, 0, keep - 1)
        return 0

    def _lay(self, said: bytes, spelt: Sequence[bytes]) -> None:
        for lead in (b"", b" "):  # some tokenizers put a space before every text
            if said == lead + self.text.encode():
                self._data, self._lead = said, len(lead)
                self._ends = list(accumulate(map(len, spelt)))
                return


def is_boundary(text: str, at: int) -> bool:
    """Whether no grapheme cluster of the text spans the position ``at`` (code points)."""
    return boundary(text, at) == at


def boundary(text: str, at: int) -> int:
    """Return the last position up to ``at`` that no grapheme cluster spans, in code points."""
    begun = _boundary_before(text, at)
    if text[begun : at + 1].isascii() and text[at - 1 : at + 1] != "\r\n":
        return at
    for cluster in _CLUSTER.finditer(text, begun):
        if cluster.end() >= at:
            return at if cluster.end() == at else cluster.start()
    return begun


def _boundary_before(text: str, at: int) -> int:
    """Return a boundary before ``at`` that is found without looking at what comes before it."""
    after = max(text.rfind(control, 0, at) for control in "\n\u200b") + 1
    before = max(text.rfind(other, after, at) for other in " ,，。")
    if before > after and not _GLUED.match(text, before - 1):
        return before
    return after

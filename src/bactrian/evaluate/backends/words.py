"""Token ids that a server gives for texts, in the form that requests are encoded from.

``Words`` asks the server; ``Letters`` stands in where a server keeps its token ids to itself: its
"tokens" are code points, and what they cost is cut where the reply says that tokens begin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from bactrian.errors import ConfigError
from bactrian.evaluate.backends.wire import Server

Body = Callable[[str, bool], dict[str, object]]
"""The body that asks for the ids of a text, with or without what begins one."""
PATH = "/tokenize"
NOT_SAID = 1 << 60
"""Tokens of the longest text, as far as a tokenizer knows: the server's model has its own."""


class Words:
    """The tokenizer of a server; what it said once is not asked again until ``forget``."""

    bos_token: str | None = None
    eos_token: str | None = None
    model_max_length = NOT_SAID

    def __init__(self, server: Server, body: Body, end: str = "") -> None:
        """Ask how the server begins and ends a text; ``end`` is its end token where known."""
        self._server = server
        self._body = body
        self._known: dict[tuple[str, bool], list[int]] = {}
        self._after = 0
        plain, whole = self._ids(["a"], False)[0], self._ids(["a"], True)[0]
        before = _found(plain, whole)
        self._after = len(whole) - len(plain) - before
        self.bos_token_id = whole[0] if before else None
        ends = self._ids([end], False)[0] if end else []
        self.eos_token_id = ends[0] if len(ends) == 1 else None
        self.forget()

    def __call__(
        self, texts: str | Sequence[str], add_special_tokens: bool = True
    ) -> dict[str, list[int] | list[list[int]]]:
        """Return ``input_ids`` of a text or of several; what closes a text is left off."""
        if isinstance(texts, str):
            return {"input_ids": self._ids([texts], add_special_tokens)[0]}
        return {"input_ids": self._ids(texts, add_special_tokens)}

    def decode(self, token: int) -> str:
        """Return nothing: what a server calls the token that begins a text is its own affair."""
        return ""

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, begun as the server begins one."""
        return self._ids([text], True)[0]

    def prepare(self, pairs: Iterable[tuple[str, str]], together: bool) -> None:
        """Ask for all that pairs of context and continuation need, many at once."""
        self.forget()
        begun: dict[str, None] = {}
        bare: dict[str, None] = {}
        for context, text in pairs:
            stem = context.rstrip() if together else context
            begun[stem] = None
            if together:
                begun[stem + context[len(stem) :] + text] = None
            else:
                bare[text] = None
        self._ids(list(begun), True)
        self._ids(list(bare), False)

    def forget(self) -> None:
        """Drop what was kept."""
        self._known.clear()

    def _ids(self, texts: Sequence[str], begun: bool) -> list[list[int]]:
        new = [text for text in dict.fromkeys(texts) if (text, begun) not in self._known]
        replies = self._server.each(PATH, [self._body(text, begun) for text in new])
        for text, reply in zip(new, replies, strict=True):
            ids = ids_in(reply)
            if ids is None:
                raise ConfigError(
                    f"{self._server.address} gives no token ids",
                    "its /tokenize is of no known kind",
                )
            cut = self._after if begun else 0
            self._known[text, begun] = ids[: len(ids) - cut]
        return [self._known[text, begun] for text in texts]


class Letters:
    """Code points as tokens: every text begins anywhere, and no token spans a join."""

    bos_token: str | None = None
    eos_token: str | None = None
    bos_token_id = 0
    """Stands for whatever the server puts before a text; ``text_of`` leaves it out."""
    eos_token_id: int | None = None
    model_max_length = NOT_SAID

    def __call__(
        self, texts: str | Sequence[str], add_special_tokens: bool = True
    ) -> dict[str, list[int] | list[list[int]]]:
        """Return ``input_ids`` of a text or of several."""
        if isinstance(texts, str):
            return {"input_ids": self.encode(texts)}
        return {"input_ids": list(map(self.encode, texts))}

    def decode(self, token: int) -> str:
        """Return the letter; nothing for what stands before a text."""
        return text_of([token])

    def encode(self, text: str) -> list[int]:
        """Return the code points."""
        return list(map(ord, text))

    def prepare(self, pairs: Iterable[tuple[str, str]], together: bool) -> None:
        """Need nothing."""


def text_of(points: Iterable[int]) -> str:
    """Return the text of code points."""
    return "".join(chr(point) for point in points if point)


def ids_in(reply: object) -> list[int] | None:
    """Return the token ids of a reply of ``/tokenize`` (vLLM's, llama.cpp's), or None."""
    found = reply.get("tokens") if isinstance(reply, dict) else None
    if not isinstance(found, list) or not all(type(token) is int for token in found):
        return None
    return list(found)


def _found(plain: Sequence[int], whole: Sequence[int]) -> int:
    """Return how many ids of ``whole`` stand before ``plain`` in it; none where it is not there."""
    for start in range(len(whole) - len(plain) + 1):
        if list(whole[start : start + len(plain)]) == list(plain):
            return start
    return 0

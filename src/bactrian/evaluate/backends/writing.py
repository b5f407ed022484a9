"""Answers that a server writes: to token ids or texts, or to what a user says in a conversation.

Conversations are for ``train.prompt = "chat"``: the template is the server's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bactrian.errors import DataError
from bactrian.evaluate.backends.served import WAVES, Served
from bactrian.evaluate.backends.words import Letters, Words, text_of
from bactrian.models.generation import Generated, encode

COMPLETIONS = "/v1/completions"
CONVERSATIONS = "/v1/chat/completions"
PLAINLY = {"repetition_penalty": 1.0, "repeat_penalty": 1.0}
"""Servers take penalties from a model's ``generation_config``: vLLM's name, and llama.cpp's."""
HALF = "\N{REPLACEMENT CHARACTER}"


class Turns(Letters):
    """Conversations of one turn: what the user says, all else being the server's."""

    chat_template = "the server's"

    def apply_chat_template(self, conversation: Sequence[Mapping[str, str]], **_: Any) -> str:
        """Return what the user says."""
        return conversation[-1]["content"]


class ServedWriter:
    """Has a served model write."""

    def __init__(self, model: Served, tokenizer: Words | Letters) -> None:
        """Take what prompts are made of: ids that the server gave, texts, or conversations."""
        self.tokenizer = tokenizer
        self.limit: int | None = None
        if isinstance(tokenizer, Words):
            self.limit = model.max_position_embeddings or None
        self._model = model
        self._room = "max_tokens"
        if isinstance(tokenizer, Turns):
            self._room = _name_of_room(model)

    def prepare(self, prompts: Iterable[str]) -> None:
        """Have the server asked for the token ids of all, in place of one after the other."""
        self.tokenizer.prepare(((prompt, "") for prompt in prompts), together=False)

    def encode(self, prompt: str) -> list[int]:
        """Return token ids, or code points where the server takes texts alone."""
        return encode(self._model, self.tokenizer, prompt)

    def plan(self, lengths: Sequence[int], most: int, budget: int) -> Iterator[tuple[int, ...]]:
        """Yield the places in order, as many at once as ``WAVES`` of requests hold."""
        size = WAVES * self._model.server.concurrency
        for start in range(0, len(lengths), size):
            yield tuple(range(start, min(start + size, len(lengths))))

    def greedy(self, prompts: Sequence[Sequence[int]], most: int) -> list[Generated]:
        """Return the likeliest answers; tokens are as the server counts them."""
        rooms = [most if self.limit is None else min(most, self.limit - len(p)) for p in prompts]
        told = [{"temperature": 0, self._room: room} for room in rooms]
        return self.written(prompts, told)

    def written(
        self, prompts: Sequence[Sequence[int]], told: Sequence[Mapping[str, Any]]
    ) -> list[Generated]:
        """Return what is written after each prompt, ``told`` how; DataError for no answer."""
        server = self._model.server
        path = CONVERSATIONS if isinstance(self.tokenizer, Turns) else COMPLETIONS
        bodies = [
            {"model": self._model.name, **self._prompt(prompt), **how}
            for prompt, how in zip(prompts, told, strict=True)
        ]
        return [_generated(reply, server.address) for reply in server.each(path, bodies)]

    def _prompt(self, prompt: Sequence[int]) -> dict[str, Any]:
        if isinstance(self.tokenizer, Words):
            return {"prompt": list(prompt), **PLAINLY}
        text = text_of(prompt)
        if isinstance(self.tokenizer, Turns):
            return {"messages": [{"role": "user", "content": text}]}
        return {"prompt": text}


def _name_of_room(model: Served) -> str:
    """Return what the server calls the longest answer: OpenAI has renamed it."""
    body = {"model": model.name, "messages": [{"role": "user", "content": "a"}], "max_tokens": 1}
    said = model.server.look("POST", CONVERSATIONS, body)
    newer = "max_completion_tokens"
    return newer if said.status == 400 and newer in said.problem else "max_tokens"


def _generated(reply: Any, who: str) -> Generated:
    """Return the answer in a reply of either kind."""
    try:
        choice = reply["choices"][0]
        text = choice["text"] if "text" in choice else choice["message"]["content"]
        cut = choice.get("finish_reason") == "length"
        tokens = int((reply.get("usage") or {}).get("completion_tokens") or 0)
    except (KeyError, IndexError, TypeError, AttributeError):
        raise DataError(
            f"{who} left the answer out of a reply",
            "see the server's log, and run the same command again",
        ) from None
    return Generated(str(text or "").rstrip(HALF), tokens, "length" if cut else "stop")

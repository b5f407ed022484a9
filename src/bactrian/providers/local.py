"""A chat model that runs here, by transformers: a folder, a GGUF file, smollm2-135m, or a Hub id.

An answer is a function of its request: sampling is seeded by the key, and the batch has no part in
it. Knows messages; tensors are ``local_model``'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from threading import Event
from typing import TYPE_CHECKING

from bactrian.errors import ConfigError, did_you_mean
from bactrian.languages import Language
from bactrian.models.prompts import NAMES
from bactrian.providers import Again, Answer, NoAnswer, Outcome, Request, Told, options
from bactrian.providers.chat import OpenAIChat
from bactrian.providers.here.draws import Draws
from bactrian.providers.here.weights import positive, weights_of
from bactrian.providers.here.worker import NOT_SENT, Worker
from bactrian.schema import Instruction

if TYPE_CHECKING:
    from bactrian.providers.local_model import LocalModel, Written


class LocalChat:
    """Answers of a model in this process."""

    def __init__(self, told: Told) -> None:
        self.said = options.read(
            told.section,
            batch=128,
            batch_tokens=0,
            device="auto",
            dtype="auto",
            network=False,
            prompt="auto",
            ray={},
            repetition_penalty=1.0,
            revision="",
            template={},
            top_k=0,
            top_p=1.0,
        )
        if self.said["prompt"] not in ("auto", *NAMES):
            unknown = self.said["prompt"]
            raise ConfigError(f"unknown prompt style {unknown}", did_you_mean(unknown, NAMES))
        positive(self.said, "batch")
        self.weights = weights_of(told, self.said)
        self.name = f"local:{self.weights.id}"
        self.batch = int(self.said["batch"])
        self.price = told.price
        self.chat = OpenAIChat(Told(told.section.model_copy(update={"options": {}}), told.folder))
        self.draws = Draws()
        self.worker = Worker("local")

    def request(self, row: Instruction, language: Language) -> Request:
        """Return messages, weights and all that changes an answer; device and batch do not.

        Raises ConfigError for an absent model.
        """
        asked = self.chat.request(row, language)
        return {
            "engine": self.name,
            **self._settings,
            **{name: value for name, value in asked.items() if name != "model"},
        }

    async def send(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        """Answer all; asked again, a request is answered with another draw."""
        outcomes = await self.answer(requests, self.draws.seeds(requests))
        self.draws.note(requests, outcomes)
        return outcomes

    async def answer(self, requests: Sequence[Request], seeds: Sequence[int]) -> Sequence[Outcome]:
        """Answer each request by the draw of its seed."""
        made = await self.worker.run(lambda halt: self._answer(requests, seeds, halt))
        return [NOT_SENT] * len(requests) if made is None else made

    def stop(self) -> None:
        """Begin nothing more."""
        self.worker.stop()

    async def close(self) -> None:
        """Forget which requests were asked more than once; the model stays for the next asking."""
        self.draws.forget()
        self.worker.open()

    def release(self) -> None:
        """Give the model's memory back; a later send loads it again."""
        self.__dict__.pop("model", None)

    @cached_property
    def model(self) -> LocalModel:
        """The loaded model."""
        from bactrian.providers.local_model import load

        return load(self.weights, self.said)

    @cached_property
    def _settings(self) -> Request:
        kept = ("prompt", "repetition_penalty", "top_k", "top_p")
        own = [name for name in ("dtype", "template") if self.said[name] not in ("auto", {})]
        return {
            "weights": self.weights.mark,
            **{name: self.said[name] for name in (*kept, *own)},
        }

    def _answer(
        self, requests: Sequence[Request], seeds: Sequence[int], halt: Event
    ) -> list[Outcome]:
        found = self.model.answer(requests, seeds, halt, enough=lambda: self.worker.stopped)
        return [self._outcome(request, one) for request, one in zip(requests, found, strict=True)]

    def _outcome(self, request: Request, written: Written | str | None) -> Outcome:
        if written is None:
            return NOT_SENT
        if isinstance(written, str):
            return NoAnswer(written)
        answer = Answer(
            written.text,
            written.finish,
            written.tokens_in,
            written.tokens_out,
            cost_usd=self.price.of(written.tokens_in, written.tokens_out),
        )
        if written.text:
            return answer
        said = f"no text, finish_reason {written.finish}"
        if float(request.get("temperature") or 0):
            return Again("empty", said, billed=answer)
        return NoAnswer(said, billed=answer)  # without a draw it would be the same again

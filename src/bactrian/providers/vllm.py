"""A chat model by vLLM in this process: ``LLM.chat`` on the GPUs of this machine.

vLLM batches by itself, so a send carries many requests. Sampling is seeded by the request's key.
A server that speaks OpenAI's protocol (``vllm serve``) is ``chat``'s business, not this one's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from bactrian.errors import MissingExtra, ProviderError
from bactrian.languages import Language
from bactrian.providers import Again, Answer, NoAnswer, Outcome, Request, Told, options
from bactrian.providers.chat import OpenAIChat
from bactrian.providers.here.draws import Draws
from bactrian.providers.here.weights import positive, weights_of
from bactrian.providers.here.worker import NOT_SENT, Worker
from bactrian.schema import Instruction

MATTERS = ("chat_template", "dtype", "hf_overrides", "quantization", "tokenizer")
"""Settings of the engine that change an answer; the others are its tuning."""
SAMPLING = ("max_tokens", "repetition_penalty", "temperature", "top_k", "top_p")
"""What of a request goes into vLLM's SamplingParams."""


class VllmChat:
    """Answers of a model that vLLM runs in this process."""

    def __init__(self, told: Told) -> None:
        self.said = options.read(
            told.section,
            batch=512,
            engine={},
            network=False,
            ray={},
            repetition_penalty=1.0,
            revision="",
            template={},
            top_k=0,
            top_p=1.0,
        )
        positive(self.said, "batch")
        self.weights = weights_of(told, self.said)
        self.name = f"vllm:{self.weights.id}"
        self.batch = int(self.said["batch"])
        self.price = told.price
        self.chat = OpenAIChat(Told(told.section.model_copy(update={"options": {}}), told.folder))
        self.draws = Draws()
        self.worker = Worker("vllm")

    def request(self, row: Instruction, language: Language) -> Request:
        """Return messages, weights and all that changes an answer; the engine's tuning does not.

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
        made = await self.worker.run(lambda _: self._answer(requests, seeds))
        return [NOT_SENT] * len(requests) if made is None else made

    def stop(self) -> None:
        """Begin nothing more."""
        self.worker.stop()

    async def close(self) -> None:
        """Forget which requests were asked more than once; the engine stays for the next asking."""
        self.draws.forget()
        self.worker.open()

    def release(self) -> None:
        """End the engine; a later send starts it again."""
        self.__dict__.pop("engine", None)

    @cached_property
    def engine(self) -> Any:
        """vLLM's engine with the model loaded; raises MissingExtra or ProviderError."""
        if find_spec("vllm") is None:
            raise MissingExtra(
                "using = vllm needs vllm, which is not installed",
                "pip install 'bactrian[vllm]' on a machine with a GPU, in an environment of its "
                "own: vLLM pins the versions of torch and transformers",
            )
        import vllm

        folder = str(self.weights.whole())
        try:
            return vllm.LLM(model=folder, **self.said["engine"])
        except (ValueError, RuntimeError, OSError, TypeError) as error:
            raise ProviderError(
                f"vLLM could not be started with {self.weights.told}: {_first_line(error)}",
                "see [respond.options.engine] in docs/providers-local.md, such as "
                "max_model_len, gpu_memory_utilization and tensor_parallel_size",
            ) from error

    @cached_property
    def _settings(self) -> Request:
        kept = ("repetition_penalty", "top_k", "top_p")
        engine = {name: value for name, value in self.said["engine"].items() if name in MATTERS}
        own = {"template": self.said["template"], "with": engine}
        return {
            "weights": self.weights.mark,
            **{name: self.said[name] for name in kept},
            **{name: value for name, value in own.items() if value},
        }

    def _answer(self, requests: Sequence[Request], seeds: Sequence[int]) -> list[Outcome]:
        """Return an outcome for each request; what vLLM refuses is found by halving."""
        try:
            told = self._chat(requests, seeds)
        except _errors("VLLMClientError", ValueError) as error:
            if len(requests) == 1:
                return [NoAnswer(f"vLLM refused the request: {_first_line(error)}")]
            half = len(requests) // 2
            return [
                *self._answer(requests[:half], seeds[:half]),
                *self._answer(requests[half:], seeds[half:]),
            ]
        except _errors("VLLMServerError", RuntimeError) as error:
            self.release()
            raise ProviderError(
                f"vLLM's engine failed: {_first_line(error)}",
                "see its own messages above; run the same command again, what was answered is safe",
                retryable=True,
            ) from error
        return [self._read(request, one) for request, one in zip(requests, told, strict=True)]

    def _chat(self, requests: Sequence[Request], seeds: Sequence[int]) -> Sequence[Any]:
        engine = self.engine  # says what is missing, where vLLM is
        from vllm import SamplingParams

        sampling = [
            SamplingParams(seed=seed, **{name: one[name] for name in SAMPLING if name in one})
            for one, seed in zip(requests, seeds, strict=True)
        ]
        template: Mapping[str, Any] = self.said["template"]
        told: Sequence[Any] = engine.chat(
            [one["messages"] for one in requests],
            sampling,
            use_tqdm=False,
            **({"chat_template_kwargs": dict(template)} if template else {}),
        )
        return told

    def _read(self, request: Request, told: Any) -> Outcome:
        made = told.outputs[0]
        tokens_in, tokens_out = len(told.prompt_token_ids or ()), len(made.token_ids)
        finish = str(made.finish_reason or "stop")
        cost = self.price.of(tokens_in, tokens_out)
        answer = Answer(made.text.strip(), finish, tokens_in, tokens_out, cost_usd=cost)
        if answer.output:
            return answer
        said = f"no text, finish_reason {finish}"
        if float(request.get("temperature") or 0):
            return Again("empty", said, billed=answer)
        return NoAnswer(said, billed=answer)  # without a draw it would be the same again


def _errors(kind: str, usual: type[Exception]) -> tuple[type[Exception], ...]:
    """Return what vLLM raises: newer versions have a tree of their own."""
    try:
        own = getattr(import_module("vllm.exceptions"), kind, usual)
    except ImportError:
        own = usual
    return usual, own


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:300] or type(error).__name__

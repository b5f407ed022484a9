"""Any server that speaks OpenAI's chat completions: OpenAI, vLLM, SGLang, llama.cpp, LM Studio.

The request is the very body that is sent. Knows nothing of rows beyond one instruction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import cached_property

import orjson

from bactrian.errors import ConfigError
from bactrian.languages import Language
from bactrian.providers import Again, Answer, NoAnswer, Outcome, Price, Request, Told
from bactrian.providers.http import Client, Reply, one_line, refusal
from bactrian.providers.secrets import Key, keys
from bactrian.recipe import Respond
from bactrian.schema import Instruction

OPENAI = "https://api.openai.com/v1"
BYTES_A_TOKEN = 3.0
"""For what a request takes of a limit, or costs, while nobody says its real count."""
MOST_TOKENS = 2**40
"""More than this is no count of tokens."""


class OpenAIChat:
    """Answers of a chat model behind ``/chat/completions``."""

    batch = 1

    def __init__(self, told: Told) -> None:
        section = told.section
        if not section.model:
            raise ConfigError(
                "the recipe names no chat model",
                'set model = "gpt-4o-mini", or the name that the server has for its model',
            )
        self.section = section
        self.name = f"openai:{section.model}"
        self.model = section.model
        self.price = told.price
        self.said = dict(section.options)
        self.system: dict[str, str] = {}
        self.usual_system = ""
        if isinstance(section, Respond):
            self.system, self.usual_system = dict(section.systems), section.system
            newer = "max_completion_tokens" in self.said
            longest = {} if newer else {"max_tokens": section.max_tokens}
            self.said = {**longest, "temperature": section.temperature, **self.said}
        self.longest = int(self.said.get("max_completion_tokens") or self.said.get("max_tokens", 0))
        self.usual_tokens = 0.0

    def request(self, row: Instruction, language: Language) -> Request:
        """Return the body of the request: a system prompt where there is one, and the task."""
        content = f"{row.instruction}\n\n{row.input}" if row.input else row.instruction
        system = self.system.get(language.code, self.usual_system)
        messages = [{"role": "user", "content": content}]
        if system:
            told = system.replace("{language}", language.name)
            messages.insert(0, {"role": "system", "content": told})
        return {"model": self.model, "messages": messages, **self.said}

    async def send(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        """Ask each once."""
        if len(requests) == 1:
            return (await self._ask(requests[0]),)
        return await asyncio.gather(*map(self._ask, requests))

    async def close(self) -> None:
        """Close the connections, if any were made."""
        if "client" in vars(self):
            await self.client.close()

    def stop(self) -> None:
        """Send nothing more."""
        if "client" in vars(self):
            self.client.stop()

    @cached_property
    def client(self) -> Client:
        """The connections, made when the first request is sent: to plan takes no key."""
        told = self.section
        return Client(
            told.endpoints or (OPENAI,),
            keys(told.keys, "OPENAI_API_KEY", needed=not told.endpoints),
            bearer,
            a_minute=(told.rpm, told.tpm),
            timeout=told.timeout,
        )

    async def _ask(self, request: Request) -> Outcome:
        body = orjson.dumps(request, option=orjson.OPT_SORT_KEYS)
        reserved = len(body) / BYTES_A_TOKEN + (self.usual_tokens or self.longest)
        reply = await self.client.post("/chat/completions", body, reserved)
        outcome: Outcome | None = refusal(reply, self.name)
        if isinstance(outcome, Again) and reply.status == 0 and reply.sent:
            # nobody can tell whether it was answered; what is answered is billed
            outcome = outcome._replace(billed=guessed(request, self.price, self.usual_tokens))
        outcome = outcome or read(reply, self.price, request)
        if reply.sent:
            self._settle(reply, outcome, reserved)
        return outcome

    def _settle(self, reply: Reply, outcome: Outcome, reserved: float) -> None:
        """Give back what was reserved of the token limit and not used."""
        billed = outcome if isinstance(outcome, Answer) else outcome.billed
        used = billed.tokens_in + billed.tokens_out if billed else 0
        reply.lane.units.give_back(reserved - used)
        if isinstance(outcome, Answer) and outcome.tokens_out:
            self.usual_tokens = usual_of(self.usual_tokens, outcome.tokens_out)


def usual_of(usual: float, tokens: int) -> float:
    """Return how long answers usually are, after one more; 0 stands for none so far."""
    # leans to the long ones: the mean would be too little half of the time
    step = 0.09 if tokens > usual else 0.01
    return usual + step * (tokens - usual) if usual else float(tokens)


def bearer(key: Key) -> Mapping[str, str]:
    """Return the headers of a JSON request with a bearer token, where there is one."""
    headers = {"content-type": "application/json", "accept-encoding": "gzip, deflate"}
    return {**headers, "authorization": f"Bearer {key.secret}"} if key.secret else headers


def read(reply: Reply, price: Price, request: Request) -> Outcome:
    """Return the outcome of a 200; one that cannot be read was billed all the same."""
    try:
        told = orjson.loads(reply.data)
        choice, usage = told["choices"][0], told.get("usage") or {}
        message, finish = choice["message"], str(choice.get("finish_reason") or "stop")
        content, refused = message.get("content") or "", message.get("refusal") or ""
        if not (isinstance(content, str) and isinstance(refused, str)):
            raise TypeError("content that is no text")
        counts = [int(usage.get(name) or 0) for name in ("prompt_tokens", "completion_tokens")]
        if not all(0 <= count < MOST_TOKENS for count in counts):
            raise ValueError("a usage that cannot be")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
        billed = guessed(request, price)
        return Again("malformed", f"a reply that is no completion ({error!r:.80})", billed=billed)
    text = content or refused
    if not usage:  # a server that does not count; a budget has to
        counts = [_tokens_in(request), int(len(text.encode()) / BYTES_A_TOKEN)]
    answer = Answer(
        text,
        finish,
        tokens_in=counts[0],
        tokens_out=counts[1],
        cost_usd=price.of(*counts),
        provider_id=str(told.get("id") or ""),
    )
    if content.strip():
        return answer
    if finish == "content_filter" or refused:
        return NoAnswer(one_line(f"the provider declined: {refused or finish}"), billed=answer)
    return Again("empty", one_line(f"no text, finish_reason {finish}"), billed=answer)


def guessed(request: Request, price: Price, usual: float = 0.0) -> Answer:
    """Return the probable cost of a request whose reply cannot be read: its text, and as many
    tokens as answers usually have, or half of its room."""
    room = request.get("max_completion_tokens") or request.get("max_tokens") or 0
    tokens_in, tokens_out = _tokens_in(request), int(usual or int(room) / 2)
    cost = price.of(tokens_in, tokens_out)
    return Answer("", "lost", tokens_in, tokens_out, cost_usd=cost)


def _tokens_in(request: Request) -> int:
    return int(len(orjson.dumps(request["messages"])) / BYTES_A_TOKEN)

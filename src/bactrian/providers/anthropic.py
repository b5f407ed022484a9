"""Claude, asked directly: Anthropic's Messages API, one instruction a request.

The request is the very body that is sent. Knows nothing of rows beyond one instruction.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from functools import cached_property

import orjson

from bactrian.errors import ConfigError
from bactrian.events import emit
from bactrian.languages import Language
from bactrian.providers import Again, Answer, Outcome, Price, Request, Told
from bactrian.providers.chat import BYTES_A_TOKEN, guessed
from bactrian.providers.http import Client, Reply, refusal
from bactrian.providers.secrets import Key, keys
from bactrian.recipe import Respond
from bactrian.schema import Instruction

ANTHROPIC = "https://api.anthropic.com/v1"
VERSION = "2023-06-01"
"""Of the API, sent as ``anthropic-version``; the only one since 2023."""
USUAL_TOKENS = 1024
"""``max_tokens`` must be said; where no recipe says it."""
TAKES_TEMPERATURE = re.compile(
    r"claude-(?:[123]\b|instant|(?:opus|sonnet|haiku)-4(?:-[0-6])?(?:[-@](?:\d{8}|latest))?$)"
)
"""Models that may be told a temperature; from Opus 4.7 and the fifth generation on it is refused
(platform.claude.com, migration guides)."""
FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
}
CACHE_WRITTEN, CACHE_READ = 1.25, 0.1
"""Price of prompt tokens that were put into a cache for five minutes, or taken from one, over the
ordinary price (platform.claude.com, pricing)."""


class AnthropicChat:
    """Answers of a Claude model behind ``/messages``."""

    batch = 1

    def __init__(self, told: Told) -> None:
        section = told.section
        self.section = section
        self.name = f"anthropic:{section.model}"
        self.model = section.model
        self.price = told.price
        self.system: dict[str, str] = {}
        self.usual_system = ""
        self.said = {"max_tokens": USUAL_TOKENS, **section.options}
        if isinstance(section, Respond):
            self.system, self.usual_system = dict(section.systems), section.system
            self.said = {"max_tokens": section.max_tokens, **_temperature(section)}
            self.said.update(section.options)
        self.usual_tokens = 0.0

    def request(self, row: Instruction, language: Language) -> Request:
        """Return the body of the request: the task, and a system prompt where there is one."""
        content = f"{row.instruction}\n\n{row.input}" if row.input else row.instruction
        messages = [{"role": "user", "content": content}]
        request = {"model": self.model, "messages": messages, **self.said}
        if system := self.system.get(language.code, self.usual_system):
            request["system"] = system.replace("{language}", language.name)
        return request

    async def send(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        """Ask each once."""
        return await asyncio.gather(*map(self._ask, requests))

    async def close(self) -> None:
        """Close the connections, if any were made."""
        if "client" in vars(self):
            await self.client.close()

    @cached_property
    def client(self) -> Client:
        """The connections, made when the first request is sent: to plan takes no key."""
        told = self.section
        return Client(
            told.endpoints or (ANTHROPIC,),
            keys(told.keys, "ANTHROPIC_API_KEY", needed=not told.endpoints),
            headers,
            a_minute=(told.rpm, told.tpm),
            timeout=told.timeout,
        )

    async def _ask(self, request: Request) -> Outcome:
        body = orjson.dumps(request, option=orjson.OPT_SORT_KEYS)
        longest = self.usual_tokens or int(request["max_tokens"])
        reserved = len(body) / BYTES_A_TOKEN + longest
        reply = await self.client.post("/messages", body, reserved)
        if (refused := refusal(reply, self.name)) is not None:
            return refused
        outcome = read(reply, self.price, request)
        if isinstance(outcome, Answer):
            reply.lane.units.give_back(reserved - outcome.tokens_in - outcome.tokens_out)
            # leans to the long ones: the mean would be too little half of the time
            step = 0.09 if outcome.tokens_out > self.usual_tokens else 0.01
            self.usual_tokens += step * (outcome.tokens_out - self.usual_tokens)
        return outcome


def headers(key: Key) -> Mapping[str, str]:
    """Return the headers of a JSON request, with the key where there is one."""
    told = {
        "content-type": "application/json",
        "accept-encoding": "gzip, deflate",
        "anthropic-version": VERSION,
    }
    return {**told, "x-api-key": key.secret} if key.secret else told


def read(reply: Reply, price: Price, request: Request) -> Outcome:
    """Return the outcome of a 200; one that cannot be read was billed all the same.

    What the model declines (``refusal``) is billed up to there, and asked again as the recipe says.
    """
    try:
        told = orjson.loads(reply.data)
        text = "".join(block["text"] for block in told["content"] if block["type"] == "text")
        stop = told.get("stop_reason") or "end_turn"
        why_not = (told.get("stop_details") or {}).get("explanation") or ""
        usage = told["usage"]
        fresh, tokens_out = int(usage["input_tokens"]), int(usage["output_tokens"])
        written = int(usage.get("cache_creation_input_tokens") or 0)
        taken = int(usage.get("cache_read_input_tokens") or 0)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        billed = guessed(request, price)
        return Again("malformed", f"a reply that is no message ({error!r:.80})", billed=billed)
    answer = Answer(
        text,
        FINISH.get(stop, stop),
        fresh + written + taken,
        tokens_out,
        cost_usd=price.of(fresh + CACHE_WRITTEN * written + CACHE_READ * taken, tokens_out),
        provider_id=str(told.get("id") or ""),
    )
    if stop == "refusal":
        return Again("refusal", f"the provider declined: {why_not or stop}", billed=answer)
    if not text:
        return Again("empty", f"no text, stop_reason {stop}", billed=answer)
    return answer


def _temperature(section: Respond) -> dict[str, float]:
    if "temperature" in section.options:
        return {}
    if TAKES_TEMPERATURE.search(section.model):
        if section.temperature > 1:
            raise ConfigError(
                f"respond.temperature = {section.temperature:g} is more than Anthropic takes",
                "set it to 1 or less",
            )
        return {"temperature": section.temperature}
    emit("decision", text=f"{section.model} takes no temperature, so none is sent")
    return {}

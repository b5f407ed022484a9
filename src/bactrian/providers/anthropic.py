"""Claude, asked directly: Anthropic's Messages API, one instruction a request.

The request is the very body that is sent. Knows nothing of rows beyond one instruction.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import orjson

from bactrian.errors import ConfigError
from bactrian.events import emit
from bactrian.languages import Language
from bactrian.providers import Again, Answer, NoAnswer, Outcome, Price, Request, Told
from bactrian.providers.chat import BYTES_A_TOKEN, MOST_TOKENS, guessed, usual_of
from bactrian.providers.http import Client, Reply, one_line, refusal
from bactrian.providers.secrets import Key, keys
from bactrian.recipe import Respond
from bactrian.schema import Instruction

ANTHROPIC = "https://api.anthropic.com/v1"
VERSION = "2026-10-21"
"""Of the API, sent as ``anthropic-version``."""
VERSION_OF_SAMPLING = "2023-06-01"
"""The version before, which is asked where sampling is told: the newer one refuses to be told
(platform.claude.com/docs, api/migration-2026-10-21)."""
SAMPLING = frozenset({"temperature", "top_k", "top_p"})
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

    def stop(self) -> None:
        """Send nothing more."""
        if "client" in vars(self):
            self.client.stop()

    @cached_property
    def client(self) -> Client:
        """The connections, made when the first request is sent: to plan takes no key."""
        told = self.section
        return Client(
            told.endpoints or (ANTHROPIC,),
            keys(told.keys, "ANTHROPIC_API_KEY", needed=not told.endpoints),
            self._headers,
            a_minute=(told.rpm, told.tpm),
            timeout=told.timeout,
        )

    def _headers(self, key: Key) -> Mapping[str, str]:
        """Return the headers of a JSON request, with the key where there is one."""
        told = {
            "content-type": "application/json",
            "accept-encoding": "gzip, deflate",
            "anthropic-version": VERSION_OF_SAMPLING if SAMPLING & self.said.keys() else VERSION,
        }
        return {**told, "x-api-key": key.secret} if key.secret else told

    async def _ask(self, request: Request) -> Outcome:
        body = orjson.dumps(request, option=orjson.OPT_SORT_KEYS)
        longest = self.usual_tokens or int(request["max_tokens"])
        reserved = len(body) / BYTES_A_TOKEN + longest
        reply = await self.client.post("/messages", body, reserved)
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


def read(reply: Reply, price: Price, request: Request) -> Outcome:
    """Return the outcome of a 200; one that cannot be read was billed all the same.

    What the model declines (``refusal``) is billed up to there; it would decline again.
    """
    try:
        told = orjson.loads(reply.data)
        text = "".join(block["text"] for block in told["content"] if block["type"] == "text")
        stop = str(told.get("stop_reason") or "end_turn")
        why_not = (told.get("stop_details") or {}).get("explanation") or stop
        counts = _counts(told["usage"])
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
        billed = guessed(request, price)
        return Again("malformed", f"a reply that is no message ({error!r:.80})", billed=billed)
    fresh, tokens_out, written, taken = counts
    answer = Answer(
        text,
        FINISH.get(stop, stop),
        fresh + written + taken,
        tokens_out,
        cost_usd=price.of(fresh + CACHE_WRITTEN * written + CACHE_READ * taken, tokens_out),
        provider_id=str(told.get("id") or ""),
    )
    if stop == "refusal":
        return NoAnswer(one_line(f"the provider declined: {why_not}"), billed=answer)
    if not text.strip():
        return Again("empty", one_line(f"no text, stop_reason {stop}"), billed=answer)
    return answer


def _counts(usage: Mapping[str, Any]) -> list[int]:
    names = "input_tokens", "output_tokens"
    cached = "cache_creation_input_tokens", "cache_read_input_tokens"
    counts = [int(usage[name]) for name in names] + [int(usage.get(name) or 0) for name in cached]
    if not all(0 <= count < MOST_TOKENS for count in counts):
        raise ValueError("a usage that cannot be")
    return counts


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

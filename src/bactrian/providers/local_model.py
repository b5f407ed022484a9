"""A loaded causal model: prompts in, answers out, many at a time. Knows no requests' keys.

transformers' ``generate`` decodes. The draw is made here: each row has a generator of its own, and
the largest of logits plus Gumbel noise is a sample of the same distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import Any, Literal

from bactrian.errors import ConfigError
from bactrian.models import prompts
from bactrian.models.generation import context, encode
from bactrian.providers import Request
from bactrian.providers.here.batches import Batch, Room, batches, in_halves
from bactrian.providers.here.weights import Weights
from bactrian.providers.here.weights import load as load_weights
from bactrian.providers.here.worker import Stop

ROOM = {"cpu": Room(16384, 8), "cuda": Room(65536, 128)}
"""Prompts with padding, and answers, by the kind of device."""
NO_LIMIT = 1 << 30
HALF = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class Written:
    """An answer."""

    text: str
    """Without the white space around it and the end token."""
    tokens_in: int
    tokens_out: int
    finish: Literal["stop", "length"]
    """The model ended it, or ``max_tokens`` or the end of the context did."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One row of a batch."""

    ids: list[int]
    seed: int


class Draw:
    """Makes the likeliest token a drawn one: transformers takes it for a logits processor."""

    def __init__(self, seeds: Sequence[int], said: Mapping[str, Any], device: Any) -> None:
        import torch

        self.said = said
        self.device = device
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        import torch

        logits = narrowed(scores.float() / self.said["temperature"], self.said)
        noise = torch.empty_like(logits)
        for row, generator in zip(noise, self.generators, strict=True):
            row.exponential_(generator=generator)
        return logits - noise.clamp_min(torch.finfo(torch.float32).tiny).log()


def narrowed(logits: Any, said: Mapping[str, Any]) -> Any:
    """Return logits [rows, vocabulary] without those outside of ``top_k`` and ``top_p``."""
    impossible = float("-inf")
    if said["top_k"]:
        least = logits.topk(min(said["top_k"], logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < least, impossible)
    if said["top_p"] < 1:
        ordered, places = logits.sort(descending=True)
        shares = ordered.softmax(-1)
        beyond = shares.cumsum(-1) - shares >= said["top_p"]
        logits = logits.masked_fill(beyond.scatter(-1, places, beyond), impossible)
    return logits


@dataclass(frozen=True, slots=True)
class LocalModel:
    """Model and tokenizer."""

    model: Any
    tokenizer: Any
    said: Mapping[str, Any]
    ends: list[int]
    """Tokens that end an answer."""
    limit: int
    """Tokens that the model reads and writes at most."""

    def answer(
        self,
        requests: Sequence[Request],
        seeds: Sequence[int],
        halt: Event,
        *,
        enough: Callable[[], bool] = bool,
    ) -> list[Written | str | None]:
        """Return an answer for each request, or why there can be none, in order.

        None stands for those that were not begun when there was ``enough``.
        """
        found: list[Written | str | None] = [None] * len(requests)
        rows: list[tuple[int, Asked]] = []
        for place, (request, seed) in enumerate(zip(requests, seeds, strict=True)):
            try:
                ids = encode(self.model, self.tokenizer, self.prompt(request["messages"]))
                rows.append((place, Asked(ids, seed)))
            except ConfigError as error:
                found[place] = error.problem
        said = {**self.said, "temperature": requests[0].get("temperature")}
        most = int(requests[0].get("max_tokens") or self.limit)
        for batch in self._batches([len(row.ids) for _, row in rows], most):
            if enough():
                break
            some = [rows[number][1] for number in batch.places]
            room = min(most, self.limit - batch.edge) if batch.rows == 1 else most
            work = partial(self._generate, batch.edge, room, said, Stop(halt, rows=len(some)))
            for number, written in zip(
                batch.places, in_halves(some, batch.rows, work), strict=True
            ):
                found[rows[number][0]] = written
        return found

    def prompt(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Return the text before the answer: by the chat template, else by a prompt style."""
        style = self.said["prompt"]
        if style == "auto":
            style = "chat" if getattr(self.tokenizer, "chat_template", None) else "bactrian"
        if style == "chat":
            prompts.get(style, self.tokenizer)  # raises where there is no template
            return self._templated(list(messages))
        text = prompts.get(style).render(messages[-1]["content"])
        return "\n\n".join([*(message["content"] for message in messages[:-1]), text])

    def _templated(self, messages: list[Mapping[str, str]]) -> str:
        from jinja2 import TemplateError

        render = partial(
            self.tokenizer.apply_chat_template,
            tokenize=False,
            add_generation_prompt=True,
            **self.said["template"],
        )
        try:
            return str(render(messages))
        except TemplateError as error:
            if len(messages) == 1:
                raise ConfigError(
                    f"the model's chat template refuses the request: {error}",
                    'set options.prompt = "bactrian", or options.template to what it wants',
                ) from None
            # some templates know no system prompt: it begins the user's turn
            content = "\n\n".join(message["content"] for message in messages)
            return self._templated([{"role": "user", "content": content}])

    def _batches(self, lengths: Sequence[int], most: int) -> list[Batch]:
        """Return the batches; a prompt that leaves less room than ``most`` is one of its own."""
        room = ROOM["cuda" if self.model.device.type == "cuda" else "cpu"]
        roomy = [place for place, length in enumerate(lengths) if length + most <= self.limit]
        cramped = sorted(set(range(len(lengths))) - set(roomy))
        made = batches(
            [lengths[place] for place in roomy],
            lambda edge: room.fit(self.said["batch_tokens"], edge + most),
            self.limit - most,
        )
        return [
            *(Batch(lengths[place], 1, (place,)) for place in cramped),
            *(
                Batch(batch.edge, batch.rows, tuple(roomy[number] for number in batch.places))
                for batch in made
            ),
        ]

    def _generate(
        self, edge: int, room: int, said: Mapping[str, Any], stop: Stop, rows: Sequence[Asked]
    ) -> list[Written]:
        import torch

        pad = self.ends[0] if self.ends else 0
        ids = torch.full((len(rows), edge), pad)
        mask = torch.zeros_like(ids)
        for number, row in enumerate(rows):
            ids[number, edge - len(row.ids) :] = torch.tensor(row.ids)
            mask[number, edge - len(row.ids) :] = 1
        device = self.model.device
        draw = [Draw([row.seed for row in rows], said, device)] if said["temperature"] else []
        with torch.inference_mode():
            answer = self.model.generate(
                input_ids=ids.to(device),
                attention_mask=mask.to(device),
                generation_config=self._config(room, pad),
                logits_processor=draw,
                stopping_criteria=[stop],
            )
        stop.check()
        return [
            self._read(len(row.ids), tokens)
            for row, tokens in zip(rows, answer[:, edge:].tolist(), strict=True)
        ]

    def _config(self, room: int, pad: int) -> Any:
        """Return transformers' settings, every one that matters said outright."""
        from transformers import GenerationConfig

        return GenerationConfig(
            do_sample=False,  # the draw is in the logits
            num_beams=1,
            max_new_tokens=room,
            repetition_penalty=self.said["repetition_penalty"],
            no_repeat_ngram_size=0,  # in scripts written byte by byte, a ban corrupts words
            eos_token_id=self.ends or None,
            pad_token_id=pad,
            use_cache=True,
        )

    def _read(self, tokens_in: int, tokens: list[int]) -> Written:
        end = next((place for place, token in enumerate(tokens) if token in self.ends), None)
        kept = tokens if end is None else tokens[:end]
        text = str(
            self.tokenizer.decode(
                kept, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )
        if end is None:
            text = text.rstrip(HALF)
        return Written(text.strip(), tokens_in, len(kept), "length" if end is None else "stop")


def load(weights: Weights, said: Mapping[str, Any]) -> LocalModel:
    """Load model and tokenizer to where the options say."""
    from transformers import GenerationConfig

    model, tokenizer = load_weights("AutoModelForCausalLM", weights, said["device"], said["dtype"])
    named = model.generation_config.eos_token_id
    several = [*named] if isinstance(named, (list, tuple)) else [named]
    ends = sorted({end for end in (tokenizer.eos_token_id, *several) if end is not None})
    # what a model brings along (a temperature, a penalty) would fill in what is not said
    model.generation_config = GenerationConfig()
    return LocalModel(model, tokenizer, said, ends, context(model, tokenizer) or NO_LIMIT)

"""Lets a model answer one prompt, whole or piece by piece.

Knows settings, tokens and bytes of text. Knows nothing of prompt styles, adapters or pages.

transformers' ``generate`` does the decoding: greedy (temperature 0), sampling, beam search, or
beam search over sampled candidates (temperature and beams together). What is added here is what
it leaves open: text that never shows half a character, an answer that can be stopped between
two tokens, errors that reach the caller, and a seed that holds whatever else the process draws.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, Queue
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bactrian.errors import ConfigError
from bactrian.models.tokens import open_ended

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

HEARTBEAT = 0.25
"""Seconds without a new token after which ``stream`` hands control back to its caller."""

_NO_LIMIT = 1_000_000
"""Tokenizers without a limit of their own report 1e30; no real context is as long as this."""

_HALF = "\N{REPLACEMENT CHARACTER}"
"""What a decoder puts where the bytes at hand are no character, or not one yet."""

# Sampling draws from the one generator of the process, so that seeded answers take turns.
_DRAWING = Lock()


class GenerationSettings(BaseModel):
    """How an answer is decoded; the defaults are those of the original's chat page."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    temperature: float = Field(default=0.1, ge=0, le=2)
    """0 takes the likeliest token each time; the higher, the more freely tokens are drawn."""
    top_p: float = Field(default=0.75, gt=0, le=1)
    """Draw from the likeliest tokens that together have this share of the probability."""
    top_k: int = Field(default=40, ge=0, le=1000)
    """Draw from this many of the likeliest tokens; 0 draws from all of them."""
    beams: int = Field(default=4, ge=1, le=4)
    """Answers followed side by side, of which the best is given; 1 while streaming."""
    max_tokens: int = Field(default=128, ge=1, le=2000)
    """Longest answer in tokens."""
    seed: int | None = Field(default=0, ge=0, lt=2**63)
    """The same seed gives the same answer; without one, each answer is drawn anew."""
    stream: bool = False
    """Give the answer as it is written. Beams are settled only at the end, so there is one."""
    repetition_penalty: float = Field(default=1.0, gt=0, le=2)
    """Above 1, tokens already used become less likely; 1 leaves them alone."""

    @property
    def beams_used(self) -> int:
        """Beams that the search really has: one while streaming."""
        return 1 if self.stream else self.beams


@dataclass(frozen=True, slots=True)
class Generated:
    """A whole answer."""

    text: str
    """Without the prompt, the end token and half characters at the end."""
    tokens: int
    """Tokens the model wrote, without the end token."""
    finish: Literal["stop", "length"]
    """The model ended it, or ``max_tokens`` or the end of the context did."""


class TextSoFar:
    """Text of tokens that arrive one at a time; its end is never half a character.

    Each token is decoded with the few before it, not with the whole answer: the cost stays the
    same from the first token to the last, and leading spaces come out as in one decoding.
    """

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._tokens: list[int] = []
        self._window = 0  # tokens before this one are no longer decoded
        self._settled = 0  # tokens before this one have their text in _text
        self._text = ""
        self.text = ""

    def add(self, token: int) -> str:
        """Return the text after ``token``; bytes of an unfinished character wait."""
        self._tokens.append(token)
        before = self._decode(self._tokens[self._window : self._settled])
        now = self._decode(self._tokens[self._window :])
        text = self._text + now[len(before) :]
        if not now.endswith(_HALF):
            # a window without text would make the next token the first, and cost it its space
            if len(now) > len(before):
                self._window = self._settled
            self._settled = len(self._tokens)
            self._text = text
        self.text = text.rstrip(_HALF)
        return self.text


def stream(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    settings: GenerationSettings,
) -> Generator[str, None, None]:
    """Yield the whole text so far, again and again; the last one is the answer.

    The same text comes again after ``HEARTBEAT`` seconds without a token, so that a caller can
    close the generator at any time; closing it stops the model before its next token. With
    ``settings.stream`` off the text stays empty until the answer is whole. Raises ConfigError
    when the prompt does not fit the context, and whatever the model raises.
    """
    ids = encode(model, tokenizer, prompt)
    tokens: Queue[int | None] = Queue()
    halt = Event()
    made: Future[list[int]] = Future()

    def work() -> None:
        try:
            put = tokens.put if settings.stream else None
            made.set_result(_decode(model, tokenizer, ids, settings, _Ears(put, halt))[0])
        except BaseException as error:  # handed to the caller, who asks for the result
            made.set_exception(error)
        finally:
            tokens.put(None)

    so_far = TextSoFar(decoder(tokenizer))
    written = 0
    worker = Thread(target=work, name="bactrian-generation", daemon=True)
    worker.start()
    try:
        for batch in _batches(tokens):
            for token in batch:
                so_far.add(token)
            written += len(batch)
            yield so_far.text
        for token in made.result()[written:]:
            so_far.add(token)
        yield so_far.text
    finally:
        halt.set()
        worker.join()


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    settings: GenerationSettings,
) -> Generated:
    """Return the whole answer to ``prompt``; the errors are those of ``stream``."""
    ids = encode(model, tokenizer, prompt)
    tokens, finish = _decode(model, tokenizer, ids, settings, _Ears(None, Event()))
    so_far = TextSoFar(decoder(tokenizer))
    for token in tokens:
        so_far.add(token)
    return Generated(so_far.text, len(tokens), finish)


def encode(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """Return the prompt's tokens, beginning as the tokenizer begins a text, left open at the end.

    Raises ConfigError when there are none, or so many that no token fits behind them.
    """
    ids = open_ended(tokenizer, prompt, tokenizer(prompt)["input_ids"])
    if not ids:
        raise ConfigError("the prompt is empty", "write an instruction")
    limit = context(model, tokenizer)
    if limit is not None and len(ids) >= limit:
        raise ConfigError(
            f"the prompt has {len(ids)} tokens, the model's context {limit}",
            f"shorten it to at most {limit - 1} tokens, so that an answer fits behind it",
        )
    return ids


def context(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Return how many tokens the model reads and writes at most, None where nobody says."""
    config = model.config.get_text_config()
    for name in ("max_position_embeddings", "n_positions", "seq_length"):
        length = getattr(config, name, None)
        if isinstance(length, int) and length > 0:
            return length
    stated = tokenizer.model_max_length
    return int(stated) if stated < _NO_LIMIT else None


class _Ears:
    """What ``generate`` calls at every step: a streamer and a stopping criterion in one."""

    def __init__(self, put: Callable[[int], None] | None, halt: Event) -> None:
        self._put = put
        self._halt = halt
        self._prompt = True
        self.ends: frozenset[int] = frozenset()

    @property
    def streamer(self) -> _Ears | None:
        return self if self._put else None

    def put(self, value: Any) -> None:
        """Pass on new tokens; the first call brings the prompt, which nobody wants back."""
        if not self._prompt and self._put:
            for token in value.reshape(-1).tolist():
                if token not in self.ends:
                    self._put(token)
        self._prompt = False

    def end(self) -> None:
        """Nothing: the thread says itself when it is done."""

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        return input_ids.new_full((input_ids.shape[0],), self._halt.is_set()).bool()


def _decode(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    ids: list[int],
    settings: GenerationSettings,
    ears: _Ears,
) -> tuple[list[int], Literal["stop", "length"]]:
    """Return the new tokens up to the end token, and whether there was one."""
    import torch

    limit = context(model, tokenizer)
    room = settings.max_tokens if limit is None else min(settings.max_tokens, limit - len(ids))
    ends = end_tokens(model, tokenizer)
    ears.ends = frozenset(ends)
    prompt = torch.tensor([ids], device=model.device)
    with _seeded(model, settings):
        answer = model.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            generation_config=decoding(settings, room, ends),
            streamer=ears.streamer,
            stopping_criteria=[ears],
        )
    made: list[int] = answer[0, len(ids) :].tolist()
    for place, token in enumerate(made):
        if token in ears.ends:
            return made[:place], "stop"
    return made, "length"


def decoding(settings: GenerationSettings, room: int, ends: list[int]) -> Any:
    """Return transformers' settings, every one that matters said outright.

    What is left out would be filled in from the model's own generation_config.json.
    """
    from transformers import GenerationConfig

    draws = settings.temperature > 0
    return GenerationConfig(
        do_sample=draws,
        temperature=settings.temperature if draws else 1.0,
        top_p=settings.top_p if draws else 1.0,
        top_k=settings.top_k if draws else 50,  # its default: another one is warned about
        num_beams=settings.beams_used,
        max_new_tokens=room,
        repetition_penalty=settings.repetition_penalty,
        no_repeat_ngram_size=0,  # in scripts written byte by byte, a ban corrupts words
        length_penalty=1.0,
        early_stopping=False,
        num_return_sequences=1,
        eos_token_id=ends or None,
        pad_token_id=ends[0] if ends else 0,
        use_cache=True,
    )


@contextmanager
def _seeded(model: PreTrainedModel, settings: GenerationSettings) -> Iterator[None]:
    """Draw from a known state of the process's generators, and leave them as they were found."""
    import torch

    if settings.temperature == 0:
        yield  # nothing is drawn, nobody has to wait
        return
    cuda = [model.device] if model.device.type == "cuda" else []
    with _DRAWING, torch.random.fork_rng(devices=cuda):
        if settings.seed is None:
            torch.seed()
        else:
            torch.manual_seed(settings.seed)
        yield


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the tokens that end an answer: the tokenizer's and those the model names."""
    named = model.generation_config.eos_token_id
    several = list(named) if isinstance(named, (list, tuple)) else [named]
    return sorted({end for end in (tokenizer.eos_token_id, *several) if end is not None})


def decoder(tokenizer: PreTrainedTokenizerBase) -> Callable[[list[int]], str]:
    """Return what turns tokens into text as it was written, special tokens left out."""

    def decode(tokens: list[int]) -> str:
        # tidying up the spaces would change text that has been shown already
        return str(
            tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )

    return decode


def _batches(tokens: Queue[int | None]) -> Iterator[list[int]]:
    """Yield what has come in since the last time, nothing after a heartbeat, until None."""
    while True:
        try:
            batch = [tokens.get(timeout=HEARTBEAT)]
        except Empty:
            yield []
            continue
        while batch[-1] is not None and not tokens.empty():
            batch.append(tokens.get())
        yield [token for token in batch if token is not None]
        if batch[-1] is None:
            return

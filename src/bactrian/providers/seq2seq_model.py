"""A loaded translation model: passages in, passages out, in batches by tokens. Knows no requests.

Each row is padded at its end, masked, and bounded by its own length, in batches of one shape a
length: what becomes of a passage does not depend on those beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any

from bactrian.errors import ConfigError
from bactrian.providers.here.batches import Room, batches, edge_of, in_halves
from bactrian.providers.here.weights import Weights
from bactrian.providers.here.weights import load as load_weights
from bactrian.providers.here.worker import Stop

if TYPE_CHECKING:
    from bactrian.providers.seq2seq import Family

LEAST = 24
"""Tokens that the translation of the shortest passage may have, before ``max_ratio`` counts."""
ROOM = {"cpu": Room(1024, 8), "cuda": Room(16384, 256)}
"""Of the source, padding and beams included, by the kind of device."""
SHOWN = 60
"""Code points of a passage that a reason shows."""


@dataclass(frozen=True, slots=True)
class Made:
    """What became of a passage."""

    text: str
    tokens_in: int
    tokens_out: int
    why: str = ""
    """Why this is no translation; empty where it is one."""

    @property
    def whole(self) -> bool:
        """The model came to an end by itself, with something said."""
        return not self.why

    def after(self, text: str, smaller: Sequence[Made]) -> Made:
        """Return the translation that the passage got in pieces, with all the tokens it took."""
        tokens_in = self.tokens_in + sum(made.tokens_in for made in smaller)
        return Made(text, tokens_in, self.tokens_out + sum(made.tokens_out for made in smaller))


@dataclass(frozen=True, slots=True)
class Seq2SeqModel:
    """Model and tokenizer of one family."""

    model: Any
    tokenizer: Any
    family: Family
    said: Mapping[str, Any]
    start: int
    """Token that begins every translation."""
    window: int
    """Most tokens of a source passage."""
    places: int
    """Most tokens that the model has places for, in a passage or in its translation."""

    def sizes(self, source: str, target: str) -> Callable[[str], int]:
        """Return what counts the tokens of a passage as the model gets it."""
        return lambda text: len(self._encode([text], source, target)[0])

    def translate(
        self,
        passages: Sequence[str],
        codes: tuple[str, str],
        halt: Event,
        *,
        enough: Callable[[], bool] = bool,
    ) -> list[Made | None]:
        """Return a translation for each passage, in order; the codes are the family's own.

        None stands for those that were not begun when there was ``enough``.
        Raises ConfigError for a code that the model's vocabulary lacks.
        """
        source, target = codes
        rows = self._encode(passages, source, target)
        first = self._first(target)
        made: list[Made | None] = [None] * len(rows)
        for batch in batches([len(row) for row in rows], self._fit, self.places):
            if enough():
                break
            some = [rows[place] for place in batch.places]
            work = partial(self._generate, edge=batch.edge, first=first, stop=Stop(halt))
            for place, told in zip(batch.places, in_halves(some, batch.rows, work), strict=True):
                made[place] = self._read(passages[place], len(rows[place]), *told)
        return made

    def bound(self, length: int) -> int:
        """Return the most tokens that the translation of a passage of some tokens may have."""
        wanted = LEAST + int(self.said["max_ratio"]) * edge_of(length)
        return min(wanted, self.places - 2)

    def _fit(self, edge: int) -> int:
        """Return how many rows of some tokens are computed at once."""
        room = ROOM["cuda" if self.model.device.type == "cuda" else "cpu"]
        return room.fit(self.said["batch_tokens"], edge * self.said["num_beams"])

    def _token(self, code: str) -> int:
        """Return the id of a language's token."""
        token = self.family.token.format(code)
        found = self.tokenizer.convert_tokens_to_ids(token)
        if found is None or found == self.tokenizer.unk_token_id:
            raise ConfigError(
                f"the model's vocabulary has no {token}",
                f"name a model of the family {self.family.name}, or set options.codes",
            )
        return int(found)

    def _first(self, target: str) -> int | None:
        token = self._token(target)
        return None if self.family.prefix else token

    def _encode(self, passages: Sequence[str], source: str, target: str) -> list[list[int]]:
        if self.family.prefix:
            token = self.family.token.format(target)
            rows = self.tokenizer([f"{token} {text}" for text in passages])["input_ids"]
            if any(self._token(target) not in row[:2] for row in rows):
                raise ConfigError(
                    f"the model's tokenizer does not read {token} as one token",
                    "use the tokenizer files that the model was published with",
                )
            return list(rows)
        if self.tokenizer.src_lang != source:
            self._token(source)
            self.tokenizer.src_lang = source
        return list(self.tokenizer(list(passages))["input_ids"])

    def _generate(
        self, rows: Sequence[list[int]], *, edge: int, first: int | None, stop: Stop
    ) -> list[tuple[list[int], bool]]:
        """Return the new tokens of each row, and whether the model ended it within its bound."""
        import torch

        ids = torch.full((len(rows), edge), self.tokenizer.pad_token_id)
        mask = torch.zeros_like(ids)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = torch.tensor(row)
            mask[number, : len(row)] = 1
        device, told = self.model.device, 1 if first is None else 2
        room = self.bound(edge)
        with torch.inference_mode():
            answer = self.model.generate(
                input_ids=ids.to(device),
                attention_mask=mask.to(device),
                generation_config=self._config(room + told, first),
                stopping_criteria=[stop],
            )
        stop.check()
        return [self._cut(tokens[told:], room) for tokens in answer.tolist()]

    def _cut(self, tokens: list[int], bound: int) -> tuple[list[int], bool]:
        end = self.tokenizer.eos_token_id
        if end in tokens[:bound]:
            return tokens[: tokens.index(end)], True
        return tokens[:bound], False

    def _config(self, room: int, first: int | None) -> Any:
        """Return transformers' settings, every one that matters said outright."""
        from transformers import GenerationConfig

        beams = self.said["num_beams"]
        return GenerationConfig(
            do_sample=False,
            num_beams=beams,
            early_stopping=beams > 1,
            length_penalty=self.said["length_penalty"],
            repetition_penalty=self.said["repetition_penalty"],
            no_repeat_ngram_size=0,  # in scripts written byte by byte, a ban corrupts words
            max_new_tokens=room,
            decoder_start_token_id=self.start,
            forced_bos_token_id=first,
            eos_token_id=self.tokenizer.eos_token_id,
            pad_token_id=self.tokenizer.pad_token_id,
            use_cache=True,
        )

    def _read(self, source: str, size: int, tokens: list[int], ended: bool) -> Made:
        text = str(
            self.tokenizer.decode(
                tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        ).strip()
        shown = source if len(source) <= SHOWN else f"{source[:SHOWN]}…"
        why = ""
        if not ended:
            why = f"the model found no end within {len(tokens)} tokens for: {shown}"
        elif not text:
            why = f"the model said nothing for: {shown}"
        return Made(text, size, len(tokens), why)


def load(weights: Weights, family: Family, said: Mapping[str, Any]) -> Seq2SeqModel:
    """Load model and tokenizer to where the options say."""
    from transformers import GenerationConfig

    model, tokenizer = load_weights("AutoModelForSeq2SeqLM", weights, said["device"], said["dtype"])
    start = model.generation_config.decoder_start_token_id
    if start is None:
        start = getattr(model.config, "decoder_start_token_id", None)
    # what a model brings along (five beams, a forced end) would fill in what is not said
    model.generation_config = GenerationConfig()
    places = getattr(model.config, "max_position_embeddings", None) or family.window * 2
    return Seq2SeqModel(
        model,
        tokenizer,
        family,
        said,
        start=tokenizer.pad_token_id if start is None else start,
        window=min(family.window, places),
        places=places,
    )

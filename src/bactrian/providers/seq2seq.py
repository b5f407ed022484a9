"""Translation models that run here: NLLB-200, M2M-100, MADLAD-400, mBART-50, by folder or Hub id.

What is asked is known without the weights: which pairs a family takes stands in seq2seq.toml.
Knows texts and languages; tensors are ``seq2seq_model``'s, cutting is ``here.passages``'s.
"""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.resources import files
from threading import Event
from typing import TYPE_CHECKING

import orjson

from bactrian.errors import ConfigError, did_you_mean
from bactrian.languages import Language, get
from bactrian.providers import Answer, NoAnswer, Outcome, Request, Told, options, pairs
from bactrian.providers.here.passages import RULES, Part, cut, join
from bactrian.providers.here.weights import positive, weights_of
from bactrian.providers.here.worker import NOT_SENT, Worker

if TYPE_CHECKING:
    from bactrian.providers.seq2seq_model import Made, Seq2SeqModel

SHORTEST = 8
"""Tokens; a passage of this size that does not end is not cut again."""


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of model: its languages, and how the target is told."""

    name: str
    source: str
    models: Mapping[str, str]
    """model_type of config.json, and what its tokenizer_class has to contain."""
    token: str
    prefix: bool
    """The target's token begins the source text; else it begins the translation."""
    window: int
    """Most tokens of a source text."""
    without: str
    column: str = "code"
    """Field of ``Language`` with the family's codes."""
    one_sided: Mapping[str, str] = field(default_factory=dict)
    """Models of one side only, by a piece of their name: English is the source, or the target."""
    codes: Mapping[str, str] = field(default_factory=dict)

    def code(self, language: Language) -> str:
        """Return the family's own code of a language; empty where it lacks it."""
        if language.code in self.without.split():
            return ""
        return self.codes.get(language.code) or str(getattr(language, self.column))


@lru_cache(maxsize=1)
def families() -> dict[str, Family]:
    """Return the families by the name that ``options.family`` takes."""
    told = tomllib.loads(files("bactrian.providers").joinpath("seq2seq.toml").read_text("utf-8"))
    return {name: Family(**facts) for name, facts in told.items()}


def family_of(model_type: str, tokenizer_class: str) -> Family | None:
    """Return the family of a model by two entries of its configuration, if it is one of ours."""
    for family in families().values():
        wanted = family.models.get(model_type)
        if wanted is not None and wanted.casefold() in tokenizer_class.casefold():
            return family
    return None


class Seq2Seq:
    """Translations of a model in this process."""

    def __init__(self, told: Told) -> None:
        said = options.read(
            told.section,
            batch=256,
            batch_tokens=0,
            codes={},
            device="auto",
            dtype="auto",
            family="",
            length_penalty=1.0,
            max_ratio=3,
            network=False,
            num_beams=1,
            ray={},
            repetition_penalty=1.0,
            revision="",
            together=False,
        )
        if said["family"] and said["family"] not in families():
            raise ConfigError(
                f"unknown family {said['family']}", did_you_mean(said["family"], families())
            )
        positive(said, "batch", "max_ratio", "num_beams")
        self.said = said
        self.weights = weights_of(told, said)
        self.name = f"seq2seq:{self.weights.id}"
        self.batch = int(said["batch"])
        self.price = told.price
        self.worker = Worker("seq2seq")

    def request(self, texts: Sequence[str], source: Language, target: Language) -> Request:
        """Return texts, pair, weights and all that changes a translation; device and batch do not.

        Raises LanguageError for a pair that the family lacks, ConfigError for an absent model.
        """
        if not self._takes(source, target):
            raise pairs.refused(self.family.name, source, target)
        return {**self._settings, "source": source.code, "target": target.code, "texts": [*texts]}

    async def send(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        """Translate all, the longest first; one outcome for each request, in order."""
        made = await self.worker.run(lambda halt: self._translate(requests, halt))
        return [NOT_SENT] * len(requests) if made is None else made

    def stop(self) -> None:
        """Begin nothing more."""
        self.worker.stop()

    async def close(self) -> None:
        """End the asking; the model stays for the next one."""
        self.worker.open()

    def release(self) -> None:
        """Give the model's memory back; a later send loads it again."""
        self.__dict__.pop("model", None)

    def code(self, language: Language) -> str:
        """Return the model's code of a language, as the options or the family have it."""
        return str(self.said["codes"].get(language.code) or self.family.code(language))

    @cached_property
    def family(self) -> Family:
        """The model's family, read from its configuration; raises ConfigError for any other."""
        if self.said["family"]:
            return families()[self.said["family"]]
        folder = self.weights.described
        config = orjson.loads((folder / "config.json").read_bytes())
        beside = folder / "tokenizer_config.json"
        tokenizer = orjson.loads(beside.read_bytes()) if beside.is_file() else {}
        named = tokenizer.get("tokenizer_class") or config.get("tokenizer_class") or ""
        found = family_of(str(config.get("model_type", "")), str(named))
        if found is None:
            known = ", ".join(family.name for family in families().values())
            raise ConfigError(
                f"{self.weights.told} ({config.get('model_type')}, {named or 'no tokenizer named'})"
                f" is no translation model of a known family: {known}",
                f"set options.family where it is one all the same: {', '.join(families())}",
            )
        return found

    @cached_property
    def model(self) -> Seq2SeqModel:
        """The loaded model."""
        from bactrian.providers.seq2seq_model import load

        return load(self.weights, self.family, self.said)

    @cached_property
    def _settings(self) -> Request:
        said = self.said
        kept = ("length_penalty", "max_ratio", "num_beams", "repetition_penalty", "together")
        own = {name: said[name] for name in ("codes", "dtype") if said[name] not in ({}, "auto")}
        return {
            "engine": self.name,
            "weights": self.weights.mark,
            "cut": RULES,
            **{name: said[name] for name in kept},
            **own,
        }

    def _takes(self, source: Language, target: Language) -> bool:
        english = {"source": source.code == "en", "target": target.code == "en"}
        for piece, side in self.family.one_sided.items():
            if piece in self.weights.id and not english[side]:
                return False
        known = bool(self.code(source) and self.code(target))
        return known and source.code != target.code

    def _translate(self, requests: Sequence[Request], halt: Event) -> list[Outcome]:
        by_pair: dict[tuple[str, str], list[int]] = defaultdict(list)
        for place, request in enumerate(requests):
            by_pair[request["source"], request["target"]].append(place)
        outcomes: dict[int, Outcome] = {}
        for (source, target), places in by_pair.items():
            pair = Pair(self.model, self, get(source), get(target), halt)
            texts = [requests[place]["texts"] for place in places]
            outcomes |= zip(places, pair.translate(texts), strict=True)
        return [outcomes[place] for place in range(len(requests))]


class Pair:
    """The work of one send in one pair of languages."""

    def __init__(
        self, model: Seq2SeqModel, told: Seq2Seq, source: Language, target: Language, halt: Event
    ) -> None:
        self.model = model
        self.told = told
        self.script = target.script
        self.codes = told.code(source), told.code(target)
        self.halt = halt
        self.made: dict[str, Made] = {}
        """Passages with their translations."""

    def translate(self, requests: Sequence[Sequence[str]]) -> list[Outcome]:
        """Return an outcome for each request of some texts."""
        room = self.model.window
        parts = {text: self._cut(text, room) for texts in requests for text in texts}
        self._make([part.text for cut in parts.values() for part in cut if part.sent])
        return [self._outcome([parts[text] for text in texts], texts) for texts in requests]

    def _cut(self, text: str, room: int) -> tuple[Part, ...]:
        size = self.model.sizes(*self.codes)
        return cut(text, size, room, together=self.told.said["together"])

    def _make(self, passages: Sequence[str]) -> None:
        """Translate each passage once; one that found no end again, in halves."""
        new = [text for text in dict.fromkeys(passages) if text not in self.made]
        if not new:
            return
        found = self.model.translate(
            new, self.codes, self.halt, enough=lambda: self.told.worker.stopped
        )
        made = {text: one for text, one in zip(new, found, strict=True) if one is not None}
        self.made |= made
        smaller = {text: self._smaller(text) for text, one in made.items() if not one.whole}
        self._make([part.text for parts in smaller.values() for part in parts if part.sent])
        for text, parts in smaller.items():
            sent = [self.made.get(part.text) for part in parts if part.sent]
            whole = [one for one in sent if one is not None and one.whole]
            if None in sent:
                del self.made[text]
            elif len(whole) == len(sent) > 1:
                self.made[text] = made[text].after(self._joined(parts), whole)

    def _smaller(self, text: str) -> tuple[Part, ...]:
        size = self.model.sizes(*self.codes)(text)
        return self._cut(text, (size + 1) // 2 + 1) if size > SHORTEST else ()

    def _joined(self, parts: Sequence[Part]) -> str:
        by_text = {part.text: self.made[part.text].text for part in parts if part.sent}
        return join(parts, by_text, self.script)

    def _outcome(self, cuts: Sequence[Sequence[Part]], texts: Sequence[str]) -> Outcome:
        wanted = [part.text for parts in cuts for part in parts if part.sent]
        sent = [self.made[text] for text in wanted if text in self.made]
        if len(sent) < len(wanted):
            return NOT_SENT
        for made in sent:
            if not made.whole:
                return NoAnswer(made.why)
        found = [self._joined(parts) for parts in cuts]
        tokens_in = sum(made.tokens_in for made in sent)
        tokens_out = sum(made.tokens_out for made in sent)
        characters = sum(map(len, texts))
        return Answer(
            orjson.dumps(found).decode(),
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            characters=characters,
            cost_usd=self.told.price.of(tokens_in, tokens_out, characters),
        )

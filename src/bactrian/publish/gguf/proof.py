"""Holds a file against its model: the same token ids, the same probabilities, the same answers.

llama.cpp computes from the file; transformers and PEFT from the base and the adapter's folder.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bactrian.errors import RunError
from bactrian.models.prompts import PromptStyle
from bactrian.models.tokens import open_ended, prompt_ids
from bactrian.publish.gguf import texts
from bactrian.publish.gguf.asking import LONGEST, Asking
from bactrian.publish.probes import PROBES

if TYPE_CHECKING:
    from bactrian.publish.gguf.reference import Answer

LIMITS: Mapping[str, float] = MappingProxyType({"f32": 0.01, "f16": 0.1})
"""Largest difference of a log-probability (nats); other types are measured and reported."""
ANSWER = 12
"""Tokens of a greedy answer."""
REPORT = "please report it with the base's name; bactrian export merged works meanwhile"
LEAST = -50.0
"""Log-probabilities below this are not compared: float32 is coarse there."""


@dataclass(frozen=True, slots=True)
class Ids:
    """How a file reads texts."""

    texts: int
    languages: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Apart:
    """How far two distributions over the vocabulary lie from each other, nats."""

    largest: float
    mean: float
    divergence: float


@dataclass(frozen=True, slots=True)
class Logits:
    """How far a file's probabilities lie from the model's, and how far answers agree."""

    largest: float
    """Largest difference of a log-probability of any token, nats."""
    mean: float
    """Mean of the absolute difference over the vocabulary, nats."""
    divergence: float
    """Mean Kullback-Leibler divergence of the file from the model, nats."""
    limit: float | None
    """What it may be; None where it is measured only."""
    prompts: int
    same: int
    """Prompts that are answered by the same greedy tokens."""
    ties: int
    """Prompts whose answers part where the model holds two tokens for equally likely."""
    tokens: int
    """Greedy tokens that were compared."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found."""

    by: str
    """What computed from the file."""
    ids: Ids
    logits: Logits | None
    """None where the model has no room in memory."""
    turn: bool | None = None
    """Whether the chat template asks by the very ids of training; None without one."""

    def facts(self) -> dict[str, Any]:
        """Return it as it stands in the record."""
        return asdict(self)


def different(
    server: Asking, tokenizer: Any, asked: Sequence[str], *, composed: bool = False
) -> list[str]:
    """Return the texts that the file gives other ids than the tokenizer; ``composed`` is NFC."""
    if composed:
        asked = [unicodedata.normalize("NFC", text) for text in asked]
    wanted = tokenizer(list(asked))["input_ids"]
    return [
        text
        for text, ids in zip(asked, wanted, strict=True)
        if server.ids(text) != list(ids)
    ]  # fmt: skip


def limit_of(type: str, *, halves: bool = False) -> float | None:
    """Return how far a file of a type may lie from the model, None where it is measured only.

    ``halves`` is that of the family: where llama.cpp itself rounds, float32 gets float16's limit.
    """
    return LIMITS.get("f16" if halves and type == "f32" else type)


def prove_ids(server: Asking, tokenizer: Any, asked: Sequence[str]) -> Ids:
    """Compare token ids; raises RunError where a text is read otherwise."""
    notes = []
    if composed := composes(tokenizer):
        notes.append("the tokenizer composes letters (NFC), llama.cpp does not: give it NFC")
    if wrong := different(server, tokenizer, asked, composed=composed):
        raise RunError(
            f"llama.cpp reads {len(wrong)} of {len(asked)} texts as other tokens, such as "
            f"{wrong[0][:60]!r}",
            REPORT,
        )
    if different(server, tokenizer, texts.SPACED):
        notes.append("of a text that begins with a space, llama.cpp reads the space otherwise")
    return Ids(len(asked), len(texts.sentences()), tuple(notes))


def composes(tokenizer: Any) -> bool:
    """Whether a tokenizer composes letters and their marks (NFC) before it cuts."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return "NFC" in type(getattr(backend, "normalizer", None)).__name__ or (
        "NFC()" in repr(getattr(backend, "normalizer", None))
    )


def prove_logits(
    server: Asking, wanted: Sequence[Answer], tokenizer: Any, limit: float | None
) -> Logits:
    """Compare probabilities and greedy answers; raises RunError beyond ``limit``."""
    letter = tokenizer("a", add_special_tokens=False)["input_ids"][-1]
    endings = tokenizer.all_special_ids
    far, same, ties, tokens = [], 0, 0, 0
    for answer in wanted:
        found = server.distribution(answer.prompt, len(answer.first), letter)
        far.append(_apart(found, answer.first))
        written = server.greedy(answer.prompt, len(answer.tokens))
        until = _agreement(written, answer.tokens)
        tokens += until
        if until == len(written) and _ends_alike(written, answer, endings):
            same += 1
        elif until < len(written) and _is_tie(written[until], answer, until, limit):
            ties += 1
    largest = max(one.largest for one in far)
    mean = sum(one.mean for one in far) / len(far)
    divergence = sum(one.divergence for one in far) / len(far)
    told = Logits(largest, mean, divergence, limit, len(wanted), same, ties, tokens)
    _check(told)
    return told


def prove_turn(server: Asking, tokenizer: Any, style: PromptStyle) -> bool:
    """Whether llama.cpp makes the ids of a prompt of the file's chat template and a user's text."""
    text = PROBES["Arabic"]
    (wanted,) = prompt_ids(tokenizer, [style.render(text)])
    return open_ended(tokenizer, "", server.ids(server.turn(text))) == wanted


def longest_prompt(context: int) -> int:
    """Return how many ids of a prompt leave room for an answer."""
    return max(1, min(LONGEST, context) - ANSWER - 2)


def _apart(found: Any, wanted: Any) -> Apart:
    """Compare two distributions; llama.cpp's sums to 1 only as far as float32 adds up."""
    import numpy

    likely = wanted > LEAST
    found = found.astype(numpy.float64)
    found -= numpy.log(numpy.exp(found).sum())
    apart = (wanted - found)[likely]
    divergence = (numpy.exp(wanted[likely], dtype=numpy.float64) * apart).sum()
    return Apart(float(abs(apart).max()), float(abs(apart).mean()), float(divergence))


def _agreement(written: Sequence[int], wanted: Sequence[int]) -> int:
    """Return how many tokens are the same before the two part."""
    pairs = zip(written, wanted, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), len(written))


def _ends_alike(written: Sequence[int], answer: Answer, endings: Sequence[int]) -> bool:
    """Whether an answer that llama.cpp ended, with or without a token for it, is ended here too."""
    if len(written) == len(answer.tokens) or (written and written[-1] in endings):
        return True
    return answer.tokens[len(written)] in endings


def _is_tie(token: int, answer: Answer, place: int, limit: float | None) -> bool:
    told = answer.steps[place]
    return limit is not None and bool(told.max() - told[token] <= 2 * limit)


def _check(found: Logits) -> None:
    if found.limit is None:
        return
    if found.largest > found.limit:
        raise RunError(
            f"llama.cpp's log-probabilities differ from the model's by {found.largest:.4f} nats, "
            f"{found.limit} is allowed",
            REPORT,
        )
    if found.same + found.ties < found.prompts:
        raise RunError(
            f"llama.cpp answers {found.prompts - found.same - found.ties} of {found.prompts} "
            "prompts by other tokens than the model",
            REPORT,
        )

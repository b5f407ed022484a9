"""Texts to token ids, many in one call of the Rust encoder; knows nothing of rows or limits.

The ids are those of the tokenizer's own call: a probe compares both, and where they differ, or the
tokenizer is a slow one, its own call is used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from threading import Lock
from types import SimpleNamespace
from typing import Any

from bactrian.errors import DataError
from bactrian.models.tokens import open_ended
from bactrian.table import hash_of

PARALLEL = "TOKENIZERS_PARALLELISM"
OURS = "FALSE"
"""What we leave in that variable: false to the encoder, and told from what a user writes."""
OFF = ("", "off", "false", "f", "no", "n", "0")
"""Words that the encoder takes for one core, in lower case."""
PROBES = (
    "Say it: naïve café, 1,000 × “x”.\n\tif a == b:  # ok",
    "বাংলা ক্ষ, हिन्दी श्री, தமிழ் நா, മലയാളം, සිංහල ශ්‍රී",
    "ភាសាខ្មែរ မြန်မာ ภาษาไทย 中文,日本語。한국어",
    "עִבְרִית العربية می‌خواهم اردو ქართული Русский язык 👩‍👩‍👧🇰🇭",
    "",
)
"""Texts whose ids tell two tokenizers, or two versions of one, apart."""


class TextEncoder:
    """One tokenizer, asked by any number of threads for the ids of many texts at once."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._lock = Lock()  # the Rust tokenizer has switches; they hold for one call at a time
        # transformers looks its special tokens up anew at every access
        self.ends = SimpleNamespace(
            bos_token=tokenizer.bos_token,
            bos_token_id=tokenizer.bos_token_id,
            eos_token=tokenizer.eos_token,
            eos_token_id=tokenizer.eos_token_id,
        )
        spelt = {self.ends.bos_token, self.ends.eos_token}
        self._spelt = sorted(token for token in spelt if token and token.strip())
        self._backend = getattr(tokenizer, "backend_tokenizer", None)
        if self._backend is not None and not self._agrees():
            self._backend = None

    @property
    def rust(self) -> bool:
        """Whether the Rust encoder is used, which takes all texts of a call side by side."""
        return self._backend is not None

    def prompts(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of prompts, begun as a text of this tokenizer begins, open at the end."""
        return self._open(texts, self.texts(texts, special=True))

    def responses(self, texts: Sequence[str], *, special: bool = False) -> list[list[int]]:
        """Return the ids of responses, without the EOS that ends them.

        A BOS or EOS that is written in a response is spelt letter by letter: as a token it would
        teach the model to stop there. ``special`` begins them as a text of this tokenizer begins.
        """
        found = self.texts(texts, special=special)
        if special:
            found = [
                open_ended(self.ends, text, ids) for text, ids in zip(texts, found, strict=True)
            ]
        for token in self._spelt:
            for place in [place for place, text in enumerate(texts) if token in text]:
                (found[place],) = self.texts([texts[place]], special=special, split=True)
                found[place] = open_ended(self.ends, "", found[place])
        return found

    def texts(
        self, texts: Sequence[str], *, special: bool, split: bool | None = None
    ) -> list[list[int]]:
        """Return the ids of each text, with the tokenizer's special tokens around it or without.

        ``split`` spells special tokens that are written in the text; by default the tokenizer's
        own setting holds. Raises DataError for half of a character (a lone surrogate).
        """
        asked = self.tokenizer.split_special_tokens if split is None else split
        try:
            if self._backend is None:
                return self._plain(texts, special, asked)
            with self._lock:
                self._backend.no_truncation()
                self._backend.no_padding()
                self._backend.encode_special_tokens = asked
                encodings = self._backend.encode_batch_fast(texts, add_special_tokens=special)
            return [encoding.ids for encoding in encodings]
        except (TypeError, UnicodeEncodeError) as error:
            raise _broken(texts) or error from None

    @cached_property
    def pieces(self) -> tuple[bytes, ...] | None:
        """What each id spells, where joined pieces give the texts back; None where they do not.

        They do for byte-level and byte-fallback vocabularies (BLOOM, LLaMA and most of today's),
        not where text is normalised (T5, XLM-R).
        """
        vocabulary = self.tokenizer.get_vocab()
        for spelt in (_of_bytes, _of_characters):
            pieces = [b""] * (max(vocabulary.values(), default=-1) + 1)
            for token, place in vocabulary.items():
                pieces[place] = spelt(token)
            read = self.texts(PROBES, special=False)
            joined = [b"".join(pieces[place] for place in ids) for ids in read]
            probes = [text.encode() for text in PROBES]
            if all(
                said.removeprefix(b" ") == text for said, text in zip(joined, probes, strict=True)
            ):
                return tuple(pieces)
        return None

    def key(self) -> str:
        """Return the hash of all that decides about ids."""
        ends = [*vars(self.ends).values(), self.tokenizer.split_special_tokens]
        if self._backend is None:
            rules: Any = sorted(self.tokenizer.get_vocab().items())
        else:
            with self._lock:
                self._backend.no_truncation()
                self._backend.no_padding()
                self._backend.encode_special_tokens = False
                rules = self._backend.to_str()
        # the probes tell versions of a library that reads the same rules in another way
        probed = [self.texts(PROBES, special=special) for special in (True, False)]
        return hash_of(type(self.tokenizer).__name__, rules, ends, probed)

    def _open(self, texts: Sequence[str], found: Sequence[list[int]]) -> list[list[int]]:
        """Take off what a text that is not to stand alone does not have; few rows have any."""
        twice, end = [self.ends.bos_token_id] * 2, self.ends.eos_token_id
        return [
            open_ended(self.ends, text, ids) if ids[:2] == twice or ids[-1:] == [end] else ids
            for text, ids in zip(texts, found, strict=True)
        ]

    def _plain(self, texts: Sequence[str], special: bool, split: bool) -> list[list[int]]:
        if not texts:
            return []
        found = self.tokenizer(
            list(texts),
            add_special_tokens=special,
            split_special_tokens=split,
            padding=False,
            truncation=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        ids: list[list[int]] = found["input_ids"]
        return ids

    def _agrees(self) -> bool:
        """Whether the Rust encoder gives the ids that the tokenizer's own call gives."""
        split = bool(self.tokenizer.split_special_tokens)
        return all(
            self.texts(PROBES, special=special) == self._plain(PROBES, special, split)
            for special in (True, False)
        )


@contextmanager
def side_by_side() -> Iterator[int]:
    """Let the Rust encoder use every core inside the block, and yield how many there are.

    What the user decided stays.
    Afterwards it is told to use one: a process that has encoded on many and forks, as a DataLoader
    does, would otherwise hang or be warned about on the user's terminal.
    """
    told = os.environ.get(PARALLEL, OURS)
    if told != OURS:
        yield 1 if told.lower() in OFF else os.cpu_count() or 1
        return
    os.environ[PARALLEL] = "true"
    try:
        yield os.cpu_count() or 1
    finally:
        os.environ[PARALLEL] = OURS


def _of_bytes(token: str) -> bytes:
    """Return what a token of a byte-level vocabulary spells: a letter stands for each byte."""
    try:
        return bytes(_BYTE_OF[letter] for letter in token)
    except KeyError:
        return token.encode()  # an added token is written as it is


def _of_characters(token: str) -> bytes:
    """Return what a token of a SentencePiece vocabulary with byte fallback spells."""
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        return bytes.fromhex(token[3:5])
    return token.replace("▁", " ").encode()


def _byte_letters() -> dict[str, int]:
    """Return the byte of each letter in GPT-2's alphabet: printable Latin-1 is itself.

    The other bytes, in their order, are the letters from U+0100 on.
    """
    itself = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in itself]
    shifted = {chr(0x100 + place): byte for place, byte in enumerate(others)}
    return {chr(byte): byte for byte in itself} | shifted


_BYTE_OF = _byte_letters()


def _broken(texts: Sequence[str]) -> DataError | None:
    """Return what to tell of the first text that is no Unicode."""
    for text in texts:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            near = text[max(0, error.start - 20) : error.start]
            return DataError(
                f"a row holds half of a character (a lone surrogate) after {near!r}",
                "mend that row where it comes from",
            )
    return None

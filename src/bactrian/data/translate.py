"""Second stage: the instructions in another language. Knows nothing of responses.

Rows take one of three roads: they are translated, they stay in English with their own output, or
they are left out with the reason; the recipe and the flags of the source say which. Rows that were
collected in the language itself follow after the translated ones, as they are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NamedTuple

import orjson

from bactrian import table
from bactrian.data.ask import LEFT_OUT, WHOLE, Asking, Paid, Shard
from bactrian.data.destroyed import recognise
from bactrian.data.marks import DESTROYED, PROGRAMMING
from bactrian.data.providers import Engaged
from bactrian.data.wording import Translated, Wording
from bactrian.errors import LedgerError
from bactrian.languages import Language, get
from bactrian.ledger import Entry
from bactrian.providers import Request, Translator
from bactrian.recipe import Translate
from bactrian.schema import Example, Flag
from bactrian.workspace import Workspace

ENGLISH = "en"


class Road(NamedTuple):
    """What is done with a source row, and why where it is not simply translated."""

    way: Literal["translate", "adapt", "keep", "drop"]
    why: str = ""


def road(flags: tuple[Flag, ...], told: Translate) -> Road:
    """Return what the recipe wants done with a row of these flags."""
    for flag in flags:
        if flag.check == PROGRAMMING and told.programming != "protect":
            return Road("keep" if told.programming == "english" else "drop", PROGRAMMING)
        if flag.check.startswith(DESTROYED) and told.destroyed != "flag":
            return Road(told.destroyed, flag.check)
    return Road("translate")


class Translating:
    """The stage in one language: what to ask for a row, and how to read the answers."""

    def __init__(self, told: Translate, translator: Translator, language: Language) -> None:
        self.told = told
        self.translator = translator
        self.language = language
        self.english = get(ENGLISH)
        self.whole = getattr(translator, "whole", False) or not told.protect

    def first(self, row: table.Row, paid: Paid) -> Request | None:
        """Both texts in one, with signs."""
        wording = self._wording(row)
        texts = wording.texts() if wording else ()
        return self._request(texts) if texts else None

    def second(self, row: table.Row, paid: Paid) -> Request | None:
        """Only the pieces between the spans, where a sign came back broken."""
        wording, read = self._first_read(row, paid)
        if wording is None or read is None or not read[1].broken:
            return None
        texts = wording.pieces()
        return self._request(texts) if texts else None

    def settle(self, row: table.Row, paid: Paid) -> table.Row:
        """Return the row in the language, in English as it is kept, or with why it is missing."""
        source = row.example
        way, why = self._road(row)
        if way == "drop":
            return self._missing(row, f"{LEFT_OUT}: {why}")
        if source.language == self.language.code:
            return row
        if way == "keep":
            return replace(row, example=replace(source, language=self.language.code, kept=why))
        wording, read = self._first_read(row, paid)
        assert wording is not None  # only rows that are not translated have none
        if not wording.texts():
            as_it_is = Translated(source.instruction, source.input)
            return self._translated(row, as_it_is, None)
        if read is None:
            request = self.first(row, paid)
            assert request is not None
            return self._missing(row, f"no translation: {paid.why_not(request)}")
        entry, translated = read
        if not translated.broken:
            return self._translated(row, translated, entry)
        return self._mended(row, wording, translated.broken, paid)

    def _mended(self, row: table.Row, wording: Wording, broken: str, paid: Paid) -> table.Row:
        texts = wording.pieces()
        entry = paid.answer(self._request(texts)) if texts else None
        if texts and entry is None:
            why = paid.why_not(self._request(texts))
            return self._missing(row, f"no translation: broken in it: {broken}; in pieces: {why}")
        answers = _texts(entry) if entry is not None else []
        flag = Flag(
            "pieces",
            "warn",
            "instruction",
            "translated in pieces, as a protected part came back broken",
            broken[:200],
        )
        mended = self._translated(row, wording.read_pieces(answers), entry)
        return replace(mended, flags=(*mended.flags, flag))

    def _first_read(
        self, row: table.Row, paid: Paid
    ) -> tuple[Wording | None, tuple[Entry, Translated] | None]:
        wording = self._wording(row)
        texts = wording.texts() if wording else ()
        entry = paid.answer(self._request(texts)) if texts else None
        if wording is None or entry is None:
            return wording, None
        return wording, (entry, wording.read(_texts(entry)))

    def _road(self, row: table.Row) -> Road:
        """Return what is done with a row; one that cannot be adapted whole stays in English."""
        found = road(row.flags, self.told)
        if found.way == "adapt" and self.whole:
            lost = recognise(row.example.instruction, row.example.input)
            if lost is not None and lost.kept:
                return Road("keep", found.why)
        return found

    def _wording(self, row: table.Row) -> Wording | None:
        source = row.example
        if source.language == self.language.code:
            return None
        way, _ = self._road(row)
        if way in ("keep", "drop"):
            return None
        how: Literal["whole", "signs"] = "whole" if self.whole else "signs"
        found = recognise(source.instruction, source.input) if way == "adapt" else None
        if found is None:
            return Wording(source.instruction, source.input, how)
        return Wording(source.instruction, source.input, how, found.keep_input, found.kept)

    def _request(self, texts: tuple[str, ...]) -> Request:
        return self.translator.request(texts, self.english, self.language)

    def _translated(self, row: table.Row, read: Translated, entry: Entry | None) -> table.Row:
        provenance = row.example.provenance
        if entry is not None:
            provenance = replace(provenance, translator=entry.provider, translation_key=entry.key)
        code = self.language.code
        example = Example(row.example.id, code, read.instruction, read.input, "", provenance)
        return table.Row(example, row.flags)

    def _missing(self, row: table.Row, why: str) -> table.Row:
        provenance = replace(row.example.provenance, translator=self.translator.name)
        example = Example(row.example.id, self.language.code, "", "", "", provenance, why)
        return table.Row(example, row.flags)


def _texts(entry: Entry) -> list[str]:
    """Return what a translator said; raises LedgerError for an answer that is damaged."""
    try:
        texts: list[str] = orjson.loads(entry.output)
        return texts
    except orjson.JSONDecodeError as error:
        raise LedgerError(
            f"the answer {entry.key} in the ledger is damaged: {error}",
            "restore the ledger from a copy, or move it away: then all of it is paid for again",
        ) from error


def translating(
    workspace: Workspace, language: Language, using: Engaged, shard: Shard = WHOLE
) -> Asking:
    """Return the stage that writes ``stages/translated/<language>.parquet``."""
    told = workspace.recipe.translate
    work = Translating(told, using.provider, language)
    english = language.code == ENGLISH
    sources = [ENGLISH] if english else [ENGLISH, language.code]
    follows = None
    if not english:
        asked = using.provider.request(("instruction", "input"), work.english, language)
        follows = [asked, told.protect, told.destroyed]
    return Asking(
        kind="translation",
        rows_from=tuple(workspace.stage("sources", code) for code in sources),
        rows_to=workspace.stage("translated", language.code),
        ledger=workspace.ledger(language),
        language=language,
        provider=using.provider,
        ways=() if english else (work.first,) if work.whole else (work.first, work.second),
        settle=work.settle,
        follows=[told.programming, follows],
        terms=using.terms(language),
        limit=workspace.recipe.limit,
        shard=shard,
        own=frozenset() if english else own_ids(workspace, language),
    )


def own_ids(workspace: Workspace, language: Language) -> frozenset[str]:
    """Return the ids of the rows that were collected in the language itself."""
    path = workspace.stage("sources", language.code)
    if not path.is_file():
        return frozenset()
    return frozenset(row.example.id for row in table.read(path))

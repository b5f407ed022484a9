"""Answers from a recording: a folder of ledgers, one a language, made beforehand.

The same code path as a paid provider, offline. What the recording lacks is reported as missing,
never invented.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bactrian.errors import ProviderError
from bactrian.languages import Language
from bactrian.ledger import Ledger, key_of
from bactrian.providers import Answer, NoAnswer, Request, Told
from bactrian.schema import Instruction


class Recording:
    """Looks requests up in the recorded ledgers."""

    batch = 1000

    def __init__(self, told: Told) -> None:
        model = told.section.model or "recorded"
        folder = told.folder / Path(told.section.recording).expanduser()
        self.name = f"recorded:{model}"
        self.model = model
        self.folder = folder
        if not any(folder.glob("*.sqlite")):
            lacks = "holds no <language>.sqlite files" if folder.is_dir() else "does not exist"
            raise ProviderError(
                f"the recording {folder} {lacks}",
                "set recording = to the folder that holds <language>.sqlite files",
            )

    async def send(self, requests: Sequence[Request]) -> Sequence[Answer | NoAnswer]:
        """Return what was recorded for each request."""
        with ExitStack() as open_while_here:
            ledgers = {
                language: open_while_here.enter_context(Ledger(path, read_only=True))
                for language in {request["target"] for request in requests}
                if (path := self.folder / f"{language}.sqlite").is_file()
            }
            return [_look_up(request, ledgers.get(request["target"])) for request in requests]


def _look_up(request: Request, ledger: Ledger | None) -> Answer | NoAnswer:
    if ledger is None:
        return NoAnswer(f"the recording has nothing in {request['target']}")
    entry = ledger.get(key_of(request))
    if entry is None:
        return NoAnswer("the recording has no answer to this request")
    return Answer(
        entry.output,
        entry.finish,
        entry.tokens_in,
        entry.tokens_out,
        entry.characters,
        entry.cost_usd,
        entry.provider_id,
        provider=entry.provider,
    )


class RecordedTranslator(Recording):
    """Recorded translations of instruction and input, asked for together."""

    whole = True

    def request(self, texts: Sequence[str], source: Language, target: Language) -> Request:
        """Return what a translator would be sent: both texts and the pair of languages."""
        return {
            "engine": self.model,
            "source": source.code,
            "target": target.code,
            "texts": list(texts),
        }


class RecordedChat(Recording):
    """Recorded answers to instructions in their language."""

    def request(self, row: Instruction, language: Language) -> Request:
        """Return what a chat model would be sent: one user message."""
        content = f"{row.instruction}\n\n{row.input}" if row.input else row.instruction
        return {
            "model": self.model,
            "target": language.code,
            "messages": [{"role": "user", "content": content}],
        }

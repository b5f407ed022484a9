"""OpenAI's batch API, and that of those who took it over: a file of lines, and a batch made of it.

Reference: developers.openai.com/api/reference, files and batches, as of November 2026. A batch
carries our name in its metadata, so one that was made can always be found again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Container
from typing import IO, Any

import orjson

from bactrian.ledger.batches import Batch
from bactrian.providers import Again, NoAnswer, Outcome, Request
from bactrian.providers.batches import A_DAY, CANCELLED, Found, Framing, Look, Refused, Size
from bactrian.providers.batches.wire import reopened, size_of, wire_of
from bactrian.providers.chat import OpenAIChat, read
from bactrian.providers.http import Reply, one_line, refusal

ENDPOINT = "/v1/chat/completions"
STATES = {
    "validating": "checking",
    "failed": "refused",
    "completed": "ended",
    "expired": "ended",
    "cancelled": "ended",
}
"""What is not here (in_progress, finalizing, cancelling) runs."""
A_PAGE = 100


class OpenAIBatches:
    """Batches of chat completions."""

    most = Size(50_000, 200_000_000)
    framing = Framing(b"", b"\n", b"\n")

    def __init__(self, provider: OpenAIChat) -> None:
        self.name = provider.name
        self.price = provider.price
        self.wire = wire_of(provider)

    def line(self, key: str, request: str) -> bytes:
        """Return a line of the file; the key is the custom_id."""
        return (
            f'{{"custom_id":"{key}","method":"POST","url":"{ENDPOINT}","body":{request}}}'
        ).encode()

    async def prepare(self, name: str, file: IO[bytes]) -> str:
        """Upload the file; return its id. A file that nobody uses costs nothing."""
        import aiohttp

        def form() -> Any:
            form = aiohttp.FormData()
            form.add_field("purpose", "batch")
            form.add_field(
                "file",
                reopened(file),
                filename=f"{name}.jsonl",
                content_type="application/jsonl",
            )
            return form

        told = await self.wire.upload("/files", form, size_of(file))
        return str(told["id"])

    async def create(self, batch: Batch, file: IO[bytes]) -> str | Again:
        """Make the batch of the uploaded file, under our name."""
        body = {
            "input_file_id": batch.mark,
            "endpoint": ENDPOINT,
            "completion_window": "24h",
            "metadata": {"bactrian": batch.name},
        }
        return await self.wire.make("/batches", orjson.dumps(body))

    async def find(self, batch: Batch, known: Container[str], ours: Callable[[str], bool]) -> Found:
        """Look for our name among the batches, newest first."""
        async for told in self._listed():
            if (told.get("metadata") or {}).get("bactrian") == batch.name:
                return Found(str(told["id"]))
            if float(told.get("created_at") or batch.time) < batch.time - A_DAY:
                break
        return Found()

    async def give_up(self, batch: Batch) -> None:
        """Delete the file: a batch that is still on its way to the server cannot begin without."""
        if batch.mark:
            await self.wire.ask("DELETE", f"/files/{batch.mark}")

    async def look(self, batch: Batch) -> Look:
        """Ask how a batch does."""
        told = await self.wire.ask("GET", f"/batches/{batch.remote}")
        if told is None:
            return Look("gone", "unknown")
        how = str(told.get("status"))
        counts = told.get("request_counts") or {}
        files = (told.get("output_file_id"), told.get("error_file_id"))
        ended = told.get("completed_at") or told.get("expired_at") or told.get("cancelled_at")
        problems = (told.get("errors") or {}).get("data") or []
        return Look(
            STATES.get(how, "running"),  # type: ignore[arg-type]  # the table's own words
            how,
            int(counts.get("completed") or 0),
            int(counts.get("failed") or 0),
            int(counts.get("total") or 0),
            float(ended or 0.0),
            tuple(f"/files/{file}/content" for file in files if file),
            tuple(map(_refused, problems)),
        )

    async def fetch(self, path: str, file: IO[bytes]) -> bool:
        """Write results into a file."""
        return await self.wire.download(path, file)

    def outcome(self, told: dict[str, Any], request: Request) -> Outcome:
        """Return what a line of the output or the error file says."""
        response, error = told.get("response"), told.get("error")
        if isinstance(response, dict):
            data = orjson.dumps(response.get("body"))
            reply = Reply(int(response.get("status_code") or 200), {}, data, self.wire.lane)
            return refusal(reply, self.name) or read(reply, self.price, request)
        code = str((error or {}).get("code") or "no result")
        if code == "batch_cancelled":
            return NoAnswer(CANCELLED)
        said = (error or {}).get("message") or ""
        return Again("server", one_line(f"{code}: {said}" if said else code))

    async def close(self) -> None:
        """Close the connections."""
        await self.wire.close()

    async def _listed(self) -> AsyncIterator[dict[str, Any]]:
        after = ""
        while True:
            told = await self.wire.ask("GET", f"/batches?limit={A_PAGE}{after}") or {}
            page = told.get("data") or []
            for one in page:
                yield one
            if not (told.get("has_more") and page):
                return
            after = f"&after={page[-1]['id']}"


def _refused(told: dict[str, Any]) -> Refused:
    code, said = str(told.get("code") or ""), str(told.get("message") or "")
    return Refused(code, one_line(said or code), int(told.get("line") or 0))

"""A workspace in a folder, and a provider that does what a script says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
import tomli_w

from bactrian.errors import ProviderError
from bactrian.providers import Answer, NoAnswer, Request
from bactrian.workspace import Workspace, open_workspace

MakeProject = Callable[..., Workspace]


class Scripted:
    """Translates ``text`` into ``[vi] text`` and answers ``text`` with ``vi: text``."""

    name = "scripted:m"
    batch = 4

    def __init__(self, kind: str = "translation", prompt: str = "") -> None:
        self.kind = kind
        self.prompt = prompt
        self.sent: list[Request] = []
        self.silent: set[str] = set()
        """Instructions (as they are sent) that get no answer."""
        self.most = 10**9
        """Requests after which it gives up."""

    whole = True

    def request(self, *told: Any) -> Request:
        """Take what a translator takes (texts, source, target), or a chat model (row, language)."""
        if self.kind == "translation":
            texts, _, target = told
            return {"prompt": self.prompt, "target": target.code, "texts": list(texts)}
        row, language = told
        content = "\n".join(filter(None, [row.instruction, row.input]))
        message = {"role": "user", "content": content}
        return {"prompt": self.prompt, "target": language.code, "messages": [message]}

    async def send(self, requests: Sequence[Request]) -> Sequence[Answer | NoAnswer]:
        if len(self.sent) >= self.most:
            raise ProviderError("no credit is left", "top it up")
        self.sent.extend(requests)
        return [self.answer(one) for one in requests]

    def answer(self, request: Request) -> Answer | NoAnswer:
        code = request["target"]
        if self.kind == "translation":
            texts = request["texts"]
            told = orjson.dumps([f"[{code}] {text}" if text else "" for text in texts]).decode()
        else:
            texts = [request["messages"][0]["content"]]
            told = f"{code}: {texts[0]}"
        return NoAnswer("refused by the script") if texts[0] in self.silent else Answer(told)


@pytest.fixture
def scripted() -> type[Scripted]:
    """Return the class, to be made with ``kind`` and ``prompt``."""
    return Scripted


@pytest.fixture
def make_project(tmp_path: Path) -> MakeProject:
    """Return a maker of workspaces: number of rows, then sections and keys of the recipe."""

    def make(rows: int = 10, folder: str = "project", **recipe: Any) -> Workspace:
        root = tmp_path / folder
        root.mkdir(exist_ok=True)
        made = [
            {
                "instruction": f"Instruction {number}",
                "input": f"input {number}" if number % 3 == 0 else "",
                "output": f"The answer {number}",
            }
            for number in range(rows)
        ]
        (root / "alpaca.json").write_bytes(orjson.dumps(made))
        told = {
            "name": "toy",
            "languages": "vi,km",
            "sources": {"alpaca": {"files": ["alpaca.json"], "licence": "CC-BY-NC-4.0"}},
            "check": {"names": ["empty"]},
            "build": {"validation": 2},
            **recipe,
        }
        (root / "recipe.toml").write_text(tomli_w.dumps(told), encoding="utf-8")
        return open_workspace(root)

    return make

"""How vLLM serves a base with adapters: looked at before, and the very line that starts it.

Sources: vLLM's documentation, pages "LoRA Adapters" (--lora-modules as name=path or as JSON,
--max-lora-rank, --max-loras, --max-cpu-loras) and "OpenAI-Compatible Server" (--chat-template,
--served-model-name). Needs no vLLM and loads no weights.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bactrian.errors import AdapterError, ConfigError
from bactrian.models import prompts
from bactrian.models.adapter_checks import place_of
from bactrian.models.adapters import WEIGHTS, check_name
from bactrian.models.portability import vllm_rank
from bactrian.publish import portability
from bactrian.publish.chat_template import asks_as_trained, chat_template
from bactrian.publish.exported import placed
from bactrian.publish.source import Chosen, Source

TEMPLATE, SCRIPT, CLIENT = "chat_template.jinja", "serve.sh", "ask.py"
AT_ONCE = 8
"""Adapters that a batch may mix; each takes memory on the GPU for its rank in every layer."""
HERE = "127.0.0.1"
"""vLLM listens on every address of the machine where none is named."""
PORT = 8000


@dataclass(frozen=True, slots=True)
class Plan:
    """A line that starts a server, and what there is to know of it."""

    words: tuple[str, ...]
    """The command, without the chat template."""
    template: str
    """Jinja that asks as in training; empty where the base's own does."""
    names: tuple[str, ...]
    """What a client calls the adapters."""
    prompt: str
    """An example, finished, as /v1/completions takes it."""
    notes: tuple[str, ...]

    def line(self, template: Path | None = None) -> str:
        """Return the command for a shell, with the file of the chat template where there is one."""
        return shlex.join([*self.words, *(["--chat-template", str(template)] if template else [])])

    def question(self, *, chat: bool) -> str:
        """Return Python that asks the first adapter with the openai client."""
        called, told, part = "completions", f"prompt={self.prompt!r}", "text"
        if chat or not self.template:
            called, part = "chat.completions", "message.content"
            told = 'messages=[{"role": "user", "content": "…"}]'
        return (
            "from openai import OpenAI\n\n"
            f'client = OpenAI(base_url="http://{HERE}:{PORT}/v1", api_key="none")\n'
            f"answer = client.{called}.create(\n"
            f"    model={json.dumps(self.names[0], ensure_ascii=False)}, max_tokens=256,\n"
            f"    {told},\n)\n"
            f"print(answer.choices[0].{part})\n"
        )


def plan(
    source: Source, tokenizer: Any, *, dtype: str = "", at_once: int = 0, served: str = ""
) -> Plan:
    """Return how vLLM serves the adapters of ``source``.

    Raises AdapterError for an adapter that vLLM does not take, saying why and what to do, and
    ConfigError where two have the same name.
    """
    family = _family(source)
    ranks = [_rank(one, family) for one in source.adapters]
    names = [one.name for one in source.adapters]
    for name in names:
        check_name(name)
        if names.count(name) > 1:
            raise ConfigError(
                f"two adapters are called {name}", "rename a folder: clients ask by its name"
            )
    at_once = at_once or min(len(names), AT_ONCE)
    words = ["vllm", "serve", *_base(source, served), "--enable-lora"]
    words += ["--lora-modules", *(_module(one, source, served) for one in source.adapters)]
    words += ["--max-lora-rank", str(vllm_rank(max(ranks))), "--max-loras", str(at_once)]
    if len(names) > at_once:
        words += ["--max-cpu-loras", str(len(names))]
    words += ["--dtype", dtype] if dtype else []
    words += ["--host", HERE]
    template = "" if source.prompt.name == "chat" else chat_template(source.prompt, tokenizer)
    prompt = prompts.style(source.prompt, tokenizer).render("…")
    notes = tuple(_notes(source, tokenizer, ranks, template))
    return Plan(tuple(words), template, tuple(names), prompt, notes)


def write(told: Plan, place: Path, *, overwrite: bool = False) -> None:
    """Make a folder with the chat template, a script that serves, and one that asks."""
    with placed(place, overwrite=overwrite) as folder:
        words = shlex.join(told.words)
        if told.template:
            (folder / TEMPLATE).write_text(told.template, encoding="utf-8")
            words += f' --chat-template "$here/{TEMPLATE}"'
        script = folder / SCRIPT
        script.write_text(
            "#!/bin/sh\n"
            "# Serves the base with its adapters; further options of vLLM may follow: serve.sh "
            "--port 9000\n"
            'here=$(cd "$(dirname "$0")" && pwd)\n'
            f'exec {words} "$@"\n',
            encoding="utf-8",
        )
        script.chmod(0o755)
        (folder / CLIENT).write_text(told.question(chat=True), encoding="utf-8")


def _base(source: Source, served: str) -> Iterator[str]:
    """Yield how the base is named: by its id and commit, or a folder with the id beside it."""
    base = source.base
    if base.revision:
        yield from (base.id, "--revision", base.revision)
    else:
        yield from (str(base.folder.resolve()), "--served-model-name", served or _called(source))


def _called(source: Source) -> str:
    return source.base.id if "/" not in source.base.id else Path(source.base.id).name


def _module(one: Chosen, source: Source, served: str) -> str:
    """Return name=path, or JSON where the base has a name of its own or the path has a sign."""
    path = str(one.folder.resolve())
    if source.base.revision and "=" not in path:
        return f"{one.name}={path}"
    base = source.base.id if source.base.revision else served or _called(source)
    told = {"name": one.name, "path": path, "base_model_name": base}
    return json.dumps(told, ensure_ascii=False)


def _rank(one: Chosen, family: str) -> int:
    """Return the adapter's largest rank; raises AdapterError where vLLM does not take it."""
    from safetensors import safe_open

    config = json.loads((one.folder / "adapter_config.json").read_text(encoding="utf-8"))
    layers, ranks = set(), [0]
    with safe_open(one.folder / WEIGHTS, framework="pt") as weights:
        for name in weights.keys():  # noqa: SIM118
            place, side = place_of(name)
            if side:
                layers.add(place.rpartition(".")[2])
            if side in ("lora_A", "lora_embedding_A"):
                ranks.append(int(weights.get_slice(name).get_shape()[0]))
    found = portability.vllm(
        portability.traits(config, tuple(layers), max(ranks), family), str(one.folder)
    )
    if not found.opens:
        raise AdapterError(f"vLLM does not serve {one.folder}: {found.why}", found.do)
    return max(ranks)


def _family(source: Source) -> str:
    told = json.loads((source.base.folder / "config.json").read_text(encoding="utf-8"))
    return str(told.get("model_type", ""))


def _notes(source: Source, tokenizer: Any, ranks: Sequence[int], template: str) -> Iterator[str]:
    allowed = vllm_rank(max(ranks))
    if min(ranks) * 2 < (allowed or 0):
        yield (
            f"ranks are {', '.join(map(str, sorted(set(ranks))))}: vLLM keeps room for {allowed} "
            "for each of them, so adapters of one rank take less memory"
        )
    if template and not asks_as_trained(template, source.prompt, tokenizer):
        yield (
            "the tokenizer reads the chat template otherwise than training did (a space after its "
            "first token): ask with finished prompts, /v1/completions"
        )
    if any(one.facts is None for one in source.adapters):
        yield (
            f"an adapter was made elsewhere and does not say how it wants to be asked; the style "
            f"{source.prompt.name} is taken: --prompt STYLE changes it"
        )

"""Opens a backend: what listens there, how it can be asked, and what its numbers are kept under."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from bactrian import table
from bactrian.errors import ConfigError
from bactrian.evaluate.backends.echo import PATH, PROBE, Echo
from bactrian.evaluate.backends.gguf import file_of, hash_of
from bactrian.evaluate.backends.llamacpp import PATH as COMPLETION
from bactrian.evaluate.backends.llamacpp import Forced, properties
from bactrian.evaluate.backends.served import NoWay, Served, ServedScorer, Way
from bactrian.evaluate.backends.wire import Server
from bactrian.evaluate.backends.words import PATH as TOKENIZE
from bactrian.evaluate.backends.words import Letters, Words, ids_in
from bactrian.evaluate.backends.writing import ServedWriter, Turns
from bactrian.evaluate.engine import VERSION, Scorers
from bactrian.events import emit
from bactrian.models.base import Base, Location
from bactrian.models.llamacpp import serving
from bactrian.recipe.sections.evaluate import Eval

GGUF = "gguf:"
LASTING = ("id", "root", "owned_by", "max_model_len", "meta")
"""What a server says of a model that stays the same from one start to the next."""
LASTING_HERE = ("model_path", "model_ftype", "build_info")
"""What llama.cpp's server says of itself that does."""


@contextmanager
def opened(told: Eval, folder: Path, chat: bool = False) -> Iterator[Scorers]:
    """Open what ``eval.backend`` names, as scorers of one model; closed after the block.

    A file is relative to ``folder``. With ``chat`` prompts are what a user says, and the template
    is the server's. Raises ConfigError, by name, for what is not there, and once they are asked
    for, where a server gives no log-likelihoods of given texts.
    """
    with ExitStack() as stack:
        mark, address = "", told.backend
        if told.backend.startswith(GGUF):
            file = file_of(folder / Path(told.backend.removeprefix(GGUF)).expanduser())
            mark = hash_of(file)
            address = stack.enter_context(serving(file)) + "/v1"
        server = Server(address, told.backend_concurrency, told.backend_key)
        stack.enter_context(closing(server))
        ready = _scorers(server, told, mark, chat)
        yield ready
        if spanned := getattr(ready.scorer, "spanned", 0):
            emit("warning", text=f"{address}: in {spanned} options a token spanned the join")


def _scorers(server: Server, told: Eval, mark: str, chat: bool) -> Scorers:
    """Find out what listens, and how it can be asked."""
    about = {} if mark else _model(server, told.backend_model)
    model = str(about.get("id", ""))
    said = properties(server)
    if said is not None:
        base, scorer = _by_forcing(server, model, said, told, mark or _hash(server, about, said))
    else:
        base, scorer = _by_echo(server, model, about, _hash(server, about, {}))
    key = table.hash_of(VERSION, "served", base.location.fingerprint, base.dtype)
    writer = ServedWriter(base.model, Turns() if chat else base.tokenizer)
    return Scorers(base, base.model, scorer, writer, {told.backend_name: key})  # type: ignore[arg-type]


def _by_forcing(
    server: Server, model: str, said: dict[str, Any], told: Eval, mark: str
) -> tuple[Base, ServedScorer]:
    def body(text: str, begun: bool) -> dict[str, object]:
        return {"content": text, "add_special": begun, "parse_special": True}

    tokens = Words(server, body, str(said.get("eos_token", "")))
    way = Forced(server, tokens.encode(PROBE), tokens.encode("a")[-1])
    # one place is left free: the server ends a text that fills its slot
    longest = max(0, int(said["default_generation_settings"].get("n_ctx", 0)) - 1)
    emit("decision", text=f"{server.address}: llama.cpp, each token is asked for by a bias")
    name = Path(told.backend.removeprefix(GGUF)).name if told.backend.startswith(GGUF) else model
    where = Location(name, Path(), "", mark)
    base = Base(where, Served(server, model, longest), tokens, "server", "llama.cpp")
    return base, ServedScorer(server, COMPLETION, way)


def _by_echo(
    server: Server, model: str, about: dict[str, Any], mark: str
) -> tuple[Base, ServedScorer]:
    def body(text: str, begun: bool) -> dict[str, object]:
        return {"model": model, "prompt": text, "add_special_tokens": begun}

    reply = server.look("POST", TOKENIZE, body(PROBE, True)).body
    by_text = ids_in(reply) is None
    tokens = Letters() if by_text else Words(server, body)
    way, more = _echo(server, model, by_text, ids_in(reply) or ())
    longest = 0
    if isinstance(reply, dict) and not by_text:
        longest = int(reply.get("max_model_len") or about.get("max_model_len") or 0)
    where = Location(model, Path(), "", mark)
    made = Served(server, model, max(0, longest - more))
    return Base(where, made, tokens, "server", "served"), ServedScorer(server, PATH, way)


def _echo(server: Server, model: str, by_text: bool, probe: Sequence[int]) -> tuple[Way, int]:
    """Return how log-likelihoods are asked for, and the tokens that have to be written for them."""
    try:
        way = Echo(server, model, by_text, probe)
    except ConfigError as error:
        emit("decision", text=f"{server.address}: writes, and gives no log-likelihoods")
        return NoWay(error), 0
    how = "texts, cut where tokens begin" if by_text else "its own token ids"
    emit("decision", text=f"{server.address}: echo of {how}")
    return way, way.more


def _model(server: Server, name: str) -> dict[str, Any]:
    """Return what the server says of its model; the only one where none is named."""
    said = server.look("GET", "/v1/models").body
    listed = said.get("data") if isinstance(said, dict) else None
    found = [one for one in listed or [] if isinstance(one, dict) and one.get("id")]
    if not found and name:
        return {"id": name}
    mine = [one for one in found if name in (one["id"], *(one.get("aliases") or ()))]
    if not name and len(found) == 1:
        mine = found
    if len(mine) != 1:
        known = ", ".join(str(one["id"]) for one in found[:8])
        raise ConfigError(
            f"{server.address} has no model {name}" if name else f"{server.address} has several",
            f"--model one of: {known}" if known else "name the model: --model NAME",
        )
    return mine[0]


def _hash(server: Server, about: dict[str, Any], said: dict[str, Any]) -> str:
    """Return the hash of what is lasting in what a server says of its model and of itself."""
    of_model = [about.get(name) for name in LASTING]
    return table.hash_of(server.address, of_model, [said.get(name) for name in LASTING_HERE])

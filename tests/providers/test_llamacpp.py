"""The client against a server that nobody here wrote: llama.cpp's, with a real tiny model."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bactrian import languages
from bactrian.errors import ProviderError
from bactrian.ledger import Entry, Ledger
from bactrian.providers import Price, Request, Told
from bactrian.providers.chat import OpenAIChat
from bactrian.providers.fill import Filled, fill
from bactrian.providers.terms import Terms
from bactrian.recipe import Respond
from bactrian.schema import Instruction

pytest.importorskip("xllamacpp", reason="needs xllamacpp: llama.cpp's server from PyPI")
MODEL = Path(__file__).parents[3] / "shared/data/models/stories260K/stories260K-f32.gguf"
pytestmark = pytest.mark.skipif(
    not MODEL.is_file(), reason="needs ../shared/data: the model stories260K"
)
SERVER = """
import sys, xllamacpp as llama
params = llama.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx, params.n_parallel, params.warmup = 4096, 8, False
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
params.hostnames, params.port, params.n_gpu_layers = ["127.0.0.1"], 0, 0
params.endpoint_metrics = False
server = llama.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The server in a process of its own; it ends when its standard input does."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(MODEL)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    line = ""
    while not line.startswith("http"):
        line = process.stdout.readline()
        assert line, "the server ended before it listened"
    yield line.strip()
    process.kill()
    process.communicate()


def model(address: str, **told: object) -> OpenAIChat:
    section = Respond.model_validate(
        {
            "model": "stories260K",
            "endpoints": [f"{address}/v1"],
            "temperature": 0.0,
            "max_tokens": 24,
            "timeout": 60,
            **told,
        }
    )
    return OpenAIChat(Told(section, Path(), Price(1.0, 2.0)))


def asked(provider: OpenAIChat, path: Path, texts: list[str]) -> tuple[Filled, list[Entry]]:
    english = languages.get("en")

    def requests() -> Iterator[Request]:
        for number, text in enumerate(texts):
            yield provider.request(Instruction(f"x-{number}", "en", text), english)

    with Ledger(path) as ledger:
        done = fill(
            ledger, requests(), provider, "response", terms=Terms(concurrency=8), task="stories"
        )
        return done, list(ledger.entries())


def test_answers_are_read_and_counted(address: str, tmp_path: Path) -> None:
    texts = ["Once upon a time", "The big dog", "តើអ្នកសុខសប្បាយទេ", "اكتب قصيدة عن الجمل", "🐪"]
    done, entries = asked(model(address), tmp_path / "en.sqlite", texts)
    assert (done.answered, done.failed) == (5, 0)
    assert all(entry.output.strip() for entry in entries)
    assert all(entry.finish in ("stop", "length") for entry in entries)
    assert all(0 < entry.tokens_out <= 24 and entry.tokens_in > 0 for entry in entries)
    for entry in entries:
        assert entry.cost_usd == pytest.approx((entry.tokens_in + 2 * entry.tokens_out) / 1e6)
        assert entry.provider_id


def test_a_second_run_asks_for_nothing(address: str, tmp_path: Path) -> None:
    texts = [f"A story about number {number}" for number in range(20)]
    first, entries = asked(model(address), tmp_path / "en.sqlite", texts)
    again, same = asked(model(address), tmp_path / "en.sqlite", texts)
    assert (first.answered, again.answered, again.need.present) == (20, 0, 20)
    assert same == entries


def test_greedy_answers_do_not_depend_on_what_else_is_in_flight(
    address: str, tmp_path: Path
) -> None:
    texts = [f"Lily saw {number} birds" for number in range(16)]
    _, together = asked(model(address), tmp_path / "a.sqlite", texts)
    alone = [asked(model(address), tmp_path / "b.sqlite", [text])[1][-1] for text in texts]
    told = {entry.key: entry.output for entry in together}
    same = sum(told[entry.key] == entry.output for entry in alone)
    # a batch adds in another order, so that a near tie may fall otherwise
    assert same >= 14


def test_a_text_that_is_too_long_fails_alone(address: str, tmp_path: Path) -> None:
    done, _ = asked(model(address), tmp_path / "en.sqlite", ["word " * 5000, "Once upon a time"])
    assert (done.answered, done.failed) == (1, 1)
    with Ledger(tmp_path / "en.sqlite", read_only=True) as ledger:
        (why,) = ledger.failures().values()
    assert "400" in why


def test_a_server_that_is_not_there_is_said(tmp_path: Path) -> None:
    gone = model("http://127.0.0.1:9")
    with pytest.raises(ProviderError, match="cannot be reached"):
        asked(gone, tmp_path / "en.sqlite", [f"text {number}" for number in range(20)])

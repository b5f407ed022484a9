"""Killed with -9 at every point, and told the same again: nothing paid twice, nothing lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bactrian.ledger.batches import unfinished
from bactrian.providers.batches import Options

OPTIONS = Options(interval=0.02, settle=0.2, requests=3)
ROWS = range(7)
EVERY = 1 if os.environ.get("BACTRIAN_ALL_FAULTS") else 4
"""Of the points to be killed at, every fourth in the suite, all with `make faults`."""
QUESTION = "តើ {} ជាអ្វី?"
SCRIPT = """
import os, signal, sys
from pathlib import Path
from bactrian.events import reading
from bactrian.ledger import Ledger
from bactrian.ledger.batches import Batches
from bactrian.providers import Price, Told
from bactrian.providers.anthropic import AnthropicChat
from bactrian.providers.batches import Options
from bactrian.providers.batches.fill import fill_by_batch
from bactrian.providers.batches.wire import Wire
from bactrian.providers.chat import OpenAIChat
from bactrian.providers.terms import Terms
from bactrian.recipe import Respond

api, url, path, question = sys.argv[1:5]
rows, at = int(sys.argv[5]), int(sys.argv[6])
points = 0

def point(where):
    global points
    points += 1
    if points == at:
        print(where, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

def around(owner, name, told):
    inner = getattr(owner, name)
    if name == "once":
        async def wrapped(self, method, path, *args, **more):
            point(f"before {method} {path}")
            reply = await inner(self, method, path, *args, **more)
            point(f"after {method} {path}")
            return reply
    else:
        def wrapped(self, *args, **more):
            point(f"before {name} {args[1] if name == 'move' else ''}")
            found = inner(self, *args, **more)
            point(f"after {name} {args[1] if name == 'move' else ''}")
            return found
    setattr(owner, name, wrapped)

for name in ("begin", "want", "form", "move", "settle", "shut"):
    around(Batches, name, name)
around(Wire, "once", "once")

class Said:
    def see(self, event):
        if event.kind in ("note", "warning"):
            print(event.facts["text"], flush=True)

model = {"openai": "m", "anthropic": "claude-haiku-4-5"}[api]
section = Respond(using=api, model=model, endpoints=(url,), keys=("TEST_KEY",))
chat = {"openai": OpenAIChat, "anthropic": AnthropicChat}[api](
    Told(section, Path("."), Price(1.0, 2.0)))
def request(number):
    said = [{"role": "user", "content": question.format(number)}]
    return {"model": "m", "max_tokens": 100, "messages": said}
with Ledger(Path(path)) as ledger, reading(Said()):
    done = fill_by_batch(ledger, map(request, range(rows)), chat, "response", terms=Terms(),
        task="t", options=Options(interval=0.02, settle=0.2, requests=3))
print("answered", done.answered, "of", done.need.missing, flush=True)
"""


def run(api: str, server: Any, path: Path, at: int = 0) -> subprocess.Popen[str]:
    """Start a run that is killed at a point; 0 for none."""
    told = [api, server.url, str(path), QUESTION, str(len(ROWS)), str(at)]
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *told],
        env={**os.environ, "TEST_KEY": "k-1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def expect_all(ask: Any, api: Any, server: Any, when: str) -> None:
    """Everything is there, everything was paid once, and nothing is left over."""
    keys = {ask.key(api, number) for number in ROWS}
    assert ask.entries().keys() == keys, f"lost when killed {when}"
    assert server.billed == dict.fromkeys(keys, 1), f"paid twice when killed {when}"
    assert unfinished(ask.path) == [], when


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_killed_between_any_two_steps(
    api: Any, ask: Any, server: Any, tmp_path: Path, part: int
) -> None:
    """The points: before and after every write to the ledger and every call to the provider."""
    killed = []
    at = 1 + part
    while True:
        # a ledger and a bill of their own for each point; one request fails the first time
        ask.path = tmp_path / f"{at}.sqlite"
        server.billed.clear()
        server.came.clear()
        server.result = lambda key, body, time: (
            "500" if key == ask.key(api, 4) and not time else "ok"
        )
        process = run(api, server, ask.path, at)
        said, _ = process.communicate(timeout=60)
        if process.returncode == 0:
            assert said.endswith("answered 7 of 7\n"), said
            expect_all(ask, api, server, "never")
            break
        assert process.returncode == -signal.SIGKILL, said
        where = said.splitlines()[-1]
        killed.append(where)
        done = ask(api, ROWS, options=OPTIONS)
        assert done.need.missing == done.answered, where
        expect_all(ask, api, server, where)
        at += 4 * EVERY
    assert len(killed) > 10 // EVERY, killed


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_killed_again_and_again(api: Any, ask: Any, server: Any, seed: int) -> None:
    chance = random.Random(seed)
    server.result = lambda key, body, time: "500" if time == 0 and int(key, 16) % 3 == 0 else "ok"
    kills: list[str] = []
    while len(kills) < 40:
        process = run(api, server, ask.path, chance.randint(4, 24))
        said, _ = process.communicate(timeout=60)
        if process.returncode == 0:
            break
        kills.append(said.splitlines()[-1])
    assert len(kills) > 4
    ask(api, ROWS, options=OPTIONS)
    expect_all(ask, api, server, f"{kills}")


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_batch_that_gets_there_after_the_kill(
    api: Any, ask: Any, server: Any, moment: str
) -> None:
    """The client dies while its request is on the way: before it is looked for, or after."""
    server.late = 0.5 if moment == "after" else 0.15
    process = run(api, server, ask.path)
    create = "messages/batches" if api == "anthropic" else "batches"
    until(lambda: ("POST", create) in server.asked)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    (batch,) = unfinished(ask.path)
    assert (batch.state, batch.remote) == ("sending", "")
    patient = Options(interval=0.02, settle=0.2 if api == "openai" else 1.0, requests=3)
    done = ask(api, ROWS, options=patient)
    assert done.answered == 7
    expect_all(ask, api, server, "while it was made")


def test_an_openai_batch_that_comes_too_late_cannot_begin(ask: Any, server: Any) -> None:
    """It was looked for, not found, and its file deleted; the request gets there only then."""
    server.late = 2.5
    process = run("openai", server, ask.path)
    until(lambda: ("POST", "batches") in server.asked)
    server.late = 0.0
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert ask("openai", ROWS, options=OPTIONS).answered == 7
    until(lambda: any(batch.status == "failed" for batch in server.batches))
    expect_all(ask, "openai", server, "while it was made")


def until(true: Any, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# -- a batch that may or may not have been made ---------------------------------------------


def in_doubt(ask: Any, api: Any, server: Any, *, made: bool) -> None:
    """Leave a ledger as a crash does between the request and the note of its id."""
    at = {("openai", True): "after POST /batches", ("openai", False): "before POST /batches"}
    where = at.get((api, made)) or f"{'after' if made else 'before'} POST /messages/batches"
    for point in range(1, 60):
        process = run(api, server, ask.path, point)
        said, _ = process.communicate(timeout=60)
        if said.splitlines()[-1] == where:
            break
        for name in ask.path.parent.glob(f"{ask.path.name}*"):
            name.unlink()
        server.batches.clear()
    (batch,) = unfinished(ask.path)
    assert batch.state == "sending"


def test_an_anthropic_batch_in_doubt_is_told_from_a_stranger_s_of_the_same_size(
    ask: Any, server: Any
) -> None:
    in_doubt(ask, "anthropic", server, made=True)
    ours = server.batches[0]
    stranger = [(f"stranger {number}", ask.request("anthropic", 50)) for number in range(3)]
    server.make(stranger)
    ours.seconds, server.seconds = 0.6, 0.05
    assert ask("anthropic", ROWS, options=OPTIONS).answered == 7
    assert server.paid_twice == 0
    assert len(server.billed) == 10, "three of them are the stranger's"


def test_an_anthropic_batch_that_was_not_made_waits_for_a_stranger_s_to_end(
    ask: Any, server: Any
) -> None:
    """It might be ours: until its results can be read, nothing is sent."""
    in_doubt(ask, "anthropic", server, made=False)
    server.seconds = 0.7
    server.make([(f"stranger {number}", ask.request("anthropic", 50)) for number in range(3)])
    server.seconds = 0.05
    begun = time.monotonic()
    assert ask("anthropic", range(3), options=OPTIONS).answered == 3
    assert time.monotonic() - begun > 0.5
    assert server.paid_twice == 0


def test_a_batch_that_was_not_made_is_sent_after_a_while(api: Any, ask: Any, server: Any) -> None:
    in_doubt(ask, api, server, made=False)
    for number in range(5):  # others, beyond the first page of the list
        server.make([(f"other {number}", ask.request(api, 50))], {"bactrian": "another"})
    assert ask(api, ROWS, options=OPTIONS).answered == 7
    assert server.paid_twice == 0


# -- Ctrl-C -------------------------------------------------------------------------------


def test_ctrl_c_leaves_the_batches_and_the_same_command_collects_them(
    api: Any, ask: Any, server: Any
) -> None:
    server.seconds = 3.0
    process = run(api, server, ask.path)
    until(lambda: len(server.batches) == 1)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=20)
    assert "the same command collects them" in said and "KeyboardInterrupt" in said
    batches = unfinished(ask.path)
    assert {"sent"} <= {batch.state for batch in batches} <= {"sent", "submitting"}
    server.seconds = 0.05
    for batch in server.batches:
        batch.seconds = 0.0
    assert ask(api, ROWS, options=OPTIONS).answered == 7
    expect_all(ask, api, server, "with Ctrl-C")


def test_ctrl_c_while_a_batch_is_made_waits_for_its_id(api: Any, ask: Any, server: Any) -> None:
    server.late = 0.5
    process = run(api, server, ask.path)
    create = "messages/batches" if api == "anthropic" else "batches"
    until(lambda: ("POST", create) in server.asked)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    (batch,) = unfinished(ask.path)
    assert (batch.state, batch.remote) == ("sent", server.batches[0].id)

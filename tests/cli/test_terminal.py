"""What a person sees: lines in a pipe, bars in a real pseudo-terminal."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from bactrian.cli.losses import columns
from bactrian.cli.terminal import Plain, pace, progress_line
from bactrian.events import Event

SCRIPT = """
from bactrian.cli.terminal import reader
from bactrian.events import Event
from bactrian.languages import parse
codes = [one.code for one in parse("all")]
with reader() as seen:
    seen.see(Event("progress", {"task": "adapters", "done": 3, "total": 52}))
    facts = {"task": "train " + "+".join(codes), "done": 120, "total": 1200}
    more = {"tokens_per_second": 12034.4, "seconds_left": 3900.0}
    seen.see(Event("progress", facts | more))
    losses = {f"loss_{code}": 1 + place / 50 for place, code in enumerate(codes)}
    seen.see(Event("metric", {"step": 120, "loss": 1.5, **losses}))
    held = {name.replace("loss", "validation"): loss for name, loss in losses.items()}
    seen.see(Event("metric", {"step": 100, **held}))
    seen.live.refresh()
    seen.see(Event("warning", {"text": "a word above [the] bars"}))
"""
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


def shown(width: int) -> list[str]:
    """Return the lines that a terminal of some width was sent, all frames in a row."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    given = {**os.environ, "TERM": "xterm-256color"}
    given = {key: value for key, value in given.items() if key not in ("COLUMNS", "NO_COLOR")}
    command = [sys.executable, "-c", SCRIPT]
    with subprocess.Popen(
        command, env=given, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        said = b""
        while True:
            try:
                part = os.read(ours, 1 << 16)
            except OSError:  # the other side is closed
                break
            if not part:
                break
            said += part
    os.close(ours)
    assert process.returncode == 0, said.decode()
    # where a frame is drawn over the one before, a line begins anew
    text = re.sub(r"\x1b\[\d*A", "\n", said.decode())
    return [CONTROL.sub("", line) for line in text.split("\n")]


@pytest.mark.parametrize("width", [80, 120])
def test_the_panel_fits_its_terminal(width: int) -> None:
    lines = shown(width)
    assert max(columns(line) for line in lines) <= width
    whole = "\n".join(lines)
    assert "3/52" in whole
    assert "120/1200 12,034 tokens/s  1 h 05 min left" in whole
    assert "warning: a word above [the] bars" in whole
    loss = next(line for line in lines if "step 120  loss 1.500  best af 1.000" in line)
    assert "worst zh 2.020" in loss
    assert any("step 100  validation 1.510  best af" in line for line in lines)


def test_a_pipe_is_told_every_few_seconds() -> None:
    stream = io.StringIO()
    plain = Plain(stream, every=0.0)
    facts = {"task": "train zh", "done": 2, "total": 10}
    plain.see(Event("progress", {**facts, "tokens_per_second": 950.4, "seconds_left": 61.0}))
    plain.see(Event("metric", {"step": 2, "loss": 1.0, "loss_zh": 1.0}))
    assert stream.getvalue().splitlines() == [
        "  train zh  2/10  950 tokens/s  1 min 01 s left",
        "  step 2  loss 1.000",
    ]


def test_losses_are_not_crowded_out_by_progress() -> None:
    stream = io.StringIO()
    plain = Plain(stream, every=1000.0)
    plain.see(Event("progress", {"task": "train zh", "done": 1, "total": 10}))
    for step in (1, 2):
        plain.see(Event("metric", {"step": step, "loss": 1.0}))
    assert stream.getvalue().splitlines() == ["  step 1  loss 1.000"]


def test_the_pace_of_what_tells_none_is_counted() -> None:
    assert pace({"done": 30, "total": 90}, 20, 10.0) == ["2.0/s", "30 s left"]
    assert pace({"done": 3, "total": 5}, 2, 7200.0) == ["1 h 00 min each", "2 h 00 min left"]
    assert pace({"done": 3, "total": None}, 0, 1.0) == []
    assert progress_line({"task": "t", "done": 1, "total": None}, 0, 0.0) == "t  1/?"

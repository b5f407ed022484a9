"""The longest loop of a text, in scripts with spaces and without."""

from __future__ import annotations

from bactrian.written.loops import NO_LOOP, longest_loop


def test_a_loop_is_measured_whatever_the_script() -> None:
    found = longest_loop("ក ខ " * 10)
    assert (found.first, found.times, found.length) == ("ក", 10.0, 20)
    assert longest_loop("都市" * 10).share == 1.0


def test_prose_has_none() -> None:
    assert longest_loop("东京是日本的首都也是最大的城市") == NO_LOOP

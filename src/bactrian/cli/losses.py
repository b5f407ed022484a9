"""Losses of few or of 52 languages in a line that can be read. Knows no terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

WIDTH = 100
"""Columns of a line where nobody says how many there are."""
AT_MOST = 5
"""Of the best, and of the worst, that are named."""
KINDS = ("loss", "validation")


def lines(facts: Mapping[str, float], width: int = WIDTH) -> list[str]:
    """Return a line for each kind of loss in the facts of a metric, with its step."""
    found = []
    for kind in KINDS:
        of_each = {
            name.removeprefix(f"{kind}_"): loss
            for name, loss in facts.items()
            if name.startswith(f"{kind}_")
        }
        if not of_each and kind not in facts:
            continue
        of_all = facts[kind] if kind in facts else _mean(_named(of_each))
        begin = f"step {facts['step']}  {kind} {of_all:.3f}"
        found.append(f"{begin}{_each(of_each, width - len(begin) - 2)}")
    return found


def in_a_line(losses: Mapping[str, float], width: int = WIDTH // 2) -> str:
    """Return the losses of languages: all, or the mean and the best and worst of them."""
    if all_of_them := _all(losses, width):
        return all_of_them
    return f"{_mean(losses):.3f}{_each(losses, width)}"


def _each(losses: Mapping[str, float], width: int) -> str:
    named = _named(losses)
    if len(named) < 2 and named.keys() == losses.keys():
        return ""  # one language: its loss is that of all
    if all_of_them := _all(named, width):
        return f"  {all_of_them}"
    order = sorted(named.items(), key=lambda one: one[1])
    for count in range(min(AT_MOST, len(order) // 2), 0, -1):
        line = f"best {_told(order[:count])}  worst {_told(order[: -count - 1 : -1])}"
        if columns(line) <= width:
            return f"  {line}"
    return ""


def _named(losses: Mapping[str, float]) -> Mapping[str, float]:
    """Return the losses of adapters where there are several of them, else those of languages."""
    of_adapters = {name: loss for name, loss in losses.items() if "/" not in name}
    return of_adapters or losses


def _all(losses: Mapping[str, float], width: int) -> str:
    line = _told(list(losses.items()))
    return line if columns(line) <= width else ""


def _told(losses: Sequence[tuple[str, float]]) -> str:
    return "  ".join(f"{name} {loss:.3f}" for name, loss in losses)


def _mean(losses: Mapping[str, float]) -> float:
    return sum(losses.values()) / len(losses)


def columns(text: str) -> int:
    """Return how many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)

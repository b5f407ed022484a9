"""Single questions and the spread of answers as HTML, in as few bytes as thousands allow."""

from __future__ import annotations

import math
from html import escape

from bactrian.evaluate.report.blocks import Bars, Items, Share
from bactrian.evaluate.report.content import LanguageLabel
from bactrian.evaluate.report.evidence import Evidence, Question
from bactrian.evaluate.report.excerpt import excerpt
from bactrian.evaluate.report.reading_direction import direction

RIGHT = "✓"


def items(block: Items, label: LanguageLabel) -> str:
    """Return the questions of one task in one language, closed until a reader opens them."""
    one = block.evidence
    shown = one.worst[: block.shown]
    said = summary(one, len(shown))
    rows = "".join(_question(one, question, label) for question in shown)
    name = escape(label.name)
    return (
        f'<details class="drill"><summary>{name} <span class="small">{escape(said)}</span>'
        f'</summary><ol class="items" lang="{escape(label.id)}" dir="{label.direction}">'
        f"{rows}</ol></details>"
    )


def summary(one: Evidence, shown: int) -> str:
    """Return what a list of questions is: how many of how many, and whose."""
    how = "smallest margins" if one.choice else "most bits per byte"
    return f"{shown} of {one.items:,}, {how} of {one.focus}"


def margins(one: Evidence, question: Question) -> str:
    """Return each model's number on a question, with its sign and unit."""
    unit = "nats" if one.choice else "bits per byte"
    pairs = zip(one.models, question.values, strict=True)
    return " · ".join(f"{model} {number(value, one.choice)}" for model, value in pairs) + f" {unit}"


def number(value: float, sign: bool) -> str:
    """Return a margin or a cost with two decimals and a true minus."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞"
    text = f"{abs(value):.2f}"
    return ("−" if value < 0 else "+" if sign else "") + text


def _question(one: Evidence, question: Question, label: LanguageLabel) -> str:
    # the name that a reader can look up, then what was asked, the options, the numbers
    context = _text("p", excerpt(question.context, "start"), label) if question.context else ""
    options = "".join(_option(one, question, at, label) for at in range(len(question.options)))
    kind = "ul" if one.choice else "div"
    return (
        f"<li>{context}<{kind}>{options}</{kind}>"
        f'<small dir="ltr"><bdi>{escape(question.id)}</bdi> · {escape(margins(one, question))}'
        "</small></li>"
    )


def _option(one: Evidence, question: Question, at: int, label: LanguageLabel) -> str:
    text = excerpt(question.options[at].strip(), "end")
    if not one.choice:
        return _text("p", text, label)
    by = [model for model, picked in zip(one.models, question.picked, strict=True) if picked == at]
    who = f' <i dir="ltr">{escape(", ".join(by))}</i>' if by else ""
    mark = ' class="r"' if at == question.gold else ""
    way = direction(text, label.direction)
    turned = f' dir="{way}"' if way != label.direction else ""
    return f"<li{mark}{turned}><bdi>{escape(text)}</bdi>{who}</li>"


def _text(tag: str, text: str, label: LanguageLabel) -> str:
    way = direction(text, label.direction)
    turned = f' dir="{way}"' if way != label.direction else ""
    return f"<{tag}{turned}>{escape(text)}</{tag}>"


def bars(block: Bars, label: LanguageLabel) -> str:
    """Return a bar for the right answers and one for each model, parted by label."""
    rows = "\n".join(_bar(block, share) for share in block.shares)
    key = "".join(
        f'<li class="l{at % 6}"><bdi lang="{escape(label.id)}">{escape(name)}</bdi></li>'
        for at, name in enumerate(block.labels)
    )
    note = f"<p>{escape(block.note)}</p>" if block.note else ""
    return (
        f'<figure class="bars"><h3>{escape(block.caption)}</h3><ul class="key">{key}</ul>'
        f"<dl>\n{rows}\n</dl>{note}</figure>"
    )


def _bar(block: Bars, share: Share) -> str:
    total = sum(share.counts) or 1
    parts = "".join(
        f'<span class="l{at % 6}" style="flex-grow:{count}"{_said(name, count, total)}>'
        f"{_percent(count, total)}</span>"
        for at, (name, count) in enumerate(zip(block.labels, share.counts, strict=True))
        if count
    )
    kind = ' class="gold"' if share.key else ""
    return f'<dt{kind}>{escape(share.who)}</dt><dd dir="ltr">{parts}</dd>'


def _said(name: str, count: int, total: int) -> str:
    return f' title="{escape(name)}: {count:,} of {total:,}"'


def _percent(count: int, total: int) -> str:
    share = 100 * count / total
    return f"{share:.0f}" if share >= 6 else ""

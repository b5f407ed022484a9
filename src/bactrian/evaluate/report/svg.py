"""What becomes of matplotlib's SVG: colours that follow the page, ids that may stand beside others.

Colours are placeholders while matplotlib draws and become CSS variables here, so that one drawing
reads well on a light and on a dark page. Knows nothing of what is drawn.
"""

from __future__ import annotations

import re
from html import escape

from bactrian.text import first_graphemes, grapheme_count

INK, MUTED, LINE, PAPER = "#010101", "#020202", "#030303", "#040404"
SERIES = ("#050501", "#050502", "#050503", "#050504", "#050505", "#050506")
CSS = {INK: "currentColor", MUTED: "var(--muted)", LINE: "var(--line)", PAPER: "var(--paper)"} | {
    colour: f"var(--series-{number})" for number, colour in enumerate(SERIES, start=1)
}
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"
LIGHT = (
    "color:#1c2126;--muted:#626a72;--line:#e3e1da;--paper:#fdfcfa;--series-1:#0067a8;"
    "--series-2:#c04a00;--series-3:#00795a;--series-4:#a8497f;--series-5:#7a6200;--series-6:#3f51b5"
)
DARK = (
    "color:#e7e6e2;--muted:#9da5ad;--line:#32383e;--paper:#14171a;--series-1:#62b5ee;"
    "--series-2:#f3935a;--series-3:#45c79c;--series-4:#e49cc6;--series-5:#dcbf4a;--series-6:#a5b0f5"
)
"""Okabe and Ito's order of hues, each made to stand out by 4.5 to 1 from its page."""


def shortened(name: str, room: int) -> str:
    """Return a name of at most ``room`` characters as a reader counts them, its end as ``…``."""
    return name if grapheme_count(name) <= room else f"{first_graphemes(name, room - 1)}…"


def _coloured(svg: str) -> str:
    body = svg[svg.index("<svg") :]
    for placeholder, css in CSS.items():
        body = body.replace(placeholder, css)
    body = re.sub(r"'DejaVu Sans'(, [^;\"]*)?", FONT, body)
    body = body.replace("xlink:href", "href")
    # matplotlib numbers its groups from 1 in every drawing: on one page they would be double
    return re.sub(r'<g id="[^"]*"', "<g", body)


def inline(svg: str, title: str) -> str:
    """Return the drawing for a page: no size of its own, no rules that reach beyond it."""
    body = re.sub(r"<style.*?</style>", "", _coloured(svg), flags=re.DOTALL)
    box = re.search(r'viewBox="[^"]*"', body)
    head = f'<svg {box[0] if box else ""} role="img" aria-label="{escape(title)}">'
    return re.sub(r"<svg[^>]*>", lambda _: head, body, count=1).strip()


def standalone(svg: str) -> str:
    """Return the drawing as a document that follows the reader's light or dark setting."""
    rules = (
        f"<style>svg{{{LIGHT};background:var(--paper)}}"
        f"@media (prefers-color-scheme:dark){{svg{{{DARK}}}}}</style>"
    )
    body = _coloured(svg)
    return re.sub(r"(<svg[^>]*>)", lambda head: head[0] + "\n" + rules, body, count=1)

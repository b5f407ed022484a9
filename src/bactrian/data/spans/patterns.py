"""Code, formulas, addresses, markup, placeholders and names, by their form alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from bactrian import text

if TYPE_CHECKING:
    from bactrian.data.spans.find import Found, Kind

FILLER = "\x1f"
"""Stands for what is hidden already; no pattern matches it and it ends every word."""
ANY = re.compile(r"""[0-9`~$\\<&{%@#_/=+*^;()\[\]"“„«「'‘]|\.[A-Za-z]""")
"""A text without any of these has no span."""

# -- code -------------------------------------------------------------------------------------

_MAYBE_CODE = re.compile(r"[`~;{}()=<>\[\]]|//|\bimport |SELECT ")
_WORDS = re.compile(r"(?<![\w.(\"'])[a-z]{2,}(?![\w.(\"'])")
_MEASURES = re.compile(
    r"\s*(?:(?:\d+[.)]|[-*•])\s+)?"
    r"[A-Za-z][A-Za-z ()']{2,30}\s*[=:]\s*[$€£]?[\d.,/]+\s?[A-Za-z°²³%/]*(?:\s\w+){0,2}\s*"
    r"(?:(?:,|;|and|&)\s*[A-Za-z][A-Za-z ()']{0,30}[=:]\s*[$€£]?[\d.,/]+\s?[A-Za-z°²³%/]*"
    r"(?:\s\w+)?\s*)*[.;,]?\s*"
)
_ARROW_LINE = re.compile(r"(?:->|=>|-->|[=:]).*")
_PROSE_LINE = 4
"""Small words that make a lone line with an arrow or an equals sign prose."""
_STRONG = re.compile(
    r"[;{}]\s*$|^\s*(?:def|class|import|from|return|print|var|let|const|SELECT|INSERT|UPDATE|"
    r"DELETE|CREATE|#include|//|#|<\?|@)|\w\(|==|&&|\|\||\+=|\[\w*\]|\[[\"'\d]|^[\s{}()\[\];,]*$"
)


def code(value: str) -> Iterator[Found]:
    """Yield fences, inline code, and lines that read as code; neighbouring lines are one span."""
    if not _MAYBE_CODE.search(value):
        return
    spans = [span for span in text.protected_spans(value) if span.kind == "code"]
    start = end = -1
    for span in spans:
        inside = value[span.start : span.end]
        if inside[0] in "$\\" or FILLER in inside:
            continue
        if start >= 0 and not value[end : span.start].strip():
            end = span.end
            continue
        if start >= 0 and _is_code(value[start:end]):
            yield start, end, "code"
        start, end = span.start, span.end
    if start >= 0 and _is_code(value[start:end]):
        yield start, end, "code"


def _is_code(block: str) -> bool:
    """One line of "width = 5 cm" or "3. Orange -> $2" is prose; a block is code."""
    if "\n" in block.strip() and _STRONG.search(block):
        return True
    if block.startswith(("`", "~~~")):
        return True
    lines = [line for line in block.splitlines() if line.strip()]
    if all(_MEASURES.fullmatch(line) for line in lines):
        return False
    if _STRONG.search(block):
        return True
    return len(_WORDS.findall(_ARROW_LINE.sub("", block))) < _PROSE_LINE and not re.match(
        r"\s*(?:\d+[.)]|[-*•])\s", block
    )


# -- what has a form of its own ---------------------------------------------------------------

_EXTENSIONS = (
    "docx?|txt|pdf|csv|tsv|xlsx?|pptx?|jpe?g|png|gif|svg|bmp|mp[34]|wav|avi|mov|py|ipynb|jsx?|tsx?|"
    "json|ya?ml|toml|xml|html?|css|sql|sh|bat|exe|zip|tar|gz|log|md|cpp|java|php|rb|ini|cfg|dll"
)
_TOP = "com|org|net|edu|gov|info|io|ai|uk|co|de|fr|es|it|ca|in|jp|ru|br|au|us|tv|app|dev"
_SURE_TOP = "com|org|net|edu|gov|info|io|ai|uk"
_ATTRIBUTE = r"""\s+[A-Za-z_:@][\w:.-]*\s*=\s*(?:"[^"<>\n]*"|'[^'<>\n]*'|[^\s"'<>]+)"""
_FORMS = re.compile(
    rf"""
      (?P<formula>  \$\$[^$]{{1,2000}}\$\$ | \\\([^\n]{{1,400}}?\\\) | \\\[.{{1,2000}}?\\\]
                  | \\begin\{{(?P<env>[A-Za-z]+\*?)\}}.{{0,4000}}?\\end\{{(?P=env)\}}
                  | (?<![\\$A-Za-z0-9])\$(?=[^\s$])(?:[^$\n\\]|\\.){{1,300}}(?<=[^\s\\])\$
                    (?![0-9A-Za-z]) )
    | (?P<url>      (?:https?|ftp)://[!#-&(-;=?-Z\]_a-z|~\[]+
                  | (?<![A-Za-z0-9@./_-])(?:www\.[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*
                  | (?:[A-Za-z0-9-]{{1,63}}\.){{1,4}}(?:{_SURE_TOP})(?![A-Za-z0-9_-]|\.[A-Za-z0-9]))
                    (?:[/?#][!#-&(-;=?-Z\]_a-z|~\[]*)? )
    | (?P<email>    (?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{{1,64}}@[A-Za-z0-9-]+
                    (?:\.[A-Za-z0-9-]+)*\.(?:{_TOP}|[A-Za-z]{{2,}})(?![A-Za-z0-9]) )
    | (?P<markup>   <!--.{{0,2000}}?--> | <[!?][A-Za-z][^<>\n]{{0,200}}>
                  | </?[A-Za-z][A-Za-z0-9:_-]{{0,30}}(?:{_ATTRIBUTE}){{0,12}}\s*/?>
                  | <[A-Za-z]+(?:[ _-][A-Za-z0-9]+){{1,2}}> | &(?:[a-zA-Z]{{2,8}}|\#\d{{1,6}}); )
    | (?P<placeholder>
                    \$?\{{\{{?\s?[A-Za-z_][A-Za-z0-9_.-]*(?:[ ][A-Za-z0-9_-]+){{0,2}}\s?\}}?\}}
                  | \$[A-Z_]{{2,}}\$ | (?<![A-Za-z0-9$])\$[A-Za-z_][A-Za-z0-9_]*
                  | %\(\w+\)[sdf] | %\d+\$[sd@] | (?<![0-9%])%(?:\.\d)?[sdf@](?![A-Za-z])
                  | (?<![A-Za-z0-9_])__[A-Z]+__ | _{{2,}}(?:[ ]?_{{2,}})* )
    | (?P<name>     (?<![A-Za-z0-9_])[A-Za-z]:\\[\w.\\-]* | (?<![A-Za-z0-9_/.:~])(?:~|\.{{1,2}})?
                    (?:/[A-Za-z0-9_.-]+){{2,}}/? | (?<![A-Za-z0-9_/])~/[A-Za-z0-9_./-]+
                  | (?<![A-Za-z0-9_.])[A-Za-z0-9]+(?:[_.-][A-Za-z0-9]+)*\.(?:{_EXTENSIONS})
                    (?![A-Za-z0-9])
                  | (?<![A-Za-z0-9_À-ɏ\u0300-\u036fḀ-ỿ])[A-Za-z0-9]+(?:_[A-Za-z0-9]+)+
                    (?![A-Za-z0-9À-ɏ\u0300-\u036fḀ-ỿ])
                  | (?<![A-Za-z0-9_])[A-Za-z_][A-Za-z0-9_.]*\(\)
                  | (?<![A-Za-z0-9_&@#/])
                    (?:\#[A-Za-z_]|@[A-Za-z_]+(?:\.(?=[a-z]))?)[A-Za-z0-9_]+
                  | \#[0-9A-Fa-f]{{6}}(?![0-9A-Za-z]) )
    """,
    re.VERBOSE | re.DOTALL,
)
_FORM_HINT = re.compile(r"[$\\:<&{%@#_/]|\.[A-Za-z]|\(\)")
_URL_TAIL = re.compile(r"[.,;:!?*\])|]+$")
_CLOSES = {")": "(", "]": "["}
_MONEY_INSIDE = re.compile(r"\$\s?\d[\d,.]*(?![\d,.]*\s*[\\^_*+=xyz-])")
_FORMULA_SIGN = re.compile(r"[\\^_=+*<>]|^\$[A-Za-z]\$$|^\$[-\d.,/\sA-Za-z()]{1,12}\$$")
_LONG_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{4,}")
_TEXT_COMMAND = re.compile(r"\\[A-Za-z]+(?:\{[A-Za-z ]*\})?")
_TAGS = """
    a abbr article aside audio b blockquote body br button canvas caption code col dd div dl dt
    em embed fieldset figure footer form frame h1 h2 h3 h4 h5 h6 head header hr html i iframe img
    input label legend li link main map mark meta nav ol option p pre q script section select small
    span strong style sub sup svg table tbody td textarea tfoot th thead title tr tt u ul video
    xml
"""
_TAG_NAMES = frozenset(_TAGS.split())


def marked(value: str) -> Iterator[Found]:
    """Yield formulas, addresses, markup, placeholders and names of files and variables."""
    if not _FORM_HINT.search(value):
        return
    place = 0
    while found := _FORMS.search(value, place):
        start, end = found.span()
        kind = cast("Kind", next(name for name in _KINDS if found[name] is not None))
        if kind == "url":
            end = start + _url_length(found[0])
        elif kind == "markup":
            kind = _tag_kind(found[0], value)
        elif kind == "formula" and not _is_formula(found[0]):
            place = start + 1
            continue
        yield start, end, kind
        place = max(end, start + 1)


_KINDS = ("formula", "url", "email", "markup", "placeholder", "name")


def _url_length(url: str) -> int:
    """Without the punctuation of the sentence; a closing bracket stays where one was opened."""
    while tail := _URL_TAIL.search(url):
        last = url[-1]
        if last in _CLOSES and url.count(last) <= url.count(_CLOSES[last]):
            break
        url = url[: max(tail.start(), len(url) - 1)]
    return len(url)


def _is_formula(found: str) -> bool:
    """``$5 and bananas for $`` is money, ``$x$`` and ``$5 \\times 3$`` are not."""
    if not found.startswith("$") or found.startswith("$$"):
        return True
    if not _FORMULA_SIGN.search(found):
        return False
    return not _LONG_WORD.search(_TEXT_COMMAND.sub("", found)) and not _MONEY_INSIDE.match(found)


def _tag_kind(found: str, value: str) -> Kind:
    """``<title>`` is markup; ``<insert name>`` and ``<mask>`` wait to be filled."""
    name = re.match(r"</?([A-Za-z][A-Za-z0-9:_-]*)", found)
    if not name or found.startswith("</") or "=" in found or found.endswith("/>"):
        return "markup"
    known = name[1].lower() in _TAG_NAMES or f"</{name[1]}>" in value
    return "markup" if known and " " not in found.strip("<>").strip() else "placeholder"

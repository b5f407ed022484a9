"""A prompt style of the user's own, told in a TOML file.

    name = "question"
    with_input = "Question: {instruction}\\n{input}\\nAnswer: "
    without_input = "Question: {instruction}\\nAnswer: "

{instruction} and {input} stand for the user's text; a brace of the template's own is written
twice; {output} may stand at the very end, where the answer follows anyway. What a user writes is
put in as it is, braces and all. Knows nothing of models.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from string import Formatter

from bactrian.errors import ConfigError, did_you_mean

KEYS = ("name", "with_input", "without_input")
PLACES = ("instruction", "input", "output")
NAME = re.compile(r"[^\W_](?:[\w .-]*[\w])?")
"""Letters and digits of any script, with spaces, dots, - and _ between them."""


@dataclass(frozen=True, slots=True)
class TemplateStyle:
    """Two texts with places in them."""

    name: str
    with_input: str
    without_input: str

    def render(self, instruction: str, input: str = "") -> str:
        """Return the template with the user's text in its places."""
        if input.strip():
            return _filled(self.with_input, {"instruction": instruction, "input": input})
        return _filled(self.without_input, {"instruction": instruction})


def read(path: Path) -> tuple[str, dict[str, str]]:
    """Return name and templates of a style's file.

    Raises ConfigError for a file that is absent or no TOML, keys that are unknown, missing or no
    text, a template without {instruction}, without {input} where there is one, with anything after
    {output}, with other placeholders, or with a single brace.
    """
    said = _toml(path)
    if unknown := sorted(said.keys() - set(KEYS)):
        raise ConfigError(f"{path}: unknown key {unknown[0]}", did_you_mean(unknown[0], KEYS))
    for key in KEYS:
        if not isinstance(said.get(key), str) or not str(said[key]).strip():
            raise ConfigError(f"{path}: {key} is missing", f'write {key} = "…", see docs/train.md')
    name = str(said["name"])
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"{path}: {name!r} cannot be the name of a style", "use letters, digits, - and _"
        )
    template = {key: str(said[key]) for key in KEYS[1:]}
    for key, text in template.items():
        _check(f"{path}: {key}", text, with_input=key == "with_input")
    return name, template


def fingerprint(template: Mapping[str, str]) -> str:
    """Return eight hex digits that other words change."""
    texts = "\0".join(template[key] for key in KEYS[1:])
    return hashlib.blake2b(texts.encode(), digest_size=4).hexdigest()


def _toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(
            f"the prompt style {path} does not exist", "name a TOML file, relative to the recipe"
        ) from None
    except IsADirectoryError:
        raise ConfigError(f"the prompt style {path} is a folder", "name a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} is not TOML: {error}", 'write name = "…", with_input and without_input'
        ) from None


def _check(where: str, text: str, *, with_input: bool) -> None:
    """Hold one template against the rules; ``where`` names it in what is raised."""
    try:
        pieces = _pieces(text)
    except ValueError:
        raise ConfigError(
            f"{where} has a brace without its other half",
            "write {{ and }} for braces that stand for themselves",
        ) from None
    places = [place for _, place in pieces if place is not None]
    for place in places:
        if place not in PLACES:
            raise ConfigError(
                f"{where} has an unknown placeholder {{{place}}}",
                "use {instruction} and {input}; write {{ and }} for braces of the text itself",
            )
    if "instruction" not in places:
        raise ConfigError(f"{where} has no {{instruction}}", "put it where the task stands")
    if with_input and "input" not in places:
        raise ConfigError(f"{where} has no {{input}}, so that inputs would be lost", "put it in")
    if not with_input and "input" in places:
        raise ConfigError(f"{where} has an {{input}}, which is empty there", "take it out")
    if places.count("output") > 1 or ("output" in places and pieces[-1][1] != "output"):
        raise ConfigError(
            f"{where} has text after {{output}}, where nothing can follow the answer",
            "end the template where the answer begins; EOS is added by itself",
        )


@lru_cache(maxsize=64)
def _pieces(text: str) -> tuple[tuple[str, str | None], ...]:
    """Return (literal text, the place after it) in order; a place keeps what was written of it.

    Raises ValueError for a brace without its other half.
    """
    pieces: list[tuple[str, str | None]] = []
    for literal, place, form, conversion in Formatter().parse(text):
        if place is not None:
            place += (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
        pieces.append((literal, place))
    return tuple(pieces)


def _filled(text: str, given: Mapping[str, str]) -> str:
    return "".join(literal + given.get(place or "", "") for literal, place in _pieces(text))

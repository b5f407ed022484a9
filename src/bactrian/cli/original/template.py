"""Prompt styles as alpaca-lora and Bactrian-X keep them: a JSON file a style.

``prompt_input`` and ``prompt_no_input`` hold {instruction} and {input}; ``response_split`` says
where the answer begins, which here is always the end. Such a file becomes a style's TOML.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from bactrian.errors import ConfigError, did_you_mean

NAMED = ("bactrian", "alpaca", "bactrian_seq2seq", "chat")
TEXTS = ("prompt_input", "prompt_no_input")


@dataclass(frozen=True, slots=True)
class Style:
    """What train.prompt is to be; with a file's text where it is to name that file."""

    prompt: str
    why: str
    text: str = ""
    """TOML of a style of the user's own."""


def style(name: str, folder: str, *, folder_named: bool) -> Style:
    """Return the style of a template's name: the JSON file of the folder, else a built-in one.

    The folder counts where it was named, or where no built-in style has the name. Raises
    ConfigError for a name that neither has, and for a file that is no template.
    """
    if name.endswith(".toml"):
        return Style(str(Path(name).expanduser().absolute()), "a style of your own")
    path = Path(folder).expanduser() / f"{name.removesuffix('.json')}.json"
    if not path.is_file() or (name in NAMED and not folder_named):
        if name in NAMED:
            return Style(name, "built in")
        raise ConfigError(
            f"--prompt_template_name {name}: there is no such style, and no {path}",
            f"{did_you_mean(name, NAMED)} --template_dir names the folder of your own".strip(),
        )
    texts = _texts(path)
    if (same := _built_in(texts)) is not None:
        return Style(same, f"{path} is the built-in style")
    called = f"{path.stem}-own" if path.stem in NAMED else path.stem
    return Style(f"{called}.toml", f"made of {path}", _toml(called, texts))


def _texts(path: Path) -> tuple[str, str]:
    try:
        told = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}", "mend the file there") from None
    if not isinstance(told, dict) or not all(isinstance(told.get(key), str) for key in TEXTS):
        raise ConfigError(f"{path} is no template", f"it has the texts {' and '.join(TEXTS)}")
    return told[TEXTS[0]], told[TEXTS[1]]


def _built_in(texts: tuple[str, str]) -> str | None:
    """Return the built-in style that says the very same."""
    from bactrian.models.prompts import SECTION_STYLES

    for name, one in SECTION_STYLES.items():
        if texts == (one.render("{instruction}", "{input}"), one.render("{instruction}")):
            return name
    return None


def _toml(name: str, texts: tuple[str, str]) -> str:
    import tomli_w

    return tomli_w.dumps({"name": name, "with_input": texts[0], "without_input": texts[1]})

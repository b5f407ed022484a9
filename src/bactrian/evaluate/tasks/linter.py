"""What can be wrong with the words of a task, before any model hears them.

A template in 52 languages is read by nobody in all of them; these are the faults that need no
reader: a placeholder lost, letters of another script, text that is not NFC, two equal labels.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping

from bactrian import text
from bactrian.errors import BactrianError, ConfigError, did_you_mean
from bactrian.evaluate.tasks.wording import MADE, PLACEHOLDER, Wording, placeholders
from bactrian.languages import every_language, get

AROUND = ("before", "after", "between", "colon", "space")
"""Words that are what stands between words: they may begin or end with a space, or be empty."""
LATIN = ("letters",)
"""Words that are Latin letters in every language."""
WIDE = {"Hans": "：", "Jpan": "："}
"""The colon of a script, where it is not the narrow one."""


def refuse(wording: Wording, where: str) -> None:
    """Raise ConfigError for the first fault, with the number of the others; ``where`` is a file."""
    found = problems(wording)
    if found:
        more = f"; {len(found) - 1} more like this" if len(found) > 1 else ""
        raise ConfigError(f"{where}: {found[0]}{more}", "see docs/evaluate.md, a task of one's own")


def problems(wording: Wording) -> tuple[str, ...]:
    """Return every fault of the wording, in the order of the file."""
    return tuple(_problems(wording))


def _problems(wording: Wording) -> Iterator[str]:
    if not wording.version.strip():
        yield "version is lacking"
    if not wording.templates:
        yield "there are no templates"
    if not wording.words:
        yield "there are no languages"
    yield from _templates(wording)
    yield from _letters(wording)
    for code in wording.words:
        if code not in {language.code for language in every_language()}:
            yield _unknown_language(code)
            continue
        yield from _words(wording, code)
        yield from _labels(wording, code)


def _templates(wording: Wording) -> Iterator[str]:
    """What is wrong with the templates whatever the language."""
    named: set[str] = set()
    own = {word for words in wording.own.values() for word in words}
    anywhere = {word for words in wording.words.values() for word in words}
    known = {*wording.fields, *anywhere, *MADE}
    for form, template in wording.templates.items():
        for part, told in (("context", template.context), ("option", template.option)):
            place = f"templates.{form}.{part}"
            names = placeholders(told)
            named.update(names)
            yield from (
                f"{place}: unknown placeholder {{{name}}}, {did_you_mean(name, known)}"
                for name in names
                if name not in known
            )
            yield from _written(place, told, "")
        if not {"option", "letter"} & set(placeholders(template.option)):
            yield f"templates.{form}.option has neither {{option}} nor {{letter}}"
        if form != "cloze" and "options" not in placeholders(template.context):
            yield f"templates.{form}.context does not show {{options}}"
        missing = [name for name in wording.fields if name not in placeholders(template.context)]
        yield from (f"templates.{form}.context has no {{{name}}}" for name in missing)
    unused = sorted(own - named - set(wording.used) - set(LATIN))
    yield from (f"the word {name} is in no template" for name in unused)


def _letters(wording: Wording) -> Iterator[str]:
    """Where a template has letters of its own that a language is not written in."""
    known = {language.code: language for language in every_language()}
    spoken = [known[code] for code in wording.words if code in known]
    for form, template in wording.templates.items():
        for part, told in (("context", template.context), ("option", template.option)):
            letters = PLACEHOLDER.sub("", told)
            for language in spoken:
                if text.script_share(letters, language.script) < 1:
                    yield (
                        f"templates.{form}.{part} has letters that {language.name} is not written "
                        "in: make them words of each language"
                    )
                    break


def _words(wording: Wording, code: str) -> Iterator[str]:
    """What is wrong with the words of one language."""
    words = wording.words[code]
    needed = {
        name
        for template in wording.templates.values()
        for name in (*placeholders(template.context), *placeholders(template.option))
        if name not in wording.fields and name not in MADE
    } | set(wording.used)
    anywhere = {word for known in wording.words.values() for word in known}
    for name in sorted(needed & anywhere):
        if name not in words:
            yield f"words.{code} has no {name}"
    script = get(code).script
    for name, told in words.items():
        place = f"words.{code}.{name}"
        if name in LATIN:
            if len(set(told)) != len(told):
                yield f"{place}: two letters are the same"
            continue
        yield from _written(place, told, script)
        if name == "colon" and told.strip() != WIDE.get(script, ":"):
            yield f"{place} is {told!r}, in {get(code).name} it is {WIDE.get(script, ':')!r}"
        if name not in AROUND and told != told.strip():
            yield f"{place} begins or ends with white space"
        if name not in AROUND and text.is_blank(told):
            yield f"{place} is empty"


def _labels(wording: Wording, code: str) -> Iterator[str]:
    """What is wrong with the labels of one language."""
    if not wording.labels:
        return
    labels = wording.labels.get(code, {})
    first = next(iter(wording.labels.values()))
    yield from (f"labels.{code} has no {name}" for name in first if name not in labels)
    yield from (f"labels.{code}.{name} is in no other language" for name in labels.keys() - first)
    if list(labels) != list(first) and labels.keys() == first.keys():
        yield f"labels.{code} are in another order than the first language's"
    seen: dict[str, str] = {}
    for name, told in labels.items():
        place = f"labels.{code}.{name}"
        yield from _written(place, told, get(code).script)
        if text.is_blank(told) or told != told.strip():
            yield f"{place} is empty or has white space around it"
        if (same := seen.setdefault(text.normalise(told), name)) != name:
            yield f"{place} is the same as {same}"


def _written(place: str, told: str, script: str) -> Iterator[str]:
    """What is wrong with how a text is written; no script is told for templates."""
    if not unicodedata.is_normalized("NFC", told):
        yield f"{place} is not NFC"
    if hidden := text.invisibles(told, script):
        yield f"{place} has invisible characters: {', '.join(hidden)}"
    if not script:
        return
    strange = {name: n for name, n in _scripts(told).items() if name not in text.scripts_in(script)}
    if strange:
        yield f"{place} has letters of {', '.join(strange)}, the language is written in {script}"


def _scripts(told: str) -> Mapping[str, int]:
    return text.script_counts(told)


def _unknown_language(code: str) -> str:
    try:
        return f"the language {code} is written {get(code).code} here"
    except BactrianError as error:
        return f"{error.problem}, {error.hint}"

"""The card of what is published, from what was measured and told; nothing is invented.

What is not known is not said, or said to be unknown. Knows no files and no network.
"""

from __future__ import annotations

from collections.abc import Iterator

from bactrian.markdown import code, fenced, isolated, size, table
from bactrian.publish.card.evaluation import evaluated
from bactrian.publish.card.front import front
from bactrian.publish.card.licences import NO_SALE, Licence
from bactrian.publish.card.own_card import LANGUAGES, SETTINGS
from bactrian.publish.card.subject import LanguageFacts, Subject
from bactrian.publish.card.use import portability, prompt, use
from bactrian.publish.folder.traces import elsewhere

LOSSES = (
    "Losses are nats a token, EOS counted: the last one reported in training, and on held-out "
    "rows before the first step → at the last measurement."
)


def card(subject: Subject) -> str:
    """Return the card as Markdown with the Hub's YAML front matter."""
    sections = "\n\n".join(f"## {head}\n\n{text}" for head, text in _sections(subject) if text)
    return f"{front(subject)}\n# {isolated(subject.name)}\n\n{_what(subject)}\n\n{sections}\n"


def licence_section(licence: Licence) -> str:
    """Return what each part demands, and what that means for the whole."""
    rows = [
        (part.what.replace("|", "\\|"), part.id, "; ".join(sorted(part.demands)) or "–")
        for part in licence.parts
    ]
    lines = [table(("what", "licence", "demands"), rows)] if rows else []
    lines.append(f"Passed on: {', '.join(map(code, licence.ids))}.")
    if licence.non_commercial:
        whose = ", ".join(part.what for part in licence.parts if NO_SALE in part.demands)
        lines.append(f"**Not for commercial use**: {whose} forbids it.")
    lines += licence.notes
    return "\n\n".join(lines)


def _sections(subject: Subject) -> Iterator[tuple[str, str]]:
    yield "Prompt", prompt(subject)
    yield "Use", use(subject)
    yield "Evaluation", _evaluation(subject)
    yield "Training", _training(subject)
    yield "Languages", _languages(subject.facts)
    yield "Data", _data(subject)
    yield "Export", _export(subject)
    yield "Licence", licence_section(subject.licence)
    yield "Portability", "\n".join(f"- {line}" for line in portability(subject))
    yield "Limits", "\n".join(f"- {line}" for line in _limits(subject))
    yield "Rebuild", _rebuild(subject)


def _what(subject: Subject) -> str:
    base = code(subject.base.id)
    names = ", ".join(
        f"{language.name} ({language.code}, {isolated(language.native)})"
        for language in subject.languages
    )
    whose = f" in {names}" if names else ""
    told = {
        "adapter": f"A LoRA adapter for {base}{whose}.",
        "merged": f"A LoRA of bactrian merged into {base}{whose}.",
        "whole": f"{base} with every weight trained in {names or 'languages that are not told'}.",
        "gguf": f"A LoRA of bactrian with {base} as GGUF{whose}.",
    }[subject.kind]
    at = f" at revision {code(subject.base.revision)}" if subject.base.revision else ""
    where = f"The base is {base}{at}"
    if subject.base.fingerprint:
        where += f", by its hash {code(subject.base.fingerprint)}"
    if subject.base.on_hub or subject.kind != "adapter":
        return f"{told}\n\n{where}."
    return (
        f"{told}\n\n{where}. That is no id of the Hub: who opens this has to have the base and to "
        "name it."
    )


def _evaluation(subject: Subject) -> str:
    if subject.evaluation is None:
        return "It was not evaluated, or the results are not at hand: nothing is claimed."
    return evaluated(subject.evaluation)


def _training(subject: Subject) -> str:
    rows = list(subject.settings)
    known = {name for name, _ in rows}
    if (shape := subject.shape) is not None and "variant" not in known:
        rows.append(("variant", shape.variant))
        rows.append(("rank, alpha, dropout", f"{shape.rank}, {shape.alpha:g}, {shape.dropout:g}"))
        rows.append(("targets", ", ".join(map(code, shape.targets))))
    if subject.parameters and "parameters" not in known:
        rows.append(("parameters", f"{subject.parameters:,} ({size(subject.bytes)})"))
    if subject.versions:
        told = ", ".join(f"{name} {version}" for name, version in subject.versions.items())
        rows.append(("versions", told))
    if subject.made_from:
        rows.append(("hash of data, recipe and base", code(subject.made_from)))
    return table(SETTINGS, dict(rows).items())


def _languages(facts: tuple[LanguageFacts, ...]) -> str:
    rows = [
        (
            one.code, one.rows, one.shortened, one.left_out, one.training, one.held_out,
            code(one.content) if one.content else "",
        )
        for one in facts
    ]  # fmt: skip
    return f"{table(LANGUAGES, rows)}\n\n{LOSSES}" if rows else ""


def _data(subject: Subject) -> str:
    data = subject.data
    lines = [f"- {isolated(line)}" for line in (*data.sources, *data.made_by)]
    if data.made_by:
        lines.append("- whoever translated and answered may have terms of their own")
    if data.changed:
        lines.append(
            f"- the rows of {', '.join(data.changed)} have changed since: the hashes above are "
            "those of the training"
        )
    return "\n".join(lines)


def _export(subject: Subject) -> str:
    told = subject.exported
    if told is None:
        return ""
    rows = [("kind", told.kind), ("method", told.method), ("dtype", told.dtype)]
    if told.command:
        rows.append(("made by", code(elsewhere(told.command))))
    rows += [
        (f"adapter {isolated(part.name)}", f"share {part.share:g}, {', '.join(part.languages)}")
        for part in told.parts
    ]
    rows += [
        (f"proof: {name.replace('_', ' ')}", _shown(value))
        for name, value in told.proof.items()
        if value not in ("", [], None)
    ]
    return table(("what", "value"), rows)


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(map(_shown, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|")


def _limits(subject: Subject) -> Iterator[str]:
    yield "What the data says, the model learns: translated instructions carry translation errors."
    if subject.languages:
        yield "In languages other than those named it was not trained, and nothing is claimed."
    if subject.evaluation is not None:
        yield from subject.evaluation.notes
        if worse := _worse(subject):
            yield f"It is worse than the base, beyond the noise, on {worse}."
    yield "It was not examined for safety."


def _worse(subject: Subject) -> str:
    found = subject.evaluation.found if subject.evaluation else ()
    return ", ".join(
        f"{one.score.task} {one.score.language}"
        for one in found
        if one.difference is not None and one.difference.clear and not one.difference.better
    )


def _rebuild(subject: Subject) -> str:
    if not subject.recipe:
        return ""
    version = subject.versions.get("bactrian", "")
    install = f"pip install bactrian{f'=={version}' if version else ''}"
    lines = [
        fenced(subject.recipe, "toml"),
        f"As `recipe.toml` in a folder with the dataset of these hashes under "
        f"{code('datasets/' + _name(subject))}:",
        fenced(f"{install}\nbactrian train .", "sh"),
    ]
    if subject.made_from:
        lines.append(
            f"The same data, recipe and base give {code(subject.made_from)} in `bactrian.json`."
        )
    return "\n\n".join(lines)


def _name(subject: Subject) -> str:
    first = subject.recipe.partition("\n")[0]
    return first.partition("=")[2].strip().strip('"') if first.startswith("name") else "NAME"

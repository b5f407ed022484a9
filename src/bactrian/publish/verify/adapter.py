"""An adapter's folder, PEFT's: configuration, tensors, base, prompt, and who else opens it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bactrian.errors import BactrianError
from bactrian.models import prompts, templates
from bactrian.models.adapter_checks import place_of
from bactrian.models.adapters import WEIGHTS, AdapterFacts, facts_of
from bactrian.publish import portability
from bactrian.publish.verify import base as bases
from bactrian.publish.verify import beside, lora, peft_config
from bactrian.publish.verify.base import Known
from bactrian.publish.verify.finding import Damaged, Finding, Report, fault, note, ok, some
from bactrian.publish.verify.header import Entry, read_header
from bactrian.publish.verify.read import read_object
from bactrian.publish.verify.values import look

CONFIG, FACTS = "adapter_config.json", "bactrian.json"
TEMPLATE = set(templates.KEYS[1:])
"""What is kept of a prompt style of the user's own."""


def check(folder: Path, *, base: str = "", network: bool = False) -> Report:
    """Return all that is found in an adapter's folder; ``base`` in place of the one it names."""
    findings: list[Finding] = []
    config = _config(folder, findings)
    facts = _facts(folder, findings)
    entries = _entries(folder, findings)
    findings += beside.check(folder, weights=entries is not None)
    if config is None:
        return Report(folder, "adapter", tuple(findings))
    if not peft_config.is_lora(config):
        findings += _of_another_kind(config, entries)
        return Report(folder, "adapter, not of LoRA", tuple(findings))
    if entries is not None:
        findings += lora.check(config, entries, look(entries))
    known, said = bases.find(base or _base_of(facts, config), named=bool(base), network=network)
    findings += said
    if known is not None and entries is not None:
        findings += bases.check(known, facts, lora.pairs_of(entries))
    findings += _tokens(folder, config, known)
    findings += _prompt(facts)
    if not any(one.level == "fault" for one in findings):
        findings.append(ok(f"PEFT{_version()}: opens it as it is"))
    if entries is not None:
        findings += _programs(config, entries, known.family if known else "", folder)
    return Report(folder, "LoRA adapter", tuple(findings))


def _config(folder: Path, findings: list[Finding]) -> dict[str, Any] | None:
    try:
        told = read_object(folder / CONFIG)
    except Damaged as damaged:
        findings.append(damaged.finding)
        return None
    config, wrong = peft_config.sound(told)
    findings += wrong
    if peft_config.is_lora(config):
        findings += peft_config.check(config)
    return config


def _facts(folder: Path, findings: list[Finding]) -> AdapterFacts | None:
    try:
        if (folder / FACTS).is_file():
            read_object(folder / FACTS)
        facts = facts_of(folder)
    except Damaged as damaged:
        findings.append(damaged.finding)
        return None
    except BactrianError as error:
        findings.append(fault(error.problem, error.hint))
        return None
    if facts is None or _sound(facts):
        return facts
    findings.append(fault(f"{FACTS} is not what bactrian wrote", "fetch or train it again"))
    return None


def _sound(facts: AdapterFacts) -> bool:
    """Whether what a stranger's file says is of the kinds that it has to be."""
    template = facts.template
    words = list(template.values()) if isinstance(template, dict) else []
    texts = (facts.name, facts.prompt, facts.base, facts.base_revision, facts.base_fingerprint)
    return all(isinstance(one, str) for one in (*texts, *facts.languages, *words)) and (
        template is None or (isinstance(template, dict) and set(template) == TEMPLATE)
    )


def _entries(folder: Path, findings: list[Finding]) -> dict[str, Entry] | None:
    """Return the tensors by name; None where there are none to look at."""
    path = folder / WEIGHTS
    if not path.is_file():
        if not (folder / beside.ADAPTER_PICKLE).is_file():
            findings.append(fault(f"it has no {WEIGHTS}", "fetch or train the adapter again"))
        return None
    try:
        return read_header(path)
    except Damaged as damaged:
        findings.append(damaged.finding)
        return None


def _base_of(facts: AdapterFacts | None, config: Mapping[str, Any]) -> str:
    return facts.base if facts else str(config.get("base_model_name_or_path") or "")


def _of_another_kind(
    config: Mapping[str, Any], entries: Mapping[str, Entry] | None
) -> Iterator[Finding]:
    yield note(
        f"it is {config.get('peft_type')}, and only LoRA is known here in full",
        "PEFT opens it; other programs may know plain LoRA only",
    )
    broken = [name for name, one in look(entries or {}).items() if not one.finite]
    if broken:
        yield fault(
            f"values that are not finite: {some(broken, 1)}", "train again with a lower rate"
        )


def _tokens(folder: Path, config: Mapping[str, Any], known: Known | None) -> Iterator[Finding]:
    """Yield what there is to say of added tokens, and of a head that the base ties."""
    whole = {name.rpartition(".")[2] for name in config.get("modules_to_save") or ()}
    carried = whole & {"embed_tokens", "word_embeddings", "wte"}
    if known is None:
        return
    if not carried:
        yield from beside.check_tokens(folder, bases.vocabulary(known))
    ends = carried | (whole & {"lm_head", "embed_out"})
    if len(ends) == 1 and bases.tied(known) and not config.get("ensure_weight_tying"):
        kept = ends.pop()
        yield note(
            f"it keeps a {kept} of its own, and {known.location.id} has one matrix for embedding "
            "and head: a program that ties them again loses one of the two",
            "merge it, which writes both: bactrian export merged; or train with "
            "ensure_weight_tying=True",
        )


def _prompt(facts: AdapterFacts | None) -> Iterator[Finding]:
    if facts is None:
        yield note(
            "nothing says how it wants to be asked: it was made elsewhere",
            "look into its card, and name the style where a verb asks for it: --prompt",
        )
        return
    told = prompts.told_by(facts)
    if told.template is None and told.name not in prompts.NAMES:
        yield fault(
            f"its prompt style {told.name} is unknown, and its words are not beside it",
            "a newer bactrian may know it: pip install -U bactrian",
        )
        return
    own = ", a style of the user's own" if told.template is not None else ""
    yield ok(f"asked in the prompt style {told.name}{own}; languages {', '.join(facts.languages)}")


def _version() -> str:
    return f" {found}" if (found := peft_config.installed()) else ""


def _programs(
    config: Mapping[str, Any], entries: Mapping[str, Entry], family: str, folder: Path
) -> Iterator[Finding]:
    pairs = lora.pairs_of(entries)
    if not pairs:
        return
    places = [place_of(name)[0] for name in entries if place_of(name)[1]]
    rank = max(
        (one.down.shape[0] for one in pairs.values() if one.down and one.down.shape), default=0
    )
    layers = tuple({place.rpartition(".")[2] for place in places})
    found = portability.programs(portability.traits(config, layers, rank, family), str(folder))
    for one in found:
        if one.opens:
            yield ok(f"{one.program}: {one.why}")
        else:
            yield note(f"{one.program} does not open it: {one.why}", one.do)

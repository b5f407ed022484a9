"""Gathers what is known of a folder: from its own files, its project and its evaluation."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bactrian import languages
from bactrian.errors import ConfigError, LanguageError
from bactrian.languages import Language
from bactrian.models import adapters, prompts
from bactrian.models.adapters import AdapterFacts
from bactrian.models.prompts import Told
from bactrian.publish import exported
from bactrian.publish.card import own_card, project
from bactrian.publish.card.licences import Licence, Part, followed, of_base
from bactrian.publish.card.scores import Evaluation, evaluation
from bactrian.publish.card.subject import BaseModel, Data, Kind, Shape, Subject
from bactrian.publish.exported import Exported
from bactrian.publish.portability import Opens, programs, traits
from bactrian.workspace import Workspace

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[\w.-]{1,96}")
VERSIONS = ("bactrian", "python", "torch", "transformers", "peft")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a user adds to what the files say."""

    repo: str = ""
    subfolder: str = ""
    base_id: str = ""
    base_licence: str = ""
    data_licence: str = ""
    licence: str = ""
    languages: str = ""
    prompt: str = ""
    dataset_id: str = ""
    project: Workspace | None = None
    results: Path | None = None
    example: bool = True
    """A held-out row of the project is shown."""


def adapter(folder: Path, asked: Asked) -> Subject:
    """Return what is known of an adapter; raises AdapterError where it is not in order."""
    found = adapters.verify(folder)
    facts = adapters.facts_of(folder)
    config = _json(folder / "adapter_config.json")
    name = facts.name if facts else folder.resolve().name
    base = base_model(_named(facts, config), asked, facts, config.get("revision") or "")
    subject = Subject(
        kind="adapter",
        name=name,
        base=base,
        licence=Licence((), ()),
        languages=_languages(folder, facts.languages if facts else (), asked),
        prompt=_prompt(facts, asked),
        shape=shape_of(config),
        parameters=found.parameters,
        bytes=found.bytes,
        encoder_decoder=config.get("task_type") == "SEQ_2_SEQ_LM",
        repo=asked.repo,
        subfolder=asked.subfolder,
        made_from=facts.made_from if facts else "",
        opens=_opens(folder, config, _named(facts, config)),
    )
    return _completed(subject, folder, facts, asked)


def model(folder: Path, asked: Asked) -> Subject:
    """Return what is known of a merged or fully trained model, or of a folder of GGUF files.

    Raises ConfigError for another folder.
    """
    kind = _kind(folder)
    told, facts = _exported(folder), adapters.facts_of(folder)
    if told is None and facts is None and not (folder / "README.md").is_file():
        raise ConfigError(
            f"{folder} does not say what it was made from: it has no {exported.NAME}",
            "make it with bactrian export merged, or publish the adapter itself",
        )
    codes = tuple(dict.fromkeys(code for part in told.parts for code in part.languages)) if told \
        else facts.languages if facts else ()  # fmt: skip
    named = told.base if told else facts.base if facts else ""
    revision = told.base_revision if told else ""
    elements, size = (0, 0) if kind == "gguf" else _weighed(folder)
    subject = Subject(
        kind=kind,
        name=folder.resolve().name,
        base=base_model(named, asked, facts or told, revision),
        licence=Licence((), ()),
        languages=_languages(folder, codes, asked),
        prompt=Told(told.prompt, told.template) if told else _prompt(facts, asked),
        parameters=elements,
        bytes=size,
        encoder_decoder=bool(_json(folder / "config.json").get("is_encoder_decoder")),
        exported=told,
        repo=asked.repo,
        made_from=facts.made_from if facts else "",
        files=tuple(path.name for path in sorted(folder.glob("*.gguf"))),
    )
    return _completed(subject, folder, facts, asked)


def base_model(
    named: str, asked: Asked, facts: AdapterFacts | Exported | None, revision: str = ""
) -> BaseModel:
    """Return the base as others can name it: an id of the Hub, or the last part of a place."""
    fingerprint = facts.base_fingerprint if facts else ""
    revision = facts.base_revision if facts else revision
    if asked.base_id:
        if not HUB_ID.fullmatch(asked.base_id):
            raise ConfigError(
                f"--base-id {asked.base_id} is no id of the Hub", "write it as user/name"
            )
        same = asked.base_id == named
        return BaseModel(asked.base_id, True, revision if same else "", fingerprint)
    on_hub = bool(HUB_ID.fullmatch(named)) and not Path(named).exists()
    return BaseModel(named if on_hub else Path(named).name, on_hub, revision, fingerprint)


def shape_of(config: dict[str, Any]) -> Shape:
    """Return the shape of a LoRA; ``config`` is PEFT's."""
    targets = config.get("target_modules") or ()
    named = (targets,) if isinstance(targets, str) else tuple(sorted(targets))
    ranks = (config.get("rank_pattern") or {}).values()
    kind = str(config.get("peft_type", "LORA")).lower()
    if kind == "lora":
        kind = "dora" if config.get("use_dora") else "rslora" if config.get("use_rslora") else kind
    return Shape(
        rank=max([int(config.get("r") or 0), *map(int, ranks)]),
        alpha=float(config.get("lora_alpha") or 0),
        dropout=float(config.get("lora_dropout") or 0),
        targets=named,
        variant=kind,
    )


def _completed(subject: Subject, folder: Path, facts: AdapterFacts | None, asked: Asked) -> Subject:
    """Return the subject with what its card, its project and its evaluation add."""
    learnt = own_card.languages_of(folder)
    parts = _data_licences(folder, subject.exported, asked)
    told: dict[str, Any] = {"settings": own_card.settings_of(folder), "facts": learnt}
    if asked.project is not None:
        found = project.trained(asked.project, folder, facts) if facts else None
        recipe = found.recipe if found else asked.project.recipe
        parts = project.licences(recipe) if not asked.data_licence else parts
        codes = tuple(language.code for language in subject.languages) if asked.example else ()
        told["example"] = project.example(asked.project, codes)
        if found is not None and facts is not None:
            told["facts"] = learnt = project.with_rows(asked.project, learnt, facts)
            told["data"] = project.data_of(asked.project, found, learnt)
            told["versions"] = {k: v for k, v in found.versions.items() if k in VERSIONS}
            told["recipe"] = project.recipe_of(found.recipe) if found.found else ""
    if not told["facts"] and facts is not None:
        told["facts"] = _losses(facts)
    if asked.dataset_id:
        data = told.get("data", Data())
        told["data"] = replace(data, hub=tuple(dict.fromkeys((asked.dataset_id, *data.hub))))
    base = Part(f"base: {subject.base.id}", of_base(subject.base.id, asked.base_licence))
    return replace(
        subject,
        licence=followed((base, *parts), asked.licence),
        evaluation=_evaluation(subject, asked),
        doubts=tuple(_doubts(folder, asked)),
        **told,
    )


def _opens(folder: Path, config: dict[str, Any], base: str) -> tuple[Opens, ...]:
    """Return what other programs make of an adapter; nothing is said of encoder-decoders."""
    from safetensors import safe_open

    if config.get("task_type") == "SEQ_2_SEQ_LM" or config.get("peft_type", "LORA") != "LORA":
        return ()
    with safe_open(folder / adapters.WEIGHTS, framework="numpy") as file:
        names = [name for name in file.keys() if ".lora_" in name]  # noqa: SIM118
    layers = tuple(name.partition(".lora_")[0].rpartition(".")[2] for name in names)
    told = traits(config, layers, shape_of(config).rank, _family(base))
    return programs(told, folder.resolve().name)


def _family(base: str) -> str:
    """Return the model_type of a base that is on this machine, empty for another."""
    from huggingface_hub import try_to_load_from_cache

    path = Path(base) / "config.json"
    if not path.is_file() and HUB_ID.fullmatch(base):
        found = try_to_load_from_cache(base, "config.json")
        path = Path(found) if isinstance(found, str) else path
    return str(_json(path).get("model_type") or "")


def _losses(facts: AdapterFacts) -> tuple[Any, ...]:
    from bactrian.publish.card.subject import LanguageFacts

    return tuple(
        LanguageFacts(code, training=f"{facts.losses[code]:.3f}" if code in facts.losses else "")
        for code in facts.languages
    )


def _evaluation(subject: Subject, asked: Asked) -> Evaluation | None:
    """Return the numbers of the folder's own model; of a merged one those of its only adapter."""
    place = _results(asked)
    if place is None:
        return None
    name, note = subject.name, ""
    if (told := subject.exported) is not None and len(told.parts) == 1 and told.parts[0].share == 1:
        name = told.parts[0].name
        note = f"The evaluation was made with base and adapter {name}, before they were made one."
    found = evaluation(place, name, subject.base.fingerprint)
    return replace(found, notes=(*found.notes, note)) if found and note else found


def _results(asked: Asked) -> Path | None:
    if asked.results is not None or asked.project is None:
        return asked.results
    place = asked.project.results
    return place if (place / "results.json").is_file() else None


def _doubts(folder: Path, asked: Asked) -> Iterator[str]:
    place = _results(asked)
    results = place / "results.json" if place and place.is_dir() else place
    weights = [path.stat().st_mtime for path in folder.glob("*.safetensors")]
    if results and results.is_file() and weights and results.stat().st_mtime < max(weights):
        yield f"{results.name} is older than the weights: evaluate again if they were trained since"


def _data_licences(folder: Path, told: Exported | None, asked: Asked) -> tuple[Part, ...]:
    """Return the licences of the data where no project says them: told, or on the folder's card."""
    if asked.data_licence:
        return tuple(Part("data", one) for one in asked.data_licence.split(","))
    front = own_card.front_of(folder)
    said = front.get("license") or ()
    ids = [said] if isinstance(said, str) else list(said)
    return tuple(Part("data, as its card says", str(one)) for one in ids) or (Part("data", ""),)


def _languages(folder: Path, codes: Iterable[str], asked: Asked) -> tuple[Language, ...]:
    if asked.languages:
        return languages.parse(asked.languages)
    said = list(codes)
    if not said:
        front = own_card.front_of(folder).get("language") or ()
        said = [front] if isinstance(front, str) else [str(code) for code in front]
    found = []
    for code in said:
        try:
            found.append(languages.get(code))
        except LanguageError:
            continue  # somebody else's card may name what is no language of ours
    return tuple(dict.fromkeys(found))


def _prompt(facts: AdapterFacts | None, asked: Asked) -> Told | None:
    if facts is not None:
        return prompts.told_by(facts)
    return prompts.told(asked.prompt) if asked.prompt else None


def _named(facts: AdapterFacts | None, config: dict[str, Any]) -> str:
    named = facts.base if facts else config.get("base_model_name_or_path") or ""
    return str(named) or "unknown"


def _kind(folder: Path) -> Kind:
    if any(folder.glob("*.gguf")):
        return "gguf"
    if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")):
        return "merged" if (folder / exported.NAME).is_file() else "whole"
    if (folder / "adapter_config.json").is_file():
        raise ConfigError(f"{folder} is an adapter", f"bactrian publish adapter {folder}")
    if any(folder.glob("*.pth")) or any(folder.glob("*.bin")):
        raise ConfigError(
            f"{folder} holds its weights as a pickle, which can run code when it is opened",
            "publish the merged folder of safetensors: bactrian export merged",
        )
    raise ConfigError(
        f"{folder} is no model: it has no config.json with safetensors, and no GGUF file",
        "name a folder that bactrian export merged or bactrian train wrote",
    )


def _exported(folder: Path) -> Exported | None:
    """Return the record of a folder, or of the first GGUF file in it that has one."""
    if (told := exported.read(folder)) is not None:
        return told
    records = (exported.read(file) for file in sorted(folder.glob("*.gguf")))
    return next(filter(None, records), None)


def _weighed(folder: Path) -> tuple[int, int]:
    """Return parameters and bytes of the files of weights."""
    from safetensors import safe_open

    elements = size = 0
    for path in folder.glob("*.safetensors"):
        size += path.stat().st_size
        with safe_open(path, framework="numpy") as file:
            shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
        elements += sum(math.prod(shape) for shape in shapes)
    return elements, size


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    told = json.loads(path.read_text(encoding="utf-8"))
    return told if isinstance(told, dict) else {}

"""What is exported: a base, and the adapters that go into it or beside it. Loads no weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bactrian.errors import ConfigError
from bactrian.models import adapters as adapter_folders
from bactrian.models import prompts
from bactrian.models.adapters import AdapterFacts
from bactrian.models.base import Location, locate
from bactrian.models.prompts import Told


@dataclass(frozen=True, slots=True)
class Chosen:
    """An adapter folder that was found in order, and how much of it is taken."""

    name: str
    folder: Path
    facts: AdapterFacts | None
    """None for an adapter that was made elsewhere."""
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Source:
    """A base on this machine with adapters for it."""

    base: Location
    adapters: tuple[Chosen, ...]
    prompt: Told
    """How the adapters want to be asked."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Every language of the adapters, in their order."""
        known = (chosen.facts.languages for chosen in self.adapters if chosen.facts)
        return tuple(dict.fromkeys(code for codes in known for code in codes))


def open_source(
    shares: Mapping[Path, float],
    *,
    base: str = "",
    prompt: str = "",
    network: bool = False,
) -> Source:
    """Find base and adapters; ``shares`` are adapter folders with their weights.

    ``base`` and ``prompt`` are asked for only where the adapters do not say them. Raises
    AdapterError for a folder that is not in order or was made for another base, ConfigError where
    the adapters name different bases or prompt styles.
    """
    chosen = []
    for folder, share in shares.items():
        adapter_folders.verify(folder)
        name = folder.resolve().name
        chosen.append(Chosen(name, folder, adapter_folders.facts_of(folder), share))
    named = dict.fromkeys(filter(None, map(_named, chosen)))
    if not base and len(named) != 1:
        said = " and ".join(named) if named else "none"
        raise ConfigError(f"the adapters name {said} as their base", "name one: --base BASE")
    wanted = base or next(iter(named))
    revisions = {one.facts.base_revision for one in chosen if one.facts} if not base else set()
    revision = revisions.pop() if len(revisions) == 1 else ""
    location = locate(wanted, network=network, revision=revision)
    for one in chosen:
        adapter_folders.check_named_base(one.folder, location)
    return Source(location, tuple(chosen), prompts.common((one.facts for one in chosen), prompt))


def _named(chosen: Chosen) -> str:
    """Return the base that an adapter names, empty where it names none."""
    if chosen.facts is not None:
        return chosen.facts.base
    config = json.loads((chosen.folder / "adapter_config.json").read_text(encoding="utf-8"))
    return config.get("base_model_name_or_path") or ""

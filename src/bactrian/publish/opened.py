"""What is written: an adapter with its base, a merged folder, or a base alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bactrian.errors import AdapterError, ConfigError
from bactrian.models.base import Location, locate, tokenizer_of
from bactrian.models.prompts import BACTRIAN, Told, told
from bactrian.publish import exported
from bactrian.publish.exported import Exported, Part
from bactrian.publish.source import Source, open_source
from bactrian.publish.weights import FolderWeights, Weights


@dataclass(frozen=True, slots=True)
class Opened:
    """A source, and what is known of it beside."""

    source: Source
    parts: tuple[Part, ...]
    """The adapters in it, those that were merged before included."""
    asks: bool
    """Whether it is known how the model wants to be asked, so that a chat template can be written.
    """
    name: str
    method: str = "alone"
    origin: Location | None = None
    """The base that a merged folder says it was made of, with that folder as its place."""

    @property
    def base(self) -> Location:
        """The base as records name it."""
        return self.origin or self.source.base

    @property
    def languages(self) -> tuple[str, ...]:
        """Every language of the adapters, in their order."""
        return tuple(dict.fromkeys(code for part in self.parts for code in part.languages))

    def weights(self) -> Weights:
        """Return base and adapter, summed in float32 so that they are rounded once, or a model."""
        if self.source.adapters:
            from bactrian.publish.merge import merged_weights

            return merged_weights(self.source, dtype="float32")
        return FolderWeights(self.source.base.folder)

    def record(self, kind: str, dtype: str, command: str, proof: Mapping[str, Any]) -> Exported:
        """Return what is kept of an export of it."""
        base, said = self.base, self.source.prompt
        return Exported(
            kind=kind,
            base=base.id,
            base_revision=base.revision,
            base_fingerprint=base.fingerprint,
            parts=self.parts,
            method=self.method,
            dtype=dtype,
            prompt=said.name,
            command=command,
            proof=proof,
            template=said.template,
        )


def open_place(
    place: Path | None, *, base: str = "", prompt: str = "", network: bool = False
) -> Opened:
    """Open an adapter's folder, a merged one, or with none named the base alone.

    Raises ConfigError for a folder that is neither and where nothing is named, AdapterError as
    ``open_source`` does.
    """
    if place is None:
        if not base:
            raise ConfigError("--base-only needs a base", "name one: --base BASE")
        return _whole(base, prompt, network)
    if (place / "adapter_config.json").is_file():
        source = open_source({place: 1.0}, base=base, prompt=prompt, network=network)
        return Opened(source, exported.parts_of(source), True, source.adapters[0].name)
    if (place / "config.json").is_file():
        return _whole(str(place), prompt, network)
    raise ConfigError(
        f"{place} is neither an adapter's folder nor a model's",
        "name a folder with adapter_config.json or config.json, or --base-only --base BASE",
    )


def open_adapter(place: Path, *, base: str = "", prompt: str = "", network: bool = False) -> Opened:
    """Open the folder of one adapter; raises AdapterError for another one."""
    if not (place / "adapter_config.json").is_file():
        raise AdapterError(
            f"{place} is not an adapter's folder", "a merged model is bactrian export gguf's"
        )
    return open_place(place, base=base, prompt=prompt, network=network)


def _whole(base: str, prompt: str, network: bool) -> Opened:
    """Return a model without adapters, asked as its record says or by its own chat template."""
    where = locate(base, network=network)
    record = exported.read(where.folder)
    if prompt:
        style: Told | None = told(prompt)
    elif record is not None:
        style = Told(record.prompt, record.template)
    else:
        style = Told("chat") if tokenizer_of(where).chat_template else None
    source = Source(where, (), style or Told(BACTRIAN.name))
    if record is not None:
        origin = Location(
            record.base, where.folder, record.base_revision, record.base_fingerprint
        )  # fmt: skip
        return Opened(source, record.parts, True, where.folder.name, record.method, origin)
    name = Path(base).name if where.folder == Path(base).expanduser() else base
    return Opened(source, (), style is not None, name)

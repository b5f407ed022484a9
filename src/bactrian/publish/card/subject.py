"""What a card is written from: everything that is known of one adapter or one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bactrian.languages import Language
from bactrian.models.prompts import Told
from bactrian.publish.card.licences import Licence
from bactrian.publish.card.scores import Evaluation
from bactrian.publish.exported import Exported
from bactrian.publish.portability import Opens

Kind = Literal["adapter", "merged", "whole", "gguf"]


@dataclass(frozen=True, slots=True)
class BaseModel:
    """The base as others can name it."""

    id: str
    """A Hub id, or the last part of a place on the machine that it was trained on."""
    on_hub: bool
    revision: str = ""
    fingerprint: str = ""
    """As ``bactrian.json`` has it; empty for an adapter made elsewhere."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The LoRA as ``adapter_config.json`` has it."""

    rank: int
    """The largest one, where layers differ."""
    alpha: float
    dropout: float
    targets: tuple[str, ...]
    variant: str
    """lora, rslora, dora, or PEFT's name of another kind."""


@dataclass(frozen=True, slots=True)
class LanguageFacts:
    """Training in one language; texts are as the table of the card has them, empty if unknown."""

    code: str
    rows: str = ""
    shortened: str = ""
    left_out: str = ""
    training: str = ""
    """Last training loss, nats a token."""
    held_out: str = ""
    """First → last loss on held-out rows."""
    content: str = ""
    """Hash of the training rows."""


@dataclass(frozen=True, slots=True)
class Data:
    """Where the training rows come from."""

    sources: tuple[str, ...] = ()
    """One line a collection."""
    made_by: tuple[str, ...] = ()
    """Who translated and who answered."""
    hub: tuple[str, ...] = ()
    """Ids of datasets on the Hub."""
    changed: tuple[str, ...] = ()
    """Languages whose rows are not those of the training any more."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One adapter or model, and all that is known of it."""

    kind: Kind
    name: str
    base: BaseModel
    licence: Licence
    languages: tuple[Language, ...] = ()
    prompt: Told | None = None
    example: tuple[str, str] | None = None
    """Instruction and input of a held-out row."""
    shape: Shape | None = None
    parameters: int = 0
    bytes: int = 0
    encoder_decoder: bool = False
    settings: tuple[tuple[str, str], ...] = ()
    facts: tuple[LanguageFacts, ...] = ()
    data: Data = field(default_factory=Data)
    evaluation: Evaluation | None = None
    exported: Exported | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    recipe: str = ""
    """TOML that trains it again; empty where it is not known."""
    made_from: str = ""
    repo: str = ""
    """Where it goes on the Hub; empty where that is not said."""
    subfolder: str = ""
    files: tuple[str, ...] = ()
    """GGUF files."""
    opens: tuple[Opens, ...] = ()
    """What other programs make of an adapter."""
    doubts: tuple[str, ...] = ()
    """What its maker should look at before it is sent; not on the card."""

    def opens_in(self, program: str) -> bool:
        """Whether the program takes it as it is."""
        return any(one.opens for one in self.opens if one.program == program)

    @property
    def where(self) -> str:
        """What a reader opens: the repository, or the folder that lies beside the card."""
        return self.repo or "this folder"

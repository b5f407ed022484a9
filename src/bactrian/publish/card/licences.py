"""Licences of base and data followed through to what is made of them; none is guessed.

Ids are the Hub's, which are SPDX's in small letters. What a licence demands stands in ``TERMS``;
of two licences the one whose demands hold all of the other's is passed on. This is no legal advice,
and the card says where two cannot be met at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from bactrian.errors import ConfigError

UNKNOWN = "unknown"
NOTICE, CREDIT, ALIKE = "keep the notice", "name the authors", "share under the same licence"
NO_SALE, NO_CHANGE = "no commercial use", "no changed versions"
RULES = "its own rules of use go along"
OPEN: frozenset[str] = frozenset()
PERMISSIVE = frozenset({NOTICE})
BY = frozenset({NOTICE, CREDIT})
TERMS: dict[str, frozenset[str]] = {
    **dict.fromkeys(("cc0-1.0", "unlicense", "pddl", "wtfpl"), OPEN),
    **dict.fromkeys(
        ("apache-2.0", "mit", "bsd", "bsd-2-clause", "bsd-3-clause", "isc", "zlib", "afl-3.0"),
        PERMISSIVE,
    ),
    **dict.fromkeys(("cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "odc-by"), BY),
    **dict.fromkeys(("cc-by-sa-3.0", "cc-by-sa-4.0", "odbl", "gfdl"), BY | {ALIKE}),
    **dict.fromkeys(("gpl-2.0", "gpl-3.0", "agpl-3.0"), PERMISSIVE | {ALIKE}),
    **dict.fromkeys(("cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0"), BY | {NO_SALE}),
    **dict.fromkeys(
        ("cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"), BY | {NO_SALE, ALIKE}
    ),
    **dict.fromkeys(("cc-by-nd-4.0",), BY | {NO_CHANGE}),
    **dict.fromkeys(("cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0"), BY | {NO_SALE, NO_CHANGE}),
    **dict.fromkeys(
        ("llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "gemma", "openrail",
         "openrail++", "bigscience-bloom-rail-1.0", "bigscience-openrail-m"),
        PERMISSIVE | {RULES},
    ),
    "llama-1": PERMISSIVE | {RULES, NO_SALE},
}  # fmt: skip
"""What each licence demands of those who pass on what is made from it."""
BASES = (
    ("smollm2-135m", "apache-2.0"),
    ("huggingfacetb/smollm2-*", "apache-2.0"),
    ("bigscience/bloom*", "bigscience-bloom-rail-1.0"),
    ("google/mt5-*", "apache-2.0"),
    ("google/flan-t5-*", "apache-2.0"),
    ("facebook/galactica-*", "cc-by-nc-4.0"),
    ("huggyllama/llama-*", "llama-1"),
    ("meta-llama/llama-2-*", "llama2"),
)
"""Licences of bases, as their own pages on the Hub say; what is not here has to be told."""
COLLECTIONS = {
    "mbzuai/bactrian-x": "cc-by-nc-4.0",
    "tatsu-lab/alpaca": "cc-by-nc-4.0",
    "databricks/databricks-dolly-15k": "cc-by-sa-3.0",
}
"""Licences of collections on the Hub, as their cards say."""


@dataclass(frozen=True, slots=True)
class Part:
    """Something that goes into a model, with its licence."""

    what: str
    id: str
    """The Hub's id of the licence, ``unknown`` where nobody says it."""

    @property
    def demands(self) -> frozenset[str]:
        """What the licence asks; nothing is known of one that is not in the table."""
        return TERMS.get(self.id, OPEN)


@dataclass(frozen=True, slots=True)
class Licence:
    """What holds for the whole."""

    ids: tuple[str, ...]
    """For the card's ``license``: those that no other one covers."""
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()
    """What a reader has to know: what is unknown, what cannot be met at once."""

    @property
    def non_commercial(self) -> bool:
        """One of the parts forbids commercial use."""
        return any(NO_SALE in part.demands for part in self.parts)


def followed(parts: Sequence[Part], chosen: str = "") -> Licence:
    """Return what follows from the parts; ``chosen`` is the maker's own licence for the result.

    Raises ConfigError where the chosen one allows what a part forbids.
    """
    parts = tuple(Part(part.what, known_as(part.id)) for part in parts)
    if chosen:
        _check(known_as(chosen), parts)
        return Licence((known_as(chosen),), parts, tuple(_notes(parts)))
    return Licence(_outermost(parts), parts, tuple(_notes(parts)))


def of_base(base: str, told: str = "") -> str:
    """Return the licence of a base: as told, as its page says, else ``unknown``."""
    if told:
        return known_as(told)
    found = (licence for name, licence in BASES if fnmatchcase(base.lower(), name))
    return next(found, UNKNOWN)


def known_as(licence: str) -> str:
    """Return the Hub's id of a licence, ``unknown`` for none."""
    return "-".join(licence.strip().lower().split()) or UNKNOWN


def together(licences: Iterable[Licence]) -> Licence:
    """Return what holds for several that lie in one place."""
    found = list(licences)
    ids = dict.fromkeys(one for licence in found for one in licence.ids)
    parts = dict.fromkeys(part for licence in found for part in licence.parts)
    notes = dict.fromkeys(note for licence in found for note in licence.notes)
    return Licence(_outermost([Part("", one) for one in ids]), tuple(parts), tuple(notes))


def _outermost(parts: Sequence[Part]) -> tuple[str, ...]:
    """Return the licences that are not covered by a stricter one; unknown ones stay."""
    demands = {part.id: part.demands for part in parts}
    kept = [
        one for one, own in demands.items()
        if one not in TERMS or not any(own < other for other in demands.values())
    ]  # fmt: skip
    return tuple(kept) or (UNKNOWN,)


def _notes(parts: Sequence[Part]) -> Iterator[str]:
    for part in parts:
        if part.id == UNKNOWN:
            yield f"The licence of {part.what} is not known: ask before you pass this on."
        elif part.id not in TERMS:
            yield f"What {part.id} ({part.what}) demands is not known here: read it."
    alike = {part.id for part in parts if ALIKE in part.demands}
    for licence in sorted(alike):
        others = {part.id for part in parts if part.demands - TERMS[licence]} - {licence}
        if others:
            yield (
                f"{licence} asks that what is made from it is shared under the same licence, and "
                f"{' and '.join(sorted(others))} asks for more than it allows: whether both bind "
                "the weights of a model is open; both are passed on."
            )
    for part in parts:
        if NO_CHANGE in part.demands:
            yield f"{part.id} ({part.what}) forbids changed versions: ask its owner first."


def _check(chosen: str, parts: Sequence[Part]) -> None:
    given = TERMS.get(chosen)
    for part in parts:
        if NO_SALE in part.demands and given is not None and NO_SALE not in given:
            raise ConfigError(
                f"--licence {chosen} allows commercial use, and {part.id} ({part.what}) forbids it",
                f"leave --licence out, or name one that keeps to it: --licence {part.id}",
            )

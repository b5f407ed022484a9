"""Whether a file can be proved on this machine, and what it is held against."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from bactrian.events import emit
from bactrian.models import prompts
from bactrian.models.base import tokenizer_of
from bactrian.models.llamacpp import installed, named
from bactrian.models.memory import free_memory
from bactrian.publish.gguf import texts
from bactrian.publish.gguf.asking import asking
from bactrian.publish.gguf.proof import ANSWER, Proof, limit_of, prove_ids, prove_logits, prove_turn
from bactrian.publish.gguf.storage import FILE_TYPES
from bactrian.publish.opened import Opened
from bactrian.publish.weights import FolderWeights

if TYPE_CHECKING:
    from bactrian.publish.gguf.reference import Answer


def can_prove(wanted: bool) -> bool:
    """Whether files are proved, as the user wants and the machine can; says where they are not."""
    if not wanted:
        emit("warning", text="not proved, as --no-proof says")
    elif not installed():
        how = "pip install 'bactrian[llama-cpp]'"
        emit("warning", text=f"not proved: xllamacpp is not installed ({how})")
    return wanted and installed()


def prove(
    opened: Opened, path: Path, limit: float | None, longest: int, over: Path | None = None
) -> Proof:
    """Hold a file, with an adapter's ``over`` it, against the model; raises RunError where they
    differ by more than ``limit`` (nats, None measures only).
    """
    tokenizer = tokenizer_of(opened.source.base)
    style = prompts.style(opened.source.prompt, tokenizer)
    wanted = _answers(opened, texts.prompts(style), longest, path)
    with asking(path, over) as server:
        ids = prove_ids(server, tokenizer, texts.all_texts(style))
        logits = prove_logits(server, wanted, tokenizer, limit) if wanted else None
        asks = opened.asks and over is None  # an adapter's file has no template
        turn = prove_turn(server, tokenizer, style) if asks else None
    if turn is False:
        emit("warning", text="llama.cpp's chat template asks by other tokens than training did")
    return Proof(named(), ids, logits, turn)


def limit_over(base: Path, type: str, *, halves: bool = False) -> float | None:
    """Return how far an adapter of ``type`` over a base's file may lie from the model, in nats."""
    from gguf import GGUFReader

    field = GGUFReader(base).get_field("general.file_type")
    number = None if field is None else field.contents()
    stored = next((name for name, known in FILE_TYPES.items() if known == number), "")
    limits = [limit_of(one, halves=halves) for one in (stored, type)]
    known = [limit for limit in limits if limit is not None]
    return max(known) if len(known) == len(limits) else None


def has_room(opened: Opened, file: int) -> bool:
    """Whether memory holds the model in float32 beside a file of so many bytes; says where not."""
    from bactrian.publish.gguf import reference

    shapes = FolderWeights(opened.source.base.folder).shapes
    needed = reference.memory_needed(sum(map(prod, shapes.values())), file)
    left = free_memory()
    if needed <= left:
        return True
    emit(
        "warning",
        text=f"probabilities are not compared: that takes {needed / 1e9:.1f} GB of memory, "
        f"and {left / 1e9:.1f} GB are left",
    )
    return False


def _answers(opened: Opened, asked: Sequence[str], longest: int, path: Path) -> Sequence[Answer]:
    """Return what the model answers, nothing where memory has no room for it in float32."""
    from bactrian.publish.gguf import reference

    if not has_room(opened, path.stat().st_size):
        return ()
    loaded, base = reference.model_of(opened.source)
    return reference.answers(loaded, base.tokenizer, asked, ANSWER, longest)

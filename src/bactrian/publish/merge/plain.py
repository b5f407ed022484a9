"""A quantised base made plain for as long as adapters are merged into it.

Nothing can be added to weights in 4 or 8 bits: the sum would be rounded away. What their
quantisation lost stays lost, which is why a user has to ask for it, and why the record says it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bactrian.errors import ConfigError
from bactrian.events import emit
from bactrian.models.base import Location, config_of, load
from bactrian.models.disk import writing
from bactrian.models.quantize import stored_as
from bactrian.publish.source import Source


@contextmanager
def plain(source: Source, beside: Path) -> Iterator[Source]:
    """Yield the source with a base that is not quantised, kept next to ``beside`` while inside.

    Raises ConfigError for a kind of quantisation that transformers cannot undo, MissingExtra where
    its package is absent.
    """
    kept = stored_as(config_of(source.base))
    if not kept:
        yield source
        return
    folder = beside.with_name(f".{beside.name}.base.unfinished")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with writing(folder):
            _write(source.base, kept, folder)
        yield replace(source, base=replace(source.base, folder=folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(base: Location, kept: str, folder: Path) -> None:
    loaded = load(str(base.folder))
    try:
        model = loaded.model.dequantize()
    except (NotImplementedError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"base {base.id} is quantised in a way that cannot be undone here ({kept}): {error}",
            "name the base before its quantisation",
        ) from None
    emit("decision", text=f"the base's weights ({kept}) are made plain first, in {loaded.dtype}")
    vars(model).pop("_weight_conversions", None)  # the quantiser's own, which have no way back
    model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)

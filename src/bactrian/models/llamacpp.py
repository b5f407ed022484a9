"""llama.cpp in this process (xllamacpp): its server on a free port of the loopback."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bactrian.errors import ConfigError

SLOTS = 4
"""Texts that are computed at once."""
LONGEST = 4096
"""Tokens of a slot, or what the model was trained on where that is less."""
QUIET = -1
NONE: Mapping[Path, float] = MappingProxyType({})


def installed() -> bool:
    """Whether llama.cpp is there."""
    return find_spec("xllamacpp") is not None


def named() -> str:
    """Return the package with its version, as results name what they were computed by."""
    return f"xllamacpp {version('xllamacpp')}"


@contextmanager
def serving(
    path: Path,
    *,
    slots: int = SLOTS,
    longest: int = LONGEST,
    adapters: Mapping[Path, float] = NONE,
    exact: bool = False,
) -> Iterator[str]:
    """Give the address of a server of a GGUF file, with adapters' files laid over it.

    ``exact`` keeps keys and values in float32 and computes attention in the plain way, so that what
    differs is the file's doing; it takes the cores that are idle, as llama.cpp's threads wait for
    each other at every operation. Raises ConfigError for a file that cannot be loaded.
    """
    import xllamacpp  # type: ignore[import-untyped]

    params: Any = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_parallel, params.n_ctx, params.warmup = slots, slots * longest, False
    params.hostnames, params.port = ["127.0.0.1"], 0
    threads = int(os.environ.get("OMP_NUM_THREADS") or (_idle() if exact else os.cpu_count()) or 1)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.verbosity = QUIET
    params.lora_adapters = [
        xllamacpp.CommonAdapterLoraInfo(str(file), scale) for file, scale in adapters.items()
    ]
    if exact:
        _be_exact(params)
    try:
        server: Any = xllamacpp.Server(params)
    except (RuntimeError, ValueError) as error:
        named = " with ".join([path.name, *(file.name for file in adapters)])
        raise ConfigError(
            f"llama.cpp cannot load {named}: {error}", "see whether the file is whole"
        ) from error
    try:
        yield str(server.listening_address)
    finally:
        del server


def _idle() -> int:
    """Return how many cores had nothing to do in the last minute, at least one."""
    return max(1, (os.cpu_count() or 1) - round(os.getloadavg()[0]))


def _be_exact(params: Any) -> None:
    import xllamacpp

    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED

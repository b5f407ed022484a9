"""Where a provider's model lies, what tells its weights from others, and how it is loaded.

A folder, a GGUF file, smollm2-135m, or a Hub id. The mark goes into every key: for a Hub id it is
the commit, so that it is known without the weights; elsewhere a hash of the files. What is on this
machine is used as it is: the Hub is asked only for what is absent, and only where that is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from bactrian.errors import ConfigError, MissingExtra, did_you_mean
from bactrian.models import base
from bactrian.models.fingerprint import fingerprint
from bactrian.providers import Told
from bactrian.providers.options import UNSAID

COMMIT = re.compile(r"[0-9a-f]{40}")
DESCRIBED = ("*.json", "*.model", "*.jinja", "*.txt")
"""Configuration and tokenizer, on the Hub."""
DTYPES = ("bfloat16", "float16", "float32")
WEIGHTS = ("*.safetensors", "*.bin")
"""Forms of weights, the better one first; only one of them is fetched."""


@dataclass(frozen=True)
class Weights:
    """A model by the name that the recipe gives it. Making one reads nothing."""

    told: str
    folder: Path
    """Relative paths begin here."""
    revision: str = ""
    """Commit, branch or tag on the Hub; empty takes what is here, else what is newest there."""
    network: bool = False

    @property
    def id(self) -> str:
        """What keys and provenance call it: the Hub id, or the name of the folder or file."""
        return self.path.name if self.path.exists() else self.told

    @property
    def path(self) -> Path:
        """Where the folder or file would be, if it is one."""
        return self.folder / Path(self.told).expanduser()

    @cached_property
    def mark(self) -> str:
        """The commit on the Hub, or a hash of the files; raises ConfigError where neither is known.

        With ``network`` and nothing on this machine the Hub is asked for the commit alone.
        """
        if self.path.is_file():
            return fingerprint([self.path])
        if self.path.is_dir() or self.told == base.SMOLLM2:
            return self._located().fingerprint
        if COMMIT.fullmatch(self.revision):
            return self.revision
        found = self._snapshot(DESCRIBED)
        return found.name if found else self._asked()

    @cached_property
    def described(self) -> Path:
        """Folder with at least the configuration."""
        if self._is_local:
            return self._located().folder
        found = self._snapshot(("config.json",))
        if found is not None and (found / "config.json").is_file():
            return found
        return self._fetch(DESCRIBED)

    def whole(self) -> Path:
        """Return the folder with configuration, tokenizer and weights."""
        if self._is_local:
            return self._located().folder
        found = self._snapshot(DESCRIBED)
        if found is not None and any(any(found.glob(form)) for form in WEIGHTS):
            return found
        return self._fetch(None)

    @property
    def _is_local(self) -> bool:
        return self.path.exists() or self.told == base.SMOLLM2

    def _located(self) -> base.Location:
        return base.locate(self.told if self.told == base.SMOLLM2 else str(self.path))

    def _snapshot(self, wanted: tuple[str, ...]) -> Path | None:
        """Return the Hub's folder on this machine, if there is one."""
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

        try:
            revision = self.revision or None
            found = snapshot_download(
                self.told, revision=revision, local_files_only=True, allow_patterns=list(wanted)
            )
        except HFValidationError:
            raise ConfigError(
                f"model {self.told} is neither a folder, nor a GGUF file, nor a Hub id",
                f"relative paths begin at {self.folder}",
            ) from None
        except LocalEntryNotFoundError:
            return None
        return Path(found)

    def _asked(self) -> str:
        from huggingface_hub import HfApi

        with self._reaching():
            return str(HfApi().model_info(self.told, revision=self.revision or None).sha)

    def _fetch(self, wanted: tuple[str, ...] | None) -> Path:
        from huggingface_hub import HfApi, snapshot_download

        here = self._snapshot(DESCRIBED)
        at = here.name if here is not None else self.revision or None
        with self._reaching():
            if wanted is None:
                wanted = (*DESCRIBED, best_form(HfApi().list_repo_files(self.told, revision=at)))
            found = Path(snapshot_download(self.told, revision=at, allow_patterns=[*wanted]))
        if found.name != self.__dict__.setdefault("mark", found.name):
            raise ConfigError(
                f"model {self.told} was changed on the Hub a moment ago",
                "run the same command again, or set options.revision to a commit",
            )
        return found

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

        if not self.network:
            raise ConfigError(
                f"model {self.told} is not whole on this machine",
                "set network = true in the recipe to fetch it from the Hub, or name a folder",
            )
        # the error of the HTTP client that the Hub's package was built on: it has changed twice
        failures: tuple[type[Exception], ...] = (OSError, *HfHubHTTPError.__bases__)
        try:
            yield
        except OfflineModeIsEnabled:
            raise ConfigError(
                f"model {self.told} is not on this machine, and HF_HUB_OFFLINE is set",
                "unset HF_HUB_OFFLINE, or name a folder",
            ) from None
        except failures as error:
            raise ConfigError(
                f"model {self.told} could not be fetched from the Hub: {str(error)[:200]}",
                "check the connection and the id, and log in (hf auth login) where it is gated",
            ) from None


def weights_of(told: Told, options: dict[str, Any]) -> Weights:
    """Return the model that a section names, with ``revision`` and ``network`` of its options.

    Raises ConfigError where it names none.
    """
    if told.section.model in UNSAID:
        raise ConfigError(
            f"using = {told.section.using} needs a model",
            "set model = to a folder or to an id on the Hub",
        )
    network = options["network"] or told.network
    return Weights(told.section.model, told.folder, options["revision"], network)


def best_form(names: list[str]) -> str:
    """Return the pattern of the weights to fetch: safetensors where the model has them."""
    return next((f for f in WEIGHTS if any(Path(name).match(f) for name in names)), WEIGHTS[0])


def load(
    kind: Literal["AutoModelForCausalLM", "AutoModelForSeq2SeqLM"],
    weights: Weights,
    device: str,
    dtype: str,
) -> tuple[Any, Any]:
    """Return model, in evaluation mode on the device, and tokenizer.

    Device ``auto`` is cuda where there is one; dtype ``auto`` is bfloat16 where the device computes
    in it, else float32. Raises ConfigError or MissingExtra where they cannot be read.
    """
    import torch
    import transformers

    base.quiet()
    where = device_of(device)
    if dtype not in ("auto", *DTYPES):
        raise ConfigError(f"unknown dtype {dtype}", did_you_mean(dtype, ("auto", *DTYPES)))
    chosen = base.best_dtype(where.partition(":")[0]) if dtype == "auto" else dtype
    folder = weights.whole()
    with _reading(weights.told, folder):
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = getattr(transformers, kind).from_pretrained(
            folder, dtype=getattr(torch, chosen), local_files_only=True
        )
    return model.to(where).eval(), tokenizer


def device_of(told: str) -> str:
    """Return the device that ``auto`` stands for here; raises ConfigError for an absent one."""
    import torch

    if told == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?|mps|xpu(:\d+)?", told):
        raise ConfigError(f"unknown device {told}", "device is auto, cpu, cuda or cuda:1")
    if told.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device = {told}: no GPU is usable here", "set device = auto or cpu")
    return told


@contextmanager
def _reading(name: str, folder: Path) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except ImportError as error:
        said = str(error).strip().partition("\n")[0]
        raise MissingExtra(
            f"the tokenizer of {name} needs a package: {said}", "pip install sentencepiece"
        ) from None
    except (OSError, ValueError, LookupError, SafetensorError) as error:
        said = str(error).strip().partition("\n")[0]
        raise ConfigError(
            f"model {name} cannot be loaded: {said}",
            f"see whether {folder} is whole and of an architecture transformers knows",
        ) from error


def positive(said: Mapping[str, Any], *names: str) -> None:
    """Raise ConfigError for an option that has to be 1 or more."""
    for name in names:
        if said[name] < 1:
            raise ConfigError(f"options.{name} = {said[name]} is too little", "it is at least 1")

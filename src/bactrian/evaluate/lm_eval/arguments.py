"""What stands after ``--model_args``. Knows names and values, not models.

The names are those of lm-eval's own ``hf`` model where both have one, so that a command line needs
another ``--model`` and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from bactrian.errors import ConfigError, did_you_mean
from bactrian.models.adapters import BASE
from bactrian.models.quantize import Quantize

SEVERAL = "adapters"


class Arguments(BaseModel):
    """The arguments of one model: a base, with one adapter or with none."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    pretrained: str
    """Base: a folder, a GGUF file, a Hub id, or smollm2-135m."""
    peft: str = ""
    """Folder of the adapter that is scored; without one, the base is."""
    revision: str = ""
    """Commit, branch or tag of a base from the Hub; main is the same as none."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """What is computed in; the log-sum-exp is float32 whatever is told."""
    quantize: Quantize = "none"
    """How the weights of the base are stored."""
    network: bool = False
    """Whether a base that is not on this machine may be fetched from the Hub."""
    device: str = ""
    """Where to compute, such as cpu or cuda:0; without one, on the GPU where there is one."""
    batch_tokens: int = Field(default=4096, ge=1)
    """Tokens scored at once, padding included."""
    batch_size: int | str = 1
    """Answers written at once by tasks that ask for text; scoring has no need of it."""
    max_batch_size: int | None = None
    """Taken and not needed: no batch size is searched for."""
    max_length: int | None = Field(default=None, ge=2)
    """Longest text in tokens, where it is not to be the model's own limit."""
    add_bos_token: bool | None = None
    """Whether texts begin with BOS; without it, as the tokenizer does."""
    prefix_token_id: int | None = Field(default=None, ge=0)
    """What a text without a context follows; without it, BOS, else EOS."""
    think_end_token: str | int | None = None
    """The last of what a model thinks before it answers; what stands before is cut off."""
    enable_thinking: bool | None = None
    """Handed to the chat template."""
    chat_template_args: dict[str, Any] | None = None
    """Further arguments of the chat template."""
    trust_remote_code: Literal[False] = False
    """No code from model folders is run."""

    @field_validator("revision")
    @classmethod
    def _newest(cls, told: str) -> str:
        return "" if told == "main" else told

    @field_validator("pretrained", "peft", mode="before")
    @classmethod
    def _named(cls, told: object) -> object:
        # a folder called 7 is read as a number from a command line
        return str(told) if isinstance(told, (int, float, Path)) else told

    @property
    def rows(self) -> int:
        """Answers that are written at once; ``auto`` is no search, but a number that fits."""
        told = str(self.batch_size).partition(":")[0]
        return max(1, int(told)) if told.isdigit() else 8


def read(told: Mapping[str, Any]) -> Arguments:
    """Return the arguments of one model; raises ConfigError for what it does not know."""
    told = dict(told)
    adapters = names(told.pop(SEVERAL, None))
    if adapters and told.get("peft"):
        raise ConfigError("both peft and adapters are told", "name the adapters in adapters alone")
    if len(adapters) > 1:
        raise ConfigError(
            f"{len(adapters)} adapters are {len(adapters)} models, and this is one",
            "bactrian-lm-eval runs them one by one over one base; "
            "in Python: bactrian.evaluate.lm_eval.model.each",
        )
    if adapters and adapters != (BASE,):
        told["peft"] = adapters[0]
    try:
        return Arguments.model_validate(told)
    except ValidationError as error:
        raise _refusal(error) from None


def spread(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the arguments of each model that ``adapters=base;a;b`` stands for, in its order."""
    rest = {name: value for name, value in told.items() if name != SEVERAL}
    several = names(told.get(SEVERAL))
    if several and "peft" in rest:
        raise ConfigError("both peft and adapters are told", "name the adapters in adapters alone")
    found = [{**rest, **({} if name == BASE else {"peft": name})} for name in several] or [rest]
    for one in found:
        read(one)  # a mistake in the last is found before the first has run
    return found


def names(told: object) -> tuple[str, ...]:
    """Return the adapters that a text such as ``a;b`` or a list names, each once."""
    if told is None:
        return ()
    several = told.split(";") if isinstance(told, str) else told
    if not isinstance(several, (list, tuple)):
        several = [several]
    return tuple(dict.fromkeys(name for one in several if (name := str(one).strip())))


def _refusal(error: ValidationError) -> ConfigError:
    first = error.errors(include_url=False)[0]
    name = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        return ConfigError(f"model_args lack {name}", "--model_args pretrained=FOLDER")
    if first["type"] == "extra_forbidden":
        known = [*Arguments.model_fields, SEVERAL]
        return ConfigError(f"unknown model argument {name}", did_you_mean(name, known))
    if name == "trust_remote_code":
        return ConfigError(
            "trust_remote_code: bactrian runs no code from model folders",
            "use --model hf for such a model",
        )
    said = first["msg"][:1].lower() + first["msg"][1:]
    field = Arguments.model_fields.get(str(first["loc"][0]))
    return ConfigError(
        f"model argument {name} = {first['input']!r}: {said}",
        (field.description if field else None) or "see docs/lm-eval.md",
    )

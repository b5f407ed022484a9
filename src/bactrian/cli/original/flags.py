"""The flags of finetune.py, spelled as Bactrian-X spells them, and reading them.

Two commits count: 2 May 2023 (argparse, the README's) and HEAD of June 2023, which takes
transformers' TrainingArguments as well. Knows names, types and defaults; not what they mean.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from bactrian.errors import ConfigError, did_you_mean

HELP = "python finetune.py --help"
BARE = "latest"
"""What --resume_from_checkpoint means without a value."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag; ``also`` are its other names."""

    name: str
    kind: Callable[[str], Any]
    help: str
    default: Any = None
    """What finetune.py took on 2 May 2023; None where there was nothing to take."""
    also: tuple[str, ...] = ()
    bare: Any = None
    """What it means without a value; None where it needs one."""
    many: bool = False


def whole(word: str) -> int:
    """Return a whole number, also one written 1e3 or 10_000."""
    try:
        value = float(word)
        return int(word) if value != int(value) or "_" in word else int(value)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{word!r} is no whole number") from None


def number(word: str) -> float:
    """Return a number."""
    try:
        return float(word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{word!r} is no number") from None


def truth(word: str) -> bool:
    """Return what a word for yes or no means."""
    told = word.strip().casefold()
    if told in ("true", "yes", "1", "on"):
        return True
    if told in ("false", "no", "0", "off", "none", ""):
        return False
    raise argparse.ArgumentTypeError(f"{word!r} is neither yes nor no")


def _switch(name: str, help: str, default: bool | None = None, also: tuple[str, ...] = ()) -> Flag:
    return Flag(name, truth, help, default, also, bare=True)


MODEL_AND_DATA = (
    Flag(
        "base_model",
        str,
        "base model: a Hub id, a folder, a GGUF file",
        also=("model_name_or_path",),
    ),
    Flag("data_path", str, "a .json file, a dataset on the Hub, or a folder", "MBZUAI/Bactrian-X"),
    Flag("lang", str, "languages, joined by commas: en,zh; all, seen:llama and the like", ""),
    Flag("output_dir", str, "where the adapter lands", "output"),
    Flag("prompt_template_name", str, "prompt style: bactrian, alpaca, chat, a JSON", "bactrian"),
    Flag("template_dir", str, "folder with prompt styles as the original's JSON", "./templates"),
    Flag("val_set_size", whole, "ids held out, the same in every language", 2000),
    Flag("cutoff_len", whole, "longest example in tokens", 512, also=("model_max_length",)),
    Flag("source_max_length", whole, "longest source of an encoder-decoder in tokens"),
    _switch("train_on_inputs", "the loss counts the prompt as well", False),
    _switch("load_in_8bit", "the base's weights in 8 bits"),
    _switch("load_in_4bit", "the base's weights in 4 bits"),
)
TRAINING = (
    Flag("batch_size", whole, "rows of one optimizer step, all devices together", 128),
    Flag(
        "micro_batch_size",
        whole,
        "rows in memory at once, on one device",
        32,
        also=("per_device_train_batch_size",),
    ),
    Flag("gradient_accumulation_steps", whole, "micro-batches of a step, without --batch_size"),
    Flag("num_epochs", number, "passes over the data", 3.0, also=("num_train_epochs",)),
    Flag("max_steps", whole, "steps to stop after, whatever the epochs say"),
    Flag("learning_rate", number, "highest learning rate", 3e-4),
    Flag("warmup_steps", whole, "steps in which the rate rises", 200),
    Flag("warmup_ratio", number, "share of the steps in which the rate rises"),
    Flag("lr_scheduler_type", str, "linear, cosine or constant"),
    Flag("weight_decay", number, "decay of the weights"),
    Flag("max_grad_norm", number, "largest norm of a step's gradient"),
    Flag("logging_steps", whole, "steps between two reports", 50),
    Flag("eval_steps", whole, "steps between two measurements on held-out rows", 500),
    Flag("save_steps", whole, "steps between two checkpoints", 500),
    Flag("seed", whole, "what every random choice follows from", 42),
    _switch("fp16", "compute in float16"),
    _switch("bf16", "compute in bfloat16"),
    _switch("gradient_checkpointing", "less memory, more time"),
    Flag("fsdp", str, "shard the weights over the processes of torchrun", bare="full_shard"),
    Flag("resume_from_checkpoint", str, "goes on by itself: see the end of this help", bare=BARE),
    _switch("use_wandb", "report to Weights & Biases"),
    Flag("wandb_project", str, "its project"),
    Flag("wandb_run_name", str, "its run", also=("run_name",)),
    Flag("wandb_watch", str, "what of the model it watches"),
    Flag("wandb_log_model", str, "whether it keeps the model"),
    Flag("report_to", str, "wandb, tensorboard, trackio or none", many=True),
    Flag("optim", str, "adamw_torch"),
    Flag("eval_strategy", str, "steps or no", also=("evaluation_strategy",)),
)
LORA = (
    Flag("lora_r", whole, "rank", 8),
    Flag("lora_alpha", whole, "the update is scaled by alpha / rank", 16),
    Flag("lora_dropout", number, "dropout on the adapter's input", 0.05),
    Flag("lora_target_modules", str, "modules, joined by commas, or all-linear", "q_proj,v_proj"),
)
OWN = (
    Flag("set", str, "section.key=value of the recipe, over the flags; may be repeated", many=True),
    _switch("dry_run", "say what would be done, and end"),
)
IDLE = {
    "group_by_length": "the plan puts rows of like length together, and shuffles the batches",
    "add_eos_token": "EOS always ends a response",
    "push_to_hub": "nothing is pushed, as the original's flag did nothing",
    "preprocessing_num_workers": "the encoder takes all cores by itself",
    "dataloader_num_workers": "batches are cut from memory-mapped tokens",
    "fsdp_transformer_layer_cls_to_wrap": "the layers to shard are found by themselves",
    "save_total_limit": "the last two checkpoints are kept",
    "load_best_model_at_end": "with --set train.patience=3 the best adapter is the one kept",
    "save_strategy": "checkpoints are written every --save_steps steps",
    "logging_strategy": "the loss is reported every --logging_steps steps",
    "logging_dir": "events.jsonl is in OUTPUT_DIR/work/runs",
    "per_device_eval_batch_size": "held-out rows are scored by a budget of tokens",
    "ddp_find_unused_parameters": "torchrun needs no such hint here",
    "ddp_timeout": "torchrun needs no such hint here",
    "local_rank": "torchrun says it by itself",
    "overwrite_output_dir": "finished work is recognised, other work is refused",
    "overwrite_cache": "tokens are kept by what they were made from",
    "remove_unused_columns": "only tokens reach the trainer",
    "do_train": "that is what the command does",
    "do_eval": "held-out rows are measured every --eval_steps steps",
    "tf32": "the precision is chosen by the device, and said",
    "disable_tqdm": "a pipe gets plain lines",
}
"""Flags that mean nothing any more, and why."""
REFUSED = {
    "tune_embedding": (
        "trains the embeddings too, which are no part of a LoRA adapter here",
        "leave it out, or train all weights: --set train.adapter=none",
    ),
    "deepspeed": (
        "has no setting here",
        "leave it out: the gradients of an adapter are small; for all weights, --fsdp full_shard",
    ),
}
"""Flags that cannot be left out in silence: what they ask for is not done."""
EVERY = (*MODEL_AND_DATA, *TRAINING, *LORA, *OWN)
BY_NAME = {name: flag for flag in EVERY for name in (flag.name, *flag.also)}


@dataclass(frozen=True, slots=True)
class Given:
    """What was typed, by the flags' first names, in the order of the table."""

    values: dict[str, Any]
    idle: tuple[str, ...] = ()

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def __getitem__(self, name: str) -> Any:
        """Return what was typed, else the original's default, else None."""
        return self.values.get(name, BY_NAME[name].default)


def read(arguments: Sequence[str]) -> Given:
    """Return the flags of a command line; ``--help`` prints and ends.

    Raises ConfigError for unknown flags, wrong values, and what cannot be done here.
    """
    space, unknown = parser().parse_known_args(list(_spelled(arguments)))
    if unknown:
        name = unknown[0].partition("=")[0]
        if not name.startswith("--"):
            raise ConfigError(f"{name!r} belongs to no flag", f"write --flag value; {HELP}")
        hint = did_you_mean(name, [f"--{known}" for known in BY_NAME])
        raise ConfigError(f"there is no {name}", hint if hint.endswith("?") else HELP)
    values = vars(space)
    for name, (problem, hint) in REFUSED.items():
        if str(values.pop(name, False)).casefold() not in ("false", "none", ""):
            raise ConfigError(f"--{name} {problem}", hint)
    idle = tuple(name for name in IDLE if values.pop(name, None) is not None)
    return Given(values, idle)


def parser() -> argparse.ArgumentParser:
    """Return the reader of the flags; nothing that was not typed has a value."""
    made = _Parser(
        prog="finetune.py",
        usage="%(prog)s --base_model BASE --data_path DATA --lang CODES --output_dir DIR [flags]",
        description="Trains one LoRA adapter as the original's finetune.py does, on bactrian.",
        epilog="Killed and started again, the same command goes on from its last checkpoint. "
        "--output_dir holds the adapter; its folder work holds the recipe, the dataset and the "
        "runs, and is a workspace for bactrian's verbs.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    for title, flags in (
        ("model and data", MODEL_AND_DATA),
        ("training", TRAINING),
        ("LoRA", LORA),
        ("bactrian's own", OWN),
    ):
        group = made.add_argument_group(title)
        for flag in flags:
            _add(group, flag)
    idle = made.add_argument_group("taken, and without meaning here")
    for name, why in IDLE.items():
        idle.add_argument(f"--{name}", nargs="?", const="True", help=why, metavar="…")
    for name in REFUSED:
        made.add_argument(f"--{name}", nargs="?", const="True", help=argparse.SUPPRESS)
    return made


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(message.removeprefix("argument "), HELP)


def _add(group: argparse._ArgumentGroup, flag: Flag) -> None:
    shown = f" (default: {flag.default})" if flag.default not in (None, "", False) else ""
    nargs = "+" if flag.many else "?" if flag.bare is not None else None
    told: dict[str, Any] = {"const": flag.bare} if nargs == "?" else {}
    if flag.many:
        told["action"] = "extend"
    group.add_argument(
        *(f"--{name}" for name in (flag.name, *flag.also)),
        dest=flag.name,
        type=flag.kind,
        nargs=nargs,
        help=flag.help.replace("%", "%%") + shown,
        metavar=_metavar(flag),
        **told,
    )


def _metavar(flag: Flag) -> str:
    shown: dict[Callable[[str], Any], str] = {whole: "N", number: "X", truth: "yes/no"}
    return shown.get(flag.kind, "…")


def _spelled(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the arguments with --base-model written --base_model; values stay as they are."""
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name.startswith("--"):
            name = "--" + name[2:].replace("-", "_")
        yield name + equals + value

"""What the flags mean: each goes into its key of the recipe, or its reason is said."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from bactrian.cli.original.flags import BY_NAME, read
from bactrian.cli.original.meaning import PLAIN, Told, name_of, resolve, typed
from bactrian.errors import ConfigError

FIXED = "--base_model some/model --data_path MBZUAI/Bactrian-X --lang en,zh"


def told(words: str, base: str = FIXED) -> Told:
    return resolve(read(shlex.split(f"{base} {words}")))


def at(recipe: Any, key: str) -> Any:
    for part in key.split("."):
        recipe = getattr(recipe, part)
    return recipe


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        ("", "train.base", "some/model"),
        ("", "languages", "en,zh"),
        ("", "train.adapters", {"output": "en,zh"}),
        ("", "network", True),
        ("", "check.names", ("empty",)),
        ("", "seed", 42),
        ("", "train.lora.rank", 8),
        ("", "train.lora.targets", ("q_proj", "v_proj")),
        ("", "train.batch_rows", 128),
        ("", "train.micro_batch_tokens", 32 * 512),
        ("", "train.warmup_steps", 200),
        ("", "train.eval_rows", 1000),
        ("", "train.train_on_inputs", False),
        ("--lora_target_modules '[q_proj,v_proj]'", "train.lora.targets", ("q_proj", "v_proj")),
        ("--lora_target_modules all-linear", "train.lora.targets", ("all-linear",)),
        ("--cutoff_len 768 --micro_batch_size 8", "train.micro_batch_tokens", 6144),
        ("--source_max_length 256 --micro_batch_size 1", "train.micro_batch_tokens", 768),
        ("--source_max_length 256", "train.max_source_tokens", 256),
        ("--per_device_train_batch_size 8 --gradient_accumulation_steps 4", "train.batch_rows", 32),
        ("--batch_size 64 --gradient_accumulation_steps 4", "train.batch_rows", 64),
        ("--warmup_steps 0", "train.warmup_steps", 0),
        ("--warmup_steps 0", "train.warmup", 0.0),
        ("--warmup_ratio 0.1", "train.warmup", 0.1),
        ("--warmup_ratio 0.1", "train.warmup_steps", 0),
        ("--max_steps -1", "train.max_steps", 0),
        ("--max_steps 5000", "train.max_steps", 5000),
        ("--lr_scheduler_type constant_with_warmup", "train.schedule", "constant"),
        ("--fp16", "train.dtype", "float16"),
        ("--bf16 True --fp16 False", "train.dtype", "bfloat16"),
        ("--fp16 False", "train.dtype", "auto"),
        ("--load_in_8bit", "train.quantize", "int8"),
        ("--load_in_4bit --load_in_8bit False", "train.quantize", "nf4"),
        ("--load_in_8bit False", "train.quantize", "none"),
        ("--fsdp 'full_shard auto_wrap'", "train.fsdp", True),
        ("--use_wandb", "train.loggers", ("wandb",)),
        ("--wandb_project mine", "train.loggers", ("wandb",)),
        ("--wandb_project mine --use_wandb False", "train.loggers", ()),
        ("--report_to tensorboard --use_wandb", "train.loggers", ("tensorboard", "wandb")),
        ("--report_to wandb,trackio", "train.loggers", ("wandb", "trackio")),
        ("--report_to none", "train.loggers", ()),
        ("--eval_strategy no", "train.eval_rows", 0),
        ("--val_set_size 0", "train.eval_rows", 0),
        ("--val_set_size 0", "build.validation", 0),
        ("--prompt_template_name alpaca", "train.prompt", "alpaca"),
        ("--set train.lora.variant=rslora", "train.lora.variant", "rslora"),
        ("--set train.adapter=none train.fsdp=true", "train.lora.targets", ()),
        ("--set 'train.adapter=\"none\"'", "train.adapter", "none"),
        ("--lora_r 4 --set train.lora.rank=2", "train.lora.rank", 2),
    ],
)
def test_a_flag_becomes_its_key(words: str, key: str, value: object) -> None:
    assert at(told(words).recipe, key) == value


@pytest.mark.parametrize("flag", PLAIN)
def test_a_plain_flag_is_its_key_value_and_all(flag: str) -> None:
    value: object = {"lora_dropout": 0.25, "train_on_inputs": True}.get(flag, 7)
    if flag == "gradient_checkpointing":
        value = True
    found = told(f"--{flag} {value}").recipe
    assert at(found, PLAIN[flag]) == value
    assert at(found, PLAIN[flag]) != at(told("").recipe, PLAIN[flag])


def test_processes_count_where_the_batch_follows_from_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    words = "--per_device_train_batch_size 8 --gradient_accumulation_steps 4"
    assert told(words).recipe.train.batch_rows == 128


def test_every_flag_that_was_typed_is_told_of() -> None:
    words = "--group_by_length --save_total_limit 3 --resume_from_checkpoint latest --optim "
    words += "adamw_torch --seed 1 --gradient_accumulation_steps 2 --batch_size 8"
    found = told(words)
    said = {setting.flag for setting in found.settings}
    assert {word[2:] for word in f"{FIXED} {words}".split() if word.startswith("--")} <= said
    idle = next(one for one in found.settings if one.flag == "group_by_length")
    assert not idle.key
    assert "the plan" in idle.why


def test_what_is_shown_as_typed() -> None:
    given = read(["--base_model", "a", "--train_on_inputs", "--report_to", "wandb", "none"])
    shown = {
        setting.flag: typed(given, setting)
        for setting in resolve(read(shlex.split(FIXED))).settings
    }
    assert shown["base_model"] == "--base_model a"
    assert shown["train_on_inputs"] == "--train_on_inputs"
    assert shown["lora_r"] == "--lora_r 8"
    assert shown.keys() <= BY_NAME.keys()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("--fp16 --bf16", "--fp16 and --bf16 cannot both be"),
        ("--load_in_8bit --load_in_4bit", "cannot both be"),
        ("--optim lion", "--optim lion is not here"),
        ("--eval_strategy epoch", "--eval_strategy epoch is not here"),
        ("--resume_from_checkpoint out/checkpoint-500", "names a checkpoint"),
        ("--lora_r 0", "--lora_r 0: input should be"),
        ("--learning_rate -1", "--learning_rate -1.0: input should be"),
        ("--lr_scheduler_type polynomial", "train.schedule = 'polynomial'"),
        ("--report_to comet", "train.loggers"),
        ("--load_in_8bit --fsdp", "train.fsdp shards no weights"),
        ("--prompt_template_name vigogne", "--prompt_template_name vigogne"),
        ('--set \'train.adapters={a = "en", b = "zh"}\'', "--set names 2 adapters"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        told(words)
    assert problem in caught.value.problem


def test_a_base_is_needed() -> None:
    with pytest.raises(ConfigError, match="--base_model is missing"):
        told("", base="--data_path a/b --lang zh")


@pytest.mark.parametrize("words", ["", "--resume_from_checkpoint latest", "--set train.epochs=1"])
def test_a_local_base_is_named_by_its_whole_path_and_asks_no_network(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "bx").mkdir()
    monkeypatch.chdir(tmp_path)
    found = told(words, base="--base_model tiny --data_path bx --lang zh").recipe
    assert found.train.base == str(tmp_path / "tiny")
    assert found.network is False
    assert found.sources["zh"].files == (str(tmp_path / "bx"),)


def test_wandb_reads_its_names_from_the_environment() -> None:
    words = "--use_wandb --wandb_run_name first --wandb_watch all"
    named = {"WANDB_PROJECT": "bactrian", "WANDB_NAME": "first", "WANDB_WATCH": "all"}
    assert told(words).environment == named
    assert told("").environment == {}


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("output", "output"),
        ("runs/bactrian-zh.7b", "bactrian-zh-7b"),
        ("ខ្មែរ អាដាប់ទ័រ", "ខ-ម-រ-អ-ដ-ប-ទ-រ"),
        ("base", "base-adapter"),
        ("/", "-adapter"),
    ],
)
def test_the_adapter_is_called_as_its_folder(folder: str, name: str) -> None:
    from bactrian.models.adapters import check_name

    found = name_of(Path(folder))
    assert found == name
    check_name(found)

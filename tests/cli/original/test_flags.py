"""The original's flags are read as it spelled them, and in the ways its users write them."""

from __future__ import annotations

import shlex

import pytest

from bactrian.cli.original.flags import BY_NAME, IDLE, REFUSED, parser, read
from bactrian.errors import ConfigError

README = (
    "--base_model decapoda-research/llama-7b-hf --data_path MBZUAI/Bactrian-X --lang en,zh "
    "--output_dir out --batch_size 128 --micro_batch_size 32 --num_epochs 10 "
    "--learning_rate 3e-4 --cutoff_len 512 --val_set_size 2000 --lora_r 16 --lora_alpha 16 "
    "--lora_dropout 0.05 --lora_target_modules 'q_proj,k_proj,v_proj,o_proj' "
    "--train_on_inputs --group_by_length"
)
ALL_OF_2_MAY = (
    *("base_model", "data_path", "lang", "output_dir", "template_dir", "prompt_template_name"),
    *("batch_size", "micro_batch_size", "num_epochs", "learning_rate", "cutoff_len"),
    *("val_set_size", "logging_steps", "eval_steps", "save_steps", "resume_from_checkpoint"),
    *("tune_embedding", "lora_r", "lora_alpha", "lora_dropout", "lora_target_modules"),
    *("train_on_inputs", "add_eos_token", "group_by_length", "use_wandb", "push_to_hub"),
    *("wandb_project", "wandb_run_name"),
)
OF_HEAD = (
    *("model_name_or_path", "load_in_8bit", "model_max_length", "preprocessing_num_workers"),
    *("source_max_length", "per_device_train_batch_size", "gradient_accumulation_steps"),
    *("num_train_epochs", "optim", "fp16", "bf16", "evaluation_strategy", "save_strategy"),
    *("warmup_steps", "weight_decay", "lr_scheduler_type", "save_total_limit", "report_to"),
    *("load_best_model_at_end", "ddp_find_unused_parameters", "gradient_checkpointing"),
)


def test_the_command_of_the_readme() -> None:
    given = read(shlex.split(README))
    assert given["base_model"] == "decapoda-research/llama-7b-hf"
    assert given["learning_rate"] == 3e-4
    assert given["lora_target_modules"] == "q_proj,k_proj,v_proj,o_proj"
    assert given["train_on_inputs"] is True
    assert given.idle == ("group_by_length",)
    assert given["logging_steps"] == 50, "its default, where nothing is typed"
    assert "logging_steps" not in given


@pytest.mark.parametrize("name", [*ALL_OF_2_MAY, *OF_HEAD])
def test_every_flag_of_both_commits_is_taken_or_refused_with_a_reason(name: str) -> None:
    assert name in BY_NAME or name in IDLE or name in REFUSED
    assert f"--{name}" in parser().format_help() or name in REFUSED


@pytest.mark.parametrize(
    ("typed", "name", "value"),
    [
        ("--train_on_inputs", "train_on_inputs", True),
        ("--train_on_inputs True", "train_on_inputs", True),
        ("--train_on_inputs=false", "train_on_inputs", False),
        ("--train-on-inputs no", "train_on_inputs", False),
        ("--load_in_8bit False --lora_r 4", "load_in_8bit", False),
        ("--model_name_or_path x/y", "base_model", "x/y"),
        ("--base-model=a-b/c=d", "base_model", "a-b/c=d"),
        ("--model_max_length 1024", "cutoff_len", 1024),
        ("--num_train_epochs 3", "num_epochs", 3.0),
        ("--batch_size 1e2", "batch_size", 100),
        ("--report_to wandb tensorboard", "report_to", ["wandb", "tensorboard"]),
        ("--set a=1 b=2 --set c=3", "set", ["a=1", "b=2", "c=3"]),
        ("--resume_from_checkpoint", "resume_from_checkpoint", "latest"),
        ("--fsdp 'full_shard auto_wrap'", "fsdp", "full_shard auto_wrap"),
    ],
)
def test_ways_to_write_a_flag(typed: str, name: str, value: object) -> None:
    assert read(shlex.split(typed)).values[name] == value


@pytest.mark.parametrize(
    ("typed", "problem", "hint"),
    [
        ("--lora_rank 4", "there is no --lora_rank", "--lora_r"),
        ("--zzz 4", "there is no --zzz", "--help"),
        ("stray", "'stray' belongs to no flag", "--flag value"),
        ("--lora_r many", "--lora_r: 'many' is no whole number", "--help"),
        ("--lora_r 1.5", "'1.5' is no whole number", "--help"),
        ("--num_epochs inf_", "'inf_' is no number", "--help"),
        ("--train_on_inputs perhaps", "'perhaps' is neither yes nor no", "--help"),
        ("--lora_r", "--lora_r: expected one argument", "--help"),
        ("--tune_embedding", "--tune_embedding trains the embeddings", "train.adapter=none"),
        ("--deepspeed ds.json", "--deepspeed has no setting here", "--fsdp"),
    ],
)
def test_what_is_wrong_names_the_flag_and_the_next_step(
    typed: str, problem: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(shlex.split(typed))
    assert problem in caught.value.problem
    assert hint in caught.value.hint


def test_a_refused_flag_that_is_switched_off_is_fine() -> None:
    assert read(["--tune_embedding", "False"]).values == {}

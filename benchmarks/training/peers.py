"""One cell of the training bench: a peer trains on our rows and tells its tokens, time and memory.

    PYTHONPATH=. VENV/bin/python -m benchmarks.training.peers hf-group --model llama --threads 1

hf          transformers' Trainer as alpaca-lora used it: padded batches in random order
hf-group    the same with group_by_length
trl-group   TRL's SFTTrainer, padded batches grouped by length
trl-packing TRL's SFTTrainer, packing (best fit) into rows of 1,024, two a batch
unsloth     Unsloth (its CPU backend where there is no GPU), grouped by length

Each makes its batches itself, from the whole epoch; those that are run are a stratified sample of
them (``shapes.stratified``), since group_by_length begins with the longest of every fifty batches
and a short run would see nothing else. Needs an environment that ``make_venvs.sh`` makes.
"""

from __future__ import annotations

import argparse
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.training import meter as metering
from benchmarks.training import shapes

CONTENDERS = ("hf", "hf-group", "trl-group", "trl-packing", "unsloth")
PACKED_TOKENS = 1024


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--model", default="llama")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=8, help="rows of a batch")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--steps", type=int, default=24, help="steps that are timed")
    parser.add_argument("--warm", type=int, default=3, help="steps before the clock starts")
    parser.add_argument("--seconds", type=float, default=120, help="longest timed part")
    parser.add_argument("--autocast", action="store_true", help="transformers' bf16=True")
    parser.add_argument("--liger", action="store_true", help="Liger's kernels (CUDA)")
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--limit-gb", type=float, default=0, help="fail alone above this memory")
    parser.add_argument("--work", type=Path, required=True, help="folder for what it writes")
    told = parser.parse_args()
    if told.limit_gb:
        resource.setrlimit(resource.RLIMIT_DATA, (int(told.limit_gb * 2**30),) * 2)
    _quiet()
    run(told)


def _quiet() -> None:
    """Nobody reports anywhere, and nothing is asked of a hub."""
    os.environ |= {
        "HF_HUB_OFFLINE": "1",
        "UNSLOTH_DISABLE_STATISTICS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


def run(told: argparse.Namespace) -> None:
    """Put the contender together, train it, print its result."""
    if told.contender == "unsloth":
        if told.device == "cpu":
            os.environ["UNSLOTH_FORCE_CPU"] = "1"
        import unsloth  # type: ignore[import-not-found,unused-ignore]  # noqa: F401  before torch
    import torch

    torch.set_num_threads(told.threads)
    meters: list[metering.Meter] = []

    def loaded() -> None:
        meters.append(metering.Meter(told.device, told.warm, told.steps, told.seconds))

    make = {"hf": _hf, "trl": _trl, "unsloth": _unsloth}[told.contender.split("-")[0]]
    trainer = make(told, loaded)
    _sample(trainer, told)
    (meter,) = meters
    trainer.add_callback(metering.callback(meter))
    trainer.training_step = metering.counting(trainer.training_step, meter)
    trainer.train()
    metering.told(
        meter.result(
            contender=told.contender,
            model=told.model,
            device=told.device,
            threads=told.threads,
            batch=told.batch,
            autocast=told.autocast,
            torch=torch.__version__,
        )
    )


def _hf(told: argparse.Namespace, loaded: Callable[[], None]) -> Any:
    import datasets  # noqa: F401  now, so that it is no memory of the training
    from peft import get_peft_model
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    model = get_peft_model(
        shapes.model(told.model, told.device), shapes.lora(told.model, told.rank)
    )
    if told.checkpointing:
        model.enable_input_require_grads()
    loaded()
    collator = DataCollatorForSeq2Seq(shapes.tokenizer(), pad_to_multiple_of=8, padding=True)
    arguments = TrainingArguments(use_liger_kernel=told.liger, **_arguments(told))
    return Trainer(model=model, args=arguments, train_dataset=_data(told), data_collator=collator)


def _trl(told: argparse.Namespace, loaded: Callable[[], None]) -> Any:
    from trl import SFTConfig, SFTTrainer  # type: ignore[import-not-found,unused-ignore]

    given = _arguments(told)
    if told.contender == "trl-packing":
        given |= {"packing": True, "packing_strategy": "bfd", "max_length": PACKED_TOKENS}
    else:
        given["max_length"] = None
    model = shapes.model(told.model, told.device)
    loaded()
    return SFTTrainer(
        model=model,
        args=SFTConfig(**given),
        train_dataset=_data(told),
        processing_class=shapes.tokenizer(),
        peft_config=shapes.lora(told.model, told.rank),
    )


def _unsloth(told: argparse.Namespace, loaded: Callable[[], None]) -> Any:
    import torch
    from trl import SFTConfig, SFTTrainer
    from unsloth import FastLanguageModel

    model, tokenizer = FastLanguageModel.from_pretrained(
        str(shapes.folder(told.model, told.work)),
        max_seq_length=PACKED_TOKENS,
        dtype=torch.bfloat16,
        load_in_4bit=False,
    )
    model = FastLanguageModel.get_peft_model(
        model,
        r=told.rank,
        lora_alpha=shapes.ALPHA,
        lora_dropout=0,
        bias="none",
        use_gradient_checkpointing=told.checkpointing,
        target_modules=list(shapes.SHAPES[told.model].targets),
    )
    loaded()
    given = _arguments(told) | {"bf16": True, "max_length": PACKED_TOKENS}
    given["dataset_kwargs"] = {"skip_prepare_dataset": True}
    return SFTTrainer(
        model=model, processing_class=tokenizer, train_dataset=_data(told), args=SFTConfig(**given)
    )


def _arguments(told: argparse.Namespace) -> dict[str, Any]:
    """Return what all peers are told; the rest are their own defaults."""
    grouped = told.contender.endswith("group") or told.contender == "unsloth"
    return {
        "output_dir": str(told.work / "out" / told.contender),
        "max_steps": told.warm + told.steps,
        "learning_rate": 3e-4,
        "per_device_train_batch_size": told.batch,
        "train_sampling_strategy": "group_by_length" if grouped else "random",
        "gradient_checkpointing": told.checkpointing,
        "bf16": told.autocast,
        "optim": "adamw_torch",
        "use_cpu": told.device == "cpu",
        "report_to": [],
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "dataloader_pin_memory": told.device != "cpu",
        "seed": 0,
    }


def _data(told: argparse.Namespace) -> Any:
    """Return the rows as a datasets.Dataset with labels only on the response."""
    from datasets import Dataset

    found = shapes.rows(shapes.SHAPES[told.model].vocabulary)
    return Dataset.from_dict(
        {
            "input_ids": [row.ids.tolist() for row in found],
            "labels": [[-100] * row.prompt + row.ids[row.prompt :].tolist() for row in found],
        }
    )


def _sample(trainer: Any, told: argparse.Namespace) -> None:
    """Have the trainer run a stratified sample of the batches that its own sampler makes."""
    from torch.utils.data import Sampler

    own = trainer._get_train_sampler

    class Sampled(Sampler):  # type: ignore[misc]  # torch is not followed
        def __init__(self, dataset: Any) -> None:
            lengths = [len(ids) for ids in dataset["input_ids"]]
            order = list(own(dataset))
            batches = [
                order[start : start + told.batch]
                for start in range(0, len(order) - told.batch + 1, told.batch)
            ]
            costs = [max(lengths[row] for row in batch) for batch in batches]
            chosen = shapes.stratified(costs, told.steps, told.warm)
            self.order = [row for batch in chosen for row in batches[batch]]

        def __len__(self) -> int:
            return len(self.order)

        def __iter__(self) -> Iterator[int]:
            return iter(self.order)

    trainer._get_train_sampler = lambda dataset=None: Sampled(dataset or trainer.train_dataset)


if __name__ == "__main__":
    main()

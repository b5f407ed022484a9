"""What a merge of a large model takes in memory: a line a way, 1 where ours takes too much.

    python benchmarks/export/memory.py [--gb 3] [--place FOLDER] [--peer] [--keep RESULTS.json]

The base has the shapes of LLaMA-13B in bfloat16 and as many layers as ``--gb`` asks for; its values
are zeros in a file without blocks on the disk, the adapter's are random, on every linear layer. The
bound: three times the largest tensor and 1 GB, the interpreter with torch and transformers in it,
for the merge and its proof on the weights.
``--peer`` merges with PEFT and saves with transformers, which have the whole model in memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from math import prod
from pathlib import Path

HIDDEN, INNER, WORDS, HEADS, RANK = 5120, 13824, 32_000, 40, 16
"""LLaMA-13B (Touvron et al. 2023, Table 2); its MLP's width from its published configuration."""
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
PER_NUMBER = 2
"""Bytes in bfloat16."""


def main() -> int:
    """Make base and adapter, merge them in a process of its own each way, print peaks."""
    asked = arguments()
    if asked.way:
        merge(asked.way, Path(asked.place))
        return 0
    with tempfile.TemporaryDirectory(dir=asked.place or None) as folder:
        place = Path(folder)
        tensors = write(place, asked.gb, asked.shrink)
        largest = max(map(prod, tensors.values())) * PER_NUMBER
        size = sum(map(prod, tensors.values())) * PER_NUMBER
        ways = ["ours", "peer"] if asked.peer else ["ours"]
        found = {way: measured(way, place) for way in ways}
    bound = 3 * largest + 1e9
    told = {
        "base_bytes": size,
        "largest_tensor_bytes": largest,
        "bound_bytes": bound,
        "ways": found,
    }
    print(f"base {size / 1e9:.2f} GB, largest tensor {largest / 1e9:.2f} GB")
    for way, one in found.items():
        print(f"{way:5} peak {one['peak_bytes'] / 1e9:.2f} GB  {one['cpu_seconds']:.1f} s of CPU")
    print(f"bound {bound / 1e9:.2f} GB (3 x largest + 1 GB)")
    if asked.keep:
        Path(asked.keep).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return int(found["ours"]["peak_bytes"] > bound)


def arguments() -> argparse.Namespace:
    """Read what is asked for; ``--way`` is for the processes that are measured."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--gb", type=float, default=3.0, help="of the base, at least")
    reader.add_argument("--shrink", type=int, default=1, help="divides every width, for a test")
    reader.add_argument("--place", default="", help="folder with room for base and result")
    reader.add_argument("--peer", action="store_true", help="measure PEFT and transformers too")
    reader.add_argument("--keep", default="", help="JSON file for the figures")
    reader.add_argument("--way", default="", help=argparse.SUPPRESS)
    return reader.parse_args()


def shapes(layers: int, shrink: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the tensors of a LLaMA of so many layers."""
    hidden, inner, words = HIDDEN // shrink, INNER // shrink, WORDS // shrink
    yield "model.embed_tokens.weight", (words, hidden)
    for layer in range(layers):
        here = f"model.layers.{layer}"
        for name in ATTENTION:
            yield f"{here}.self_attn.{name}.weight", (hidden, hidden)
        for name in ("gate_proj", "up_proj"):
            yield f"{here}.mlp.{name}.weight", (inner, hidden)
        yield f"{here}.mlp.down_proj.weight", (hidden, inner)
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield f"{here}.{name}.weight", (hidden,)
    yield "model.norm.weight", (hidden,)
    yield "lm_head.weight", (words, hidden)


def write(place: Path, gigabytes: float, shrink: int) -> dict[str, tuple[int, ...]]:
    """Write base and adapter; return the base's shapes."""
    layer = prod((2 * HIDDEN + 3 * INNER // 2, 2 * HIDDEN)) // shrink**2 * PER_NUMBER
    layers = max(2, round(gigabytes * 1e9 / layer))
    tensors = dict(shapes(layers, shrink))
    base = place / "base"
    base.mkdir()
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": HIDDEN // shrink,
        "intermediate_size": INNER // shrink,
        "num_hidden_layers": layers,
        "num_attention_heads": HEADS // shrink or 1,
        "num_key_value_heads": HEADS // shrink or 1,
        "vocab_size": WORDS // shrink,
        "dtype": "bfloat16",
    }
    (base / "config.json").write_text(json.dumps(config))
    write_zeros(base / "model.safetensors", tensors)
    write_adapter(place / "adapter", base, tensors)
    return tensors


def write_zeros(path: Path, tensors: dict[str, tuple[int, ...]]) -> None:
    """Write a safetensors file whose values take no room on the disk."""
    header, start = {}, 0
    for name, shape in tensors.items():
        end = start + prod(shape) * PER_NUMBER
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + start)


def write_adapter(folder: Path, base: Path, tensors: dict[str, tuple[int, ...]]) -> None:
    """Write a LoRA of every linear layer."""
    import torch
    from safetensors.torch import save_file

    found = {}
    for name, shape in tensors.items():
        if "_proj" in name:
            place = f"base_model.model.{name.removesuffix('.weight')}"
            found[f"{place}.lora_A.weight"] = torch.randn(RANK, shape[1]) * 0.02
            found[f"{place}.lora_B.weight"] = torch.randn(shape[0], RANK) * 0.02
    folder.mkdir()
    save_file(found, folder / "adapter_model.safetensors", {"format": "pt"})
    targets = [*ATTENTION, "gate_proj", "up_proj", "down_proj"]
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": RANK,
              "target_modules": targets, "base_model_name_or_path": str(base)}  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(config))


def measured(way: str, place: Path) -> dict[str, float]:
    """Merge in a process of its own and return its peak and its CPU time."""
    command = [sys.executable, __file__, "--way", way, "--place", str(place)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    shutil.rmtree(place / "out", ignore_errors=True)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def merge(way: str, place: Path) -> None:
    """Merge one way and print the peak of this process."""
    began = time.process_time()
    (ours if way == "ours" else peer)(place)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"peak_bytes": peak, "cpu_seconds": time.process_time() - began}))


def ours(place: Path) -> None:
    """Stream base and adapter into shards, and hold every tensor against base and adapter."""
    from bactrian.models.prompts import BACTRIAN
    from bactrian.publish.merge import Mix, merged_weights
    from bactrian.publish.merge.proof import Written, prove
    from bactrian.publish.merge.shards import write_shards
    from bactrian.publish.source import open_source

    out = place / "out"
    out.mkdir()
    source = open_source({place / "adapter": 1.0})
    weights = merged_weights(source)
    write_shards(weights, out)
    prove("weights", Written(out, weights, source, Mix()), None, BACTRIAN)


def peer(place: Path) -> None:
    """Load the model, attach, merge and save it, as PEFT's documentation says."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(place / "base", dtype=torch.bfloat16)
    PeftModel.from_pretrained(model, place / "adapter").merge_and_unload().save_pretrained(
        place / "out", max_shard_size="4GB"
    )


if __name__ == "__main__":
    sys.exit(main())

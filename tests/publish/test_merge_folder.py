"""A merged folder: opened by transformers, proved, whole or absent."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")

import merge_toys  # noqa: E402
from safetensors import safe_open  # noqa: E402

from bactrian.errors import AdapterError, ConfigError, RunError  # noqa: E402
from bactrian.models import prompts  # noqa: E402
from bactrian.publish import exported  # noqa: E402
from bactrian.publish.merge import Mix, merged_weights, write_merged  # noqa: E402
from bactrian.publish.merge.folder import Wish, foretell  # noqa: E402
from bactrian.publish.merge.merged import MergedWeights  # noqa: E402
from bactrian.publish.source import open_source  # noqa: E402

TARGETS = ["q_proj", "v_proj"]


@pytest.fixture
def adapter(tiny_base: Path, tmp_path: Path) -> Path:
    return merge_toys.adapter(tmp_path / "zh", tiny_base, target_modules=TARGETS)


def opened(place: Path) -> tuple[Any, Any]:
    from transformers import AutoTokenizer

    return merge_toys.load(place), AutoTokenizer.from_pretrained(place)


def test_the_folder_is_base_and_adapter(adapter: Path, tiny_base: Path, tmp_path: Path) -> None:
    record = write_merged(merge_toys.source(adapter), Wish(tmp_path / "out", command="again"))
    model, tokenizer = opened(tmp_path / "out")
    wanted = merge_toys.adapted(tiny_base, target_modules=TARGETS)
    style = prompts.get("bactrian")
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "水は何?"}], tokenize=False, add_generation_prompt=True
    )
    assert asked == "<s>" + style.render("水は何?")
    ids = tokenizer(asked, add_special_tokens=False, return_tensors="pt").input_ids
    with torch.inference_mode():
        torch.testing.assert_close(model(ids).logits, wanted(ids).logits, rtol=1e-5, atol=1e-4)
    assert record.proof["kind"] == "logits"
    assert record.proof["difference"] < 1e-4
    assert record.proof["same_tokens"] == record.proof["tokens"]
    assert len(record.proof["scripts"]) >= 8
    assert exported.read(tmp_path / "out") == record
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    readme = (tmp_path / "out" / "README.md").read_text()
    assert "greedy tokens are the same" in readme
    assert "\nagain\n" in readme


def test_nothing_of_the_bases_is_left(adapter: Path, tiny_base: Path, tmp_path: Path) -> None:
    base = tmp_path / "sharded"
    merge_toys.load(tiny_base).save_pretrained(base, max_shard_size="50KB")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tiny_base / name, base / name)
    (base / "LICENSE").write_text("terms")
    assert (base / "model.safetensors.index.json").exists()
    source = open_source({adapter: 1.0}, base=str(base))
    write_merged(source, Wish(tmp_path / "out", dtype="bfloat16"))
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert "model.safetensors" in names
    assert not any("index" in name or "-of-" in name for name in names)
    assert "LICENSE" in names
    told = json.loads((tmp_path / "out" / "config.json").read_text())
    assert told["dtype"] == told["torch_dtype"] == "bfloat16"


def test_shards_and_index_are_as_others_read_them(adapter: Path, tmp_path: Path) -> None:
    source = merge_toys.source(adapter)
    write_merged(source, Wish(tmp_path / "out", shard=30_000))
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    weights = merged_weights(source)
    assert index["weight_map"].keys() == weights.shapes.keys()
    assert index["metadata"]["total_size"] == weights.bytes
    files = sorted(set(index["weight_map"].values()))
    assert len(files) > 3
    assert files[0] == f"model-00001-of-{len(files):05}.safetensors"
    for name, file in index["weight_map"].items():
        with safe_open(tmp_path / "out" / file, framework="pt") as found:
            assert torch.equal(found.get_tensor(name), weights.get(name))
    for file in files:
        size = (tmp_path / "out" / file).stat().st_size
        with safe_open(tmp_path / "out" / file, framework="pt") as found:
            assert size <= 35_000 or len(found.keys()) == 1


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_rounding_is_measured_and_told(dtype: Any, adapter: Path, tmp_path: Path) -> None:
    record = write_merged(merge_toys.source(adapter), Wish(tmp_path / "out", dtype=dtype))
    assert record.dtype == dtype
    assert 1e-4 < record.proof["difference"] < record.proof["spread"]


@pytest.mark.parametrize("method", ["linear", "svd", "ties", "dare"])
def test_every_method_is_proved(method: Any, tiny_base: Path, tmp_path: Path) -> None:
    several = [
        merge_toys.adapter(tmp_path / f"a{rank}", tiny_base, rank, target_modules=TARGETS, r=rank)
        for rank in (2, 5)
    ]
    source = merge_toys.source(*several, shares=(0.5, 0.7))
    record = write_merged(source, Wish(tmp_path / "out", Mix(method, seed=3)))
    assert record.method == method
    assert record.proof["difference"] < 1e-4
    assert [part.share for part in record.parts] == [0.5, 0.7]


@pytest.mark.parametrize("kind", ["logits", "weights"])
def test_a_wrong_tensor_is_found_and_nothing_is_kept(
    kind: Any, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = MergedWeights.get
    wrong = "model.layers.1.self_attn.v_proj.weight"

    def get(self: MergedWeights, name: str) -> Any:
        tensor = right(self, name)
        return tensor * 1.001 if name == wrong else tensor

    monkeypatch.setattr(MergedWeights, "get", get)
    with pytest.raises(RunError, match=r"is not base \+ adapter"):
        write_merged(merge_toys.source(adapter), Wish(tmp_path / "out", proof=kind))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["zh"]


def test_weights_alone_are_proved_where_memory_is_short(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bactrian.publish.merge import proof

    monkeypatch.setattr(proof, "free_memory", lambda: 1 << 20)
    record = write_merged(merge_toys.source(adapter), Wish(tmp_path / "out", dtype="bfloat16"))
    assert record.proof["kind"] == "weights"
    assert 0 < record.proof["difference"] < 2**-8
    assert record.proof["tensors"] == 21
    assert record.proof["changed"] == 4
    assert "No logits were compared" in (tmp_path / "out" / "README.md").read_text()


def test_a_tied_model_is_untied_in_its_settings(tiny_base: Path, tmp_path: Path) -> None:
    base = merge_toys.write_base(tmp_path / "base", "tied", tiny_base)
    folder = merge_toys.adapter(tmp_path / "a", base, target_modules=["embed_tokens", "q_proj"])
    assert foretell(merge_toys.source(folder), Wish(tmp_path / "out")).untied
    record = write_merged(merge_toys.source(folder), Wish(tmp_path / "out"))
    assert record.proof["difference"] < 1e-4
    assert json.loads((tmp_path / "out/config.json").read_text())["tie_word_embeddings"] is False
    assert "each has its own" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("family", ["bloom", "gpt2", "mixtral", "t5"])
def test_other_architectures(family: str, tiny_base: Path, tmp_path: Path) -> None:
    base = merge_toys.write_base(tmp_path / "base", family, tiny_base)
    targets = {"bloom": "query_key_value", "gpt2": "c_attn", "mixtral": "q_proj", "t5": "q"}
    folder = merge_toys.adapter(tmp_path / "a", base, target_modules=[targets[family]])
    record = write_merged(merge_toys.source(folder), Wish(tmp_path / "out"))
    assert record.proof["difference"] < 1e-4
    assert record.proof["same_tokens"] == record.proof["tokens"]


def test_experts_that_an_older_adapter_names_one_by_one(tiny_base: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    base = merge_toys.write_base(tmp_path / "base", "mixtral", tiny_base)
    folder = merge_toys.adapter(tmp_path / "a", base, target_modules=["q_proj"])
    tensors = load_file(folder / "adapter_model.safetensors")
    for place in (f"model.layers.{n // 3}.block_sparse_moe.experts.{n % 3}" for n in range(6)):
        for name, (out, into) in {"w1": (64, 32), "w2": (32, 64), "w3": (64, 32)}.items():
            side = f"base_model.model.{place}.{name}.lora_"
            tensors[f"{side}A.weight"] = torch.randn(4, into) * 0.1
            tensors[f"{side}B.weight"] = torch.randn(out, 4) * 0.1
    save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    path = folder / "adapter_config.json"
    told = json.loads(path.read_text()) | {"target_modules": ["q_proj", "w1", "w2", "w3"]}
    path.write_text(json.dumps(told))
    record = write_merged(merge_toys.source(folder), Wish(tmp_path / "out"))
    assert record.proof["difference"] < 1e-4  # PEFT joins the factors as transformers the experts
    assert len(merged_weights(merge_toys.source(folder)).made) == 2 + 18


def resized(base: Path, folder: Path, rows: int) -> Path:
    """An adapter with an embedding and a head of more rows, as PEFT saves them."""
    model = merge_toys.load(base)
    model.resize_token_embeddings(rows, mean_resizing=False)
    whole = ["embed_tokens", "lm_head"]
    told = peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"], modules_to_save=whole)
    with merge_toys.quietly():
        made = peft.get_peft_model(model, told)
    for name, weights in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, 0.0, 0.2)
    return merge_toys.save(made, folder, base)


def test_added_tokens_come_with_their_tokenizer(tiny_base: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder = resized(tiny_base, tmp_path / "a", 322)
    with pytest.raises(AdapterError, match="no tokenizer that says what they stand for"):
        write_merged(merge_toys.source(folder), Wish(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    tokenizer.add_tokens(["<a>", "<b>"])
    tokenizer.save_pretrained(folder)
    record = write_merged(merge_toys.source(folder), Wish(tmp_path / "out"))
    model, found = opened(tmp_path / "out")
    assert model.get_input_embeddings().weight.shape[0] == len(found) == 322
    assert record.proof["difference"] < 1e-4


def test_added_tokens_in_the_embedding_alone_are_refused(tiny_base: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = resized(tiny_base, tmp_path / "a", 322)
    path = folder / "adapter_model.safetensors"
    kept = {name: tensor for name, tensor in load_file(path).items() if "lm_head" not in name}
    save_file(kept, path, {"format": "pt"})
    with pytest.raises(AdapterError, match="not to both"):
        write_merged(merge_toys.source(folder), Wish(tmp_path / "out"))


def test_what_stands_there_is_left_alone(adapter: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="exists already"):
        write_merged(merge_toys.source(adapter), Wish(tmp_path / "out"))
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    write_merged(merge_toys.source(adapter), Wish(tmp_path / "out", overwrite=True, proof="none"))
    assert not (tmp_path / "out" / "mine.txt").exists()


def test_no_room_is_told_before_anything_is_written(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, 50_000_000))
    with pytest.raises(RunError, match=r"the disk has 0\.05 GB left"):
        write_merged(merge_toys.source(adapter), Wish(tmp_path / "out"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["zh"]


@pytest.mark.parametrize(("name", "told"), [("dtype", "int8"), ("proof", "logit")])
def test_unknown_words_are_refused(name: str, told: str, tmp_path: Path) -> None:
    words: dict[str, Any] = {name: told}
    with pytest.raises(ConfigError, match=f"unknown {name} {told}"):
        Wish(tmp_path, **words)


SLOW = """
import sys, time
from pathlib import Path
from bactrian.publish.merge import write_merged
from bactrian.publish.merge.folder import Wish
from bactrian.publish.merge.merged import MergedWeights
from bactrian.publish.source import open_source
right = MergedWeights.get
def get(self, name):
    if "layers.1" in name:
        print("half", flush=True)
        time.sleep(60)
    return right(self, name)
MergedWeights.get = get
write_merged(open_source({Path(sys.argv[1]): 1.0}), Wish(Path(sys.argv[2]), shard=30_000))
"""


def test_a_killed_export_leaves_nothing_that_looks_whole(adapter: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(adapter), str(out)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "half"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    left = tmp_path / ".out.unfinished"
    assert not out.exists()
    assert left.exists()  # it was in the middle
    assert not list(left.glob("*.index.json"))
    assert exported.read(left) is None
    write_merged(merge_toys.source(adapter), Wish(out, proof="none"))
    assert not left.exists()
    assert exported.read(out) is not None

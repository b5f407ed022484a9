"""bactrian export state-dict: base and adapter in Meta's layout, by the words of a user."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest

from bactrian.cli import main
from bactrian.models import adapters, base
from bactrian.publish import exported

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")
meta_reference = pytest.importorskip("meta_reference")

IDS = [0, 9, 40, 41, 5, 77, 12]


def ends(words: list[object], code: int = 0) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert (ended.value.code or 0) == code


def trained(folder: Path, place: Path, **config: Any) -> tuple[Any, Any]:
    """Save an adapter that does something; return what it answers, and what the base does."""
    loaded = base.load(str(folder), dtype="float32")
    with torch.inference_mode():
        bare = loaded.model(torch.tensor([IDS])).logits[0]
    told = peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear", **config)
    torch.manual_seed(1)
    with adapters.hushed():
        model = peft.get_peft_model(loaded.model, told).eval()
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, 0.0, 0.3)
    model.save_pretrained(place)
    with torch.inference_mode():
        return model(torch.tensor([IDS])).logits[0], bare


def test_base_and_adapter_answer_alike_in_metas_formulas(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted, bare = trained(tiny_base, tmp_path / "zh", use_rslora=True, lora_alpha=6)
    ends(["export", "state-dict", tmp_path / "zh", "--to", tmp_path / "meta", "--dtype", "f32",
          "--base", tiny_base])  # fmt: skip
    found = meta_reference.logits(tmp_path / "meta", IDS)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    assert (wanted - bare).abs().max() > 0.1
    out = capsys.readouterr().out
    assert "21 tensors" in out
    assert "rounded by at most 0" in out
    assert "the base has no tokenizer.model, so tokenizer.json" in out
    record = exported.read(tmp_path / "meta")
    assert record is not None
    assert (record.kind, record.dtype, record.prompt) == ("state-dict", "float32", "bactrian")
    assert [part.name for part in record.parts] == ["zh"]
    assert record.proof["tensors"] == 21


def test_an_adapter_of_a_tied_head_is_written_untied(tiny_base: Path, tmp_path: Path) -> None:
    config = transformers.LlamaConfig(
        vocab_size=320, hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=4, num_key_value_heads=2, bos_token_id=0, eos_token_id=1,
        initializer_range=0.2, tie_word_embeddings=True,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        transformers.LlamaForCausalLM(config).save_pretrained(tmp_path / "base")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tiny_base / name, tmp_path / "base" / name)
    loaded = base.load(str(tmp_path / "base"), dtype="float32")
    told = peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["lm_head"])
    with adapters.hushed(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # PEFT tells of the tying
        model = peft.get_peft_model(loaded.model, told).eval()
        for name, weights in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weights, 0.0, 0.3)
        model.save_pretrained(tmp_path / "zh")
    with torch.inference_mode():
        wanted = model(torch.tensor([IDS])).logits[0]
    ends(["export", "state-dict", tmp_path / "zh", "--to", tmp_path / "meta", "--dtype", "f32",
          "--base", tmp_path / "base"])  # fmt: skip
    torch.testing.assert_close(
        meta_reference.logits(tmp_path / "meta", IDS), wanted, rtol=1e-4, atol=1e-4
    )


def test_a_model_without_adapter_is_foretold_and_written(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", "state-dict", tiny_base, "--to", tmp_path / "meta", "--json"]
    ends([*words, "--dry-run"])
    foretold = json.loads(capsys.readouterr().out)
    assert not (tmp_path / "meta").exists()
    ends(words)
    told = json.loads(capsys.readouterr().out)
    assert foretold["bytes"] == 2 * told["parameters"]
    assert told["bytes"] - foretold["bytes"] < 8000
    assert told["tokenizer"] == ["tokenizer.json", "tokenizer_config.json"]
    ends(words, 2)
    assert "exists already" in capsys.readouterr().err
    ends([*words, "--overwrite"])


def test_another_architecture_is_refused_in_two_lines(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(tiny_base, tmp_path / "base"))
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**told, "model_type": "qwen2"}))
    ends(["export", "state-dict", folder, "--to", tmp_path / "meta"], 2)
    err = capsys.readouterr().err
    assert "is for LLaMA's architecture, and this is qwen2" in err
    assert "hint: export it as GGUF or merged" in err

"""Every kind of base, adapter and batch: trained to a folder that plain PEFT opens as it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from bactrian.models import adapters, base
from bactrian.train import run
from bactrian.train.run import Trained, train
from bactrian.workspace import Workspace

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

MakeWorkspace = Callable[..., Workspace]
MakeBase = Callable[..., Path]

SMALL = {"vocab_size": 320, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
WIDE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
LLAMA = {
    **WIDE,
    "intermediate_size": 32,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "max_position_embeddings": 1024,
}
NEOX = {**WIDE, "intermediate_size": 32, "max_position_embeddings": 1024}
OPT = {
    **WIDE,
    "ffn_dim": 32,
    "word_embed_proj_dim": 16,
    "max_position_embeddings": 1024,
    "dropout": 0.0,
}
T5 = {
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 32,
    "num_layers": 2,
    "num_heads": 2,
    "decoder_start_token_id": 0,
    "dropout_rate": 0.0,
}
CAUSAL: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", LLAMA),
    "mistral": ("Mistral", {**LLAMA, "sliding_window": 16}),
    "qwen2": ("Qwen2", {**LLAMA, "vocab_size": 336}),  # its tokenizer brings a token of its own
    "gemma2": ("Gemma2", {**LLAMA, "sliding_window": 16, "final_logit_softcapping": 5.0}),
    "cohere (logit scale)": ("Cohere", {**LLAMA, "logit_scale": 0.25}),
    "granite (logit scale)": ("Granite", {**LLAMA, "logits_scaling": 4.0}),
    "bloom (Bloomz)": ("Bloom", {"hidden_size": 16, "n_layer": 2, "n_head": 2}),
    "opt (Galactica)": ("OPT", OPT),
    "gpt_neox": ("GPTNeoX", NEOX),
    "gpt2": ("GPT2", {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 1024}),
}
PAIRED = {"t5": ("T5", T5), "mt5": ("MT5", {**T5, "feed_forward_proj": "gated-gelu"})}
STILL = {  # dropout of the base's own, which no recipe names
    "Bloom": {"hidden_dropout": 0.0, "attention_dropout": 0.0},
    "GPT2": {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
}
ROWS = [
    ("说出三种颜色。", "", "红色，黄色，蓝色。"),
    ("翻译：早安", "给朋友", "Good morning!"),
    ("一加一是多少？", "", "二。"),
    ("哪座城市是中国的首都？", "", "北京是中国的首都。"),
    ("写一句问候的话。", "", "你好，很高兴认识你！"),
    ("猫吃什么？", "简短回答", "猫吃鱼和肉。"),
    ("水的沸点是多少？", "", "在海平面上是一百摄氏度。"),
]
WHOLE_EPOCHS = (  # every step has all rows, so that one step's loss can be held against another's
    "train.dtype=float32",
    "train.batch_rows=4",
    "train.micro_batch_tokens=200",
    "train.epochs=4",
    "train.warmup=0",
    "train.eval_rows=0",
    "train.save_steps=100",
    "train.lora.dropout=0",
    "train.learning_rate=0.02",
)


@pytest.fixture
def make_base(tiny_base: Path, tmp_path: Path) -> MakeBase:
    """Return a maker of random bases of any family, with the tiny base's tokenizer."""

    def make(family: str, own: dict[str, Any], **more: Any) -> Path:
        import transformers

        config = getattr(transformers, f"{family}Config")(
            **{**SMALL, "initializer_range": 0.2, **own, **STILL.get(family, {}), **more}
        )
        ending = "ForConditionalGeneration" if "T5" in family else "ForCausalLM"
        ending = "LMHeadModel" if family == "GPT2" else ending
        folder = tmp_path / f"base-{family}"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(11)
            getattr(transformers, family + ending)(config).save_pretrained(folder)
        for path in (*tiny_base.glob("tokenizer*"), *tiny_base.glob("*.jinja")):
            shutil.copy(path, folder)
        return folder

    return make


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Logits of every adapter as training had it, taken just before it is written."""
    found: list[Any] = []
    save = adapters.save

    def looking(model: Any, *given: Any) -> Any:
        found.append(logits(model.model))
        return save(model, *given)

    monkeypatch.setattr(run, "save", looking)
    return found


def logits(model: Any) -> Any:
    ids = torch.tensor([[0, 45, 9, 77, 130, 8, 201, 33], [0, 17, 5, 299, 88, 61, 12, 250]])
    asked = {"input_ids": ids}
    if model.config.is_encoder_decoder:
        asked["decoder_input_ids"] = ids.flip(1)
    model.eval()
    with torch.no_grad():
        return model(**asked).logits.clone()


def prepared(make: MakeWorkspace, folder: Path, *more: str, root: Path | None = None) -> Workspace:
    given = {"root": root} if root else {}
    return make("zh", f"train.base={folder}", *WHOLE_EPOCHS, *more, rows={"zh": ROWS}, **given)


def losses(done: Trained) -> list[float]:
    history = json.loads((done.folder / "training.json").read_text(encoding="utf-8"))
    return [entry["loss"] for entry in history if "loss" in entry]


def opened(folder: Path, done: Trained, family: str = "CausalLM") -> Any:
    """The adapter in plain PEFT, as the card says."""
    import transformers
    from peft import PeftModel

    plain = getattr(transformers, f"AutoModelFor{family}").from_pretrained(
        folder, dtype=torch.float32
    )
    with adapters.hushed():
        return PeftModel.from_pretrained(plain, done.folder)


@pytest.mark.parametrize("name", CAUSAL)
def test_every_causal_base(
    name: str, make_base: MakeBase, make_workspace: MakeWorkspace, seen: list[Any]
) -> None:
    folder = make_base(*CAUSAL[name])
    done = train(prepared(make_workspace, folder), "toy")
    found = losses(done)
    assert len(found) == 4
    assert found[-1] < found[0]
    assert adapters.verify(done.folder) == done.verified
    (trained,) = seen
    torch.testing.assert_close(logits(opened(folder, done)), trained, rtol=1e-4, atol=1e-4)
    assert (logits(base.load(str(folder), dtype="float32").model) - trained).abs().max() > 1e-3


@pytest.mark.parametrize("name", PAIRED)
def test_every_encoder_decoder(
    name: str, make_base: MakeBase, make_workspace: MakeWorkspace, seen: list[Any]
) -> None:
    folder = make_base(*PAIRED[name])
    limits = ("train.prompt=bactrian_seq2seq", "train.max_source_tokens=30", "train.max_tokens=40")
    done = train(prepared(make_workspace, folder, *limits), "toy")
    found = losses(done)
    assert found[-1] < found[0]
    (trained,) = seen
    plain = opened(folder, done, "Seq2SeqLM")
    torch.testing.assert_close(logits(plain), trained, rtol=1e-4, atol=1e-4)
    config = json.loads((done.folder / "adapter_config.json").read_text())
    assert config["task_type"] == "SEQ_2_SEQ_LM"
    assert config["target_modules"] == ["q", "v"]
    card = (done.folder / "README.md").read_text(encoding="utf-8")
    assert "| longest source | 30 tokens |" in card
    assert "AutoModelForSeq2SeqLM" in card


@pytest.mark.parametrize("tied", [True, False])
def test_every_weight_of_a_base(
    tied: bool, make_base: MakeBase, make_workspace: MakeWorkspace
) -> None:
    folder = make_base("Llama", LLAMA, tie_word_embeddings=tied)
    whole = ("train.adapter=none", "train.learning_rate=0.005")
    done = train(prepared(make_workspace, folder, *whole), "toy")
    found = losses(done)
    assert found[-1] < found[0]
    made = base.load(str(done.folder), dtype="float32")
    same = made.model.get_input_embeddings().weight is made.model.lm_head.weight
    assert same == tied
    before = base.load(str(folder), dtype="float32").model
    assert all(
        not torch.equal(one, other)
        for one, other in zip(before.parameters(), made.model.parameters(), strict=True)
    )
    assert made.tokenizer.eos_token == "</s>"
    assert not train(prepared(make_workspace, folder, *whole), "toy").fresh
    assert "library_name: transformers" in (done.folder / "README.md").read_text(encoding="utf-8")


def test_every_weight_of_an_encoder_decoder(
    make_base: MakeBase, make_workspace: MakeWorkspace
) -> None:
    folder = make_base(*PAIRED["t5"])
    done = train(prepared(make_workspace, folder, "train.adapter=none"), "toy")
    found = losses(done)
    assert found[-1] < found[0]
    assert base.load(str(done.folder), dtype="float32").kind == "encoder-decoder"


def test_a_base_that_others_share_is_not_the_one_that_is_changed(
    make_base: MakeBase, make_workspace: MakeWorkspace
) -> None:
    folder = make_base("Llama", LLAMA)
    shared = base.load(str(folder), dtype="float32")
    before = logits(shared.model)
    whole = prepared(make_workspace, folder, "train.adapter=none", "train.max_steps=1")
    train(whole, "toy", lambda: shared)
    assert torch.equal(logits(shared.model), before)


@pytest.mark.parametrize("variant", ["rslora", "dora", "pissa", "plus_ratio", "all-linear"])
def test_every_variant(
    variant: str, make_base: MakeBase, make_workspace: MakeWorkspace, seen: list[Any]
) -> None:
    told = {
        "plus_ratio": "train.lora.plus_ratio=4",
        "all-linear": "train.lora.targets=all-linear",
    }.get(variant, f"train.lora.variant={variant}")
    folder = make_base("Llama", LLAMA)
    done = train(prepared(make_workspace, folder, told, "train.learning_rate=0.01"), "toy")
    found = losses(done)
    assert found[-1] < found[0]
    (trained,) = seen
    torch.testing.assert_close(logits(opened(folder, done)), trained, rtol=1e-4, atol=1e-4)
    config = json.loads((done.folder / "adapter_config.json").read_text())
    card = (done.folder / "README.md").read_text(encoding="utf-8")
    assert config["use_rslora"] == (variant == "rslora")
    assert config["use_dora"] == (variant == "dora")
    assert config["r"] == (8 if variant == "pissa" else 4)
    assert f"| rank, alpha, dropout | {config['r']}, {config['lora_alpha']}, 0 |" in card
    assert ("gate_proj" in config["target_modules"]) == (variant == "all-linear")
    assert "lm_head" not in config["target_modules"]


@pytest.mark.parametrize("name", ["llama", "bloom (Bloomz)", "mistral"])
def test_packed_and_checkpointed_it_learns_the_same(
    name: str, make_base: MakeBase, make_workspace: MakeWorkspace, tmp_path: Path
) -> None:
    folder = make_base(*CAUSAL[name])
    ways = ["train.packing=pad", "train.packing=pack", "train.checkpointing=true"]
    done = [
        train(prepared(make_workspace, folder, way, root=tmp_path / str(place)), "toy")
        for place, way in enumerate(ways)
    ]
    padded, packed, again = map(losses, done)
    assert len(padded) == 4
    assert packed == pytest.approx(padded, abs=1e-5)
    assert again == pytest.approx(padded, abs=1e-5)
    assert len({one.facts.made_from for one in done}) == 1


def test_with_the_prompt_in_the_loss_more_tokens_count(
    make_base: MakeBase, make_workspace: MakeWorkspace, tmp_path: Path
) -> None:
    """The loss is the model's own, with labels everywhere but at the first token."""
    folder = make_base("Llama", LLAMA)
    inputs = prepared(make_workspace, folder, "train.train_on_inputs=true", "train.max_steps=1")
    done = train(inputs, "toy")
    loaded = base.load(str(folder), dtype="float32")
    from bactrian.models import prompts

    nats, count = 0.0, 0
    for instruction, given, output in ROWS[3:]:
        text = loaded.tokenizer(prompts.BACTRIAN.render(instruction, given)).input_ids
        text += [*loaded.tokenizer(output, add_special_tokens=False).input_ids, 1]
        ids = torch.tensor([text])
        with torch.no_grad():
            nats += float(loaded.model(ids, labels=ids).loss) * (len(text) - 1)
        count += len(text) - 1
    assert losses(done) == pytest.approx([nats / count], rel=1e-5)
    alone = prepared(make_workspace, folder, "train.max_steps=1", root=tmp_path / "alone")
    assert losses(train(alone, "toy")) != pytest.approx([nats / count], rel=1e-3)


def test_a_style_of_the_users_own_goes_with_the_adapter(
    make_base: MakeBase, make_workspace: MakeWorkspace, tmp_path: Path
) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "سؤال.toml").write_text(
        'name = "سؤال"\nwith_input = "س: {instruction}\\n{input}\\nج: "\n'
        'without_input = "س: {instruction}\\nج: "\n',
        encoding="utf-8",
    )
    folder = make_base("Llama", LLAMA)
    done = train(prepared(make_workspace, folder, "train.prompt=سؤال.toml"), "toy")
    assert done.facts.prompt == "سؤال"
    assert done.facts.template is not None
    assert done.facts.template["without_input"] == "س: {instruction}\nج: "
    assert "    س: {instruction}\n    {input}\n    ج: " in (done.folder / "README.md").read_text(
        encoding="utf-8"
    )


@pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
@pytest.mark.parametrize("quantize", ["nf4", "int8"])
@pytest.mark.filterwarnings("ignore")
def test_a_quantised_base(
    quantize: str, make_base: MakeBase, make_workspace: MakeWorkspace, seen: list[Any]
) -> None:
    wide = {**LLAMA, "hidden_size": 64, "intermediate_size": 64, "head_dim": 32}
    folder = make_base("Llama", wide)
    done = train(prepared(make_workspace, folder, f"train.quantize={quantize}"), "toy")
    found = losses(done)
    assert found[-1] < found[0]
    card = (done.folder / "README.md").read_text(encoding="utf-8")
    assert "| computed in | float32+" in card

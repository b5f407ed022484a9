"""A LLaMA in Meta's layout: read back, run in Meta's formulas, refused where it is none."""

from __future__ import annotations

import json
import pickletools
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import ConfigError, RunError
from bactrian.publish import meta_layout, state_dict, torch_file
from bactrian.publish.exported import Exported
from bactrian.publish.meta_layout import feed_forward, hidden_of
from bactrian.publish.weights import FolderWeights

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
meta_reference = pytest.importorskip("meta_reference")

STORIES = Path(__file__).parents[3] / "shared" / "data" / "models" / "stories260K"
IDS = [1, 9, 40, 41, 5, 77, 12]


def told(proof: state_dict.Written) -> Exported:
    return Exported("state-dict", "toy", "", "f", (), "alone", "float16", "bactrian", "x")


def made(folder: Path, family: str = "Llama", **config: Any) -> Path:
    """A random model in transformers' format."""
    sizes = {
        "vocab_size": 96,
        "hidden_size": 32,
        "intermediate_size": 88,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "initializer_range": 0.2,
        **config,
    }
    settings = getattr(transformers, f"{family}Config")(**sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        getattr(transformers, f"{family}ForCausalLM")(settings).save_pretrained(folder)
    return folder


def export(folder: Path, place: Path, **options: Any) -> state_dict.Written:
    return state_dict.export(FolderWeights(folder), folder, place, told, **options)


SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "grouped queries": ("Llama", {}),
    "every head its keys": ("Llama", {"num_key_value_heads": 4}),
    "one key head": ("Llama", {"num_key_value_heads": 1}),
    "tied": ("Llama", {"tie_word_embeddings": True}),
    "wide": ("Llama", {"intermediate_size": 91, "rms_norm_eps": 1e-3}),
    "other positions": (
        "Llama",
        {"rope_parameters": {"rope_theta": 500.0, "rope_type": "default"}},
    ),
    "scaled positions": (
        "Llama",
        {
            "max_position_embeddings": 131072,
            "rope_parameters": {
                **meta_layout.SCALED,
                "rope_theta": 500000.0,
                "rope_type": "llama3",
            },
        },
    ),
    "mistral": ("Mistral", {"sliding_window": None, "head_dim": 8}),
}


@pytest.mark.parametrize("name", SHAPES)
def test_metas_formulas_compute_the_same(name: str, tmp_path: Path) -> None:
    family, config = SHAPES[name]
    folder = made(tmp_path / "hf", family, **config)
    done = export(folder, tmp_path / "meta", dtype="float32")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.inference_mode():
        wanted = model(torch.tensor([IDS])).logits[0]
        found = meta_reference.logits(tmp_path / "meta", IDS)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    assert done.rounding == 0.0
    assert wanted.std() > 0.3  # random, and far from uniform


def test_a_trained_model_tells_the_same_story(tmp_path: Path) -> None:
    if not (STORIES / "model.safetensors").is_file():
        pytest.skip("real data is not beside the repository: stories260K")
    done = export(STORIES, tmp_path / "meta")
    assert done.tokenizer == ("tokenizer.model",)
    assert done.meta_tokenizer
    model = transformers.AutoModelForCausalLM.from_pretrained(STORIES).eval()
    with torch.inference_mode():
        wanted = model.generate(torch.tensor([[1]]), max_new_tokens=24, do_sample=False)[0, 1:]
        assert meta_reference.greedy(tmp_path / "meta", [1], 24) == wanted.tolist()
    assert 0 < done.rounding < 1e-3


def test_the_folder_is_metas(tmp_path: Path) -> None:
    folder = made(tmp_path / "hf")
    done = export(folder, tmp_path / "meta")
    names = {path.name for path in (tmp_path / "meta").iterdir()}
    assert names == {"consolidated.00.pth", "params.json", "bactrian-export.json"}
    params = json.loads((tmp_path / "meta" / "params.json").read_text())
    assert params == {
        "dim": 32,
        "multiple_of": 8,
        "n_heads": 4,
        "n_kv_heads": 2,
        "n_layers": 2,
        "norm_eps": 1e-6,
        "vocab_size": 96,
    }
    read = torch.load(tmp_path / "meta" / "consolidated.00.pth", weights_only=True)
    assert {tensor.dtype for tensor in read.values()} == {torch.float16}
    assert done.tensors == len(read) == 2 * 9 + 3
    assert done.parameters == sum(tensor.numel() for tensor in read.values())
    assert not done.meta_tokenizer


def test_query_rows_lie_in_pairs(tmp_path: Path) -> None:
    folder = made(tmp_path / "hf")
    export(folder, tmp_path / "meta", dtype="float32")
    theirs = FolderWeights(folder).get("model.layers.1.self_attn.k_proj.weight")
    ours = torch.load(tmp_path / "meta" / "consolidated.00.pth", weights_only=True)
    rows = [0, 4, 1, 5, 2, 6, 3, 7]  # of a head of 8
    wanted = theirs[[*rows, *(8 + row for row in rows)]]
    assert torch.equal(ours["layers.1.attention.wk.weight"], wanted)


def test_the_same_weights_are_the_same_bytes(tmp_path: Path) -> None:
    folder = made(tmp_path / "hf")
    for place in ("a", "b"):
        export(folder, tmp_path / place)
    first, second = (tmp_path / place / state_dict.FILE for place in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


def test_the_archive_is_whole_for_readers_without_torch(tmp_path: Path) -> None:
    shapes = {"a": (3, 5), "b": (7,), "empty": (0, 2)}
    tensors = {name: torch.randn(shape).bfloat16() for name, shape in shapes.items()}
    torch_file.write(tmp_path / "x.pth", shapes, "bfloat16", tensors.__getitem__)
    with zipfile.ZipFile(tmp_path / "x.pth") as archive:
        assert archive.testzip() is None
        words = pickletools.genops(archive.read("x/data.pkl"))
        named = {str(word) for code, word, _ in words if code.name == "GLOBAL"}
    assert named == {"torch._utils _rebuild_tensor_v2", "torch BFloat16Storage"} | {
        "collections OrderedDict"
    }
    for mapped in (True, False):
        read = torch.load(tmp_path / "x.pth", weights_only=True, mmap=mapped)
        assert list(read) == list(shapes)
        for name, tensor in tensors.items():
            assert torch.equal(read[name], tensor)
            assert read[name].data_ptr() % 64 == 0 or not mapped or name == "empty"


def test_one_tensor_at_a_time_is_held(tmp_path: Path) -> None:
    """What is asked for is let go before the next is asked for."""
    import weakref

    alive: list[Any] = []

    def get(name: str) -> Any:
        assert not any(one() is not None for one in alive)
        tensor = torch.zeros(64)
        alive.append(weakref.ref(tensor))
        return tensor

    torch_file.write(tmp_path / "x.pth", dict.fromkeys("abc", (64,)), "float32", get)
    assert len(alive) == 3


@pytest.mark.parametrize(
    ("dim", "hidden", "known"),
    [
        (4096, 11008, (256, None)),  # LLaMA 7B
        (5120, 13824, (256, None)),  # 13B
        (6656, 17920, (256, None)),  # 33B
        (8192, 22016, (256, None)),  # 65B
        (8192, 28672, (1024, 1.3)),  # Llama 2 70B: 4096 there, the same width
        (4096, 14336, (256, 1.3)),  # Llama 3 8B, Mistral
        (2048, 8192, (4096, None)),  # Llama 3.2 1B: 256 and 1.5 there, the same width
        (576, 1536, None),  # SmolLM2-135M
        (64, 172, (4, None)),
        (7, 1, None),
        (32, 9973, None),
    ],
)
def test_the_feed_forward_is_solved_for_any_width(
    dim: int, hidden: int, known: tuple[int, float | None] | None
) -> None:
    found = feed_forward(dim, hidden)
    assert hidden_of(dim, *found) == hidden
    if known is not None:
        assert found == known


def test_every_width_has_numbers() -> None:
    for dim in (8, 33, 576, 4096):
        for hidden in range(1, 700):
            assert hidden_of(dim, *feed_forward(dim, hidden)) == hidden, (dim, hidden)


REFUSED: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], str]] = {
    "bloom": (lambda config: {**config, "model_type": "bloom"}, "LLaMA's architecture.*bloom"),
    "bias": (lambda config: {**config, "attention_bias": True}, "bias in its attention"),
    "mlp bias": (lambda config: {**config, "mlp_bias": True}, "bias in its feed-forward"),
    "gelu": (lambda config: {**config, "hidden_act": "gelu"}, "gelu in its feed-forward"),
    "window": (lambda config: {**config, "sliding_window": 8}, "a sliding window"),
    "heads": (lambda config: {**config, "head_dim": 16}, "heads of 16"),
    "yarn": (
        lambda config: {**config, "rope_parameters": {"rope_type": "yarn", "factor": 4.0}},
        r"scaled by yarn \(factor 4\.0\)",
    ),
    "llama3 of another factor": (
        lambda config: {
            **config,
            "rope_parameters": {"rope_type": "llama3", **meta_layout.SCALED, "factor": 32.0},
        },
        r"scaled by llama3 \(factor 32\.0",
    ),
    "old yarn": (
        lambda config: {**config, "rope_parameters": None, "rope_scaling": {"type": "linear"}},
        "scaled by linear",
    ),
    "quantised": (lambda config: {**config, "quantization_config": {"bits": 4}}, "quantised"),
    "layers": (lambda config: {**config, "num_hidden_layers": 3}, r"has no model\.layers\.2"),
    "fewer layers": (lambda config: {**config, "num_hidden_layers": 1}, "has no place for"),
    "size": (lambda config: {**config, "vocab_size": 97}, r"is \[96, 32\], and .* \[97, 32\]"),
    "nothing": (lambda config: {"model_type": "llama"}, "cannot be read"),
}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("toy") / "hf")


@pytest.mark.parametrize("name", REFUSED)
def test_what_meta_has_no_words_for_is_refused_by_name(
    name: str, toy: Path, tmp_path: Path
) -> None:
    change, problem = REFUSED[name]
    config = json.loads((toy / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(change(config)))
    with pytest.raises(ConfigError, match=problem) as caught:
        state_dict.export(FolderWeights(toy), tmp_path, tmp_path / "meta", told)
    assert caught.value.hint
    assert not (tmp_path / "meta").exists()


class Changed:
    """Weights with one tensor in place of another."""

    def __init__(self, weights: FolderWeights, name: str, change: Callable[[Any], Any]) -> None:
        self.weights, self.name, self.change = weights, name, change
        self.shapes = weights.shapes

    def get(self, name: str) -> Any:
        tensor = self.weights.get(name)
        return self.change(tensor) if name == self.name else tensor


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda tensor: tensor * 1e6, "more than float16 can tell"),
        (lambda tensor: tensor * float("nan"), "not finite"),
    ],
)
def test_values_that_would_be_lost_are_refused(
    change: Callable[[Any], Any], problem: str, toy: Path, tmp_path: Path
) -> None:
    weights = Changed(FolderWeights(toy), "model.norm.weight", change)
    with pytest.raises(ConfigError, match=problem):
        state_dict.export(weights, toy, tmp_path / "meta", told)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_gives_back_something_else_is_not_kept(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = torch_file.write

    def flip(path: Path, *rest: Any) -> None:
        write(path, *rest)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 64
        path.write_bytes(content)

    monkeypatch.setattr(torch_file, "write", flip)
    with pytest.raises(RunError, match="read back and is not what was written"):
        state_dict.export(FolderWeights(toy), toy, tmp_path / "meta", told)
    assert list(tmp_path.iterdir()) == []


def test_unturned_rows_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(tmp_path / "hf")
    monkeypatch.setattr(meta_layout, "TURNED", ("no such tensor",))
    export(folder, tmp_path / "meta", dtype="float32")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.inference_mode():
        wanted = model(torch.tensor([IDS])).logits[0]
    assert (meta_reference.logits(tmp_path / "meta", IDS) - wanted).abs().max() > 0.01

"""Adapter folders: what is written comes back, and what is not in order is refused by name."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import AdapterError, RunError
from bactrian.models import adapters, base
from bactrian.models.adapters import AdapterFacts

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")

from safetensors import SafetensorError  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

IDS = [[0, 5, 9, 40, 41, 42, 77]]
TARGETS = ["v_proj", "q_proj", "o_proj", "k_proj"]


def facts_for(loaded: base.Base, name: str = "zh") -> AdapterFacts:
    return AdapterFacts(
        name=name,
        languages=("zh",),
        prompt="bactrian",
        base=loaded.id,
        base_revision=loaded.location.revision,
        base_fingerprint=loaded.location.fingerprint,
        made_from="0" * 32,
        steps=3,
        tokens=99,
        seconds=1.5,
        losses={"zh": 2.5},
    )


def trained(loaded: base.Base, seed: int = 1, **config: Any) -> Any:
    """A PEFT model with an adapter that does something, as after a training."""
    torch.manual_seed(seed)
    told = {"task_type": "CAUSAL_LM", "r": 4, "target_modules": TARGETS, **config}
    with adapters.hushed():
        model = peft.get_peft_model(loaded.model, peft.LoraConfig(**told)).eval()
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, 0.0, 0.3)
    return model


def logits(model: Any) -> Any:
    with torch.inference_mode():
        return model(input_ids=torch.tensor(IDS)).logits


def whole(tiny_base: Path) -> base.Base:
    return base.load(str(tiny_base), dtype="float32")


@pytest.fixture
def loaded(tiny_base: Path) -> base.Base:
    return whole(tiny_base)


@pytest.fixture(scope="module")
def saved(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """An adapter's folder, and the logits that it gave before it was saved."""
    loaded, folder = whole(tiny_base), tmp_path_factory.mktemp("adapters") / "zh"
    model = trained(loaded)
    adapters.save(model, folder, loaded, facts_for(loaded), {"README.md": "words"})
    return folder, logits(model)


@pytest.fixture
def folder(saved: tuple[Path, Any], tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(saved[0], tmp_path / "zh"))


def test_a_saved_adapter_gives_the_same_logits_again(
    loaded: base.Base, saved: tuple[Path, Any]
) -> None:
    bare = logits(loaded.model)
    model = adapters.attach(loaded, {"zh": saved[0]})
    torch.testing.assert_close(logits(model), saved[1], rtol=0, atol=0)
    assert (saved[1] - bare).abs().max() > 0.1
    assert not any(weights.requires_grad for weights in model.parameters())
    with model.disable_adapter():
        torch.testing.assert_close(logits(model), bare, rtol=0, atol=0)


def test_peft_alone_opens_the_folder(loaded: base.Base, saved: tuple[Path, Any]) -> None:
    with adapters.hushed():
        model = peft.PeftModel.from_pretrained(loaded.model, saved[0])
    torch.testing.assert_close(logits(model.eval()), saved[1], rtol=0, atol=0)


def test_the_folder_says_what_it_is(loaded: base.Base, saved: tuple[Path, Any]) -> None:
    folder = saved[0]
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["target_modules"] == sorted(TARGETS)
    assert (config["base_model_name_or_path"], config["revision"]) == (loaded.id, None)
    assert adapters.facts_of(folder) == facts_for(loaded)
    assert (folder / "README.md").read_text() == "words"
    assert adapters.verify(folder) == adapters.Verified(
        tensors=16,
        parameters=sum(
            weights.numel() for weights in load_file(folder / adapters.WEIGHTS).values()
        ),
        bytes=(folder / adapters.WEIGHTS).stat().st_size,
    )


def test_the_revision_is_written(loaded: base.Base, tmp_path: Path) -> None:
    from dataclasses import replace

    at = replace(loaded, location=replace(loaded.location, id="some/base", revision="0a1b"))
    adapters.save(trained(loaded), tmp_path / "a", at, facts_for(at), {})
    config = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == ("some/base", "0a1b")


def test_the_same_adapter_is_saved_as_the_same_bytes(loaded: base.Base, tmp_path: Path) -> None:
    model = trained(loaded)
    for name in ("a", "b"):
        adapters.save(model, tmp_path / name, loaded, facts_for(loaded), {})
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_many_adapters_lie_on_one_base(loaded: base.Base, tmp_path: Path) -> None:
    expected = {}
    for seed, name in enumerate(("zh", "vi")):
        model = trained(loaded, seed)
        adapters.save(model, tmp_path / name, loaded, facts_for(loaded, name), {})
        expected[name] = logits(model)
        model.unload()
    model = adapters.attach(loaded, {name: tmp_path / name for name in expected})
    for name, found in expected.items():
        model.set_adapter(name)
        torch.testing.assert_close(logits(model), found, rtol=0, atol=0)


def test_an_adapter_on_gpt2s_transposed_layers_fits(
    tiny: Callable[[str], Any], loaded: base.Base, tmp_path: Path
) -> None:
    from dataclasses import replace

    gpt2 = replace(loaded, model=tiny("gpt2"))
    model = trained(gpt2, target_modules=["c_attn"], fan_in_fan_out=True)
    expected = logits(model)
    adapters.save(model, tmp_path / "a", gpt2, facts_for(gpt2), {})
    again = adapters.attach(replace(loaded, model=tiny("gpt2")), {"a": tmp_path / "a"})
    torch.testing.assert_close(logits(again), expected, rtol=0, atol=0)


def edit_weights(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / adapters.WEIGHTS
        save_file(change(load_file(path)), path)

    return edit


def drop(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def as_pickle(*, tensors: bool, archive: bool = True) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        weights = load_file(folder / adapters.WEIGHTS) if tensors else {}
        path = folder / adapters.PICKLE
        torch.save(weights, path, _use_new_zipfile_serialization=archive)
        (folder / adapters.WEIGHTS).unlink()
        assert (path.stat().st_size < 1400) is not tensors

    return edit


def cut(folder: Path) -> None:
    path = folder / adapters.WEIGHTS
    path.write_bytes(path.read_bytes()[:-1])


def some(kind: str, value: float) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(tensors: dict[str, Any]) -> dict[str, Any]:
        return {
            name: torch.full_like(tensor, value) if kind in name else tensor
            for name, tensor in tensors.items()
        }

    return change


def without(kind: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda tensors: {name: found for name, found in tensors.items() if kind not in name}


DAMAGED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no configuration": (drop("adapter_config.json"), r"has no adapter_config\.json"),
    "no JSON": (
        lambda folder: (folder / "adapter_config.json").write_text("{"),
        "is not JSON",
    ),
    "no object": (
        lambda folder: (folder / "adapter_config.json").write_text("[]"),
        "is not a configuration",
    ),
    "no weights": (drop("adapter_model.safetensors"), r"has no adapter_model\.safetensors"),
    "the 443-byte kind": (as_pickle(tensors=False), r"adapter_model\.bin is empty \(\d+ bytes"),
    "the same, older": (as_pickle(tensors=False, archive=False), r"is empty \(\d+ bytes hold no"),
    "a pickle": (as_pickle(tensors=True), "is a pickle, which can run code"),
    "an old pickle": (as_pickle(tensors=True, archive=False), "is a pickle, which can run code"),
    "no tensors": (edit_weights(lambda _: {}), "holds no LoRA tensors"),
    "other tensors": (edit_weights(lambda _: {"a": torch.ones(2)}), "holds no LoRA tensors"),
    "only A": (edit_weights(without("lora_B")), "has only one of lora_A and lora_B"),
    "only B": (edit_weights(without("lora_A")), "has only one of lora_A and lora_B"),
    "one B gone": (edit_weights(without("0.self_attn.q_proj.lora_B")), "layers.0.self_attn.q_proj"),
    "every B zero": (edit_weights(some("lora_B", 0.0)), "every lora_B is zero"),
    "NaN": (edit_weights(some("1.self_attn.k_proj.lora_A", float("nan"))), "not finite"),
    "infinite": (edit_weights(some("1.self_attn.k_proj.lora_B", float("inf"))), "not finite"),
    "cut": (cut, "is damaged"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_folder_that_is_not_in_order_is_refused_by_name(
    kind: str, folder: Path, loaded: base.Base
) -> None:
    damage, problem = DAMAGED[kind]
    damage(folder)
    with pytest.raises(AdapterError, match=problem) as caught:
        adapters.verify(folder)
    assert str(folder) in caught.value.problem
    assert caught.value.hint
    with pytest.raises(AdapterError):
        adapters.attach(loaded, {"zh": folder})


def test_an_adapter_made_elsewhere_has_no_facts_and_is_used(
    folder: Path, loaded: base.Base, saved: tuple[Path, Any]
) -> None:
    (folder / "bactrian.json").unlink()
    assert adapters.facts_of(folder) is None
    model = adapters.attach(loaded, {"zh": folder})
    torch.testing.assert_close(logits(model), saved[1], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ({"base": "some/base", "base_fingerprint": "f"}, "made for another base: some/base, not"),
        ({"base_fingerprint": "f"}, "made for other weights of"),
    ],
)
def test_an_adapter_of_another_base_is_refused(
    folder: Path, loaded: base.Base, told: dict[str, str], problem: str
) -> None:
    path = folder / "bactrian.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **told}))
    with pytest.raises(AdapterError, match=problem) as caught:
        adapters.attach(loaded, {"zh": folder})
    assert "--base" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda name, tensor: (name, tensor.repeat(1, 2)), "q_proj is of another size"),
        (
            lambda name, tensor: (name.replace("layers.1", "layers.7"), tensor),
            r"layers\.7\.self_attn\.q_proj is absent there",
        ),
    ],
)
def test_an_adapter_of_other_shapes_is_refused(
    folder: Path, loaded: base.Base, change: Callable[..., tuple[str, Any]], problem: str
) -> None:
    (folder / "bactrian.json").unlink()
    touched = "layers.1.self_attn.q_proj"
    edit_weights(
        lambda tensors: dict(
            change(name, tensor) if touched in name else (name, tensor)
            for name, tensor in tensors.items()
        )
    )(folder)
    with pytest.raises(AdapterError, match=problem) as caught:
        adapters.attach(loaded, {"zh": folder})
    assert loaded.id in caught.value.hint


@pytest.mark.parametrize("name", ["zh", "zh-vi_2", "多", "lora", "lo", "or"])
def test_other_names_are_taken(name: str, saved: tuple[Path, Any], loaded: base.Base) -> None:
    model = adapters.attach(loaded, {"first": saved[0], name: saved[0]})
    model.set_adapter(name)
    torch.testing.assert_close(logits(model), saved[1], rtol=0, atol=0)


@pytest.fixture(params=["weights", "facts", "beside"])
def full(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills up while one of the files is written."""
    error: Exception = OSError(errno.ENOSPC, "No space left on device")
    if request.param == "weights":
        error = SafetensorError("Error while serializing: I/O error: No space left on device")

    def refuse(*_: Any, **__: Any) -> None:
        raise error

    if request.param == "weights":
        monkeypatch.setattr("peft.peft_model.safe_save_file", refuse)
    elif request.param == "facts":
        monkeypatch.setattr(Path, "write_bytes", refuse)
    else:
        write = Path.write_text

        def write_text(self: Path, text: str, **told: Any) -> int:
            if self.name == "README.md":
                raise error
            return write(self, text, **told)

        monkeypatch.setattr(Path, "write_text", write_text)


@pytest.mark.usefixtures("full")
def test_a_full_disk_leaves_what_was_there_before(
    folder: Path, loaded: base.Base, saved: tuple[Path, Any]
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(RunError, match="no space left"):
        adapters.save(trained(loaded, 9), folder, loaded, facts_for(loaded), {"README.md": "x"})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_an_adapter_that_does_nothing_stays_out(loaded: base.Base, tmp_path: Path) -> None:
    config = peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=TARGETS)
    with adapters.hushed():
        untrained = peft.get_peft_model(loaded.model, config)
    with pytest.raises(AdapterError, match="every lora_B is zero"):
        adapters.save(untrained, tmp_path / "zh", loaded, facts_for(loaded), {})
    assert list(tmp_path.iterdir()) == []

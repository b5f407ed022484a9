"""PEFT's LoRA layers computed here give what PEFT gives, for one adapter and for many at once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from bactrian.models.adapters import hushed
from bactrian.models.lora_layers import fast_lora
from bactrian.models.lora_layers.segments import segments

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
pytest.importorskip("transformers")

TARGETS = {
    "gpt2": ["c_attn", "c_proj", "c_fc"],  # Conv1D: weights the other way round
    "bloom": ["query_key_value", "dense"],
    "llama": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    "qwen2": ["q_proj", "k_proj", "v_proj", "o_proj"],  # with a bias
    "gemma2": ["q_proj", "v_proj", "up_proj"],
}
IDS = torch.randint(2, 300, (3, 24), generator=torch.Generator().manual_seed(0))
Tiny = Callable[[str], Any]


def adapted(model: Any, name: str, adapters: Sequence[str] = ("default",), **more: Any) -> Any:
    """The model with adapters whose B is not zero, ranks 4, 6, 8, …; every one is trained."""
    found: Any = None
    grows = more.pop("grows", 2)
    for number, adapter in enumerate(adapters):
        given = {"r": 4 + grows * number, "lora_alpha": 8, "target_modules": TARGETS[name], **more}
        config = peft.LoraConfig(fan_in_fan_out=name == "gpt2", **given)
        with hushed():
            if found is None:
                found = peft.get_peft_model(model, config, adapter_name=adapter)
            else:
                found.add_adapter(adapter, config)
    found.base_model.set_adapter(list(adapters))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        for path, weight in found.named_parameters():
            if "lora_B" in path:
                torch.nn.init.normal_(weight, std=0.1)
    return found


def passed(model: Any, ids: Any = IDS) -> dict[str, Any]:
    """One forward and backward pass: the logits, the gradients of A, B and of the embeddings."""
    model.zero_grad(set_to_none=True)
    embedded = model.get_input_embeddings()(ids).detach().requires_grad_()
    logits = model(inputs_embeds=embedded, use_cache=False).logits
    weighting = torch.linspace(-1, 1, logits[0].numel()).view_as(logits[0]).to(logits.dtype)
    (logits * weighting).sum().backward()
    grads = {path: w.grad for path, w in model.named_parameters() if w.grad is not None}
    return {"logits": logits.detach(), "x": embedded.grad, **grads}


def distance(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest relative difference between tensors of the same name."""
    assert one.keys() == other.keys()
    return max(
        float((one[name].double() - other[name].double()).norm() / other[name].double().norm())
        for name in one
    )


@pytest.mark.parametrize("name", TARGETS)
def test_values_and_gradients_are_pefts(tiny: Tiny, name: str) -> None:
    model = adapted(tiny(name), name)
    exact = passed(copy.deepcopy(model).double())
    with fast_lora(model) as layers:
        assert not layers.kept
        found = passed(model)
    assert distance(found, exact) < 1e-5
    assert distance(passed(model), exact) < 1e-5  # and it is PEFT's own again


def test_bfloat16_is_no_further_from_the_truth_than_peft(tiny: Tiny) -> None:
    model = adapted(tiny("llama"), "llama").to(torch.bfloat16)
    for path, weight in model.named_parameters():
        if "lora_" in path:
            weight.data = weight.data.float()
    exact = passed(copy.deepcopy(model).double())
    plain = passed(model)
    with fast_lora(model):
        ours = passed(model)
    lora = [name for name in exact if "lora_" in name]
    assert all(ours[name].dtype == torch.float32 for name in lora)
    assert ours["logits"].dtype == plain["logits"].dtype

    def error(found: dict[str, Any]) -> float:
        return sum(distance({n: found[n]}, {n: exact[n]}) for n in lora) / len(lora)

    assert error(ours) < 1.1 * error(plain)


def test_nothing_is_kept_for_the_backward_pass_but_x_and_what_is_small(tiny: Tiny) -> None:
    model = adapted(tiny("llama"), "llama", lora_dropout=0.1).to(torch.bfloat16).train()
    for path, weight in model.named_parameters():
        if "lora_" in path:
            weight.data = weight.data.float()
    attention = model.get_submodule("base_model.model.model.layers.0.self_attn")

    def kept() -> int:
        x = torch.randn(64, 32, dtype=torch.bfloat16, requires_grad=True)
        own = {weight.data_ptr() for weight in attention.parameters()}
        found: dict[int, int] = {}

        def pack(tensor: Any) -> Any:
            if tensor.data_ptr() not in own:
                storage = tensor.untyped_storage()
                found[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            [layer(x) for layer in (attention.q_proj, attention.k_proj, attention.v_proj)]
        return sum(found.values())

    plain = kept()
    with fast_lora(model):
        ours = kept()
    assert ours <= 64 * (32 + 3 * 4) * 2 < plain / 3


def test_no_gradient_is_computed_for_an_x_that_needs_none(tiny: Tiny) -> None:
    from torch.utils._python_dispatch import TorchDispatchMode

    class Products(TorchDispatchMode):  # type: ignore[misc]  # torch is not followed
        """Counts matrix products."""

        found = 0

        def __torch_dispatch__(
            self, op: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            self.found += op.overloadpacket.__name__ in ("mm", "addmm", "addmm_", "bmm")
            return op(*args, **(kwargs or {}))

    model = adapted(tiny("llama"), "llama")
    layer = model.get_submodule("base_model.model.model.layers.0.self_attn.o_proj")
    with fast_lora(model):
        counts = {}
        for needed in (False, True):
            y = layer(torch.randn(9, 32, requires_grad=needed))
            with Products() as products:
                y.sum().backward()
            counts[needed] = products.found
    assert counts == {False: 3, True: 5}  # to B's side, A and B; then through W and through A


@pytest.mark.parametrize("grows", [2, 0], ids=["five ranks", "one rank"])
def test_five_adapters_in_one_batch_are_five_passes(tiny: Tiny, grows: int) -> None:
    names = ["af", "zh", "xh", "ar", "my"]
    model = adapted(tiny("llama"), "llama", [*names, "unused"], grows=grows)
    ids = torch.randint(2, 300, (9, 16), generator=torch.Generator().manual_seed(1))
    cuts = [("zh", 0, 2), ("af", 2, 3), ("my", 3, 6), ("ar", 6, 7), ("xh", 7, 9)]
    alone: dict[str, Any] = {}
    logits, slopes = [], []
    for name, first, end in cuts:
        model.base_model.set_adapter(name)
        found = passed(model, ids[first:end])
        logits.append(found.pop("logits"))
        slopes.append(found.pop("x"))
        alone |= found
    alone |= {"logits": torch.cat(logits), "x": torch.cat(slopes)}
    model.base_model.set_adapter([*names, "unused"])
    with fast_lora(model) as layers:
        layers.rows(cuts)
        together = passed(model, ids)
    assert distance(together, alone) < 1e-6
    assert not any("unused" in path for path in together)  # None, not zeros


def test_a_packed_row_may_have_tokens_of_many_adapters(tiny: Tiny) -> None:
    model = adapted(tiny("llama"), "llama", ["af", "zh"])
    layer = model.get_submodule("base_model.model.model.layers.1.mlp.down_proj")
    x = torch.randn(1, 50, 64, generator=torch.Generator().manual_seed(2))
    with fast_lora(model) as layers, torch.no_grad():
        layers.rows([("zh", 0, 20), ("af", 20, 41)], rows=50)
        found = layer(x)
        flat = layer(x[0])
    assert torch.equal(found[0], flat)
    for name, rows in (("zh", slice(20)), ("af", slice(20, 41)), (None, slice(41, 50))):
        expected = layer.base_layer(x[:, rows])
        if name:
            both = layer.lora_B[name](layer.lora_A[name](x[:, rows]))
            expected = expected + both * layer.scaling[name]
        torch.testing.assert_close(found[:, rows], expected)


def test_segments_are_checked_and_joined() -> None:
    assert segments([("a", 0, 2), ("a", 2, 5), ("b", 7, 8)]).parts == (("a", 0, 5), ("b", 7, 8))
    assert segments([("a", 0, 2)], rows=3).positions((3, 10, 4)) == [("a", 0, 20)]
    assert segments([("a", 0, 2)], rows=3).positions((30, 4)) == [("a", 0, 20)]
    assert segments([("a", 0, 2)], rows=3).positions((1, 3, 4)) == [("a", 0, 2)]
    for wrong in ([("a", 0, 0)], [("a", 0, 2), ("b", 1, 3)], [("b", 2, 3), ("a", 0, 1)]):
        with pytest.raises(ValueError, match="does not follow"):
            segments(wrong)
    with pytest.raises(ValueError, match="of 1"):
        segments([("a", 0, 2)], rows=1)
    for shape in ((2, 10, 4), (31, 4), (1, 30, 4)):
        with pytest.raises(ValueError, match="no batch of 3"):
            segments([("a", 0, 3)]).positions(shape)

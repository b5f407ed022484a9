"""RMSNorm, rotary positions, GELU and gates in few passes give what the models' own give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bactrian.models.blocks import fast_blocks

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

REPLACED = {
    "llama": {"norms": 5, "rotary": 2, "gates": 2},
    "mistral": {"norms": 5, "rotary": 2, "gates": 2},
    "qwen2": {"norms": 5, "rotary": 2, "gates": 2},
    "qwen3": {"norms": 9, "rotary": 2, "gates": 2},  # norms of queries and keys as well
    "gemma2": {"norms": 9, "rotary": 2},  # 1 + weight; its gate is GELU
    "bloom": {"activations": 2},
    "gpt2": {"activations": 2},
    "granite": {"norms": 5, "rotary": 2, "gates": 2},
    "cohere": {"gates": 2},  # LayerNorm without a bias, interleaved rotation
}
IDS = torch.randint(2, 300, (3, 24), generator=torch.Generator().manual_seed(0))
Tiny = Callable[[str], Any]


def passed(model: Any) -> list[Any]:
    """The logits of one pass and the gradient of the embeddings, in float64."""
    embedded = model.get_input_embeddings()(IDS).detach().requires_grad_()
    logits = model(inputs_embeds=embedded, use_cache=False).logits
    (logits.float() * torch.linspace(-1, 1, logits.shape[-1])).sum().backward()
    return [logits.detach().double(), embedded.grad.double()]


def distance(one: list[Any], other: list[Any]) -> float:
    """The largest relative difference of the two."""
    return max(float((a - b).norm() / b.norm()) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", REPLACED)
def test_values_and_gradients_are_the_models_own(tiny: Tiny, name: str) -> None:
    model = tiny(name).requires_grad_(False)
    plain = passed(model)
    with fast_blocks(model, lean=True) as counts:
        assert dict(counts) == REPLACED[name]
        assert distance(passed(model), plain) < 1e-5
    assert not any("forward" in vars(module) for module in model.modules())


@pytest.mark.parametrize("name", ["llama", "gemma2", "bloom", "gpt2", "qwen3"])
def test_bfloat16_is_no_further_from_the_truth(tiny: Tiny, name: str) -> None:
    model = tiny(name).requires_grad_(False).to(torch.bfloat16)
    exact = passed(tiny(name).requires_grad_(False).to(torch.bfloat16).double())
    plain = passed(model)
    with fast_blocks(model, lean=True) as counts:
        assert dict(counts) == REPLACED[name]
        ours = passed(model)
    for one, other, truth in zip(ours, plain, exact, strict=True):
        assert distance([one], [truth]) < 1.15 * distance([other], [truth])


def test_a_norm_that_is_another_kind_keeps_its_forward() -> None:
    from bactrian.models.norms import fast_norm

    class OddRMSNorm:
        def __init__(self, change: Callable[[Any], Any], eps: float = 1e-6) -> None:
            self.weight = torch.nn.Parameter(torch.linspace(0.5, 2, 16), requires_grad=False)
            self.eps, self.change = eps, change

        def forward(self, x: Any) -> Any:
            root = (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()
            return self.change(x / root * self.weight)

    assert fast_norm(OddRMSNorm(lambda y: y)) is not None
    assert fast_norm(OddRMSNorm(lambda y: y.clamp(-2, 2))) is None
    assert fast_norm(OddRMSNorm(lambda y: y + 1e-3)) is None
    assert fast_norm(OddRMSNorm(lambda y: y.double())) is None
    assert fast_norm(OddRMSNorm(lambda y: y, eps=1e-5)) is None
    assert fast_norm(torch.nn.LayerNorm(16)) is None
    trained = OddRMSNorm(lambda y: y)
    trained.weight.requires_grad_(True)
    assert fast_norm(trained) is None


def test_a_weight_that_is_trained_later_is_trained(tiny: Tiny) -> None:
    model = tiny("llama").requires_grad_(False)
    norm = model.get_submodule("model.norm")
    with fast_blocks(model):
        norm.weight.requires_grad_(True)
        passed(model)
    assert float(norm.weight.grad.abs().sum()) > 0


def test_another_dtype_and_no_rows_at_all_go_through_the_norms_own_forward(tiny: Tiny) -> None:
    model = tiny("llama").requires_grad_(False).to(torch.bfloat16)
    norm = model.get_submodule("model.norm")
    x = torch.randn(2, 3, 32)
    plain = norm(x)
    with fast_blocks(model):
        assert torch.equal(norm(x), plain)
        assert norm(x[:0].bfloat16()).shape == (0, 3, 32)


def kept(model: Any) -> int:
    """Bytes that a pass keeps for the backward pass, the weights left out."""
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    found: dict[int, int] = {}

    def pack(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    embedded = model.get_input_embeddings()(IDS).detach().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        _ = model.model(inputs_embeds=embedded, use_cache=False).last_hidden_state
    return sum(found.values())


def test_less_is_kept_for_the_backward_pass(tiny: Tiny) -> None:
    model = tiny("llama").requires_grad_(False).to(torch.bfloat16)
    plain = kept(model)
    with fast_blocks(model):
        fast = kept(model)
    with fast_blocks(model, lean=True):
        lean = kept(model)
    of_gates = 2 * IDS.numel() * 64 * 2  # layers, positions, width, bytes
    assert fast - lean == of_gates
    assert fast < 0.85 * plain


def test_gradient_checkpointing_goes_through_the_same_forwards(tiny: Tiny) -> None:
    model = tiny("llama").requires_grad_(False).train()
    with fast_blocks(model, lean=True):
        plain = passed(model)
        enable = getattr(model, "activation_checkpointing_enable", None)
        (enable or model.gradient_checkpointing_enable)({"use_reentrant": False})
        assert distance(passed(model), plain) == 0.0

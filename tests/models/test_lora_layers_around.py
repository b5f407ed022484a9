"""LoRA layers computed here, under what a training puts around them: dropout, DDP, checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import ConfigError
from bactrian.models.adapters import hushed
from bactrian.models.lora_layers import fast_lora

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

QKVO = ["q_proj", "k_proj", "v_proj", "o_proj"]
IDS = torch.randint(2, 300, (3, 24), generator=torch.Generator().manual_seed(0))
Tiny = Callable[[str], Any]


def adapted(model: Any, **more: Any) -> Any:
    """The model with one adapter whose B is not zero."""
    config = peft.LoraConfig(**{"r": 4, "lora_alpha": 8, "target_modules": QKVO, **more})
    with hushed():
        found = peft.get_peft_model(model, config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        for path, weight in found.named_parameters():
            if "lora_B" in path:
                torch.nn.init.normal_(weight, std=0.1)
    return found


def gradients(model: Any, ids: Any = IDS, seed: int = 3) -> dict[str, Any]:
    """One forward and backward pass; the logits and the gradients by name."""
    torch.manual_seed(seed)
    model.zero_grad(set_to_none=True)
    logits = model(input_ids=ids, use_cache=False).logits
    logits.float().square().mean().backward()
    found = {path: w.grad.clone() for path, w in model.named_parameters() if w.grad is not None}
    return {"logits": logits.detach().clone(), **found}


def assert_same(one: dict[str, Any], other: dict[str, Any], tolerance: float = 0.0) -> None:
    assert one.keys() == other.keys()
    for name in one:
        far = (one[name].double() - other[name].double()).norm() / other[name].double().norm()
        assert float(far) <= tolerance, (name, float(far))


def test_dropout_is_what_its_mask_says() -> None:
    from bactrian.models.lora_layers.products import Call, Linears, Share

    torch.manual_seed(0)
    call = Call(torch.float64, (False, True), (Share(2, 7, (), (0, 1), (0.5, 2.0), 0.25),), seed=99)
    x = torch.randn(9, 4, dtype=torch.float64, requires_grad=True)
    weights = [torch.randn(3, 4, dtype=torch.float64), torch.randn(4, 5, dtype=torch.float64)]
    shapes = [(2, 4), (3, 2), (1, 4), (5, 1)]
    factors = [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    bias = torch.randn(5, dtype=torch.float64)

    def ours(x: Any, *factors: Any) -> Any:
        return Linears.apply(x, call, *weights, None, bias, *factors)

    (drawn,) = call.masks(x.detach())
    assert drawn is not None
    mask = -drawn
    seen = x[2:7] * mask / 0.75
    first, second = x @ weights[0].t(), x @ weights[1] + bias
    first[2:7] += 0.5 * seen @ factors[0].t() @ factors[1].t()
    second[2:7] += 2.0 * seen @ factors[2].t() @ factors[3].t()
    for found, expected in zip(ours(x, *factors), (first, second), strict=True):
        torch.testing.assert_close(found, expected)
    assert torch.autograd.gradcheck(ours, (x, *factors))
    assert 0 < float(mask.double().mean()) < 1


def test_dropout_draws_from_torchs_generator_and_only_in_training(tiny: Tiny) -> None:
    model = adapted(tiny("llama"), lora_dropout=0.5)
    with fast_lora(model):
        model.train()
        first, again, other = gradients(model), gradients(model), gradients(model, seed=4)
        model.eval()
        assert_same(first, again)
        assert float((first["logits"] - other["logits"]).abs().max()) > 1e-3
        still = gradients(model, seed=5)
    assert_same(still, gradients(model), 1e-5)


def test_the_mean_over_dropout_is_the_value_without(tiny: Tiny) -> None:
    model = adapted(tiny("llama"), lora_dropout=0.3).train()
    layer = model.get_submodule("base_model.model.model.layers.0.self_attn.o_proj")
    x = torch.randn(8, 32)
    torch.manual_seed(0)
    with fast_lora(model), torch.no_grad():
        mean = torch.stack([layer(x) for _ in range(1000)]).mean(0)
        layer.eval()
        exact = layer(x)
    assert float((mean - exact).norm() / (exact - layer.base_layer(x)).norm()) < 0.06


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_changes_nothing(tiny: Tiny, reentrant: bool) -> None:
    model = adapted(tiny("llama"), lora_dropout=0.2).train()
    with fast_lora(model):
        plain = gradients(model)
        model.enable_input_require_grads()
        base = model.get_base_model()
        enable = getattr(base, "activation_checkpointing_enable", None)
        (enable or base.gradient_checkpointing_enable)({"use_reentrant": reentrant})
        assert_same(gradients(model), plain)


def test_autocast_decides_the_dtype_as_it_does_for_peft(tiny: Tiny) -> None:
    model = adapted(tiny("llama"))
    exact = gradients(model)
    with torch.autocast("cpu", torch.bfloat16):
        plain = model(input_ids=IDS, use_cache=False).logits.dtype
        with fast_lora(model):
            found = gradients(model)  # its backward pass is inside as well
    assert found["logits"].dtype == plain == torch.bfloat16
    assert found[next(name for name in found if "lora_A" in name)].dtype == torch.float32
    assert_same(found, exact, 0.03)


def test_pefts_states_are_respected_and_all_is_undone(tiny: Tiny) -> None:
    model = adapted(tiny("llama"))
    ways = {"plain": nullcontext, "disabled": model.disable_adapter}
    expected = {}
    for name, way in ways.items():
        with way(), torch.no_grad():
            expected[name] = model(input_ids=IDS).logits
    with pytest.raises(KeyError), fast_lora(model):
        for name, way in ways.items():
            with way(), torch.no_grad():
                torch.testing.assert_close(model(input_ids=IDS).logits, expected[name])
        model.merge_adapter()
        with torch.no_grad():
            torch.testing.assert_close(model(input_ids=IDS).logits, expected["plain"])
        model.unmerge_adapter()
        raise KeyError
    assert not any("forward" in vars(module) for module in model.modules())


def test_what_is_more_than_lora_keeps_pefts_forward(tiny: Tiny) -> None:
    biased = {"lora_bias": True, "target_modules": ["q_proj"]}
    for more, why in (({"use_dora": True}, "Dora"), (biased, "a bias in its LoRA")):
        model = adapted(tiny("qwen2"), **more)
        plain = gradients(model)
        with fast_lora(model) as layers:
            assert_same(gradients(model), plain)
            with pytest.raises(ConfigError, match=why):
                layers.rows([("default", 0, 3)])
    model = adapted(tiny("llama"), modules_to_save=["lm_head"])
    with fast_lora(model) as layers, pytest.raises(ConfigError, match="trained as a whole"):
        layers.rows([("default", 0, 3)])
    model = adapted(tiny("llama"))
    with fast_lora(model) as layers, pytest.raises(ConfigError, match="defautl") as raised:
        layers.rows([("defautl", 0, 3)])
    assert raised.value.hint == "did you mean default?"


def test_a_base_that_is_more_than_a_matrix_goes_first(tiny: Tiny) -> None:
    model = adapted(tiny("llama"))
    called = []
    for path, module in model.named_modules():
        if path.endswith("base_layer"):
            module.register_forward_hook(lambda *_: called.append(1))
    plain = gradients(model)
    before = len(called)
    with fast_lora(model):
        assert_same(gradients(model), plain, 1e-5)
    assert len(called) == 2 * before > 0


@pytest.mark.parametrize("family", ["T5", "Bart"])
def test_encoder_decoders_cross_attention_reads_two_inputs(family: str) -> None:
    small = {"vocab_size": 300, "d_model": 32, "pad_token_id": 0, "eos_token_id": 1}
    own: dict[str, Any] = {"d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
    if family == "Bart":
        own = {
            f"{side}_{what}": number
            for side in ("encoder", "decoder")
            for what, number in (("layers", 2), ("ffn_dim", 64), ("attention_heads", 4))
        }
    torch.manual_seed(1)
    config = getattr(transformers, f"{family}Config")(**small, **own, decoder_start_token_id=0)
    base = getattr(transformers, f"{family}ForConditionalGeneration")(config).eval()
    targets = ["q", "k", "v"] if family == "T5" else ["q_proj", "k_proj", "v_proj"]
    model = adapted(base, target_modules=targets)

    def found() -> dict[str, Any]:
        model.zero_grad(set_to_none=True)
        model(input_ids=IDS, labels=IDS[:, :9].clone()).loss.backward()
        return {path: w.grad for path, w in model.named_parameters() if w.grad is not None}

    plain = found()
    with fast_lora(model):
        assert_same(found(), plain, 1e-5)


def test_siblings_that_read_different_inputs_are_told_apart(tiny: Tiny) -> None:
    model = adapted(tiny("llama"))
    attention = model.get_submodule("base_model.model.model.layers.0.self_attn")
    x, y = torch.randn(2, 5, 32), torch.randn(2, 7, 32)
    with torch.no_grad():
        expected = [attention.q_proj(x), attention.k_proj(y), attention.v_proj(y)]
        with fast_lora(model):
            for _ in range(2):
                found = [attention.q_proj(x), attention.k_proj(y), attention.v_proj(y)]
                for one, other in zip(found, expected, strict=True):
                    torch.testing.assert_close(one, other)
            x += 1  # in place: what was found for the old values is of no use
            changed = attention.q_proj(x)
    torch.testing.assert_close(changed, attention.q_proj(x))


def test_data_parallel_hooks_see_every_gradient(tiny: Tiny, tmp_path: Path) -> None:
    distributed = torch.distributed
    if not distributed.is_available() or not distributed.is_gloo_available():
        pytest.skip("this torch has no gloo")
    model = adapted(tiny("llama"))
    plain = gradients(model)
    store = f"file://{tmp_path}/store"
    distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    try:
        with fast_lora(model):
            wrapped = torch.nn.parallel.DistributedDataParallel(model)
            wrapped.register_comm_hook(None, lambda state, bucket: marked(bucket.buffer()))
            found = {path.removeprefix("module."): g for path, g in gradients(wrapped).items()}
    finally:
        distributed.destroy_process_group()
    for path, gradient in plain.items():
        if path != "logits":
            torch.testing.assert_close(found[path], 2 * gradient)


def marked(gradients: Any) -> Any:
    """What a communication hook answers; twice the gradients shows that they came by."""
    future: Any = torch.futures.Future()
    future.set_result(2 * gradients)
    return future

"""The other ways: heads that are trained, adapted or their own, whole rows, and the kernels."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from bactrian.events import Event, reading
from bactrian.models.head import split

torch = pytest.importorskip("torch")

from cross_entropy_reference import VOCABULARY, exact, head_of, off, ours, rows_of  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402

from bactrian.models.cross_entropy import kernels, rows, softmax, token_nats  # noqa: E402
from bactrian.models.cross_entropy.plain import PlainHead  # noqa: E402


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize(("scale", "cap"), [(1.0, None), (0.5, 5.0)])
@pytest.mark.parametrize("bias", [False, True])
def test_a_trained_head_gets_its_own_gradients(
    scale: float, cap: float | None, bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bactrian.models.cross_entropy.trained.LOGITS", {"cpu": 600 * 50})
    head = head_of(scale, cap, bias)
    head.linear.requires_grad_(True)
    hidden, targets, upstream = rows_of(head, 50)
    start = hidden.clone().requires_grad_()
    nats = token_nats(start, targets, head)
    found_of = torch.autograd.grad((nats * upstream).sum(), [start, *head.linear.parameters()])
    double = replace(head, linear=deepcopy(head.linear).double())
    start = hidden.double().requires_grad_()
    logits = double.linear(start) * scale
    logits = logits if cap is None else torch.tanh(logits / cap) * cap
    nats = cross_entropy(logits, targets, reduction="none")
    exact_of = torch.autograd.grad((nats * upstream).sum(), [start, *double.linear.parameters()])
    for found, wanted in zip(found_of, exact_of, strict=True):
        assert found.shape == wanted.shape
        assert off(found.double(), wanted) <= 1e-5


def test_tied_embeddings_get_the_gradient_of_both_ends(tiny: Callable[[str], Any]) -> None:
    pytest.importorskip("transformers")
    model = tiny("bloom")
    parts = split(model)
    ids = torch.arange(2, 42).reshape(2, 20)
    tied = model.get_input_embeddings().weight
    assert tied is parts.head.linear.weight
    wanted = cross_entropy(
        model(input_ids=ids).logits[:, :-1].reshape(-1, 300), ids[:, 1:].reshape(-1)
    )
    (full,) = torch.autograd.grad(wanted, tied)
    hidden = parts.hidden(ids)[:, :-1].reshape(-1, 32)
    (found,) = torch.autograd.grad(
        token_nats(hidden, ids[:, 1:].reshape(-1), parts.head).mean(), tied
    )
    assert off(found, full) <= 1e-5


def test_an_adapter_on_the_head_is_trained(
    tiny: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    peft = pytest.importorskip("peft")
    from bactrian.models.adapters import hushed

    monkeypatch.setattr("bactrian.models.cross_entropy.pieces.BYTES", 4 * 300 * 8)
    with hushed():
        model = peft.get_peft_model(
            tiny("llama"),
            peft.LoraConfig(r=4, target_modules=["lm_head"], init_lora_weights=False),
        )
    head = split(model).head
    hidden, targets, upstream = rows_of(head, 30)
    mine = [weight for weight in head.linear.parameters() if weight.requires_grad]
    assert len(mine) == 2
    start = hidden.clone().requires_grad_()
    whole = cross_entropy(head.logits(start), targets, reduction="none")
    wanted = torch.autograd.grad((whole * upstream).sum(), [start, *mine])
    nats = token_nats(start, targets, head)
    torch.testing.assert_close(nats, whole)
    found = torch.autograd.grad((nats * upstream).sum(), [start, *mine])
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)


class Doubling:
    """A layer with weights of its own kind, as quantised ones are."""

    out_features = VOCABULARY

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def parameters(self) -> Any:
        return self.inner.parameters()

    def __call__(self, hidden: Any) -> Any:
        return self.inner(hidden) * 2


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_head_with_a_forward_of_its_own_is_asked(
    wrapped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bactrian.models.cross_entropy.pieces.BYTES", 4 * VOCABULARY * 8)
    plain = head_of()
    hidden, targets, upstream = rows_of(plain, 30)
    wanted, its_gradient = exact(hidden, targets, replace(plain, scale=2.0), upstream)
    if wrapped:
        head = replace(plain, linear=Doubling(plain.linear))
    else:
        plain.linear.register_forward_hook(lambda module, given, found: found * 2)
        head = plain
    nats, gradient = ours(hidden, targets, head, upstream)
    torch.testing.assert_close(nats, wanted, rtol=1e-5, atol=1e-5)
    assert off(gradient, its_gradient) <= 1e-5
    with torch.no_grad():
        torch.testing.assert_close(token_nats(hidden, targets, head).double(), nats)


def test_autocast_computes_in_its_dtype_and_hidden_states_keep_theirs() -> None:
    head = head_of()
    hidden, targets, upstream = rows_of(head, 30)
    wanted, its_gradient = exact(hidden, targets, head, upstream)
    with torch.autocast("cpu", torch.bfloat16):
        nats, gradient = ours(hidden, targets, head, upstream)
    assert 1e-5 < off(nats, wanted) < 1e-2
    assert 1e-5 < off(gradient, its_gradient) < 1e-2


def test_float32_hidden_states_meet_a_half_precision_head() -> None:
    head = head_of()
    head.linear.bfloat16()
    hidden, targets, upstream = rows_of(head, 30)
    found = ours(hidden.float(), targets, head, upstream)
    for one, other in zip(found, ours(hidden, targets, head, upstream), strict=True):
        torch.testing.assert_close(one, other, rtol=2e-2, atol=1e-2)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("cap", [None, 5.0])
@pytest.mark.usefixtures("small_tiles")
def test_whole_rows_the_way_of_a_gpu_are_exact_too(dtype: str, cap: float | None) -> None:
    head = head_of(0.5, cap, bias=True)
    head.linear.to(getattr(torch, dtype))
    hidden, targets, _ = rows_of(head, 30)
    numbers = PlainHead(head.linear.weight, head.linear.bias, 0.5, cap, hidden.dtype)
    found = rows.in_rows(hidden, targets, numbers, gradient=True)
    wanted, its_gradient = exact(hidden, targets, head, torch.ones(30))
    close = {"float32": 1e-5, "bfloat16": 1e-2, "float16": 2e-3}[dtype]
    assert off(found.nats.double(), wanted) <= close
    assert found.gradients is not None
    assert off(found.gradients.double(), its_gradient) <= close


class Heard:
    """Keeps what was told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def see(self, event: Event) -> None:
        self.texts.append(event.facts["text"])


def test_a_kernel_that_disagrees_or_stops_is_not_used_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def half(logits: Any, targets: Any, cap: float | None) -> Any:
        total, highest = softmax.exponentials(logits, targets, cap)
        return total / 2, highest

    def stops(*_: Any) -> Any:
        raise RuntimeError("0 active drivers\n([]). There should only be one.")

    monkeypatch.setattr(kernels, "find_spec", lambda _: object())
    here, heard = torch.device("cpu"), Heard()
    with reading(heard):
        for way, wanted in ((half, False), (stops, False), (softmax.exponentials, True)):
            monkeypatch.setattr(kernels, "in_triton", way)
            assert kernels.agrees.__wrapped__(here, torch.bfloat16) is wanted
    assert len(heard.texts) == 2
    assert "differs from torch's by 0.5" in heard.texts[0]
    assert "0 active drivers" in heard.texts[1]


@pytest.mark.skipif(not find_spec("triton"), reason="Triton is not installed here")
def test_the_kernels_agree_with_torch_in_tritons_interpreter() -> None:
    code = (
        "import torch; from bactrian.models.cross_entropy import kernels as k\n"
        "for t in (torch.float32, torch.bfloat16, torch.float16):\n"
        "  for cap in (None, 30.0):\n"
        "    assert k.difference(torch.device('cpu'), t, cap) <= k.TOLERANCE, (t, cap)"
    )
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)


def test_a_frozen_head_that_is_spread_over_processes_is_gathered(tmp_path: Path) -> None:
    distributed = torch.distributed
    if not distributed.is_available():
        pytest.skip("this torch is built without distributed")
    from torch.distributed.tensor import Shard, distribute_tensor, init_device_mesh

    head = head_of()
    hidden, targets, upstream = rows_of(head, 20)
    wanted = ours(hidden, targets, head, upstream)
    store = distributed.FileStore(str(tmp_path / "store"), 1)
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        mesh = init_device_mesh("cpu", (1,))
        spread = distribute_tensor(head.linear.weight.detach(), mesh, [Shard(0)])
        head.linear.weight = torch.nn.Parameter(spread, requires_grad=False)
        for one, other in zip(ours(hidden, targets, head, upstream), wanted, strict=True):
            torch.testing.assert_close(one, other)
    finally:
        distributed.destroy_process_group()

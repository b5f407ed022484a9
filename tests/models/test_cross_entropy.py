"""Nats and gradients against full logits in float64, for every kind of head and any logits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bactrian.models.head import split

torch = pytest.importorskip("torch")

from cross_entropy_reference import VOCABULARY, WIDTH, exact, head_of, off, ours, rows_of  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from bactrian.models.cross_entropy import rows, tiles, token_nats  # noqa: E402

HEADS = ["llama", "bloom", "gemma2", "qwen2", "mistral", "cohere", "granite"]


@pytest.mark.parametrize("name", HEADS)
def test_the_heads_of_real_architectures(name: str, tiny: Callable[[str], Any]) -> None:
    pytest.importorskip("transformers")
    head = split(tiny(name).requires_grad_(False)).head
    given = (*rows_of(head, 40)[:2], head, rows_of(head, 40)[2])
    nats, gradient = ours(*given)
    wanted, its_gradient = exact(*given)
    torch.testing.assert_close(nats, wanted, rtol=1e-5, atol=1e-5)
    assert off(gradient, its_gradient) <= 1e-5


@pytest.mark.parametrize("number", [1, 15, 16, 61])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("scale", "cap"), [(1.0, None), (0.25, None), (1.0, 5.0), (2.0, 5.0)])
@pytest.mark.usefixtures("small_tiles")
def test_scale_cap_and_bias_over_many_tiles(
    scale: float, cap: float | None, bias: bool, number: int
) -> None:
    head = head_of(scale, cap, bias)
    hidden, targets, upstream = rows_of(head, number)
    nats, gradient = ours(hidden, targets, head, upstream)
    wanted, its_gradient = exact(hidden, targets, head, upstream)
    torch.testing.assert_close(nats, wanted, rtol=1e-5, atol=1e-5)
    assert off(gradient, its_gradient) <= 1e-5


@pytest.mark.parametrize(("scale", "cap"), [(1.0, None), (0.25, None), (1.0, 30.0)])
def test_half_precision_is_nearer_to_float64_than_full_half_precision_logits(
    scale: float, cap: float | None
) -> None:
    head = head_of(scale, cap, spread=1.0)
    head.linear.bfloat16()
    hidden, targets, upstream = rows_of(head, 300)
    wanted, its_gradient = exact(hidden, targets, head, upstream)
    start = hidden.clone().requires_grad_()
    full = cross_entropy(head.logits(start), targets, reduction="none")
    (gradient_of_full,) = torch.autograd.grad((full * upstream).sum(), start)
    nats, gradient = ours(hidden, targets, head, upstream)
    assert off(nats, wanted) <= off(full.detach().double(), wanted)
    assert off(gradient, its_gradient) <= 1.05 * off(gradient_of_full.double(), its_gradient)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.usefixtures("small_tiles")
def test_certain_tokens_keep_the_digits_of_small_losses_and_gradients(dtype: str) -> None:
    """-log p near 1e-7 is what float32 makes 0 of, unless the target is kept apart."""
    head = head_of(spread=0.05)
    hidden, targets, upstream = rows_of(head, 30)
    with torch.no_grad():
        head.linear.weight[targets] = 1.0 * hidden  # logit of about 24, the others near 0
    head.linear.to(getattr(torch, dtype))
    hidden = hidden.to(head.linear.weight.dtype)
    nats, gradient = ours(hidden, targets, head, upstream)
    wanted, its_gradient = exact(hidden, targets, head, upstream)
    assert float(wanted.min()) < 1e-4
    close = {"float32": 1e-5, "bfloat16": 0.1}[dtype]  # rounding of logits 24 apart
    torch.testing.assert_close(nats, wanted, rtol=close, atol=1e-12)
    torch.testing.assert_close(
        gradient.norm(dim=1), its_gradient.norm(dim=1), rtol=2 * close, atol=1e-9
    )


@pytest.mark.parametrize("cap", [None, 30.0])
@pytest.mark.parametrize("size", [1e2, 1e4])
@pytest.mark.usefixtures("small_tiles")
def test_logits_of_any_size_are_exact(size: float, cap: float | None) -> None:
    """Rows far beyond what an exponential holds, among rows that are not."""
    head = head_of(cap=cap, spread=1.0)
    hidden, targets, upstream = rows_of(head, 60)
    hidden[::2] *= size / 24
    hidden[5] = 0
    targets[10:20] = (hidden @ head.linear.weight.T)[10:20].argmax(1)
    targets[20:30] = (hidden @ head.linear.weight.T)[20:30].argmin(1)
    nats, gradient = ours(hidden, targets, head, upstream)
    wanted, its_gradient = exact(hidden, targets, head, upstream)
    assert cap or float(wanted.max()) > size
    torch.testing.assert_close(nats, wanted, rtol=1e-5, atol=2e-7 * size)
    assert off(gradient, its_gradient) <= 1e-5 * max(1, size / 100)


def test_only_rows_beyond_the_room_of_a_tile_are_done_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    again: list[int] = []

    def watched(hidden: Any, *given: Any, **named: Any) -> Any:
        again.append(len(hidden))
        return rows.in_rows(hidden, *given, **named)

    monkeypatch.setattr(tiles, "in_rows", watched)
    head = head_of(spread=0.1)
    hidden, targets, upstream = rows_of(head, 20)
    ours(hidden, targets, head, upstream)
    assert not again
    hidden[[3, 8]] *= 1e4
    targets[[3, 8]] = (hidden @ head.linear.weight.T).argmin(1)[[3, 8]]
    ours(hidden, targets, head, upstream)
    assert again == [2]


def test_what_is_not_a_number_stays_seen() -> None:
    head = head_of()
    hidden, targets, _ = rows_of(head, 4)
    hidden[2] = float("nan")
    nats = token_nats(hidden.requires_grad_(), targets, head)
    assert nats.isnan().tolist() == [False, False, True, False]


@pytest.mark.parametrize("wrong", [-100, -1, VOCABULARY])
def test_a_target_outside_the_vocabulary_is_an_error(wrong: int) -> None:
    head = head_of()
    hidden, targets, _ = rows_of(head, 4)
    targets[1] = wrong
    with pytest.raises(IndexError):
        token_nats(hidden, targets, head)


def test_no_rows_have_an_empty_loss_and_a_gradient() -> None:
    hidden = torch.zeros(0, WIDTH, requires_grad=True)
    nats = token_nats(hidden, torch.zeros(0, dtype=torch.long), head_of())
    nats.sum().backward()
    assert nats.shape == (0,)
    assert hidden.grad is not None


class Watched(TorchDispatchMode):  # type: ignore[misc]
    """The largest tensor made, and the flops of all matrix products."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0
        self.flops = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        found = function(*args, **(kwargs or {}))
        for made in found if isinstance(found, tuple | list) else (found,):
            if isinstance(made, torch.Tensor):
                self.largest = max(self.largest, made.untyped_storage().nbytes())
        name = str(function)
        if name.startswith(("aten.mm", "aten.addmm")):
            left, right = args[-2:]
            self.flops += 2 * left.shape[0] * left.shape[1] * right.shape[1]
        return found


@contextmanager
def watching() -> Iterator[Watched]:
    with Watched() as watched:
        yield watched


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("trained", [False, True])
def test_no_tensor_of_all_rows_and_all_tokens_is_made(trained: bool) -> None:
    head = head_of()
    head.linear.requires_grad_(trained)
    hidden, targets, _ = rows_of(head, 400)
    once = 2 * hidden.shape[0] * WIDTH * VOCABULARY
    with torch.no_grad(), watching() as seen:
        token_nats(hidden, targets, head)
    assert seen.flops == once
    assert seen.largest <= VOCABULARY * WIDTH * 4
    with watching() as seen:
        token_nats(hidden.requires_grad_(), targets, head).sum().backward()
    assert seen.flops == (4 if trained else 2) * once
    if not trained:
        assert seen.largest <= VOCABULARY * WIDTH * 4

"""The response loss against full logits in float64: values and gradients, with scales and caps."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from bactrian.models.head import Head
from bactrian.train.loss import CHUNK_ROWS, response_nats


@pytest.mark.parametrize("rows", [1, CHUNK_ROWS, CHUNK_ROWS + 3])
@pytest.mark.parametrize(("scale", "cap"), [(1.0, None), (0.25, None), (1.0, 5.0), (2.0, 5.0)])
def test_loss_and_gradient_equal_full_logits_in_float64(
    rows: int, scale: float, cap: float | None
) -> None:
    torch.manual_seed(0)
    linear = torch.nn.Linear(24, 300, bias=False)
    linear.weight.requires_grad_(False)
    hidden = torch.randn(rows, 24)
    targets = torch.randint(0, 300, (rows,))
    weights = torch.rand(rows)

    ours = hidden.clone().requires_grad_()
    nats = response_nats(ours, targets, Head(linear, scale, cap))
    (nats * weights).sum().backward()

    exact = hidden.double().requires_grad_()
    logits = exact @ linear.weight.double().T * scale
    if cap is not None:
        logits = torch.tanh(logits / cap) * cap
    reference = cross_entropy(logits, targets, reduction="none")
    (reference * weights.double()).sum().backward()

    assert ours.grad is not None
    assert exact.grad is not None
    torch.testing.assert_close(nats.double(), reference, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.grad.double(), exact.grad, rtol=1e-5, atol=1e-6)


def test_the_loss_of_no_rows_is_empty_and_has_a_gradient() -> None:
    hidden = torch.zeros(0, 8, requires_grad=True)
    nats = response_nats(
        hidden,
        torch.zeros(0, dtype=torch.long),
        Head(torch.nn.Linear(8, 20, bias=False), 1.0, None),
    )
    nats.sum().backward()
    assert nats.shape == (0,)

"""Weights spread out by FSDP: gathered whole, put back, and their optimizer with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import distributed  # noqa: E402

from bactrian.train.keep import read_learning, write_learning  # noqa: E402
from bactrian.train.sharded import load_optimizer, optimizer_state, whole  # noqa: E402


@pytest.fixture(scope="module")
def alone() -> Iterator[None]:
    """A group of one process: its tensors are DTensors all the same."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def trained(*, spread: bool, steps: int = 2) -> tuple[Any, Any]:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Linear(5, 2))
    if spread:
        fully_shard(model, mesh=init_device_mesh("cpu", (1,)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    step(model, optimizer, steps)
    return model, optimizer


def step(model: Any, optimizer: Any, steps: int) -> None:
    for number in range(steps):
        model(torch.ones(4, 3) * (number + 1)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize(("first", "then"), [(True, True), (True, False), (False, True)])
def test_a_training_goes_on_spread_out_or_not(
    tmp_path: Path, alone: None, first: bool, then: bool
) -> None:
    """Written spread out and gone on from whole, or the other way round."""
    model, optimizer = trained(spread=first)
    assert hasattr(next(model.parameters()), "full_tensor") == first
    write_learning(model, tmp_path / "learning.safetensors")
    torch.save(optimizer_state(optimizer, keep=True), tmp_path / "optimizer.pt")
    state = torch.load(tmp_path / "optimizer.pt", weights_only=True)
    assert optimizer_state(optimizer, keep=False)["state"] == {}

    other, later = trained(spread=then, steps=1)
    read_learning(other, tmp_path / "learning.safetensors")
    load_optimizer(later, state)
    for values in optimizer_state(later, keep=True)["state"].values():
        assert float(values["step"]) == 2
    step(model, optimizer, 2)
    step(other, later, 2)
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(whole(two), whole(one), rtol=0, atol=1e-6)

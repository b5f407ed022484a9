"""Our learning rates against transformers' own schedules, step by step, and after a stop."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bactrian.recipe import Train
from bactrian.train.rates import rates

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

STEPS = 23


def optimizer() -> Any:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)


def walked(schedule: Any, inner: Any, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(inner.param_groups[0]["lr"])
        inner.step()
        schedule.step()
    return [*found, inner.param_groups[0]["lr"]]


def ours(told: Train, steps: int = STEPS) -> tuple[Any, Any]:
    inner = optimizer()
    return torch.optim.lr_scheduler.LambdaLR(inner, [rates(told, steps)]), inner


@pytest.mark.parametrize("warmup", [{"warmup": 0.1}, {"warmup": 0.0}, {"warmup_steps": 7}])
@pytest.mark.parametrize(
    ("schedule", "theirs"),
    [("linear", "linear"), ("cosine", "cosine"), ("constant", "constant_with_warmup")],
)
def test_they_are_transformers_own(schedule: Any, theirs: str, warmup: dict[str, Any]) -> None:
    from transformers import TrainingArguments, get_scheduler

    told = Train(schedule=schedule, **warmup)
    given = warmup.get("warmup_steps") or warmup["warmup"]
    asked = TrainingArguments(output_dir="unused", use_cpu=True, warmup_steps=given)
    inner = optimizer()
    scheduler = get_scheduler(
        theirs,
        inner,
        num_warmup_steps=asked.get_warmup_steps(STEPS),
        num_training_steps=STEPS,
    )
    expected = walked(scheduler, inner, STEPS)
    assert walked(*ours(told), STEPS) == pytest.approx(expected, rel=1e-12)
    assert max(expected) == 0.3


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_after_a_stop_they_go_on_as_if_there_were_none(schedule: Any) -> None:
    told = Train(schedule=schedule, warmup=0.3)
    whole = walked(*ours(told), STEPS)
    first, inner = ours(told)
    begun = walked(first, inner, 9)
    kept = (first.state_dict(), inner.state_dict())
    second, inner = ours(told)
    second.load_state_dict(kept[0])
    inner.load_state_dict(kept[1])
    assert begun[:-1] + walked(second, inner, STEPS - 9) == whole


def test_what_it_keeps_can_be_read_without_running_code(tmp_path: Any) -> None:
    torch.save(ours(Train())[0].state_dict(), tmp_path / "scheduler.pt")
    assert torch.load(tmp_path / "scheduler.pt", weights_only=True)["lr_lambdas"][0]["warmup"] == 1


@pytest.mark.parametrize("told", [{"warmup": 1.0}, {"warmup_steps": 500}, {"warmup": 0.03}])
def test_a_training_of_one_step_learns(told: dict[str, Any]) -> None:
    assert rates(Train(**told), 1)(0) == 1.0


def test_it_ends_at_nothing_and_stays_there() -> None:
    for schedule in ("linear", "cosine"):
        factor = rates(Train(schedule=schedule), 10)
        assert [factor(step) for step in (10, 11, 99)] == pytest.approx([0, 0, 0], abs=1e-12)
        assert all(math.isfinite(factor(step)) for step in range(12))

"""Our Trainer against transformers' own loss, one big micro-batch, and the sum of its parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bactrian.errors import ConfigError
from bactrian.events import Event, reading
from bactrian.models import base, prompts
from bactrian.recipe import Lora, Recipe, Train
from bactrian.schema import Example

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bactrian.train.assemble import Assembled  # noqa: E402
from bactrian.train.engine import learn, made_ready  # noqa: E402
from bactrian.train.job import Job, Member, Steps  # noqa: E402
from bactrian.train.prepare import prepare  # noqa: E402
from bactrian.train.prepared import Prepared  # noqa: E402
from bactrian.train.processes import Processes  # noqa: E402
from bactrian.train.watch import WHOLE, last_whole_checkpoint, steps_of  # noqa: E402

LANGUAGES = ("zh", "km", "en")


@pytest.fixture
def loaded(tiny_base: Path) -> base.Base:
    return base.load(str(tiny_base), dtype="float32")


@pytest.fixture
def prepared(loaded: base.Base, sentences: Mapping[str, Sequence[str]]) -> Prepared:
    examples = [
        Example(f"flores-{number}", code, sentences[code][number], "", sentences[code][-1][:40])
        for number in range(4)
        for code in LANGUAGES
    ]
    return prepare(examples, loaded.tokenizer, prompts.BACTRIAN, 1000)


@dataclass(frozen=True, eq=False)
class Told:
    """Steps as the test says them, in the words of a Plan."""

    told: Sequence[Sequence[Sequence[int]]]
    data: Any

    @property
    def steps(self) -> int:
        return len(self.told)

    def step(self, step: int) -> list[Any]:
        return [np.array(rows) for rows in self.told[step]]

    def part(self, step: int, rank: int, world: int) -> list[Any]:
        assert (rank, world) == (0, 1)
        return self.step(step)

    def rows_of(self, step: int) -> Any:
        return np.concatenate(self.step(step))

    def epoch_at(self, step: int) -> float:
        return step / self.steps

    @property
    def total(self) -> Any:
        @dataclass
        class Total:
            useful_tokens: int = 1

        return Total()


def planned(prepared: Prepared, steps: Sequence[Sequence[Sequence[int]]]) -> Any:
    @dataclass
    class Data:
        lengths: Any

    return Told(steps, Data(prepared.lengths))


def recipe(**train: Any) -> Recipe:
    told = {"learning_rate": 0.01, "log_steps": 1, "save_steps": 2, **train}
    return Recipe(train=Train(lora=Lora(rank=4, dropout=0.0), **told))


def job(prepared: Prepared, steps: Sequence[Sequence[Sequence[int]]]) -> Job:
    return Job((Member("toy", prepared, planned(prepared, steps)),))


def assembled(told: Job) -> Assembled:
    return Assembled(told, None, None, prompts.BACTRIAN)  # type: ignore[arg-type]


def weights_after(loaded: base.Base, told: Job, recipe: Recipe, scratch: Path) -> dict[str, Any]:
    with made_ready(loaded, recipe.train, ["toy"], 1) as ready:
        learn(ready, loaded, recipe, assembled(told), scratch)
        return {
            name: weights.detach().clone()
            for name, weights in ready.model.named_parameters()
            if weights.requires_grad
        }


def gradients(model: Any) -> dict[str, Any]:
    found = {
        name: weights.grad.clone()
        for name, weights in model.named_parameters()
        if weights.grad is not None
    }
    assert found
    return found


@pytest.fixture
def adapted(loaded: base.Base) -> Iterator[Any]:
    """The base with an adapter that does something, so that its loss is not the base's."""
    told = recipe().train
    with made_ready(loaded, told, ["toy"], 3) as ready:
        for name, weights in ready.model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weights, 0.0, 0.1)
        yield ready.model


def test_the_loss_is_transformers_own(adapted: Any, prepared: Prepared) -> None:
    (micro,) = Steps(job(prepared, [[range(12)]]), Processes())[0]
    told = {name: micro[name] for name in ("input_ids", "at", "targets")}
    ours = (adapted(**told) * micro["weights"]).sum()
    ours.backward()
    found = gradients(adapted)
    adapted.zero_grad()
    rows = [torch.tensor(prepared.row(index)[0]).long() for index in range(12)]
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    labels = ids.masked_fill(mask == 0, -100)
    for index in range(12):
        labels[index, : prepared.row(index)[1]] = -100
    theirs = adapted(input_ids=ids, attention_mask=mask, labels=labels).loss
    theirs.backward()
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-5)
    for name, gradient in gradients(adapted).items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6)


def test_a_head_with_an_adapter_is_trained_too(loaded: base.Base, prepared: Prepared) -> None:
    lora = Lora(rank=4, dropout=0.0, targets=("q_proj", "lm_head"))
    (micro,) = Steps(job(prepared, [[[0, 1]]]), Processes())[0]
    with made_ready(loaded, Train(lora=lora), ["toy"], 1) as ready:
        told = {name: micro[name] for name in ("input_ids", "at", "targets")}
        ready.model(**told).sum().backward()
        assert any("lm_head.lora_B" in name for name in gradients(ready.model))


def test_a_step_in_parts_is_the_same_as_a_step_in_one(
    loaded: base.Base, prepared: Prepared, tmp_path: Path
) -> None:
    """Micro-batches of other sizes and lengths: every token counts the same."""
    big = job(prepared, [[range(6)], [range(6, 12)]])
    small = job(prepared, [[range(1), range(1, 6)], [range(6, 10), range(10, 12)]])
    expected = weights_after(loaded, big, recipe(), tmp_path / "big")
    found = weights_after(loaded, small, recipe(), tmp_path / "small")
    assert expected.keys() == found.keys()
    for name, weights in expected.items():
        torch.testing.assert_close(found[name], weights, rtol=0, atol=1e-5)


class Metrics:
    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def see(self, event: Event) -> None:
        if event.kind == "metric":
            self.seen.append(event.facts)


def test_the_loss_of_each_language_adds_up_to_the_whole(
    loaded: base.Base, prepared: Prepared, tmp_path: Path
) -> None:
    metrics = Metrics()
    steps = [[[0, 1, 4]], [[2, 5], [8]]]
    with reading(metrics):
        weights_after(loaded, job(prepared, steps), recipe(), tmp_path)
    assert [told["step"] for told in metrics.seen] == [1, 2]
    for told, micros in zip(metrics.seen, steps, strict=True):
        counts = dict.fromkeys(LANGUAGES, 0)
        for row in (row for micro in micros for row in micro):
            tokens, prompt, language = prepared.row(row)
            counts[prepared.names[language]] += len(tokens) - prompt
        present = [name for name, count in counts.items() if count]
        assert {name for name in told if name.startswith("loss_")} == {
            f"loss_{name}" for name in present
        }
        total = sum(told[f"loss_{name}"] * counts[name] for name in present)
        assert told["loss"] == pytest.approx(total / sum(counts.values()), rel=1e-9)


def test_the_last_step_is_reported_whatever_its_number(
    loaded: base.Base, prepared: Prepared, tmp_path: Path
) -> None:
    metrics = Metrics()
    with reading(metrics):
        few = job(prepared, [[[0]], [[1]], [[2]]])
        weights_after(loaded, few, recipe(log_steps=50), tmp_path)
    assert [told["step"] for told in metrics.seen] == [3]


def test_a_loss_that_is_no_number_stops_the_training(
    loaded: base.Base, prepared: Prepared, tmp_path: Path
) -> None:
    told = recipe(learning_rate=1e30, save_steps=100, warmup=0.0, clip=0.0)
    steps = job(prepared, [[[0]], [[1]], [[2]], [[3]]])
    with pytest.raises(ConfigError, match="not a number any more") as said:
        weights_after(loaded, steps, told, tmp_path)
    assert "learning_rate" in said.value.hint
    assert not list(tmp_path.glob("checkpoint-*"))


def test_only_a_checkpoint_that_was_written_to_its_end_is_used(tmp_path: Path) -> None:
    for step in (9, 10, 100):
        (tmp_path / f"checkpoint-{step}").mkdir()
    for step in (9, 10):
        (tmp_path / f"checkpoint-{step}" / WHOLE).touch()
    found = last_whole_checkpoint(tmp_path)
    assert found == tmp_path / "checkpoint-10"
    assert steps_of(found) == 10
    assert last_whole_checkpoint(tmp_path / "nowhere") is None


def test_what_is_too_large_says_what_fitted(
    loaded: base.Base, prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bactrian.train.trainer import ResponseTrainer

    nats = ResponseTrainer.nats

    def small(self: ResponseTrainer, model: Any, micro: dict[str, Any]) -> Any:
        if micro["input_ids"].shape[0] > 1:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return nats(self, model, micro)

    monkeypatch.setattr(ResponseTrainer, "nats", small)
    with pytest.raises(ConfigError, match="out of memory with a micro-batch of") as said:
        weights_after(loaded, job(prepared, [[[0], range(3)]]), recipe(), tmp_path)
    fitted = int(prepared.lengths[0]) - 1
    assert f"the largest that fitted has {fitted}" in said.value.problem
    assert f"train.micro_batch_tokens={fitted // 2 * 2}" in said.value.hint


def test_an_error_of_another_kind_stays_what_it_is(
    loaded: base.Base, prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bactrian.train.trainer import ResponseTrainer

    def broken(*_: Any) -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(ResponseTrainer, "nats", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        weights_after(loaded, job(prepared, [[[0]]]), recipe(), tmp_path)

"""Our Trainer against transformers' own loss, one big batch, and the sum of its parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import ConfigError
from bactrian.events import Event, reading
from bactrian.models import base, prompts
from bactrian.recipe import Lora, Recipe, Train
from bactrian.schema import Example

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bactrian.models.head import split  # noqa: E402
from bactrian.train.lora import with_lora  # noqa: E402
from bactrian.train.plan import Plan  # noqa: E402
from bactrian.train.prepare import Prepared, prepare  # noqa: E402
from bactrian.train.run import _arguments, _Job, _run  # noqa: E402
from bactrian.train.trainer import (  # noqa: E402
    IGNORED,
    WHOLE,
    ResponseTrainer,
    Tally,
    collate,
    last_whole_checkpoint,
)

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


def planned(batches: Sequence[Sequence[int]], accumulate: int) -> Plan:
    return Plan(tuple(map(tuple, batches)), accumulate, 1.0, 1, 1)


def recipe(**train: Any) -> Recipe:
    told = {"learning_rate": 0.01, "log_steps": 1, "save_steps": 2, **train}
    return Recipe(train=Train(lora=Lora(rank=4, dropout=0.0), **told))


def trainer_for(job: _Job, model: Any) -> ResponseTrainer:
    return ResponseTrainer(
        model=model,
        args=_arguments(job),
        parts=split(model),
        prepared=job.prepared,
        plan=job.plan,
    )


@pytest.fixture
def job(loaded: base.Base, prepared: Prepared, tmp_path: Path) -> _Job:
    return _Job("toy", recipe(), loaded, prepared, planned([range(4)], 1), tmp_path, None)


@pytest.fixture
def adapted(loaded: base.Base) -> Iterator[Any]:
    """The base with an adapter that does something, so that its loss is not the base's."""
    torch.manual_seed(3)
    with with_lora(loaded.model, Lora(rank=4, dropout=0.0)) as model:
        for name, weights in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weights, 0.0, 0.1)
        yield model


def test_a_batch_is_padded_on_the_right_and_only_responses_are_labels(prepared: Prepared) -> None:
    batch = collate(prepared, [0, 1, 5])
    assert batch["input_ids"].shape == batch["labels"].shape
    assert batch["input_ids"].shape[1] == prepared.lengths[[0, 1, 5]].max()
    for place, index in enumerate([0, 1, 5]):
        tokens, prompt, language = prepared.row(index)
        assert batch["input_ids"][place, : len(tokens)].tolist() == tokens.tolist()
        assert (batch["labels"][place, :prompt] == IGNORED).all()
        assert batch["labels"][place, prompt : len(tokens)].tolist() == tokens[prompt:].tolist()
        assert (batch["labels"][place, len(tokens) :] == IGNORED).all()
        assert batch["languages"][place] == language


def test_a_first_token_has_nothing_before_it_and_is_no_label(prepared: Prepared) -> None:
    import numpy as np

    bare = replace(prepared, prompts=np.zeros_like(prepared.prompts))
    assert (collate(bare, [0, 1])["labels"][:, 0] == IGNORED).all()


@pytest.mark.parametrize("fast", [True, False])
def test_the_loss_is_transformers_own(job: _Job, adapted: Any, fast: bool) -> None:
    trainer = trainer_for(job, adapted)
    if not fast:
        trainer.parts = replace(trainer.parts, fast=False)
        trainer._frozen_head = False
    batch = collate(job.prepared, range(12))
    ours = trainer.compute_loss(adapted, batch)
    ours.backward()
    found = gradients(adapted)
    adapted.zero_grad()
    longest = batch["input_ids"].shape[1]
    mask = (torch.arange(longest) < torch.tensor(job.prepared.lengths).unsqueeze(1)).long()
    theirs = adapted(input_ids=batch["input_ids"], attention_mask=mask, labels=batch["labels"]).loss
    theirs.backward()
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-5)
    for name, gradient in gradients(adapted).items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6)


def gradients(model: Any) -> dict[str, Any]:
    found = {
        name: weights.grad.clone()
        for name, weights in model.named_parameters()
        if weights.grad is not None
    }
    assert found
    return found


def test_a_head_with_an_adapter_is_trained_too(job: _Job, loaded: base.Base) -> None:
    lora = Lora(rank=4, dropout=0.0, targets=("q_proj", "lm_head"))
    with with_lora(loaded.model, lora) as model:
        trainer_for(job, model).compute_loss(model, collate(job.prepared, [0, 1])).backward()
        assert any("lm_head.lora_B" in name for name in gradients(model))


def weights_after(job: _Job) -> dict[str, Any]:
    torch.manual_seed(1)
    with with_lora(job.base.model, job.recipe.train.lora) as model:
        _run(job, model)
        return {
            name: weights.detach().clone()
            for name, weights in model.named_parameters()
            if weights.requires_grad
        }


def test_accumulation_is_the_same_as_one_big_batch(job: _Job, tmp_path: Path) -> None:
    """Micro-batches of other sizes and lengths: every token counts the same."""
    big = replace(job, plan=planned([range(6), range(6, 12)], 1), scratch=tmp_path / "big")
    parts = [range(1), range(1, 6), range(6, 10), range(10, 12)]
    small = replace(job, plan=planned(parts, 2), scratch=tmp_path / "small")
    expected, found = weights_after(big), weights_after(small)
    assert expected.keys() == found.keys()
    for name, weights in expected.items():
        torch.testing.assert_close(found[name], weights, rtol=0, atol=1e-5)


def test_the_loss_of_each_language_adds_up_to_the_whole(job: _Job) -> None:
    class Metrics:
        def __init__(self) -> None:
            self.seen: list[dict[str, Any]] = []

        def see(self, event: Event) -> None:
            if event.kind == "metric":
                self.seen.append(event.facts)

    metrics = Metrics()
    steps = [[0, 1, 4], [2, 5, 8]]
    with reading(metrics):
        weights_after(replace(job, plan=planned(steps, 1)))
    assert [told["step"] for told in metrics.seen] == [1, 2]
    for told, rows in zip(metrics.seen, steps, strict=True):
        counts = dict.fromkeys(LANGUAGES, 0)
        for row in rows:
            tokens, prompt, language = job.prepared.row(row)
            counts[job.prepared.names[language]] += len(tokens) - prompt
        present = [name for name, count in counts.items() if count]
        assert {name for name in told if name.startswith("loss_")} == {
            f"loss_{name}" for name in present
        }
        total = sum(told[f"loss_{name}"] * counts[name] for name in present)
        assert told["loss"] == pytest.approx(total / sum(counts.values()), rel=1e-9)


def test_the_last_step_is_reported_whatever_its_number(job: _Job) -> None:
    few = replace(job, recipe=recipe(log_steps=50), plan=planned([[0], [1], [2]], 1))
    with with_lora(few.base.model, few.recipe.train.lora) as model:
        assert [entry["step"] for entry in _run(few, model)] == [3]


def test_a_loss_that_is_no_number_stops_the_training(job: _Job) -> None:
    broken = replace(job, plan=planned([[row] for row in range(12)], 1))
    with with_lora(broken.base.model, broken.recipe.train.lora) as model:
        for name, weights in model.named_parameters():
            if "lora_A" in name:
                torch.nn.init.constant_(weights, float("inf"))
        with pytest.raises(ConfigError, match=r"train toy: the loss is not a number .*step 1\)"):
            _run(broken, model)


def test_a_tally_is_kept_to_the_last_bit(tmp_path: Path) -> None:
    tally = Tally(["zh", "vi"])
    tally.add(torch.tensor([0.1, 0.2, 0.7]), torch.tensor([0, 0, 1]))
    tally.write(tmp_path / WHOLE)
    again = Tally(["zh", "vi"])
    again.read(tmp_path / WHOLE)
    assert again.report() == tally.report()
    assert tally.report() == {}, "begun anew"


def test_a_checkpoint_without_its_last_word_is_not_used(tmp_path: Path) -> None:
    assert last_whole_checkpoint(tmp_path) is None
    for step, whole in ((2, True), (10, True), (12, False)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if whole:
            (folder / WHOLE).touch()
    found = last_whole_checkpoint(tmp_path)
    assert found is not None
    assert found.name == "checkpoint-10"

"""The base and its adapters on the same questions: switched rightly, scored once, never mixed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import AdapterError, DataError
from bactrian.evaluate import engine
from bactrian.evaluate.engine import Questions, answer, questions, scorers
from bactrian.evaluate.store import Scored, Store, open_store
from bactrian.evaluate.tasks import Item, Rules
from bactrian.models import adapters, base
from bactrian.models.scoring import Batch, Likelihood, Request, Scorer

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")

TOGETHER = Rules("acc", "together", ())
APART = Rules("bits_per_byte", "apart", ())
ITEMS = tuple(
    Item(str(number), f"Question {number}, which is a little longer", (" yes", " no, never"))
    for number in range(6)
)
BUDGET = 100


@pytest.fixture
def loaded(tiny_base: Path) -> base.Base:
    return base.load(str(tiny_base), dtype="float32")


@pytest.fixture(scope="module")
def folders(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two adapters that do different things."""
    root = tmp_path_factory.mktemp("adapters")
    for seed, name in enumerate(("zh", "vi")):
        loaded = base.load(str(tiny_base), dtype="float32")
        torch.manual_seed(seed)
        config = peft.LoraConfig(
            task_type="CAUSAL_LM", target_modules=["q_proj"], init_lora_weights=False
        )
        with adapters.hushed():
            peft.get_peft_model(loaded.model, config).save_pretrained(root / name)
    return {name: root / name for name in ("zh", "vi")}


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with open_store(tmp_path / "scores.sqlite") as opened:
        yield opened


def asked(loaded: base.Base, items: Sequence[Item] = ITEMS, rules: Rules = TOGETHER) -> Questions:
    return questions(loaded, "task", "en", items, rules)


def found(store: Store, ready: engine.Scorers, name: str, told: Questions) -> dict[Any, float]:
    rows = store.get(ready.keys[name], told.key)
    return {place: scored.log_likelihood for place, scored in rows.items()}


def count_batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    sizes: list[int] = []
    scored = engine._scored

    def counted(scorer: Scorer, told: Questions, batch: Batch, name: str) -> Iterator[Scored]:
        sizes.append(len(batch.requests))
        return scored(scorer, told, batch, name)

    monkeypatch.setattr(engine, "_scored", counted)
    return sizes


def test_each_model_gives_its_own_numbers(
    loaded: base.Base, folders: dict[str, Path], store: Store, tiny_base: Path, tmp_path: Path
) -> None:
    told = asked(loaded)
    ready = scorers(loaded, folders)
    assert list(ready.keys) == ["base", "zh", "vi"]
    answer(ready, told, store, BUDGET)
    numbers = {name: found(store, ready, name, told) for name in ready.keys}
    assert all(len(rows) == 12 for rows in numbers.values())
    for one, other in (("base", "zh"), ("base", "vi"), ("zh", "vi")):
        assert all(abs(numbers[one][at] - numbers[other][at]) > 1e-4 for at in numbers[one])

    # the same numbers as the base without PEFT, and as each adapter alone
    for name, folder in {"base": None, **folders}.items():
        fresh = base.load(str(tiny_base), dtype="float32")
        alone = scorers(fresh, {name: folder} if folder else {})
        with open_store(tmp_path / f"{name}.sqlite") as other_store:
            answer(alone, told, other_store, BUDGET)
            assert found(other_store, alone, name, told) == numbers[name]


def test_what_is_there_is_not_scored_again(
    loaded: base.Base, folders: dict[str, Path], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = count_batches(monkeypatch)
    told = asked(loaded)
    answer(scorers(loaded, {}), told, store, BUDGET)
    first = list(sizes)
    assert sum(first) == 12
    assert len(first) > 2
    answer(scorers(loaded, {}), told, store, BUDGET)
    assert sizes == first
    answer(scorers(loaded, {"zh": folders["zh"]}), told, store, BUDGET)
    assert sizes == first * 2, "only the adapter was lacking"


def test_a_stop_in_the_middle_costs_one_batch(
    loaded: base.Base, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told, ready = asked(loaded), scorers(loaded, {})
    score, calls = Scorer.score, [0]

    def cut_off(self: Scorer, batch: Batch) -> list[Likelihood]:
        calls[0] += 1
        if calls[0] == 3:
            raise KeyboardInterrupt
        return score(self, batch)

    with monkeypatch.context() as broken:
        broken.setattr(Scorer, "score", cut_off)
        with pytest.raises(KeyboardInterrupt):
            answer(ready, told, store, BUDGET)
    kept = len(found(store, ready, "base", told))
    assert 0 < kept < 12
    sizes = count_batches(monkeypatch)
    answer(ready, told, store, BUDGET)
    assert sum(sizes) == 12 - kept
    with open_store(tmp_path / "whole.sqlite") as whole:
        answer(ready, told, whole, BUDGET)
        assert found(whole, ready, "base", told) == found(store, ready, "base", told)
        for opened, name in ((whole, "whole"), (store, "stopped")):
            opened.publish(tmp_path / name)
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "stopped").read_bytes()


def test_a_batch_is_made_once_for_all_models(
    loaded: base.Base, folders: dict[str, Path], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bactrian.models.scoring import ways

    made: list[Batch] = []
    row_of = ways.row_of

    def counted(batch: Batch, device: Any) -> Any:
        made.append(batch)
        return row_of(batch, device)

    ready, told = scorers(loaded, folders), asked(loaded)
    monkeypatch.setattr(ways, "row_of", counted)
    sizes = count_batches(monkeypatch)
    answer(ready, told, store, BUDGET)
    assert len(sizes) == 3 * len(made)
    assert len(made) == len(ready.scorer.plan(told.requests, BUDGET))


def test_options_share_their_question(loaded: base.Base) -> None:
    told = asked(loaded)
    plan = scorers(loaded, {}).scorer.plan(told.requests, BUDGET)
    computed = sum(batch.tokens - batch.blank for batch in plan)
    assert computed < 0.75 * sum(len(request.read) for request in told.requests)


def test_greedy_options_are_told(loaded: base.Base, store: Store) -> None:
    """The likeliest token after a question, as an option beside another one."""
    ready = scorers(loaded, {})
    context = tuple(loaded.tokenizer.encode(ITEMS[0].context))
    with torch.inference_mode():
        best = int(loaded.model(torch.tensor([context])).logits[0, -1].argmax())
    requests = (Request(context, (best,)), Request(context, ((best + 1) % 300,)))
    told = Questions("task", "en", "key", (("1", 0), ("1", 1)), requests, (0, 0), 0)
    answer(ready, told, store, BUDGET)
    rows = store.get(ready.keys["base"], "key")
    assert (rows["1", 0].greedy, rows["1", 1].greedy) == (True, False)


def test_a_quantised_base_is_another_scorer(loaded: base.Base) -> None:
    whole = scorers(loaded, {}).keys
    assert scorers(replace(loaded, quantize="nf4"), {}).keys != whole


def test_another_prompt_or_join_is_another_question(loaded: base.Base) -> None:
    others = [replace(ITEMS[0], context="Question 0, asked otherwise"), *ITEMS[1:]]
    keys = {
        asked(loaded).key,
        asked(loaded, others).key,
        asked(loaded, rules=APART).key,
        asked(loaded, ITEMS[:3]).key,
        questions(loaded, "task", "zh", ITEMS, TOGETHER).key,
    }
    assert len(keys) == 5
    assert asked(loaded).key == asked(loaded).key


def test_another_tokenizer_is_another_question(loaded: base.Base) -> None:
    before = asked(loaded).key
    loaded.tokenizer.backend_tokenizer.post_processor = None
    assert asked(loaded).key != before


@pytest.mark.parametrize("change", ["alpha", "weights", "card"])
def test_another_adapter_of_the_same_name_is_another_scorer(
    loaded: base.Base, folders: dict[str, Path], tmp_path: Path, change: str
) -> None:
    folder = Path(shutil.copytree(folders["zh"], tmp_path / "zh"))
    before = engine.adapter_hash(folder)
    if change == "alpha":
        config = folder / "adapter_config.json"
        config.write_text(config.read_text().replace('"lora_alpha": 8', '"lora_alpha": 9'))
    elif change == "weights":
        shutil.copy(folders["vi"] / adapters.WEIGHTS, folder)
    else:
        (folder / "README.md").write_text("words")
    assert (engine.adapter_hash(folder) == before) is (change == "card")


def test_a_folder_that_lacks_a_file_has_no_hash(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["zh"], tmp_path / "zh"))
    (folder / adapters.WEIGHTS).unlink()
    with pytest.raises(AdapterError, match=r"has no adapter_model\.safetensors"):
        engine.adapter_hash(folder)


@pytest.mark.parametrize(
    ("items", "problem"),
    [
        ([Item("1", "a", ("b", " "))], "task en 1: an option is empty"),
        ([Item("1", "a ", ("",))], "task en 1: an option is empty"),
        ([Item("1", "a", ("b",)), Item("1", "c", ("d",))], "the id 1 is there twice"),
        ([Item("1", "a", ("ក" * 600,))], "task en 1: .* tokens to score, 1024 fit"),
    ],
)
def test_an_item_that_cannot_be_scored_is_named(
    loaded: base.Base, items: list[Item], problem: str
) -> None:
    with pytest.raises(DataError, match=problem):
        asked(loaded, items)


def test_a_context_that_is_too_long_is_cut_from_the_left_and_counted(loaded: base.Base) -> None:
    told = asked(loaded, [Item("1", "ក" * 600, (" yes",)), ITEMS[0]], APART)
    assert len(told.requests[0]) == 1024
    assert told.requests[0].context[0] == loaded.tokenizer.bos_token_id
    assert told.dropped[0] > 0
    assert told.dropped[1:] == (0, 0)


def test_apart_is_encoded_as_in_training(loaded: base.Base) -> None:
    from bactrian.train.encode_texts import TextEncoder

    (request,) = asked(loaded, [Item("1", "Say it.", ("yes",))], APART).requests
    texts = TextEncoder(loaded.tokenizer)
    (prompt,), (response,) = texts.prompts(["Say it."]), texts.responses(["yes"])
    assert request == Request(tuple(prompt), tuple(response))


def test_a_score_that_is_no_number_is_not_kept(loaded: base.Base, store: Store) -> None:
    told, ready = asked(loaded), scorers(loaded, {})
    torch.nn.init.constant_(loaded.model.model.norm.weight, float("nan"))
    with pytest.raises(AdapterError, match="base: what it gives for task en"):
        answer(ready, told, store, BUDGET)
    assert found(store, ready, "base", told) == {}

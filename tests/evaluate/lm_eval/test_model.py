"""The engine as lm-eval's model, number by number against lm-eval's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import AdapterError, ConfigError, DataError

pytest.importorskip("torch")
huggingface = pytest.importorskip("lm_eval.models.huggingface")
lm_eval = pytest.importorskip("lm_eval")

from bactrian.evaluate.lm_eval import opened  # noqa: E402
from bactrian.evaluate.lm_eval.model import BactrianLM, each  # noqa: E402
from bactrian.evaluate.lm_eval.pairs import PairEncoder  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
"""lm-eval and what it brings warn of their own."""
ARCHITECTURES = ("llama", "bloom", "qwen", "gemma", "mistral")
Requests = Callable[[Sequence[Any]], list[Any]]


def hf(base: Path, **told: Any) -> Any:
    return huggingface.HFLM(
        pretrained=str(base), dtype="float32", device="cpu", batch_size=3, **told
    )


def ours(base: Path, **told: Any) -> BactrianLM:
    return BactrianLM(pretrained=str(base), dtype="float32", device="cpu", **told)


@pytest.fixture
def pairs(sentences: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """Questions with options, last words, and nothing before a text; five scripts."""
    found = [("", sentences["my"][0][:20]), ("", " sun")]
    for code in ("zh", "th", "et", "ar"):
        one, two, three, *_ = sentences[code]
        space = " " if code in ("et", "ar") else ""
        found += [(one[:40], space + option[:18]) for option in (two, three, one)]
        found += [(one[:40] + " ", option) for option in ("A", "B", "C")]
        found.append((one + space, two[:30]))  # longer than the windows
    return found


@pytest.mark.parametrize("adapted", [False, True])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_log_likelihoods_and_greediness_are_those_of_lm_eval(
    name: str,
    adapted: bool,
    shape: Callable[[str], Path],
    adapter: Callable[..., Path],
    pairs: list[tuple[str, str]],
    requests: Requests,
) -> None:
    base = shape(name)
    told = {"peft": str(adapter(base))} if adapted else {}
    their_model, our_model = hf(base, **told), ours(base, **told)
    theirs = their_model.loglikelihood(requests(pairs), disable_tqdm=True)
    found = our_model.loglikelihood(requests(pairs), disable_tqdm=True)
    assert [value for value, _ in found] == pytest.approx([v for v, _ in theirs], abs=1e-4)
    assert [best for _, best in found] == [best for _, best in theirs]
    written = list(greedy(their_model, pairs[2:8]))
    wanted = their_model._loglikelihood_tokens(written, disable_tqdm=True)
    answers = our_model._loglikelihood_tokens(written, disable_tqdm=True)
    assert [value for value, _ in answers] == pytest.approx([v for v, _ in wanted], abs=1e-4)
    assert [best for _, best in answers] == [best for _, best in wanted] == [True, True, False] * 6
    texts = [(context + after,) for context, after in pairs] + [("".join(map("".join, pairs)),)]
    rolled = our_model.loglikelihood_rolling(requests(texts), disable_tqdm=True)
    wanted = their_model.loglikelihood_rolling(requests(texts), disable_tqdm=True)
    assert rolled == pytest.approx(wanted, abs=1e-4, rel=1e-6)


def greedy(model: Any, pairs: Sequence[tuple[str, str]]) -> Iterator[Any]:
    """Yield contexts with what the model would write after them, and with what it would not."""
    for context, _ in pairs:
        ids = model.tokenizer(context, return_tensors="pt")["input_ids"]
        wrote = model.model.generate(input_ids=ids, max_new_tokens=3, do_sample=False)
        before, after = ids[0].tolist(), wrote[0, ids.shape[1] :].tolist()
        yield None, before, after
        yield None, before, after[:1]
        yield None, before, [*after[:-1], (after[-1] + 1) % 300]


def test_what_is_longer_than_the_model_is_cut_as_lm_eval_cuts_it(
    shape: Callable[[str], Path], requests: Requests
) -> None:
    base = shape("llama")
    pairs = [("word " * 60, f"a text of its own {number}") for number in range(3)]
    their_model, our_model = hf(base, max_length=40), ours(base, max_length=40)
    theirs = their_model.loglikelihood(requests(pairs), disable_tqdm=True)
    found = our_model.loglikelihood(requests(pairs), disable_tqdm=True)
    assert [value for value, _ in found] == pytest.approx([v for v, _ in theirs], abs=1e-4)
    assert our_model.counts["cut"] == 3
    assert our_model.notes() == ["3 contexts were longer than the model and cut from the left"]
    rolled = our_model.loglikelihood_rolling(requests([("word " * 90,)]), disable_tqdm=True)
    wanted = their_model.loglikelihood_rolling(requests([("word " * 90,)]), disable_tqdm=True)
    assert rolled == pytest.approx(wanted, abs=1e-4, rel=1e-6)
    with pytest.raises(DataError, match="tokens are to be scored, 40 fit"):
        our_model.loglikelihood(requests([("a", "word " * 90)]), disable_tqdm=True)


def test_a_length_of_its_own_is_the_models(shape: Callable[[str], Path]) -> None:
    assert ours(shape("llama")).max_length == hf(shape("llama")).max_length == 256
    assert ours(shape("bloom")).max_length == hf(shape("bloom")).max_length
    assert ours(shape("llama")).tokenizer_name == hf(shape("llama")).tokenizer_name


def test_empty_continuations_are_certain_and_told(
    shape: Callable[[str], Path], requests: Requests
) -> None:
    model = ours(shape("llama"))
    found = model.loglikelihood(requests([("The sun", ""), ("The", " sun")]), disable_tqdm=True)
    assert found[0] == (0.0, True)
    assert found[1][0] < 0
    assert model.notes() == ["1 continuations were empty, and count as certain"]
    assert model.loglikelihood([], disable_tqdm=True) == []
    assert model.loglikelihood_rolling([], disable_tqdm=True) == []


def test_ids_that_are_given_are_scored_as_they_are(shape: Callable[[str], Path]) -> None:
    asked = [(None, [0, 5, 9], [40, 41]), (None, [0], [7])]
    found = ours(shape("llama"))._loglikelihood_tokens(asked, disable_tqdm=True)
    wanted = hf(shape("llama"))._loglikelihood_tokens(asked, disable_tqdm=True)
    assert [value for value, _ in found] == pytest.approx([v for v, _ in wanted], abs=1e-5)


@pytest.mark.parametrize("adapted", [False, True])
def test_answers_are_those_of_lm_eval(
    adapted: bool,
    shape: Callable[[str], Path],
    adapter: Callable[..., Path],
    sentences: Mapping[str, Sequence[str]],
    requests: Requests,
) -> None:
    base = shape("llama")
    told = {"peft": str(adapter(base))} if adapted else {}
    asked = [
        (sentences[code][0][:30], {"until": ["e"], "max_gen_toks": 8, "do_sample": False})
        for code in ("en", "th", "zh")
    ]
    found = ours(base, batch_size=3, **told).generate_until(requests(asked), disable_tqdm=True)
    wanted = hf(base, **told).generate_until(requests(asked), disable_tqdm=True)
    assert found == wanted
    assert all("e" not in text for text in found)


def test_chat_templates_are_the_tokenizers(shape: Callable[[str], Path]) -> None:
    model = ours(shape("llama"))
    template = model.chat_template(True)
    assert template is not None
    assert "assistant" in template
    rendered = model.apply_chat_template([{"role": "user", "content": "Tere!"}])
    assert rendered.endswith("[user]\nTere!\n[assistant]\n")


def test_a_choice_task_gives_the_same_results_and_samples(
    shape: Callable[[str], Path], task_files: Path
) -> None:
    found, wanted = (
        lm_eval.simple_evaluate(
            model=model,
            tasks=["toy_choice", "toy_scores_et", "toy_several_th", "toy_rolling_th"],
            task_manager=manager(task_files),
            bootstrap_iters=0,
        )
        for model in (ours(shape("llama")), hf(shape("llama")))
    )
    assert found["results"].keys() == wanted["results"].keys()
    for task, told in wanted["results"].items():
        for metric, value in told.items():
            assert found["results"][task][metric] == pytest.approx(value, abs=1e-5), metric
    info = found["config"]
    assert (info["pairs_encoded_apart"], info["contexts_cut"]) == (0, 0)
    json.dumps({key: info[key] for key in ("model_key", "model_sha", "model_dtype")})


def manager(folder: Path) -> Any:
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=str(folder), include_defaults=False)


def test_the_name_is_known_after_registering() -> None:
    from lm_eval.api.registry import get_model

    from bactrian.evaluate.lm_eval import register

    register()
    register()
    assert get_model("bactrian") is BactrianLM
    assert get_model("hf") is huggingface.HFLM


@pytest.mark.parametrize("device", ["", "cpu", "cuda:0"])
def test_options_of_the_command_line_give_way(device: str, shape: Callable[[str], Path]) -> None:
    """It tells every model batch size and device, also those whose arguments say otherwise."""
    torch = pytest.importorskip("torch")
    options = {"batch_size": "2", "max_batch_size": None, "device": device}
    told = f"pretrained={shape('llama')},batch_size=5,dtype=float32"
    model = BactrianLM.create_from_arg_string(told, options)
    assert model.batch_size == 5
    there = torch.cuda.is_available() and device != "cpu"
    assert model.device.type == ("cuda" if there else "cpu")


def test_a_device_that_is_none_is_refused(shape: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError, match="device gpu is none that torch knows"):
        BactrianLM(pretrained=str(shape("llama")), dtype="float32", device="gpu")


def test_several_adapters_are_one_base_one_after_the_other(
    shape: Callable[[str], Path],
    adapter: Callable[..., Path],
    pairs: list[tuple[str, str]],
    requests: Requests,
    counted: Callable[[Any, str], list[Any]],
) -> None:
    base = shape("llama")
    loads, encodings = counted(opened, "load"), counted(PairEncoder, "pairs")
    told = f"base;{adapter(base, 1)};{adapter(base, 2)};base"
    found = {
        name: model.loglikelihood(requests(pairs), disable_tqdm=True)
        for name, model in each(pretrained=str(base), dtype="float32", adapters=told)
    }
    assert list(found) == ["base", str(adapter(base, 1)), str(adapter(base, 2))]
    assert (len(loads), len(encodings)) == (1, 1), "loaded once, encoded once"
    for name, answers in found.items():
        alone = ours(base, **({} if name == "base" else {"peft": name}))
        wanted = alone.loglikelihood(requests(pairs), disable_tqdm=True)
        assert [v for v, _ in answers] == pytest.approx([v for v, _ in wanted], abs=1e-5)
    first, second, third = ([v for v, _ in answers] for answers in found.values())
    assert first != pytest.approx(second, abs=0.01)
    assert second != pytest.approx(third, abs=0.01)


def test_answers_are_kept_as_batches_end(
    shape: Callable[[str], Path], requests: Requests, pairs: list[tuple[str, str]]
) -> None:
    class Hook:
        kept: list[Any] = []  # noqa: RUF012

        def add_partial(self, kind: str, asked: Any, answer: Any) -> None:
            self.kept.append((kind, asked, answer))

    model = ours(shape("llama"), batch_tokens=64)
    model.set_cache_hook(Hook())
    found = model.loglikelihood(requests(pairs), disable_tqdm=True)
    assert sorted(Hook.kept) == sorted(
        ("loglikelihood", pair, answer) for pair, answer in zip(pairs, found, strict=True)
    )


def test_damaged_weights_are_a_users_error(
    shape: Callable[[str], Path], requests: Requests
) -> None:
    torch = pytest.importorskip("torch")
    model = ours(shape("llama"))
    with torch.no_grad():
        model.model.get_output_embeddings().weight.fill_(float("nan"))
    with pytest.raises(AdapterError, match="no number"):
        model.loglikelihood(requests([("The", " sun")]), disable_tqdm=True)


def test_an_adapter_of_another_base_is_refused(
    shape: Callable[[str], Path], adapter: Callable[..., Path]
) -> None:
    with pytest.raises(AdapterError, match="does not fit"):
        ours(shape("bloom"), peft=str(adapter(shape("llama"))))


def test_an_encoder_is_left_to_lm_evals_own_model(tiny_base: Path, tmp_path: Path) -> None:
    import shutil

    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=320, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, pad_token_id=0
    )
    T5ForConditionalGeneration(config).save_pretrained(tmp_path)
    for path in tiny_base.glob("tokenizer*"):
        shutil.copy(path, tmp_path)
    with pytest.raises(ConfigError, match="has an encoder"):
        ours(tmp_path)

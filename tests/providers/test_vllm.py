"""vLLM in process, against a package of the same surface: it cannot run on a machine without a GPU.

The stand-in takes the arguments of vLLM 0.33's LLM, LLM.chat and SamplingParams, and no others.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bactrian import languages
from bactrian.errors import MissingExtra, ProviderError
from bactrian.providers import Again, Answer, NoAnswer, Price, Told
from bactrian.providers.vllm import VllmChat
from bactrian.recipe import Respond
from bactrian.schema import Instruction

ENGLISH = languages.get("en")
FREE = Price()
SURFACE = """
from dataclasses import dataclass, field

@dataclass(frozen=True)
class SamplingParams:
    repetition_penalty: float = 1.0
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    max_tokens: int | None = 16

@dataclass
class CompletionOutput:
    text: str
    token_ids: list
    finish_reason: str | None

@dataclass
class RequestOutput:
    prompt_token_ids: list
    outputs: list

made, chats = [], []

class LLM:
    def __init__(self, model, *, tensor_parallel_size=1, dtype="auto", max_model_len=None,
                 gpu_memory_utilization=0.92, **kwargs):
        if max_model_len == 1:
            raise ValueError("max_model_len is too small\\nwith a long trace")
        made.append((model, tensor_parallel_size, dtype, kwargs))

    def chat(self, messages, sampling_params=None, use_tqdm=True, *, chat_template_kwargs=None):
        from vllm.exceptions import VLLMServerError, VLLMValidationError
        assert len(messages) == len(sampling_params)
        chats.append((messages, sampling_params, use_tqdm, chat_template_kwargs))
        contents = [one[-1]["content"] for one in messages]
        if "boom" in contents:
            raise VLLMServerError("EngineCore encountered an issue.")
        if any(len(one) > 100 for one in contents):
            raise VLLMValidationError("The prompt is longer than the maximum model length")
        return [self.say(one, told) for one, told in zip(contents, sampling_params)]

    def say(self, content, told):
        words = content.split()
        text = "" if content == "silence" else f" {content} {told.seed % 1000} "
        finish = "length" if len(words) > told.max_tokens else "stop"
        return RequestOutput(words, [CompletionOutput(text, words, finish)])
"""
EXCEPTIONS = """
class VLLMError(Exception): ...
class VLLMClientError(VLLMError): ...
class VLLMServerError(VLLMError): ...
class VLLMValidationError(VLLMClientError): ...
"""


@pytest.fixture
def vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A package of vLLM's surface, which counts what it was asked."""
    package = tmp_path / "site" / "vllm"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(SURFACE)
    (package / "exceptions.py").write_text(EXCEPTIONS)
    for name in [name for name in sys.modules if name.partition(".")[0] == "vllm"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    import vllm as surface

    yield surface
    for name in ("vllm", "vllm.exceptions"):
        sys.modules.pop(name, None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pytest.importorskip("torch")  # the fingerprint is the models' business
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    return tmp_path / "model"


def chat(folder: Path, price: Price = FREE, /, **options: Any) -> VllmChat:
    section = Respond(using="vllm", model=str(folder), max_tokens=5, options=options)
    return VllmChat(Told(section, Path("/"), price))


def requests(made: VllmChat, *texts: str) -> list[dict[str, Any]]:
    return [made.request(Instruction("a-1", "en", text), ENGLISH) for text in texts]


def asked(made: VllmChat, *texts: str) -> Sequence[Any]:
    return asyncio.run(made.send(requests(made, *texts)))


def test_a_send_is_one_chat_of_all_its_requests_each_with_its_seed(folder: Path, vllm: Any) -> None:
    engine = {"tensor_parallel_size": 2, "dtype": "bfloat16"}
    made = chat(folder, Price(input=1.0, output=2.0), engine=engine, top_p=0.9, top_k=40)
    found = asked(made, "one two", "three")
    assert vllm.made == [(str(folder), 2, "bfloat16", {})]
    ((messages, sampling, tqdm, template),) = vllm.chats
    assert messages[1] == [{"role": "user", "content": "three"}]
    assert (sampling[0].temperature, sampling[0].top_p, sampling[0].top_k) == (0.7, 0.9, 40)
    assert (sampling[0].max_tokens, tqdm, template) == (5, False, None)
    assert sampling[0].seed != sampling[1].seed
    assert found[0] == Answer(f"one two {sampling[0].seed % 1000}", "stop", 2, 2, cost_usd=6e-6)
    assert found[1].output.startswith("three ")


def test_an_answer_is_its_request_s_own_and_asked_again_another(folder: Path, vllm: Any) -> None:
    made = chat(folder)
    first = asked(made, "one", "two")
    assert asked(chat(folder), "two")[0] == first[1]
    assert asked(made, "one")[0] != first[0]
    asyncio.run(made.close())
    assert asked(made, "one")[0] == first[0]
    assert len(vllm.made) == 2  # the engine outlives an asking


def test_finish_and_silence_are_told(folder: Path, vllm: Any) -> None:
    long, silent = asked(chat(folder), "a b c d e f g", "silence")
    assert long.finish == "length"
    assert isinstance(silent, Again)
    assert silent.why == "empty"
    assert silent.billed is not None
    section = Respond(using="vllm", model=str(folder), temperature=0)
    (sure,) = asked(VllmChat(Told(section, Path("/"))), "silence")
    assert isinstance(sure, NoAnswer)


def test_what_vllm_refuses_costs_its_neighbours_nothing(folder: Path, vllm: Any) -> None:
    texts = [f"text {number}" for number in range(9)]
    texts[4] = "long " * 50
    found = asked(chat(folder), *texts)
    assert [isinstance(one, Answer) for one in found] == [number != 4 for number in range(9)]
    assert found[4] == NoAnswer(
        "vLLM refused the request: The prompt is longer than the maximum model length"
    )
    for one, text in zip(found, texts, strict=True):
        assert not isinstance(one, Answer) or one.output.startswith(f"{text} ")


def test_an_engine_that_died_ends_the_run_and_is_made_anew(folder: Path, vllm: Any) -> None:
    made = chat(folder)
    with pytest.raises(ProviderError, match="vLLM's engine failed: EngineCore") as told:
        asked(made, "fine", "boom")
    assert told.value.retryable
    assert isinstance(asked(made, "fine")[0], Answer)
    assert len(vllm.made) == 2
    with pytest.raises(ProviderError, match=r"started with .*: max_model_len is too small \("):
        asked(chat(folder, engine={"max_model_len": 1}), "fine")


def test_a_template_s_words_are_passed_on_and_are_part_of_the_request(
    folder: Path, vllm: Any
) -> None:
    made = chat(folder, template={"enable_thinking": False})
    asked(made, "one")
    assert vllm.chats[0][3] == {"enable_thinking": False}
    plain = requests(chat(folder), "one")[0]
    assert requests(made, "one")[0] != plain
    assert requests(chat(folder, engine={"gpu_memory_utilization": 0.5}), "one")[0] == plain
    assert requests(chat(folder, engine={"quantization": "fp8"}), "one")[0] != plain
    assert plain["weights"] == made.weights.mark


def test_without_vllm_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bactrian.providers.vllm.find_spec", lambda name: None)
    with pytest.raises(MissingExtra) as told:
        asked(chat(folder), "one")
    assert "bactrian[vllm]" in told.value.hint

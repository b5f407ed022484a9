"""Recordings: found answers, and reasons where there are none. Nothing is invented."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest

from bactrian import languages
from bactrian.errors import ProviderError
from bactrian.ledger import Entry, Ledger, key_of
from bactrian.providers import Answer, NoAnswer
from bactrian.providers.recorded import RecordedChat, RecordedTranslator
from bactrian.schema import Instruction

DEMO = Path(__file__).parents[2] / "demo"
VIETNAMESE, SWAHILI = languages.get("vi"), languages.get("sw")
ROW = Instruction("a-1", "en", "Translate this", "the input")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    # written out: a change of the request would make every recording useless
    texts = ["Translate this", "the input"]
    asked = {"engine": "m", "source": "en", "target": "vi", "texts": texts}
    with Ledger(tmp_path / "vi.sqlite") as ledger:
        ledger.put(
            Entry(
                key_of(asked),
                "translation",
                "google:nmt",
                orjson.dumps(["Dịch câu này", "đầu vào"]).decode(),
                finish="stop",
                characters=23,
                cost_usd=0.01,
                provider_id="g-1",
            )
        )
    return tmp_path


def test_what_was_recorded_is_the_answer_and_says_who_gave_it(recording: Path) -> None:
    provider = RecordedTranslator("m", recording)
    assert provider.name == "recorded:m"
    (answer,) = asyncio.run(provider.send([provider.request(ROW, VIETNAMESE)]))
    assert answer == Answer(
        '["Dịch câu này","đầu vào"]',
        characters=23,
        cost_usd=0.01,
        provider_id="g-1",
        provider="google:nmt",
    )


def test_what_the_recording_lacks_is_no_answer_with_the_reason(recording: Path) -> None:
    provider = RecordedTranslator("m", recording)
    other = Instruction("a-2", "en", "Something else")
    asked = [
        provider.request(other, VIETNAMESE),
        provider.request(ROW, VIETNAMESE),
        provider.request(ROW, SWAHILI),
    ]
    first, second, third = asyncio.run(provider.send(asked))
    assert first == NoAnswer("the recording has no answer to this request")
    assert isinstance(second, Answer)
    assert third == NoAnswer("the recording has nothing in sw")


def test_another_model_is_another_request(recording: Path) -> None:
    provider = RecordedTranslator("other", recording)
    (answer,) = asyncio.run(provider.send([provider.request(ROW, VIETNAMESE)]))
    assert isinstance(answer, NoAnswer)


def test_a_recording_is_not_changed_by_being_asked(recording: Path) -> None:
    before = (recording / "vi.sqlite").read_bytes()
    provider = RecordedTranslator("m", recording)
    asyncio.run(provider.send([provider.request(ROW, VIETNAMESE)] * 3))
    assert (recording / "vi.sqlite").read_bytes() == before
    with pytest.raises(ProviderError):
        RecordedTranslator("m", recording / "vi.sqlite")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match=r"the recording .*absent does not exist") as told:
        RecordedChat("m", tmp_path / "absent")
    assert "<language>.sqlite" in told.value.hint


def test_a_folder_without_ledgers_is_no_recording(tmp_path: Path) -> None:
    # what an empty recording = comes to: the recipe's own folder
    with pytest.raises(ProviderError, match=r"holds no <language>\.sqlite files"):
        RecordedChat("m", tmp_path)


def test_a_chat_request_is_one_message_with_the_input_below(recording: Path) -> None:
    chat = RecordedChat("m", recording)
    asked = chat.request(Instruction("a-1", "vi", "Dịch", "câu"), VIETNAMESE)
    message = {"role": "user", "content": "Dịch\n\ncâu"}
    assert asked == {"model": "m", "target": "vi", "messages": [message]}
    alone = chat.request(Instruction("a-1", "vi", "Dịch"), VIETNAMESE)
    assert alone["messages"][0]["content"] == "Dịch"


def test_a_request_does_not_depend_on_the_id(recording: Path) -> None:
    for provider in (RecordedTranslator("m", recording), RecordedChat("m", recording)):
        other = Instruction("b-9", "en", ROW.instruction, ROW.input)
        assert provider.request(ROW, VIETNAMESE) == provider.request(other, VIETNAMESE)


def test_the_demo_s_recording_answers() -> None:
    provider = RecordedTranslator("alpaca-translated", DEMO / "recorded")
    first = orjson.loads((DEMO / "alpaca.json").read_bytes())[0]
    row = Instruction(first["id"], "en", first["instruction"], first["input"])
    for code in ("km", "zh"):
        (answer,) = asyncio.run(provider.send([provider.request(row, languages.get(code))]))
        assert isinstance(answer, Answer)
        assert len(orjson.loads(answer.output)) == 2

"""Recordings: found answers, and reasons where there are none. Nothing is invented."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest

from bactrian import languages
from bactrian.errors import ProviderError
from bactrian.ledger import Entry, Ledger, key_of
from bactrian.providers import Answer, NoAnswer, Told
from bactrian.providers.fill import fill
from bactrian.providers.recorded import RecordedChat, RecordedTranslator
from bactrian.providers.terms import Terms
from bactrian.recipe import Provider
from bactrian.schema import Instruction

DEMO = Path(__file__).parents[2] / "demo"
VIETNAMESE, SWAHILI = languages.get("vi"), languages.get("sw")
ENGLISH = languages.get("en")
TEXTS = ["Translate this", "the input"]


def made_from(model: str, folder: Path) -> Told:
    return Told(Provider(model=model, recording=folder.name), folder.parent)


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
    provider = RecordedTranslator(made_from("m", recording))
    assert provider.name == "recorded:m"
    (answer,) = asyncio.run(provider.send([provider.request(TEXTS, ENGLISH, VIETNAMESE)]))
    assert answer == Answer(
        '["Dịch câu này","đầu vào"]',
        characters=23,
        cost_usd=0.01,
        provider_id="g-1",
        provider="google:nmt",
    )


def test_what_the_recording_lacks_is_no_answer_with_the_reason(recording: Path) -> None:
    provider = RecordedTranslator(made_from("m", recording))
    asked = [
        provider.request(["Something else", ""], ENGLISH, VIETNAMESE),
        provider.request(TEXTS, ENGLISH, VIETNAMESE),
        provider.request(TEXTS, ENGLISH, SWAHILI),
    ]
    first, second, third = asyncio.run(provider.send(asked))
    assert first == NoAnswer("the recording has no answer to this request")
    assert isinstance(second, Answer)
    assert third == NoAnswer("the recording has nothing in sw")


def test_another_model_is_another_request(recording: Path) -> None:
    provider = RecordedTranslator(made_from("other", recording))
    (answer,) = asyncio.run(provider.send([provider.request(TEXTS, ENGLISH, VIETNAMESE)]))
    assert isinstance(answer, NoAnswer)


def test_a_recording_is_not_changed_by_being_asked(recording: Path) -> None:
    before = (recording / "vi.sqlite").read_bytes()
    provider = RecordedTranslator(made_from("m", recording))
    asyncio.run(provider.send([provider.request(TEXTS, ENGLISH, VIETNAMESE)] * 3))
    assert (recording / "vi.sqlite").read_bytes() == before
    with pytest.raises(ProviderError):
        RecordedTranslator(made_from("m", recording / "vi.sqlite"))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match=r"the recording .*absent does not exist") as told:
        RecordedChat(made_from("m", tmp_path / "absent"))
    assert "<language>.sqlite" in told.value.hint


def test_a_folder_without_ledgers_is_no_recording(tmp_path: Path) -> None:
    # what an empty recording = comes to: the recipe's own folder
    with pytest.raises(ProviderError, match=r"holds no <language>\.sqlite files"):
        RecordedChat(made_from("m", tmp_path))


def test_a_chat_request_is_one_message_with_the_input_below(recording: Path) -> None:
    chat = RecordedChat(made_from("m", recording))
    asked = chat.request(Instruction("a-1", "vi", "Dịch", "câu"), VIETNAMESE)
    message = {"role": "user", "content": "Dịch\n\ncâu"}
    assert asked == {"model": "m", "target": "vi", "messages": [message]}
    alone = chat.request(Instruction("a-1", "vi", "Dịch"), VIETNAMESE)
    assert alone["messages"][0]["content"] == "Dịch"


def test_a_request_does_not_depend_on_the_id(recording: Path) -> None:
    chat = RecordedChat(made_from("m", recording))
    one, other = (Instruction(name, "vi", "Dịch", "câu") for name in ("a-1", "b-9"))
    assert chat.request(one, VIETNAMESE) == chat.request(other, VIETNAMESE)


def test_a_recording_without_a_model_is_called_recorded(recording: Path) -> None:
    assert RecordedTranslator(made_from("", recording)).name == "recorded:recorded"


def test_a_recording_fills_a_ledger_with_who_gave_the_answers(
    recording: Path, tmp_path: Path
) -> None:
    provider = RecordedTranslator(made_from("m", recording))
    asked = [provider.request([text, ""], ENGLISH, VIETNAMESE) for text in ("a", "b")]
    asked.append(provider.request(TEXTS, ENGLISH, VIETNAMESE))
    with Ledger(tmp_path / "new" / "vi.sqlite") as ledger:
        done = fill(ledger, asked, provider, "translation", terms=Terms(), task="t")
        (total,) = ledger.totals()
    assert (done.answered, done.failed, done.charged) == (1, 2, 0)
    assert (total.provider, total.answers, total.cost_usd) == ("google:nmt", 1, 0.01)


def test_the_demo_s_recording_answers() -> None:
    provider = RecordedTranslator(made_from("alpaca-translated", DEMO / "recorded"))
    first = orjson.loads((DEMO / "alpaca.json").read_bytes())[0]
    texts = [first["instruction"], first["input"]]
    for code in ("km", "zh"):
        (answer,) = asyncio.run(
            provider.send([provider.request(texts, ENGLISH, languages.get(code))])
        )
        assert isinstance(answer, Answer)
        assert len(orjson.loads(answer.output)) == 2

"""The card says what was measured and nothing else; machines read its head, people its text."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_adapter import FINGERPRINT, difference, score, write_adapter, write_results

from bactrian.errors import AdapterError, ConfigError, DataError
from bactrian.languages import parse
from bactrian.markdown import ISOLATED
from bactrian.publish.card import known, own_card
from bactrian.publish.card.known import Asked
from bactrian.publish.card.page import card
from bactrian.publish.card.scores import evaluation
from bactrian.publish.card.subject import Shape, Subject

hub = pytest.importorskip("huggingface_hub")
ASKED = Asked(repo="ann/toy", data_licence="CC-BY-NC-4.0", base_licence="apache-2.0")


def subject_of(folder: Path, **told: Any) -> Subject:
    return known.adapter(folder, replace(ASKED, **told))


def front(text: str) -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    told: dict[str, Any] = yaml.safe_load(text.split("---\n", 2)[1])
    return told


def test_the_head_is_what_the_hub_reads(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "toy", languages=("no", "zh"))
    text = card(subject_of(folder, languages="zh,km", dataset_id="ann/rows"))
    assert front(text) == {
        "base_model": "some/base",
        "base_model_relation": "adapter",
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "license": "cc-by-nc-4.0",
        "language": ["zh", "km"],
        "datasets": ["ann/rows"],
        "tags": ["bactrian", "lora", "multilingual"],
    }
    read = hub.ModelCard(text)
    assert read.data.base_model == "some/base"
    assert hub.ModelCard(str(read)).data.to_dict() == read.data.to_dict()


def test_a_language_called_no_stays_a_language(tmp_path: Path) -> None:
    subject = subject_of(write_adapter(tmp_path / "toy"))
    told = card(replace(subject, languages=(replace(parse("sv")[0], code="no"),)))
    assert front(told)["language"] == ["no"]
    assert '  - "no"\n' in told


def test_the_text_says_what_is_known(tmp_path: Path) -> None:
    results = write_results(tmp_path / "results", "toy")
    text = card(subject_of(write_adapter(tmp_path / "toy"), results=results))
    for words in (
        "# toy\n",
        "A LoRA adapter for `some/base` in Chinese (zh, 中文), Khmer (km, ខ្មែរ).",
        f"by its hash `{FINGERPRINT}`",
        "### Input:\n{instruction}\n\n{input}\n\n### Output:\n",
        'PeftModel.from_pretrained(model, "ann/toy")',
        'AutoModelForCausalLM.from_pretrained("some/base")',
        "--max-lora-rank 8 --lora-modules toy=./toy",
        "bactrian export gguf-adapter toy --to toy.gguf",
        "bactrian chat --base some/base --adapter toy",
        "| rank, alpha, dropout | 4, 8, 0.1 |",
        "| targets | `q_proj` |",
        "| parameters | 512 (",
        "| zh |  |  |  | 1.250 |  |  |",
        "| xcopa | zh | acc | 100 | 50.0 [40.0, 60.0] | 60.0 [50.0, 70.0] "
        "| +10.0 [+8.0, +12.0] | better |",
        "| -10.0 [-12.0, -8.0] | worse |",
        "| xcopa | macro | acc | 100 |",
        "within the noise |",
        "| held-out | zh | bits_per_byte | 100 | 2.0000 [1.9000, 2.1000] | 1.5000 |  |  |",
        "- xcopa: `prompt:native-1|base:f00dfeed|dtype:float32`",
        "- xcopa: 3 of 400 answers were ties",
        "It is worse than the base, beyond the noise, on xcopa th.",
        "| base: some/base | apache-2.0 | keep the notice |",
        "**Not for commercial use**",
    ):
        assert words in text, words
    assert "acc_norm" not in text


def test_what_is_not_known_is_not_claimed(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "toy", ours=False)
    text = card(known.adapter(folder, Asked()))
    for words in (
        "How it was asked in training is not known",
        "nothing is claimed",
        "The licence of base: some/base is not known",
        "The licence of data is not known",
        'PeftModel.from_pretrained(model, "this folder")',
    ):
        assert words in text, words
    assert front(text)["license"] == "unknown"
    for words in ("model-index", "by its hash", "Rebuild", "## Languages", "datasets"):
        assert words not in text, words


def test_a_base_on_this_machine_is_no_id(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "toy", base=str(tmp_path / "bases" / "mine"))
    subject = subject_of(folder)
    text = card(subject)
    assert (subject.base.id, subject.base.on_hub) == ("mine", False)
    assert "base_model" not in front(text)
    assert "That is no id of the Hub" in text
    assert str(tmp_path) not in text
    named = subject_of(folder, base_id="some/other")
    assert front(card(named))["base_model"] == "some/other"
    with pytest.raises(ConfigError, match="is no id of the Hub"):
        subject_of(folder, base_id="/a/b/c")


def test_right_to_left_names_keep_to_their_place(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "toy", languages=("ar", "he"))
    subject = replace(subject_of(folder), example=("ما هذا؟", "قلم"))
    text = card(subject)
    assert f"Arabic (ar, {ISOLATED}العربية" in text
    assert "### Input:\nما هذا؟\n\nقلم\n\n### Output:\n" in text
    assert json.dumps("### Input:\nما هذا؟\n\nقلم\n\n### Output:\n", ensure_ascii=False) in text


def test_a_chat_is_one_turn_of_the_bases_own_template(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "toy", prompt="chat")
    text = card(replace(subject_of(folder), example=("翻译", "hello")))
    assert "The base's own chat template" in text
    assert 'turns = [{"role": "user", "content": "翻译\\n\\nhello"}]' in text
    assert "add_special_tokens=False" in text
    assert "### Input" not in text


def test_a_style_of_ones_own_travels_with_the_adapter(tmp_path: Path) -> None:
    template = {
        "with_input": "س: {instruction} {input}\nج: ",
        "without_input": "س: {instruction}\nج: ",
    }
    folder = write_adapter(tmp_path / "toy", prompt="سؤال", template=template)
    text = card(replace(subject_of(folder), example=("ما هذا؟", "")))
    assert "```text\nس: ما هذا؟\nج: \n```" in text
    assert f"Style {ISOLATED}`سؤال`" in text


def test_the_model_index_goes_round(tmp_path: Path) -> None:
    results = write_results(tmp_path / "results", "toy")
    text = card(subject_of(write_adapter(tmp_path / "toy"), results=results))
    read = hub.ModelCard(text).data
    assert read.model_name == "toy"
    told = {(one.dataset_config, one.metric_type): one for one in read.eval_results}
    assert set(told) == {
        ("zh", "accuracy"),
        ("th", "accuracy"),
        ("all:macro", "accuracy"),
        ("zh", "bits_per_byte"),
    }
    assert told["zh", "accuracy"].metric_value == 0.6
    assert told["zh", "accuracy"].metric_name == "acc, n = 100, 95 % [0.500, 0.700]"
    assert told["zh", "accuracy"].metric_args["n"] == 100
    assert "low" not in told["zh", "bits_per_byte"].metric_args
    assert hub.ModelCard(str(hub.ModelCard(text))).data.eval_results == read.eval_results


def test_results_of_another_base_or_model_are_not_taken(tmp_path: Path) -> None:
    results = write_results(tmp_path / "results", "toy")
    assert evaluation(results, "another", FINGERPRINT) is None
    with pytest.raises(DataError, match=r"measured on another base \(f00dfeed\)"):
        evaluation(results, "toy", "beef" * 8)
    with pytest.raises(ConfigError, match=r"has no results\.json"):
        evaluation(tmp_path, "toy", "")
    for broken in ("[]", "{", '{"scores": [{}], "models": []}'):
        (results / "results.json").write_text(broken, encoding="utf-8")
        with pytest.raises(DataError, match=r"bactrian eval"):
            evaluation(results, "toy", "")


def test_a_later_key_of_results_is_passed_over(tmp_path: Path) -> None:
    more = score("toy", "xcopa", "zh", 0.5, colour="blue")
    paired = difference("toy", "xcopa", "zh", 0.0, colour="blue")
    told = {"scores": [more], "differences": [paired], "averages": []}
    found = evaluation(write_results(tmp_path, "toy", **told), "toy", "")
    assert found is not None
    assert [one.score.value for one in found.found] == [0.5]


def test_a_card_of_ours_is_read_back(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "toy")
    (folder / "README.md").write_text(
        "---\nlicense: mit\n---\nA LoRA adapter for `x` in Chinese (zh), trained with bactrian.\n\n"
        "| what | value |\n|---|---|\n| base | `/secret/x` |\n| seed | 7 |\n| odd | a\\|b |\n\n"
        "| language | rows | shortened | left out | training | held-out | data |\n"
        "|---|---|---|---|---|---|---|\n| zh | 100 | 3 | 2 | 2.346 | 3.500 → 2.250 | `aaaa` |\n",
        encoding="utf-8",
    )
    subject = known.adapter(folder, Asked())
    assert subject.settings == (("seed", "7"), ("odd", "a\\|b"))
    text = card(subject)
    assert "| zh | 100 | 3 | 2 | 2.346 | 3.500 → 2.250 | `aaaa` |" in text
    assert "| data, as its card says | mit |" in text
    assert "/secret" not in text
    (folder / "README.md").write_text(text, encoding="utf-8")
    again = known.adapter(folder, Asked())
    assert own_card.languages_of(folder) == again.facts == subject.facts
    assert dict(subject.settings).items() <= dict(again.settings).items()


def test_somebody_elses_card_gives_its_head_alone(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "toy", ours=False)
    (folder / "README.md").write_text(
        "---\nlanguage: [zh, xx]\nlicense: mit\n---\n| what | value |\n|---|---|\n| seed | 7 |\n",
        encoding="utf-8",
    )
    subject = known.adapter(folder, Asked(prompt="alpaca"))
    assert [one.code for one in subject.languages] == ["zh"]
    assert subject.settings == ()
    assert "### Instruction:\n{instruction}" in card(subject)
    (folder / "README.md").write_text("---\n: [\n---\n", encoding="utf-8")
    assert own_card.front_of(folder) == {}


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        ({"r": 4, "rank_pattern": {"a": 16}}, Shape(16, 0, 0, (), "lora")),
        ({"r": 4, "use_dora": True}, Shape(4, 0, 0, (), "dora")),
        ({"r": 4, "use_rslora": True, "lora_alpha": 2}, Shape(4, 2, 0, (), "rslora")),
        ({"peft_type": "IA3", "target_modules": "all"}, Shape(0, 0, 0, ("all",), "ia3")),
    ],
)
def test_the_shape_is_pefts(config: dict[str, Any], shape: Shape) -> None:
    assert known.shape_of(config) == shape


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"use_dora": True}, "vLLM: no: it knows no DoRA."),
        ({"r": 1024}, "vLLM: no: it takes ranks up to 512, and this one has 1024."),
        ({"modules_to_save": ["lm_head"]}, "and lm_head is kept whole here."),
    ],
)
def test_what_vllm_does_not_take_is_not_offered(
    tmp_path: Path, config: dict[str, Any], words: str
) -> None:
    folder = write_adapter(tmp_path / "toy")
    path = folder / "adapter_config.json"
    assert "vllm serve" in card(subject_of(folder))
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **config}), encoding="utf-8")
    text = card(subject_of(folder))
    assert words in text
    assert "vllm serve" not in text


def test_a_base_that_vllm_gives_no_adapters_is_known(tmp_path: Path) -> None:
    base = tmp_path / "bases" / "mine"
    base.mkdir(parents=True)
    (base / "config.json").write_text('{"model_type": "bloom"}', encoding="utf-8")
    text = card(subject_of(write_adapter(tmp_path / "toy", base=str(base))))
    assert "vLLM: no: it takes no adapters for bloom." in text
    assert "llama-server -m BASE.gguf --lora toy.gguf" in text


def test_an_encoder_decoder_is_opened_as_one(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "toy")
    path = folder / "adapter_config.json"
    told = {**json.loads(path.read_bytes()), "task_type": "SEQ_2_SEQ_LM"}
    path.write_text(json.dumps(told), encoding="utf-8")
    text = card(subject_of(folder))
    assert "AutoModelForSeq2SeqLM" in text
    assert "vllm" not in text
    assert "decode(answer, skip_special_tokens" in text


def test_an_adapter_with_a_pickle_alone_is_refused(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "toy")
    (folder / "adapter_model.safetensors").unlink()
    (folder / "adapter_model.bin").write_bytes(b"x" * 5000)
    with pytest.raises(AdapterError, match="is a pickle"):
        known.adapter(folder, Asked())

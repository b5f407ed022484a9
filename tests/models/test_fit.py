"""What a tokenizer and a model lack is said or refused, and nothing is ever added to them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import ConfigError
from bactrian.events import Event, reading
from bactrian.models import base
from bactrian.models.fit import fit, ids_of, name_end

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

T5 = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}


class Said:
    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def see(self, event: Event) -> None:
        self.events.append((event.kind, event.facts["text"]))


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def tokenizer(tiny_base: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(tiny_base)


@pytest.fixture
def model(tiny_base: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(tiny_base)


def test_without_a_padding_token_eos_fills_up_and_nothing_is_added(
    tokenizer: Any, model: Any, said: Said
) -> None:
    before = (len(tokenizer), tuple(model.get_input_embeddings().weight.shape))
    with reading(said):
        found = fit(tokenizer, model)
    assert (found.end, found.pad, found.pad_token, found.start) == (1, 1, "</s>", None)
    ((kind, text),) = said.events
    assert kind == "decision"
    assert "filled up with </s>" in text
    assert (len(tokenizer), tuple(model.get_input_embeddings().weight.shape)) == before
    assert tokenizer.pad_token is None


def test_a_padding_token_that_is_there_is_used_in_silence(
    tokenizer: Any, model: Any, said: Said
) -> None:
    tokenizer.pad_token = "<s>"
    with reading(said):
        assert (fit(tokenizer, model).pad, fit(tokenizer).pad) == (0, 0)
    assert said.events == []


@pytest.mark.parametrize("eos", [None, "", "<unk>"])
def test_a_tokenizer_without_eos_is_refused(tokenizer: Any, eos: str | None) -> None:
    tokenizer.eos_token = eos
    if eos == "<unk>":
        tokenizer.eos_token = tokenizer.unk_token = "<s>"  # as LLaMA's first folders had it
    with pytest.raises(ConfigError, match="no EOS token") as caught:
        fit(tokenizer)
    assert "tokenizer_config.json" in caught.value.hint


@pytest.mark.parametrize(
    ("told", "end"),
    [([1], "</s>"), ([0, 1], "</s>"), ([0], None), ([999], None), ([], None)],
)
def test_an_end_that_only_the_models_files_name_is_taken(
    tokenizer: Any, told: list[int], end: str | None, said: Said
) -> None:
    """Galactica: config.json names 2, which is </s>. LLaMA's first folders name 1, which is <s>."""
    tokenizer.eos_token = None
    with reading(said):
        name_end(tokenizer, told)
    assert tokenizer.eos_token == end
    assert [kind for kind, _ in said.events] == ["decision"] * (end is not None)
    if end is None:
        with pytest.raises(ConfigError, match="no EOS token") as caught:
            fit(tokenizer)
        assert '"eos_token": "</s>"' in caught.value.hint


def test_an_end_that_the_tokenizer_names_stays(tokenizer: Any, said: Said) -> None:
    with reading(said):
        name_end(tokenizer, [0])
    assert (tokenizer.eos_token, said.events) == ("</s>", [])


@pytest.mark.parametrize("file", ["config.json", "generation_config.json"])
def test_a_base_whose_tokenizer_names_nothing_learns_to_stop(
    tiny_base: Path, tmp_path: Path, file: str
) -> None:
    folder = Path(shutil.copytree(tiny_base, tmp_path / "galactica"))
    for name, ends in (("config.json", None), ("generation_config.json", None), (file, [1])):
        path = folder / name
        told = json.loads(path.read_text())
        path.write_text(json.dumps({**told, "eos_token_id": ends}))
    path = folder / "tokenizer_config.json"
    told = json.loads(path.read_text())
    del told["eos_token"]
    path.write_text(json.dumps(told))
    loaded = base.load(str(folder), dtype="float32")
    assert loaded.tokenizer.eos_token == "</s>"
    assert fit(loaded.tokenizer, loaded.model).end == 1


@pytest.mark.parametrize(
    "kind", ["LlamaTokenizer", "GPT2Tokenizer", "T5Tokenizer", "GemmaTokenizer", "Qwen2Tokenizer"]
)
def test_a_tokenizer_without_its_vocabulary_is_refused(
    tiny_base: Path, tmp_path: Path, kind: str
) -> None:
    folder = Path(shutil.copytree(tiny_base, tmp_path / "own"))
    (folder / "tokenizer.json").unlink()
    told = {"tokenizer_class": kind, "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    with pytest.raises(ConfigError, match="knows no words") as caught:
        base.load(str(folder), dtype="float32")
    assert "tokenizer.model" in caught.value.hint


def test_more_ids_than_rows_do_not_match(tokenizer: Any, model: Any) -> None:
    assert ids_of(tokenizer) == model.get_input_embeddings().weight.shape[0] == 320
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    with pytest.raises(ConfigError, match="has 321 ids, the embedding 320 rows") as caught:
        fit(tokenizer, model)
    assert "[PAD]" in caught.value.hint
    model.resize_token_embeddings(384, mean_resizing=False)
    assert fit(tokenizer, model).pad == 320


def test_a_configuration_that_stops_elsewhere_is_said(
    tokenizer: Any, model: Any, said: Said
) -> None:
    tokenizer.pad_token = "<s>"
    model.generation_config.eos_token_id = [1, 7]
    with reading(said):
        fit(tokenizer, model)
        assert said.events == []
        model.generation_config.eos_token_id = 7
        fit(tokenizer, model)
    ((kind, text),) = said.events
    assert kind == "warning"
    assert "names 7 as EOS, the tokenizer 1 (</s>)" in text


def test_an_encoder_decoder_says_how_answers_begin(tokenizer: Any) -> None:
    tokenizer.pad_token = "<s>"
    config = transformers.T5Config(vocab_size=320, decoder_start_token_id=3, **T5)
    model = transformers.T5ForConditionalGeneration(config)
    assert fit(tokenizer, model).start == 3
    model.config.decoder_start_token_id = None
    model.generation_config.decoder_start_token_id = 4
    assert fit(tokenizer, model).start == 4
    model.generation_config.decoder_start_token_id = None
    with pytest.raises(ConfigError, match="does not say how an answer begins"):
        fit(tokenizer, model)


def test_a_loaded_base_fits(tiny_base: Path) -> None:
    loaded = base.load(str(tiny_base), dtype="float32")
    assert fit(loaded.tokenizer, loaded.model).end == loaded.tokenizer.eos_token_id

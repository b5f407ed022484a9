"""Translation models at home: the same tokens as transformers alone, whatever the batch."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from bactrian import languages
from bactrian.errors import ConfigError
from bactrian.providers import Told
from bactrian.providers.here.worker import Stop
from bactrian.providers.seq2seq import Seq2Seq, families
from bactrian.providers.seq2seq_model import LEAST, Made, Seq2SeqModel
from bactrian.recipe import Translate

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("sentencepiece")

FAMILIES = ("nllb", "m2m100", "madlad400", "mbart50")


# -- tiny models, made here: two layers of width 32 -------------------------------------------


def pieces(lines: Sequence[str], specials: Sequence[str], kind: str) -> Any:
    """Return the vocabulary of a tokenizer that was trained on the lines."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    inner = Tokenizer(getattr(models, kind)())
    inner.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    made = {"vocab_size": 2500, "special_tokens": list(specials), "show_progress": False}
    more = {"unk_token": "<unk>"} if kind == "Unigram" else {}
    trainer = {"BPE": trainers.BpeTrainer, "Unigram": trainers.UnigramTrainer}[kind]
    inner.train_from_iterator(lines, trainer(**made, **more))
    return json.loads(inner.to_str())["model"]


def nllb_tokenizer(lines: Sequence[str], folder: Path) -> Any:
    from transformers import NllbTokenizer

    told = pieces(lines, ["<s>", "<pad>", "</s>", "<unk>"], "BPE")
    return NllbTokenizer(vocab=told["vocab"], merges=[tuple(pair) for pair in told["merges"]])


def m2m100_tokenizer(lines: Sequence[str], folder: Path) -> Any:
    import sentencepiece
    from transformers import M2M100Tokenizer

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        vocab_size=1500,
        character_coverage=1.0,
        minloglevel=2,
    )
    (folder / "made.spm").write_bytes(model.getvalue())
    read = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    known = ["<s>", "<pad>", "</s>", "<unk>"]
    known += [read.id_to_piece(number) for number in range(3, read.get_piece_size())]
    (folder / "made.json").write_text(json.dumps({piece: at for at, piece in enumerate(known)}))
    return M2M100Tokenizer(str(folder / "made.json"), str(folder / "made.spm"))


def madlad400_tokenizer(lines: Sequence[str], folder: Path) -> Any:
    from transformers import T5Tokenizer

    told = [tuple(one) for one in pieces(lines, ["<pad>", "</s>", "<unk>"], "Unigram")["vocab"]]
    family = families()["madlad400"]
    tags = [(f"<2{family.code(one)}>", 0.0) for one in languages.every_language()]
    return T5Tokenizer(vocab=[*told[:3], *tags, *told[3:]], extra_ids=0)


def mbart50_tokenizer(lines: Sequence[str], folder: Path) -> Any:
    from transformers import MBart50Tokenizer

    told = pieces(lines, ["<unk>", "<s>", "</s>"], "Unigram")["vocab"]
    return MBart50Tokenizer(vocab=[tuple(one) for one in told])


def config_of(name: str, tokenizer: Any) -> Any:
    from transformers import M2M100Config, MBartConfig, T5Config

    ends = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    # some ids of M2M-100's languages lie beyond what len() counts
    size = len(tokenizer) + 200
    if name == "madlad400":
        wide = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
        return T5Config(vocab_size=size, decoder_start_token_id=0, **wide, **ends)
    made = MBartConfig if name == "mbart50" else M2M100Config
    sides = {
        f"{side}_{part}": number
        for side in ("encoder", "decoder")
        for part, number in (("layers", 2), ("ffn_dim", 64), ("attention_heads", 4))
    }
    return made(
        vocab_size=size,
        d_model=32,
        max_position_embeddings=256,
        init_std=0.3,
        decoder_start_token_id=2,
        encoder_layerdrop=0.0,
        decoder_layerdrop=0.0,
        forced_eos_token_id=None,
        **sides,
        **ends,
    )


@pytest.fixture(scope="module")
def folders(
    tmp_path_factory: pytest.TempPathFactory, sentences: Mapping[str, Sequence[str]]
) -> dict[str, Path]:
    """A random model of each family."""
    from transformers import AutoModelForSeq2SeqLM

    lines = [text for texts in sentences.values() for text in texts]
    made = {}
    for name in FAMILIES:
        folder = made[name] = tmp_path_factory.mktemp("translators") / name
        folder.mkdir()
        tokenizer = globals()[f"{name}_tokenizer"](lines, folder)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            model = AutoModelForSeq2SeqLM.from_config(config_of(name, tokenizer))
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return made


def loaded(folder: Path, **options: Any) -> Seq2SeqModel:
    told = {"device": "cpu", "dtype": "float32", "max_ratio": 1, **options}
    section = Translate(using="seq2seq", model=str(folder), options=told)
    return Seq2Seq(Told(section, folder.parent)).model


def codes(name: str) -> tuple[str, str]:
    """Return a family's codes of English and French."""
    family = families()[name]
    return family.code(languages.get("en")), family.code(languages.get("fr"))


def translated(model: Seq2SeqModel, passages: Sequence[str], pair: tuple[str, str]) -> list[Made]:
    found = model.translate(passages, pair, Event())
    made = [one for one in found if one is not None]
    assert len(made) == len(found)
    return made


# -- the same as transformers alone ---------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
def test_every_language_of_a_family_has_its_token(folders: dict[str, Path], name: str) -> None:
    model = loaded(folders[name])
    family = families()[name]
    found = [model._token(code) for one in languages.every_language() if (code := family.code(one))]
    assert len(set(found)) == len(found) >= 52 - (name == "m2m100")
    (english,) = model._encode(["Hello"], *codes(name))
    (french,) = model._encode(["Hello"], *codes(name)[::-1])
    assert english != french  # by the source's token, or the target's where that is a prefix
    if name == "nllb":
        wanted = {
            model.tokenizer.convert_tokens_to_ids(one.flores200)
            for one in languages.all_languages()
        }
        assert wanted <= set(found)
        assert len(wanted) == 52


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_batch_gives_the_tokens_that_generate_gives_one_by_one(
    folders: dict[str, Path], sentences: Mapping[str, Sequence[str]], name: str, beams: int
) -> None:
    model = loaded(folders[name], num_beams=beams)
    english = [*sentences["en"], "Hello.", "Hi there, you two"]
    source, target = codes(name)
    rows = model._encode(english, source, target)
    first = model._first(target)
    made = translated(model, english, (source, target))
    # written out as the model cards do, without a batch, a mask or padding
    model.tokenizer.src_lang = source
    for text, row, one in zip(english, rows, made, strict=True):
        asked = f"<2{target}> {text}" if name == "madlad400" else text
        inputs = model.tokenizer(asked, return_tensors="pt")
        assert inputs["input_ids"][0].tolist() == row
        told = {} if first is None else {"forced_bos_token_id": first}
        with torch.inference_mode():
            (alone,) = model.model.generate(
                input_ids=inputs["input_ids"],
                max_new_tokens=model.bound(len(row)) + (1 if first is None else 2),
                decoder_start_token_id=model.start,
                num_beams=beams,
                early_stopping=beams > 1,
                do_sample=False,
                eos_token_id=model.tokenizer.eos_token_id,
                pad_token_id=model.tokenizer.pad_token_id,
                **told,
            )
        if first is not None:
            assert alone[1] == first
        tokens, ended = model._cut(alone[2 if first else 1 :].tolist(), model.bound(len(row)))
        assert one.tokens_out == len(tokens)
        assert (
            one.text
            == model.tokenizer.decode(
                tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
            ).strip()
        )
        assert one.whole == (ended and bool(one.text))


@pytest.mark.parametrize(
    ("name", "dtype"), [("nllb", "bfloat16"), ("madlad400", "bfloat16"), ("mbart50", "float32")]
)
def test_neighbours_change_nothing(
    folders: dict[str, Path], sentences: Mapping[str, Sequence[str]], name: str, dtype: str
) -> None:
    # in bfloat16 batches of free shapes change most outputs: see here/batches.py
    model = loaded(folders[name], dtype=dtype, num_beams=2, batch_tokens=512)
    english = [*sentences["en"], "Hello.", "Hi there, you two", "A " * 40]
    together = translated(model, english, codes(name))
    backwards = translated(model, english[::-1], codes(name))[::-1]
    alone = [translated(model, [text], codes(name))[0] for text in english]
    assert together == backwards == alone
    assert len({one.text for one in together}) > 1


def test_the_shape_of_a_batch_is_that_of_the_length_alone(
    folders: dict[str, Path],
    sentences: Mapping[str, Sequence[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # what the bytes hang on in bfloat16; the tiny models are too small to show it
    model = loaded(folders["nllb"], batch_tokens=512)
    shapes: list[tuple[int, ...]] = []
    plain = model.model.generate

    def generate(**told: Any) -> Any:
        shapes.append(tuple(told["input_ids"].shape))
        return plain(**told)

    monkeypatch.setattr(model.model, "generate", generate)
    english = [*sentences["en"], "Hello.", "Hi there, you two", "A " * 40]
    translated(model, english, codes("nllb"))
    together, shapes[:] = set(shapes), []
    for text in english:
        translated(model, [text], codes("nllb"))
    assert set(shapes) == together
    assert all(rows == 512 // edge for rows, edge in shapes)


def test_the_pipeline_of_transformers_reads_the_same(
    folders: dict[str, Path], sentences: Mapping[str, Sequence[str]]
) -> None:
    model = loaded(folders["nllb"])
    for code in ("fra_Latn", "khm_Khmr"):
        inputs = model.tokenizer._build_translation_inputs(
            sentences["en"][0], "pt", src_lang="eng_Latn", tgt_lang=code
        )
        (row,) = model._encode([sentences["en"][0]], "eng_Latn", code)
        assert inputs["input_ids"][0].tolist() == row
        assert inputs["forced_bos_token_id"] == model._first(code)


# -- bounds and errors ----------------------------------------------------------------------------


def test_a_translation_is_bounded_by_its_source_and_by_the_model_s_places(
    folders: dict[str, Path],
) -> None:
    model = loaded(folders["nllb"], max_ratio=3)
    assert model.bound(5) == LEAST + 3 * 16
    assert model.bound(17) == model.bound(32) == LEAST + 3 * 32
    assert model.bound(200) == model.places - 2 == 254
    assert model.window == 256


def test_what_finds_no_end_says_so_and_shows_the_passage(folders: dict[str, Path]) -> None:
    model = loaded(folders["nllb"])
    # with the end's logit far below all others the model cannot stop
    model.model.model.shared.weight.data[model.tokenizer.eos_token_id] = 0.0
    model.model.model.decoder.layer_norm.bias.data += 1.0
    (made,) = translated(model, ["x" * 70 + " and more"], codes("nllb"))
    assert "found no end within" in made.why
    assert made.why.endswith("…")


def test_a_language_that_the_vocabulary_lacks_is_told(folders: dict[str, Path]) -> None:
    model = loaded(folders["nllb"])
    with pytest.raises(ConfigError, match="vocabulary has no tlh_Latn"):
        translated(model, ["Hello"], ("eng_Latn", "tlh_Latn"))
    with pytest.raises(ConfigError, match="vocabulary has no tlh_Latn"):
        translated(model, ["Hello"], ("tlh_Latn", "eng_Latn"))


def test_what_a_model_brings_along_decides_nothing(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    plain = loaded(folders["mbart50"])
    text = ["Since moving to the capital, he had played 49 games for the club."]
    (row,) = plain._encode(text, *codes("mbart50"))
    first = plain._first(codes("mbart50")[1])
    (said, _) = plain._generate([row], edge=len(row), first=first, stop=Stop(Event()))[0]
    folder = Path(shutil.copytree(folders["mbart50"], tmp_path / "mbart50"))
    brought = {"num_beams": 5, "max_length": 8, "forced_eos_token_id": 2, "suppress_tokens": said}
    (folder / "generation_config.json").write_text(json.dumps(brought))
    assert said
    found = translated(loaded(folder), text, codes("mbart50"))
    assert found == translated(plain, text, codes("mbart50"))


def test_when_there_is_enough_what_is_done_is_returned(folders: dict[str, Path]) -> None:
    model = loaded(folders["nllb"])
    texts = ["Hello.", "Hi there, you two, who are longer than that, and longer still, by far"]
    whole = translated(model, texts, codes("nllb"))
    turns = iter([False, True])
    found = model.translate(texts, codes("nllb"), Event(), enough=lambda: next(turns))
    assert found == [None, whole[1]]

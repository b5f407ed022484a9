"""GGUF files of anybody's: whole ones, damaged ones, and the usual converter's faults."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian.publish.verify.finding import Report
from bactrian.publish.verify.look import verify

np = pytest.importorskip("numpy")
gguf = pytest.importorskip("gguf")

STORIES = Path(__file__).parents[3] / "shared" / "data" / "models" / "stories260K"
WIDTH, ROWS = 64, 40


def said(report: Report, level: str) -> str:
    return "\n".join(f"{one.text} | {one.do}" for one in report.findings if one.level == level)


def model(path: Path, **changed: Any) -> Path:
    """A GGUF file of one layer, as the usual writer makes it."""
    told: dict[str, Any] = {
        "rows": ROWS, "layers": 1, "eos": 2, "scores": None, "template": "{{ x }}", "values": None,
        "kind": "gpt2", "quant": None, "tokens": ROWS, **changed,
    }  # fmt: skip
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(told["layers"])
    writer.add_tokenizer_model(told["kind"])
    if told["tokens"]:
        writer.add_token_list([f"t{number}" for number in range(told["tokens"])])
    if told["scores"] is not None:
        writer.add_token_scores(told["scores"])
    if told["eos"] is not None:
        writer.add_eos_token_id(told["eos"])
    if told["template"]:
        writer.add_chat_template(told["template"])
    values = np.ones((told["rows"], WIDTH), dtype=np.float32)
    if told["values"] is not None:
        values[3, 5] = told["values"]
    for name in ("token_embd.weight", "blk.0.attn_q.weight"):
        if told["quant"] is None:
            writer.add_tensor(name, values)
        else:
            packed = gguf.quants.quantize(values, told["quant"])
            writer.add_tensor(name, packed, raw_dtype=told["quant"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def adapter(path: Path, **changed: Any) -> Path:
    """A GGUF file of a LoRA for one layer."""
    told: dict[str, Any] = {"alpha": 8.0, "b": 1.0, "rank": 4, "both": True, **changed}
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    if told["alpha"]:
        writer.add_float32("adapter.lora.alpha", told["alpha"])
    writer.add_tensor("blk.0.attn_q.weight.lora_a", np.ones((4, WIDTH), dtype=np.float32))
    if told["both"]:
        b = np.full((WIDTH, told["rank"]), told["b"], dtype=np.float32)
        writer.add_tensor("blk.0.attn_q.weight.lora_b", b)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_real_file_is_in_order() -> None:
    path = STORIES / "stories260K-f32.gguf"
    if not path.is_file():
        pytest.skip("real data is not beside the repository: stories260K")
    report = verify(path)
    assert (report.kind, report.faults) == ("GGUF model", 0)
    assert "48 tensors (f32), finite" in said(report, "ok")
    assert "tokenizer llama: 512 tokens, EOS </s>" in said(report, "ok")


@pytest.mark.parametrize("quant", [None, "F16", "BF16", "Q8_0", "Q4_0", "Q5_1"])
def test_every_kind_of_tensor_is_read(quant: str | None, tmp_path: Path) -> None:
    kind = None if quant is None else gguf.GGMLQuantizationType[quant]
    report = verify(model(tmp_path / "x.gguf", quant=kind))
    assert report.faults == 0, said(report, "fault")
    assert f"2 tensors ({(quant or 'F32').lower()}), finite" in said(report, "ok")


@pytest.mark.parametrize("quant", [None, "F16", "BF16", "Q8_0"])
@pytest.mark.filterwarnings("ignore:.*invalid value encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:.*divide by zero:RuntimeWarning")
def test_what_is_not_finite_is_found_in_every_kind(quant: str | None, tmp_path: Path) -> None:
    kind = None if quant is None else gguf.GGMLQuantizationType[quant]
    report = verify(model(tmp_path / "x.gguf", quant=kind, values=float("inf")))
    assert "2 tensors with values that are not finite" in said(report, "fault")


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "rows without tokens": ({"rows": 41}, "has 40 tokens and the embedding 41 rows"),
    "no tokens": ({"tokens": 0}, "it has no tokenizer"),
    "no end": ({"eos": None}, "its EOS is not told"),
    "an end out of range": ({"eos": 99}, "its EOS is 99"),
    "layers that are not there": ({"layers": 5}, "tells of 5 layers and has tensors of 1"),
    "flat scores": (
        {"kind": "llama", "rows": 1100, "tokens": 1100, "scores": [-1000.0] * 1100},
        "flat scores",
    ),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_what_a_converter_did_wrong_is_named(kind: str, tmp_path: Path) -> None:
    changed, problem = FAULTS[kind]
    report = verify(model(tmp_path / "x.gguf", **changed))
    assert problem in said(report, "fault")


def test_scores_of_merges_are_in_order(tmp_path: Path) -> None:
    scores = [-float(number) for number in range(1100)]
    path = model(tmp_path / "x.gguf", kind="llama", rows=1100, tokens=1100, scores=scores)
    assert verify(path).faults == 0


def test_a_model_without_a_template_is_a_note(tmp_path: Path) -> None:
    report = verify(model(tmp_path / "x.gguf", template=""))
    assert report.faults == 0
    assert "has no chat template" in said(report, "note")


def test_an_adapter_is_told_as_one(tmp_path: Path) -> None:
    report = verify(adapter(tmp_path / "x.gguf"))
    assert (report.kind, report.faults) == ("GGUF adapter", 0)
    assert "1 pair of rank 4, alpha 8.0, for llama" in said(report, "ok")


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"alpha": 0.0}, "adapter.lora.alpha None"),
        ({"b": 0.0}, "every lora_b is zero"),
        ({"rank": 5}, "cannot be multiplied"),
        ({"both": False}, "only one of lora_a and lora_b"),
    ],
)
def test_what_is_wrong_with_an_adapter_is_named(
    changed: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    report = verify(adapter(tmp_path / "x.gguf", **changed))
    assert problem in said(report, "fault")


def number(place: int, value: int, size: int = 8) -> Callable[[bytes], bytes]:
    def put(content: bytes) -> bytes:
        return content[:place] + value.to_bytes(size, "little") + content[place + size :]

    return put


DAMAGED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut off": (lambda content: content[:-64], "is cut off, or damaged: .* ends at byte"),
    "cut in the heading": (lambda content: content[:60], "are told and not there"),
    "nothing": (lambda _: b"", "4 bytes are told and not there"),
    "no GGUF": (lambda content: b"GGML" + content[4:], "does not begin with GGUF"),
    "version": (number(4, 9, 4), "version 9"),
    "2^60 tensors": (number(8, 1 << 60), "1,152,921,504,606,846,976 entries"),
    "2^60 settings": (number(16, 1 << 60), "entries are told"),
    "more settings than there are": (number(16, 400), "damaged|not there"),
    "a key of 2^60 letters": (number(24, 1 << 60), "a text of 1,152,921,504,606,846,976 bytes"),
    "a list of 2^40": (
        lambda content: content.replace(
            struct.pack("<IQ", 8, ROWS), struct.pack("<IQ", 8, 1 << 40), 1
        ),
        "a list of 1,099,511,627,776",
    ),
    "a type of nobody": (
        lambda content: content.replace(
            b"llama.block_count" + struct.pack("<I", 4),
            b"llama.block_count" + struct.pack("<I", 77),
        ),
        "no setting is of the type 77",
    ),
    "a quantisation of nobody": (
        lambda content: content.replace(
            struct.pack("<QQI", WIDTH, ROWS, 0), struct.pack("<QQI", WIDTH, ROWS, 999), 1
        ),
        "is of the quantisation 999",
    ),
    "a tensor beyond the file": (
        lambda content: content.replace(
            struct.pack("<QQI", WIDTH, ROWS, 0), struct.pack("<QQI", WIDTH, 1 << 50, 0), 1
        ),
        "is cut off, or damaged",
    ),
}


@pytest.mark.parametrize("kind", DAMAGED)
@pytest.mark.timeout(20)
def test_a_damaged_file_is_a_fault_in_words(kind: str, tmp_path: Path) -> None:
    change, problem = DAMAGED[kind]
    path = model(tmp_path / "x.gguf")
    path.write_bytes(change(path.read_bytes()))
    report = verify(path)
    assert report.faults == 1
    assert re.search(problem, said(report, "fault")), said(report, "fault")


def test_no_flipped_byte_of_the_heading_ends_in_a_traceback(tmp_path: Path) -> None:
    path = model(tmp_path / "x.gguf")
    content = path.read_bytes()
    for place in range(0, 700, 3):
        changed = bytearray(content)
        changed[place] ^= 0xFF
        path.write_bytes(changed)
        verify(path)

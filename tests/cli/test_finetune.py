"""finetune.py: the original's command end to end, by its three data rules, on a toy base."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bactrian import table
from bactrian.cli import finetune as command
from bactrian.models.adapters import facts_of, hushed, verify
from bactrian.models.prompts import of
from bactrian.recipe import load

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "transformers", "pyarrow", "numpy", "peft", "pydantic")
SMALL = (
    "--batch_size 4 --micro_batch_size 2 --num_epochs 1 --learning_rate 3e-3 --cutoff_len 512 "
    "--val_set_size 3 --lora_r 4 --lora_alpha 8 --warmup_steps 0 --train_on_inputs "
    "--group_by_length"
)

Rows = list[dict[str, str]]


@dataclass(frozen=True)
class Ended:
    """How the command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tiny_base: Path, tmp_path: Path) -> Run:
    """Run the command on the toy base; the adapter is to land in ``out``."""
    pytest.importorskip("torch")

    def call(*words: object, out: Path = tmp_path / "out") -> Ended:
        told = ["--base_model", tiny_base, "--output_dir", out, *SMALL.split(), *words]
        return ended(capsys, [str(word) for word in told])

    return call


def ended(capsys: pytest.CaptureFixture[str], words: list[str]) -> Ended:
    capsys.readouterr()
    code = 0
    try:
        command.main(words)
    except SystemExit as end:
        code = int(end.code or 0)
    said = capsys.readouterr()
    return Ended(code, said.out, said.err)


@pytest.fixture
def rows(sentences: Mapping[str, Sequence[str]]) -> Callable[[str], Rows]:
    """Return 15 real rows of a language, each sentence answered by the one after it."""

    def of(code: str) -> Rows:
        texts = sentences[code]
        return [
            {
                "instruction": texts[place],
                "input": texts[(place + 2) % 5][:20] if turn else "",
                "id": f"alpaca-{5 * turn + place}",
                "output": texts[(place + 1) % 5][:60],
            }
            for turn in range(3)
            for place in range(5)
        ]

    return of


@pytest.fixture
def published(tmp_path: Path, rows: Callable[[str], Rows]) -> Path:
    """A dataset laid out as MBZUAI/Bactrian-X is on the Hub."""
    folder = tmp_path / "Bactrian-X"
    (folder / "data").mkdir(parents=True)
    for code in ("en", "zh", "vi"):
        with gzip.open(folder / "data" / f"{code}.json.gz", "wt", encoding="utf-8") as file:
            json.dump(rows(code), file, ensure_ascii=False)
    return folder


def ids(out: Path, code: str, split: str) -> set[str]:
    folder = next((out / "work" / "datasets").iterdir())
    path = folder / "data" / code / f"{split}-00000-of-00001.parquet"
    return {row.example.id for row in table.read(path)}


def state(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


def test_a_dataset_laid_out_as_on_the_hub_becomes_an_adapter(
    run: Run, published: Path, tiny_base: Path, tmp_path: Path
) -> None:
    done = run("--data_path", published, "--lang", "en,zh")
    out = tmp_path / "out"
    assert done.code == 0, done.err
    assert "12 train, 3 validation, 0 rejected" in done.out
    assert "no setting  # the plan puts rows of like length together" in done.out
    assert verify(out).tensors == 8, "q_proj and v_proj of two layers, A and B each"
    facts = facts_of(out)
    assert facts is not None
    assert (facts.name, facts.languages) == ("out", ("en", "zh"))
    held_out = ids(out, "en", "validation")
    assert len(held_out) == 3
    assert ids(out, "zh", "validation") == held_out, "the same ids in every language"
    assert not held_out & (ids(out, "en", "train") | ids(out, "zh", "train"))
    recipe = load(out / "work" / "recipe.toml")
    assert recipe.train.lora.rank == 4
    assert recipe.train.batch_rows == 4
    assert recipe.train.micro_batch_tokens == 1024
    assert recipe.train.train_on_inputs


def test_peft_loads_what_lands_in_the_output_folder(
    run: Run, published: Path, tiny_base: Path, tmp_path: Path
) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    assert run("--data_path", published, "--lang", "vi").code == 0
    base = AutoModelForCausalLM.from_pretrained(tiny_base, dtype="float32").eval()
    tokens = torch.arange(2, 40)[None]
    with torch.no_grad(), hushed():
        before = base(tokens).logits.clone()
        after = PeftModel.from_pretrained(base, tmp_path / "out")(tokens).logits
    assert not torch.allclose(before, after, atol=1e-4)


def test_the_same_command_again_recognises_the_adapter_and_other_flags_make_another(
    run: Run, published: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    told = ("--data_path", published, "--lang", "vi")
    first = run(*told)
    assert "done before" not in first.out
    made = state(out)
    again = run(*told)
    assert "done before" in again.out
    assert state(out) == made
    other = run(*told, "--lora_r", 2)
    assert other.code == 0, other.err
    assert "done before" not in other.out
    assert json.loads((out / "adapter_config.json").read_text("utf-8"))["r"] == 2


def test_one_json_file_whose_language_nobody_named(
    run: Run, rows: Callable[[str], Rows], tmp_path: Path
) -> None:
    path = tmp_path / "mine.json"
    plain = [{key: row[key] for key in ("instruction", "input", "output")} for row in rows("zh")]
    path.write_text(json.dumps(plain, ensure_ascii=False), encoding="utf-8")
    done = run("--data_path", path)
    assert done.code == 0, done.err
    assert "its rows are taken to be in zh, as 15 of the first 15 are" in done.out
    assert ids(tmp_path / "out", "zh", "train") < {f"mine-{number}" for number in range(15)}


def test_a_prompt_style_in_the_original_json_travels_with_the_adapter(
    run: Run, published: Path, tmp_path: Path
) -> None:
    texts = {
        "prompt_input": "Q: {instruction}\n{input}\nA: ",
        "prompt_no_input": "Q: {instruction}\nA: ",
    }
    (tmp_path / "mine.json").write_text(json.dumps(texts), encoding="utf-8")
    named = ("--template_dir", tmp_path, "--prompt_template_name", "mine")
    done = run("--data_path", published, "--lang", "vi", *named)
    assert done.code == 0, done.err
    facts = facts_of(tmp_path / "out")
    assert facts is not None
    assert facts.prompt == "mine"
    assert of(facts).render("a {b}") == "Q: a {b}\nA: "


def test_every_json_file_of_a_folder(run: Run, rows: Callable[[str], Rows], tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    mixed = [*rows("km"), *rows("zh")]
    files: dict[str, Any] = {"vi.json": rows("vi"), "both.json": mixed, "notes.txt": "no rows"}
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    done = run("--data_path", folder)
    assert done.code == 0, done.err
    assert "vi.json: its rows are in vi, as its name says" in done.out
    assert "both.json: each row has its own language: km 15, zh 15" in done.out
    facts = facts_of(tmp_path / "out")
    assert facts is not None
    assert set(facts.languages) == {"km", "vi", "zh"}
    assert {len(ids(tmp_path / "out", code, "train")) for code in facts.languages} == {12}


def test_a_validation_set_larger_than_the_data_is_said_by_its_flag(
    run: Run, published: Path, tmp_path: Path
) -> None:
    done = run("--data_path", published, "--lang", "vi", "--val_set_size", 15)
    assert done.code == 5
    assert "error: --val_set_size 15 leaves none of the 15 ids for training" in done.err
    assert "hint: set --val_set_size lower" in done.err
    assert state(tmp_path / "out") == {}


def test_an_interrupted_run_says_how_to_go_on_and_goes_on(
    run: Run, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bactrian.train import run as engine

    def stopped(*told: object) -> None:
        raise KeyboardInterrupt

    told = ("--data_path", published, "--lang", "vi")
    with monkeypatch.context() as patch:
        patch.setattr(engine, "train", stopped)
        done = run(*told)
    assert done.code == 130
    assert "hint: to go on: python finetune.py --base_model " in done.err
    assert state(tmp_path / "out") == {}
    assert run(*told).code == 0
    assert verify(tmp_path / "out").tensors == 8


def test_a_model_that_is_not_ours_is_not_written_over(
    run: Run, published: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "adapter_config.json").write_text('{"mine": 1}', encoding="utf-8")
    done = run("--data_path", published, "--lang", "vi")
    assert done.code == 2
    assert "holds a model that was not made there by this command" in done.err
    assert state(out) == {"adapter_config.json": b'{"mine": 1}'}


def test_a_dry_run_counts_and_trains_nothing(run: Run, published: Path, tmp_path: Path) -> None:
    done = run("--data_path", published, "--lang", "en,zh", "--dry_run")
    assert done.code == 0, done.err
    assert "out  would train on 24 rows in en, zh: " in done.out
    assert state(tmp_path / "out") == {}
    assert not (tmp_path / "out" / "work" / "runs").exists()


def test_a_dry_run_fetches_nothing_from_the_hub(run: Run, tmp_path: Path) -> None:
    done = run("--data_path", "MBZUAI/Bactrian-X", "--lang", "en,zh", "--dry_run")
    assert done.code == 0, done.err
    assert "would fetch 2 languages from the Hub" in done.out


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["--data_path", "nowhere/"], 2, "--data_path nowhere/ is no folder here"),
        (["--data_path", "./nowhere", "--lang", "zh"], 5, "--data_path ./nowhere does not exist"),
        (["--data_path", "no.json"], 5, "--data_path no.json does not exist"),
        (["--data_path", "a/b", "--lang", "jp"], 4, '"jp"'),
        (["--data_path", "a/b", "--lang", "zh", "--lora_r", "0"], 2, "--lora_r 0: input should"),
        (["--data_path", "a/b", "--lang", "zh", "--set", "train.x=1"], 2, "unknown key train.x"),
        (["--lora_rank", "3"], 2, "there is no --lora_rank"),
    ],
)
def test_what_is_wrong_is_two_lines(run: Run, words: list[str], code: int, problem: str) -> None:
    done = run(*words)
    assert done.code == code
    error, hint = done.err.strip().splitlines()
    assert problem in error
    assert hint.startswith("hint: ")


def test_help_is_light_and_names_the_flags() -> None:
    script = (
        "import sys\nfrom bactrian.cli.finetune import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert "--lora_target_modules" in done.stdout


def test_the_file_at_the_root_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "finetune.py", "--lora_rr", "3"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr == "error: there is no --lora_rr\nhint: did you mean --lora_r?\n"

"""The line that serves adapters in vLLM: quoted for a shell, and right for every folder."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bactrian.cli import main
from bactrian.errors import AdapterError, ConfigError
from bactrian.models import adapters, base, prompts
from bactrian.models.prompts import Told
from bactrian.publish.source import Chosen, Source
from bactrian.publish.vllm import Plan, plan, write

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from safetensors.torch import save_file  # noqa: E402


def adapter(folder: Path, tiny_base: Path, rank: int = 4, **config: Any) -> Path:
    folder.mkdir(parents=True)
    place = "base_model.model.model.layers.0.self_attn.q_proj"
    save_file(
        {
            f"{place}.lora_A.weight": torch.ones(rank, 32),
            f"{place}.lora_B.weight": torch.ones(32, rank),
        },
        folder / adapters.WEIGHTS,
    )
    told = {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": 8,
        "target_modules": ["q_proj"],
        "base_model_name_or_path": str(tiny_base),
        **config,
    }
    (folder / "adapter_config.json").write_text(json.dumps(told))
    return folder


def source(tiny_base: Path, *folders: Path, prompt: str = "bactrian", revision: str = "") -> Source:
    from dataclasses import replace

    where = base.locate(str(tiny_base))
    if revision:
        where = replace(where, id="some/base", revision=revision)
    chosen = tuple(Chosen(folder.name, folder, None) for folder in folders)
    return Source(where, chosen, Told(prompt))


@pytest.fixture(scope="module")
def tokenizer(tiny_base: Path) -> Any:
    return base.tokenizer_of(base.locate(str(tiny_base)))


def option(told: Plan, name: str) -> str:
    return told.words[told.words.index(name) + 1]


def test_a_base_of_the_hub_is_named_with_its_commit(
    tiny_base: Path, tmp_path: Path, tokenizer: Any
) -> None:
    zh, vi = adapter(tmp_path / "zh", tiny_base), adapter(tmp_path / "vi", tiny_base, 12)
    told = plan(source(tiny_base, zh, vi, revision="0a1b"), tokenizer, dtype="bfloat16")
    assert told.words[:6] == ("vllm", "serve", "some/base", "--revision", "0a1b", "--enable-lora")
    assert told.words[7:9] == (f"zh={zh}", f"vi={vi}")
    assert option(told, "--max-lora-rank") == "16"
    assert option(told, "--max-loras") == "2"
    assert option(told, "--dtype") == "bfloat16"
    assert option(told, "--host") == "127.0.0.1"
    assert "--max-cpu-loras" not in told.words
    assert any(note.startswith("ranks are 4, 12: vLLM keeps room for 16") for note in told.notes)


def test_a_base_from_a_folder_has_a_name_that_clients_can_write(
    tiny_base: Path, tmp_path: Path, tokenizer: Any
) -> None:
    zh = adapter(tmp_path / "zh", tiny_base)
    told = plan(source(tiny_base, zh), tokenizer)
    assert told.words[2:5] == (str(tiny_base), "--served-model-name", tiny_base.name)
    module = json.loads(option(told, "--lora-modules"))
    assert module == {"name": "zh", "path": str(zh), "base_model_name": tiny_base.name}
    named = plan(source(tiny_base, zh), tokenizer, served="toy")
    assert json.loads(option(named, "--lora-modules"))["base_model_name"] == "toy"


def test_many_adapters_wait_on_the_cpu(tiny_base: Path, tmp_path: Path, tokenizer: Any) -> None:
    folders = [adapter(tmp_path / f"a{number}", tiny_base) for number in range(12)]
    told = plan(source(tiny_base, *folders), tokenizer)
    assert (option(told, "--max-loras"), option(told, "--max-cpu-loras")) == ("8", "12")
    told = plan(source(tiny_base, *folders), tokenizer, at_once=12)
    assert option(told, "--max-loras") == "12"
    assert "--max-cpu-loras" not in told.words


@pytest.mark.parametrize("place", ["a b", "it's", 'say "x"', "عربي", "$(touch x)", "a=b"])
def test_the_line_survives_a_shell(
    place: str, tiny_base: Path, tmp_path: Path, tokenizer: Any
) -> None:
    zh = adapter(tmp_path / place / "zh", tiny_base)
    for revision in ("", "0a1b"):
        told = plan(source(tiny_base, zh, revision=revision), tokenizer)
        template = tmp_path / place / "chat_template.jinja"
        assert shlex.split(told.line(template))[:-2] == list(told.words)
        module = option(told, "--lora-modules")
        if place == "a=b" or not revision:
            assert json.loads(module)["path"] == str(zh)
        else:
            assert module == f"zh={zh}"


def test_the_folder_starts_the_server_and_asks_it(
    tiny_base: Path, tmp_path: Path, tokenizer: Any
) -> None:
    zh = adapter(tmp_path / "it's zh" / "zh", tiny_base)
    told = plan(source(tiny_base, zh), tokenizer)
    place = tmp_path / "to serve"
    write(told, place)
    assert {path.name for path in place.iterdir()} == {"chat_template.jinja", "serve.sh", "ask.py"}
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin" / "vllm"
    fake.write_text('#!/bin/sh\nfor word in vllm "$@"; do printf "%s\\0" "$word"; done\n')
    fake.chmod(0o755)
    done = subprocess.run(
        [place / "serve.sh", "--port", "9000"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"},
    )
    template = str(place / "chat_template.jinja")
    expected = [*told.words, "--chat-template", template, "--port", "9000"]
    assert done.stdout.split("\0")[:-1] == expected
    compile((place / "ask.py").read_text(), "ask.py", "exec")
    assert "chat.completions" in (place / "ask.py").read_text()
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hej."}],
        chat_template=(place / "chat_template.jinja").read_text(),
        tokenize=False,
        add_generation_prompt=True,
    )
    assert asked == "<s>" + prompts.BACTRIAN.render("Hej.")
    with pytest.raises(ConfigError, match="exists already"):
        write(told, place)


def test_without_a_template_finished_prompts_are_asked(
    tiny_base: Path, tmp_path: Path, tokenizer: Any
) -> None:
    zh = adapter(tmp_path / "zh", tiny_base)
    told = plan(source(tiny_base, zh), tokenizer)
    question = told.question(chat=False)
    compile(question, "question", "exec")
    assert repr(prompts.BACTRIAN.render("…")) in question
    own = plan(source(tiny_base, zh, prompt="chat"), tokenizer)
    assert own.template == ""
    assert "chat.completions" in own.question(chat=False)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"use_dora": True}, "it knows no DoRA"),
        ({"modules_to_save": ["lm_head"]}, "lm_head is kept whole"),
        ({"bias": "all"}, "takes no biases"),
        ({"alpha_pattern": {"q_proj": 1}}, "scales every layer by one alpha / r"),
        ({"rank": 520}, "ranks up to 512"),
    ],
)
def test_what_vllm_does_not_take_is_refused_with_the_next_step(
    config: dict[str, Any], problem: str, tiny_base: Path, tmp_path: Path, tokenizer: Any
) -> None:
    folder = adapter(tmp_path / "zh", tiny_base, **config)
    with pytest.raises(AdapterError, match=problem) as caught:
        plan(source(tiny_base, folder), tokenizer)
    assert str(folder) in caught.value.problem
    assert "bactrian export merged" in caught.value.hint


def test_a_base_whose_adapters_vllm_does_not_serve(
    tiny_base: Path, tmp_path: Path, tokenizer: Any
) -> None:
    folder = Path(shutil.copytree(tiny_base, tmp_path / "bloom"))
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**told, "model_type": "bloom"}))
    zh = adapter(tmp_path / "zh", folder)
    with pytest.raises(AdapterError, match="takes no adapters for bloom"):
        plan(source(folder, zh), tokenizer)


def test_two_adapters_of_one_name_are_refused(
    tiny_base: Path, tmp_path: Path, tokenizer: Any
) -> None:
    folders = [adapter(tmp_path / place / "zh", tiny_base) for place in ("a", "b")]
    with pytest.raises(ConfigError, match="two adapters are called zh"):
        plan(source(tiny_base, *folders), tokenizer)


def test_the_verb_prints_the_line(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zh = adapter(tmp_path / "zh", tiny_base)
    main_ends(["export", "vllm", str(zh)], 0)
    out = capsys.readouterr().out
    assert out.startswith(f"vllm serve {tiny_base} --served-model-name")
    assert "made elsewhere" in out
    assert "--to DIR writes one" in out
    main_ends(["export", "vllm", str(zh), "--to", str(tmp_path / "v"), "--json"], 0)
    told = json.loads(capsys.readouterr().out)
    assert told["names"] == ["zh"]
    assert told["command"][-2:] == ["--chat-template", str(tmp_path / "v" / "chat_template.jinja")]
    assert shlex.split(told["line"]) == told["command"]
    main_ends(["export", "vllm", str(zh), str(zh)], 2)
    assert "named twice" in capsys.readouterr().err


def main_ends(words: list[str], code: int) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert (ended.value.code or 0) == code

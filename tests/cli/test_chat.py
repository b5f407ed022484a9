"""The style that a chat asks with is that of the adapters' training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from bactrian.cli.chat import _speaker
from bactrian.errors import ConfigError
from bactrian.models import adapters, base
from bactrian.models.adapters import AdapterFacts
from bactrian.recipe import Lora

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
pytest.importorskip("gradio")

OWN = {"with_input": "<{instruction}|{input}>", "without_input": "<{instruction}>"}


@pytest.fixture
def loaded(tiny_base: Path) -> base.Base:
    return base.load(str(tiny_base), dtype="float32")


def saved(
    loaded: base.Base, folder: Path, prompt: str, template: Mapping[str, str] | None = None
) -> Path:
    """An adapter's folder, trained with a style."""
    from bactrian.train.lora import with_lora

    facts = AdapterFacts(
        name=folder.name,
        languages=("zh",),
        prompt=prompt,
        base=loaded.id,
        base_revision="",
        base_fingerprint=loaded.location.fingerprint,
        made_from="0",
        steps=1,
        tokens=1,
        seconds=1.0,
        losses={},
        template=template,
    )
    with with_lora(loaded.model, Lora(rank=2)) as model:
        for name, weights in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.ones_(weights)
        adapters.save(model, folder, loaded, facts, {})
    return folder


@pytest.mark.parametrize(
    ("prompt", "template", "asked"),
    [
        ("bactrian_seq2seq", None, "Say it.\nhei"),
        ("own", OWN, "<Say it.|hei>"),
        ("chat", None, "<s>[user]\nSay it.\n\nhei\n[assistant]\n"),
    ],
)
def test_an_adapter_is_asked_as_it_was_trained(
    loaded: base.Base,
    tmp_path: Path,
    prompt: str,
    template: Mapping[str, str] | None,
    asked: str,
) -> None:
    folders = [saved(loaded, tmp_path / name, prompt, template) for name in ("zh", "vi")]
    speaker = _speaker(loaded.id, folders, "", network=False)
    assert speaker.style.render("Say it.", "hei") == asked


def test_other_words_of_the_same_name_are_told_apart(loaded: base.Base, tmp_path: Path) -> None:
    first = saved(loaded, tmp_path / "zh", "own", OWN)
    second = saved(loaded, tmp_path / "vi", "own", {**OWN, "without_input": "{instruction}?"})
    with pytest.raises(ConfigError, match=r"different prompts: own-\w{8}, own-\w{8}"):
        _speaker(loaded.id, [first, second], "", network=False)
    speaker = _speaker(loaded.id, [first, second], "alpaca", network=False)
    assert "### Instruction:" in speaker.style.render("Say it.")


def test_without_an_adapter_the_style_may_be_a_file(
    loaded: base.Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.toml").write_text(
        "name = 'mine'\nwith_input = '{instruction}{input}>'\nwithout_input = '{instruction}>'\n"
    )
    monkeypatch.chdir(tmp_path)
    speaker = _speaker(loaded.id, [], "mine.toml", network=False)
    assert speaker.style.render("Say it.") == "Say it.>"
    assert "### Input:" in _speaker(loaded.id, [], "", network=False).style.render("Say it.")

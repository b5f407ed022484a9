"""Names to classes: built in, plugged in, and neither."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bactrian import registry
from bactrian.errors import ConfigError

EVERY = [(kind, name) for kind, known in registry.BUILT_IN.items() for name in known]


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_what_is_built_in_is_there(kind: str, name: str) -> None:
    found = registry.find(kind, name)
    assert isinstance(found, type)
    assert name in registry.names(kind)
    assert registry.BUILT_IN[kind][name] == f"{found.__module__}:{found.__qualname__}"


@pytest.mark.parametrize(
    ("kind", "name", "problem", "hint"),
    [
        ("translators", "recorder", "unknown translator recorder", "did you mean recorded?"),
        ("chats", "opanai", "unknown chat opanai", "did you mean openai?"),
        ("tasks", "xkopa", "unknown task xkopa", "did you mean xcopa?"),
    ],
)
def test_an_unknown_name_gets_what_is_near(kind: str, name: str, problem: str, hint: str) -> None:
    with pytest.raises(ConfigError) as told:
        registry.find(kind, name)
    assert (told.value.problem, told.value.hint) == (problem, hint)


@pytest.fixture
def plugged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a package with a translator of its own."""
    about = tmp_path / "my_package-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my_package\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[bactrian.translators]\nmine = my_package:MyTranslator\nrecorded = my_package:Other\n"
    )
    (tmp_path / "my_package.py").write_text("class MyTranslator: pass\nclass Other: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_package", raising=False)


@pytest.mark.usefixtures("plugged")
def test_a_plug_in_is_found_and_imported_only_when_it_is_named() -> None:
    assert registry.names("translators") == tuple(
        sorted({"mine", *registry.BUILT_IN["translators"]})
    )
    assert "my_package" not in sys.modules
    assert registry.find("translators", "mine").__name__ == "MyTranslator"
    assert registry.names("chats") == tuple(sorted(registry.BUILT_IN["chats"]))


@pytest.mark.usefixtures("plugged")
def test_a_plug_in_takes_no_built_in_name() -> None:
    assert registry.find("translators", "recorded").__name__ == "RecordedTranslator"


@pytest.mark.usefixtures("plugged")
def test_a_plug_in_is_among_what_is_near() -> None:
    with pytest.raises(ConfigError) as told:
        registry.find("translators", "mime")
    assert told.value.hint == "did you mean mine?"

"""Translation: instruction and input go together, come back apart, and say who made them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bactrian import languages, registry, table
from bactrian.data.ask import ask
from bactrian.data.collect import collect
from bactrian.data.providers import engage
from bactrian.data.translate import translating
from bactrian.errors import ConfigError, ProviderError
from bactrian.ledger import key_of
from bactrian.providers import Told
from bactrian.providers.recorded import RecordedTranslator
from bactrian.schema import Example, Instruction, Provenance
from bactrian.workspace import Workspace, open_workspace

MakeProject = Callable[..., Workspace]
KHMER, ENGLISH = languages.get("km"), languages.get("en")
DEMO = Path(__file__).parents[2] / "demo"


def test_a_translated_row_keeps_its_id_and_says_where_it_is_from(
    make_project: MakeProject, scripted: Any
) -> None:
    workspace = make_project(2)
    collect(workspace)
    provider = scripted()
    done = ask(translating(workspace, KHMER, engage("translate", workspace, provider)))
    assert done.path == workspace.stage("translated", "km")
    first, second = [row.example for row in table.read(done.path)]
    source = Instruction("alpaca-0", "en", "Instruction 0", "input 0")
    assert first == Example(
        "alpaca-0",
        "km",
        "[km] Instruction 0",
        "[km] input 0",
        "",  # the English answer is not taken over
        Provenance(
            source="alpaca",
            licence="CC-BY-NC-4.0",
            translator="scripted:m",
            translation_key=key_of(
                provider.request((source.instruction, source.input), ENGLISH, KHMER)
            ),
        ),
    )
    assert (second.instruction, second.input) == ("[km] Instruction 1", "")


def test_a_row_that_could_not_be_translated_holds_no_text(
    make_project: MakeProject, scripted: Any
) -> None:
    workspace = make_project(2)
    collect(workspace)
    provider = scripted()
    provider.silent = {"Instruction 0"}
    first = next(
        table.read(
            ask(translating(workspace, KHMER, engage("translate", workspace, provider))).path
        )
    ).example
    provenance = Provenance("alpaca", "CC-BY-NC-4.0", translator="scripted:m")
    why = "no translation: refused by the script"
    assert first == Example("alpaca-0", "km", "", "", "", provenance, why)


def test_the_translator_is_the_one_the_recipe_names(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"using": "recorded", "model": "m", "recording": str(DEMO / "recorded")}
    found = engage("translate", make_project(1, translate=told)).provider
    assert isinstance(found, RecordedTranslator)
    assert found.name == "recorded:m"

    class Mine:
        def __init__(self, told: Told) -> None:
            self.name = f"mine:{told.section.model}"

    monkeypatch.setitem(registry.BUILT_IN["translators"], "mine", "a_module:Mine")
    monkeypatch.setattr(registry, "import_module", lambda _: type("module", (), {"Mine": Mine}))
    assert (
        engage("translate", make_project(1, translate={"using": "mine"})).provider.name == "mine:"
    )


def test_a_translator_that_is_not_there_is_said(make_project: MakeProject) -> None:
    with pytest.raises(ConfigError, match="unknown translator recorde"):
        engage("translate", make_project(1, translate={"using": "recorde"}))
    with pytest.raises(ProviderError, match=r"holds no <language>\.sqlite files"):
        engage("translate", make_project(1))  # no recording named


def test_the_demo_s_rows_are_translated_offline(make_project: MakeProject) -> None:
    told = {"model": "alpaca-translated", "recording": str(DEMO / "recorded")}
    made = make_project(
        1, sources={"alpaca": {"files": [str(DEMO / "alpaca.json")]}}, translate=told
    )
    workspace = open_workspace(made.root, ("limit=40",))
    collect(workspace)
    done = ask(translating(workspace, KHMER, engage("translate", workspace)))
    assert done.rows == done.answered + done.missing == 40
    assert done.answered > 30
    khmer = [row.example for row in table.read(done.path) if not row.example.missing]
    assert all(any("\u1780" <= letter <= "\u17ff" for letter in row.instruction) for row in khmer)
    assert all(row.provenance.translator.startswith("NanoCode012") for row in khmer)

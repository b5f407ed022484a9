"""The page before 52 adapters: every language once, in its own script, each with a way to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from small_adapter import write_adapter

from bactrian.languages import all_languages
from bactrian.markdown import ENDED, ISOLATED
from bactrian.publish.card import known
from bactrian.publish.card.known import Asked
from bactrian.publish.card.subject import LanguageFacts, Subject
from bactrian.publish.index_page import index_page

yaml = pytest.importorskip("yaml")
hub = pytest.importorskip("huggingface_hub")


def fifty_two(folder: Path, repo: str = "ann/toys") -> list[Subject]:
    asked = Asked(repo=repo, subfolder="x", data_licence="cc-by-nc-4.0", base_licence="mit")
    one = known.adapter(write_adapter(folder / "x", languages=("zh",)), asked)
    return [
        replace(
            one,
            name=language.code,
            subfolder=language.code,
            languages=(language,),
            facts=(LanguageFacts(language.code, "100", held_out="3.000 → 2.000"),),
        )
        for language in all_languages()
    ]


def test_every_language_has_a_row_and_a_link(tmp_path: Path) -> None:
    text = index_page("toys", fifty_two(tmp_path), "subfolders")
    rows = [line for line in text.splitlines() if "](" in line]
    assert len(rows) == 52
    for language in all_languages():
        link = f"[{language.code}]({language.code}/README.md)"
        assert any(language.native in row and link in row for row in rows), language.code
    assert "| 4 | 100 | 3.000 → 2.000 |" in rows[0]
    arabic = next(row for row in rows if row.startswith("| ar |"))
    assert f"{ISOLATED}العربية{ENDED}" in arabic
    assert text.count(ISOLATED) == text.count(ENDED)


def test_its_head_is_read_by_the_hub(tmp_path: Path) -> None:
    text = index_page("toys", fifty_two(tmp_path), "subfolders")
    data = hub.ModelCard(text).data
    assert data.language == [language.code for language in all_languages()]
    assert all(isinstance(code, str) for code in data.language)
    assert (data.license, data.library_name) == ("cc-by-nc-4.0", "peft")
    assert yaml.safe_load(text.split("---\n", 2)[1])["base_model"] == ["some/base"]


def test_it_tells_how_one_is_opened(tmp_path: Path) -> None:
    subjects = fifty_two(tmp_path)
    text = index_page("toys", subjects, "subfolders")
    assert 'PeftModel.from_pretrained(model, "ann/toys", subfolder="af")' in text
    apart = [replace(one, repo=f"ann/toys-{one.name}", subfolder="") for one in subjects]
    text = index_page("toys", apart, "repositories")
    assert "[zh](https://huggingface.co/ann/toys-zh)" in text
    assert 'PeftModel.from_pretrained(model, "ann/toys-af")' in text


def test_an_adapter_of_several_languages_stands_at_each(tmp_path: Path) -> None:
    one = known.adapter(write_adapter(tmp_path / "both"), Asked(subfolder="both"))
    text = index_page("toys", [one, replace(one, name="none", languages=())], "subfolders")
    rows = [line[:5] for line in text.splitlines() if "](" in line]
    assert rows == ["|  | ", "| km ", "| zh "]

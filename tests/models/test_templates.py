"""A style of the user's own: what may be written, and that the user's text comes through."""

from __future__ import annotations

from pathlib import Path

import pytest

from bactrian.errors import ConfigError
from bactrian.models.templates import TemplateStyle, fingerprint, read

WITHOUT = "Q: {instruction}\nA: "


def written(folder: Path, *, name: str = "own", with_input: str, without_input: str) -> Path:
    path = folder / "own.toml"
    path.write_text(
        f"name = '{name}'\nwith_input = '''{with_input}'''\nwithout_input = '''{without_input}'''",
        encoding="utf-8",
    )
    return path


@pytest.mark.parametrize(
    ("with_input", "rendered"),
    [
        ("{instruction}|{input}|", "I|X|"),
        ("{input}{instruction}{instruction}", "XII"),
        ("{{{instruction}}} {{input}} {input} }}{{", "{I} {input} X }{"),
        ("{instruction}{input}\n{output}", "IX\n"),
        ("คำสั่ง {instruction} ข้อมูล {input} คำตอบ", "คำสั่ง I ข้อมูล X คำตอบ"),
        ("\u200fסעיף {instruction} קלט {input}", "\u200fסעיף I קלט X"),
    ],
)
def test_everything_but_the_places_is_literal(
    tmp_path: Path, with_input: str, rendered: str
) -> None:
    name, template = read(written(tmp_path, with_input=with_input, without_input=WITHOUT))
    style = TemplateStyle(name, **template)
    assert style.render("I", "X") == rendered
    assert style.render("I") == style.render("I", " \n\t") == "Q: I\nA: "


@pytest.mark.parametrize(
    "text", ["{input}", "{0}", "{}", "{{x}}", "%s", "\\n", "a\n\nb", "កម្ពុជា", "{instruction}"]
)
def test_the_users_text_stays_as_it_is(text: str) -> None:
    style = TemplateStyle("own", "<{instruction}|{input}>", "<{instruction}>")
    assert style.render(text, text) == f"<{text}|{text}>"
    assert style.render(text) == f"<{text}>"


@pytest.mark.parametrize(
    ("with_input", "without_input", "problem"),
    [
        ("{input}", WITHOUT, r"with_input has no \{instruction\}"),
        ("{instruction}{input}", "Answer:", r"without_input has no \{instruction\}"),
        ("{instruction}", WITHOUT, r"with_input has no \{input\}"),
        ("{instruction}{input}", "{instruction}{input}", r"without_input has an \{input\}"),
        ("{instruction}{input}{answer}", WITHOUT, r"unknown placeholder \{answer\}"),
        ("{instruction}{input}{}", WITHOUT, r"unknown placeholder \{\}"),
        ("{instruction!r}{input}", WITHOUT, r"unknown placeholder \{instruction!r\}"),
        ("{instruction:>9}{input}", WITHOUT, r"unknown placeholder \{instruction:>9\}"),
        ("{instruction.x}{input}", WITHOUT, r"unknown placeholder \{instruction.x\}"),
        ("{instruction}{input} {", WITHOUT, "a brace without its other half"),
        ("{instruction}{input} }", WITHOUT, "a brace without its other half"),
        ("{instruction}{input}{output}\n", WITHOUT, r"text after \{output\}"),
        ("{output}{instruction}{input}", WITHOUT, r"text after \{output\}"),
        ("{instruction}{input}{output}{output}", WITHOUT, r"text after \{output\}"),
    ],
)
def test_templates_that_cannot_be_meant_are_refused(
    tmp_path: Path, with_input: str, without_input: str, problem: str
) -> None:
    path = written(tmp_path, with_input=with_input, without_input=without_input)
    with pytest.raises(ConfigError, match=problem) as caught:
        read(path)
    assert str(path) in caught.value.problem
    assert caught.value.hint


@pytest.mark.parametrize("name", ["a/b", "..", "own\\n", " own", "{x}"])
def test_names_that_are_no_names_are_refused(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name=name, with_input="{instruction}{input}", without_input=WITHOUT)
    with pytest.raises(ConfigError, match="cannot be the name of a style"):
        read(path)


@pytest.mark.parametrize("name", ["own", "问答 2", "ma-forme_1.2", "ถามตอบ", "x"])
def test_names_may_be_of_any_script(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name=name, with_input="{instruction}{input}", without_input=WITHOUT)
    assert read(path)[0] == name


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        ('nmae = "x"', "unknown key nmae", "did you mean name?"),
        ('name = "x"', "with_input is missing", "with_input"),
        ('name = 3\nwith_input = "a"', "name is missing", "name"),
        ("name = ", "is not TOML", "with_input"),
    ],
)
def test_files_that_are_no_styles_are_refused(
    tmp_path: Path, text: str, problem: str, hint: str
) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=problem) as caught:
        read(path)
    assert hint in caught.value.hint


def test_files_that_are_absent_or_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        read(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="is a folder"):
        read(tmp_path)
    (tmp_path / "own.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(ConfigError, match="is not TOML"):
        read(tmp_path / "own.toml")


def test_the_mark_follows_from_both_texts() -> None:
    texts = [("a", "b"), ("a", "c"), ("c", "b"), ("ab", "")]
    marks = [fingerprint({"with_input": one, "without_input": two}) for one, two in texts]
    assert len({*marks}) == 4

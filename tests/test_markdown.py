"""Whatever text is put into a piece of Markdown or YAML stays what it was."""

from __future__ import annotations

import pytest

from bactrian.markdown import ENDED, ISOLATED, code, fenced, isolated, quoted, size, table


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a/b", "`a/b`"),
        ("a`b", "`` a`b ``"),
        ("a|b", "`a\\|b`"),
        ("ab ה", f"{ISOLATED}`ab ה`{ENDED}"),
    ],
)
def test_code_holds_whatever_is_in_it(text: str, expected: str) -> None:
    assert code(text) == expected


def test_plain_text_is_left_alone() -> None:
    for text in ("multi", "中文", "ខ្មែរ", "हिन्दी", ""):
        assert isolated(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", "```sh\na\n```"),
        ("a```b", "````sh\na```b\n````"),
        ("`````", "``````sh\n`````\n``````"),
    ],
)
def test_a_fence_is_longer_than_what_it_holds(text: str, expected: str) -> None:
    assert fenced(text, "sh") == expected


def test_a_table_has_a_line_a_row() -> None:
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n|---|---|\n| 1 | 2 |"


@pytest.mark.parametrize(
    "text", ["no", "1.0", 'C:\\x "y"', "عربي", "a: b # c", "a\nb", "\x7f\x85\u2028\ufeff", "😀", ""]
)
def test_a_quoted_text_is_read_back(text: str) -> None:
    yaml = pytest.importorskip("yaml")
    assert yaml.safe_load(f"key: {quoted(text)}") == {"key": text}


@pytest.mark.parametrize(
    ("count", "expected"),
    [(999, "999 bytes"), (16384, "16.4 kB"), (33_554_432, "33.6 MB"), (14 * 10**9, "14 GB")],
)
def test_sizes_are_as_people_read_them(count: int, expected: str) -> None:
    assert size(count) == expected

"""The table of checks: all run, in order, and real rows of 52 languages pass them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from bactrian import languages
from bactrian.data.checks import (
    BUILT_IN,
    Checked,
    CheckSettings,
    check,
    checks_named,
    is_rejected,
)
from bactrian.errors import ConfigError
from bactrian.schema import Example, Flag

MakeRow = Callable[..., Checked]
Shared = Callable[[str], Iterator[Any]]
CODES = [one.code for one in languages.all_languages()]
TRANSLATED = "alpaca_translated"


def example(code: str, number: int, row: dict[str, str]) -> Example:
    return Example(f"alpaca-{number}", code, row["instruction"], row["input"], row["output"])


def chinese(shared: Shared, name: str, most: int) -> list[Checked]:
    english = list(shared("alpaca/alpaca_data.json.gz"))
    rows = list(shared(f"{TRANSLATED}/{name}"))[:most]
    return [
        Checked(
            example("zh", row["alpaca_index"], row),
            example("en", row["alpaca_index"], english[row["alpaca_index"]]),
            languages.get("zh"),
        )
        for row in rows
    ]


def test_order_and_names() -> None:
    names = ["empty", "script", "language", "untranslated", "refusal", "length", "repetition"]
    assert list(BUILT_IN) == names


@pytest.mark.parametrize("code", CODES)
def test_human_translations_pass(
    code: str, flores: dict[str, list[str]], make_row: MakeRow
) -> None:
    for own, english in zip(flores[code], flores["en"], strict=True):
        row = make_row(code, output=own, source_output=english)
        assert check(row, checks_named()) == ()


@pytest.mark.parametrize("code", [code for code in CODES if code != "en"])
def test_english_left_in_any_language_is_caught(code: str, make_row: MakeRow) -> None:
    row = make_row(code)
    left = dataclasses.replace(row.example, output=row.source.output)
    found = check(Checked(left, row.source, row.language), checks_named())
    assert is_rejected(found)
    assert {flag.field for flag in found} == {"output"}


def test_every_flag_is_kept(make_row: MakeRow) -> None:
    row = make_row("de", instruction=" ", output="ha " * 400)
    assert {flag.check for flag in check(row, checks_named())} >= {"empty", "repetition"}


def test_a_check_of_ones_own_runs_beside_the_built_in_ones(make_row: MakeRow) -> None:
    def shouting(row: Checked) -> Flag | None:
        loud = row.example.output.isupper()
        return Flag("shouting", "warn", "output", "all capitals") if loud else None

    row = make_row("sw", output="HABARI YA LEO")
    found = check(row, [shouting, *checks_named(["empty"])])
    assert [flag.check for flag in found] == ["shouting"]
    assert not is_rejected(found)


def test_names_choose_and_unknown_ones_are_refused(make_row: MakeRow) -> None:
    assert len(checks_named(["refusal", "empty"])) == 2
    with pytest.raises(ConfigError, match="refusals") as caught:
        checks_named(["refusals"])
    assert caught.value.hint == "did you mean refusal?"


def test_settings_are_frozen_and_each_says_what_it_is() -> None:
    settings = CheckSettings()
    with pytest.raises(ValidationError):
        settings.script_share = 0.1
    with pytest.raises(ValidationError):
        CheckSettings(script_shares=0.1)  # type: ignore[call-arg]
    assert all(field.description for field in CheckSettings.model_fields.values())


def test_settings_change_what_is_found(make_row: MakeRow) -> None:
    row = make_row("de", source_output="word " * 40)
    strict = CheckSettings(length_reject=1.01, length_warn=1.005)
    assert check(row, checks_named(["length"])) == ()
    assert is_rejected(check(row, checks_named(["length"], strict)))


def test_khmer_of_a_translation_service_is_kept(shared: Shared) -> None:
    rows = [
        Checked(example("km", row["i"], row["km"]), example("en", row["i"], row["en"]), khmer)
        for khmer in [languages.get("km")]
        for row in shared(f"{TRANSLATED}/km_google_1551.jsonl.gz")
    ]
    rejected = [row for row in rows if is_rejected(check(row, checks_named()))]
    assert len(rows) == 1551
    assert 3 <= len(rejected) <= 8, "four rows are at fault: each was read"
    assert {"alpaca-397", "alpaca-628", "alpaca-1444"} <= {row.example.id for row in rejected}


def test_chinese_of_a_translation_service_is_kept(shared: Shared) -> None:
    rows = chinese(shared, "zh_carbonz0_0_10020.jsonl.gz", 2000)
    rejected = {row.example.id for row in rows if is_rejected(check(row, checks_named()))}
    assert {"alpaca-284", "alpaca-1223", "alpaca-1347", "alpaca-1736"} <= rejected, "empty outputs"
    assert len(rejected) <= 10


def test_instructions_left_in_english_are_found(shared: Shared) -> None:
    name = "zh_hikariming_12345_15322_partly_untranslated.jsonl.gz"
    rows = chinese(shared, name, 3000)
    left = [row for row in rows if not any("一" <= c <= "鿿" for c in row.example.instruction)]
    checks = checks_named(["script", "untranslated"])
    found = [row for row in left if is_rejected(check(row, checks))]
    assert len(left) == 2565
    assert len(found) >= 0.99 * len(left)

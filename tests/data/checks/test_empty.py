"""Nothing to read: rejected, whatever it is that cannot be seen."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bactrian.data.checks import Checked, CheckSettings
from bactrian.data.checks.empty import empty

MakeRow = Callable[..., Checked]
LANGUAGES = ["de", "zh", "km", "th", "fa", "hi", "ru"]


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("nothing", ["", " \n", "\u200b", "\ufeff\u00a0"])
def test_nothing_is_rejected_and_something_is_not(
    code: str, nothing: str, make_row: MakeRow
) -> None:
    assert empty(make_row(code), CheckSettings()) is None
    for field in ("instruction", "output"):
        found = empty(make_row(code, **{field: nothing}), CheckSettings())
        assert found is not None
        assert (found.check, found.severity, found.field) == ("empty", "reject", field)


@pytest.mark.parametrize("least", ["0", "?", "👍", "។"])
def test_one_sign_is_an_answer(least: str, make_row: MakeRow) -> None:
    assert empty(make_row("km", output=least), CheckSettings()) is None


def test_an_empty_source_is_named_as_the_reason(make_row: MakeRow) -> None:
    found = empty(make_row("hi", output="", source_output=" "), CheckSettings())
    assert found is not None
    assert "English source" in found.reason
    alone = empty(make_row("hi", output=""), CheckSettings())
    assert alone is not None
    assert "English source" not in alone.reason

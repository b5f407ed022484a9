"""Names, facts and warnings of adapters, without any weights."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from bactrian.errors import AdapterError, ConfigError
from bactrian.models import adapters


@pytest.mark.parametrize("name", ["base", "zh.v2", "a/b", "..", "", "a b"])
def test_a_name_that_cannot_be_used_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"name of an adapter|cannot be called base"):
        adapters.check_name(name)


@pytest.mark.parametrize("text", ["{", "[]", '{"languages": ["zh"]}', '{"name": "zh"}'])
def test_facts_that_are_damaged_are_a_users_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "bactrian.json").write_text(text)
    with pytest.raises(AdapterError, match=r"bactrian\.json is not what bactrian wrote"):
        adapters.facts_of(tmp_path)


def test_only_idle_warnings_are_kept_from_the_user() -> None:
    asks = (
        "`is_gradient_checkpointing` is deprecated and will be removed in v6. "
        "Use `is_activation_checkpointing` instead."
    )
    told = [
        (asks, FutureWarning),
        (asks, UserWarning),
        (f"{asks} More.", FutureWarning),
        ("Found missing adapter keys while loading the checkpoint: ['a'].", UserWarning),
    ]
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with adapters.hushed():
            for text, kind in told:
                warnings.warn(text, kind, stacklevel=1)
    assert [(str(warning.message), warning.category) for warning in heard] == told[1:]

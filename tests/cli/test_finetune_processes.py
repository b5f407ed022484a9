"""finetune.py under torchrun: the first process makes the data, the others follow it."""

from __future__ import annotations

import pytest

from bactrian.cli import finetune as command


class Store:
    """What torchrun's processes share, for two that come one after the other."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def set(self, key: str, value: str) -> None:
        self.kept[key] = value.encode()

    def get(self, key: str) -> bytes:
        return self.kept[key]

    def wait(self, keys: list[str], _: object) -> None:
        assert set(keys) <= self.kept.keys(), "the others would wait for ever"


@pytest.mark.parametrize("goes_well", [True, False])
def test_under_torchrun_the_first_makes_the_data_and_the_others_follow_it(
    monkeypatch: pytest.MonkeyPatch, goes_well: bool
) -> None:
    store = Store()
    monkeypatch.setattr(command, "_store", lambda: (store, "key"))
    monkeypatch.setenv("WORLD_SIZE", "2")
    made = []

    def make() -> None:
        made.append(1)
        if not goes_well:
            raise ValueError("broken data")

    monkeypatch.setenv("RANK", "0")
    if goes_well:
        command._after_the_first(make)
    else:
        with pytest.raises(ValueError, match="broken data"):
            command._after_the_first(make)
    monkeypatch.setenv("RANK", "1")
    if goes_well:
        command._after_the_first(make)
    else:
        with pytest.raises(SystemExit):
            command._after_the_first(make)
    assert made == [1]

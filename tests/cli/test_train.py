"""``bactrian train``: foretold in words and numbers, each language on its own, what fails told."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from bactrian.cli.foretold import lines, size
from bactrian.workspace import Workspace

pytest.importorskip("torch")
pytest.importorskip("peft")

Run = Callable[..., Any]
MakeWorkspace = Callable[..., Workspace]
COUNTED = ("base_parameters", "trained_parameters", "rows", "steps", "tokens", "padded_tokens")


def test_a_dry_run_tells_rows_memory_disk(run: Run, make_workspace: MakeWorkspace) -> None:
    root = make_workspace("zh,vi").root
    done = run("train", root, "--dry-run", "--no-probe")
    assert done.code == 0, done.err
    for word in ("would train on 24 rows in zh, vi", "parameters", "memory", "disk", "padding"):
        assert word in done.out
    assert "measured" not in done.out
    assert not (root / "runs").exists()


def test_the_numbers_of_a_dry_run_have_units(run: Run, make_workspace: MakeWorkspace) -> None:
    root = make_workspace("zh,vi").root
    done = run("train", root, "--each", "--dry-run", "--no-probe", "--json")
    told = json.loads(done.out)["adapters"]
    assert list(told) == ["zh", "vi"]
    for one in told.values():
        assert one["fits"] is True
        assert all(one[name] > 0 for name in COUNTED)
        named = {**one["memory"], **one["disk"]}
        assert one["memory"]["total_bytes"] > one["memory"]["weights_bytes"] > 0
        numbers = {name for name, value in named.items() if isinstance(value, int)} - {"adapters"}
        assert all(name.endswith("_bytes") for name in numbers)


def test_what_does_not_fit_says_what_to_change(
    run: Run, make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bactrian.train.forecast import forecast, memory

    workspace = make_workspace("zh,vi", "train.micro_batch_tokens=1600")
    whole = forecast(workspace, "toy").memory
    lean = whole.total_bytes - whole.activations_bytes + whole.activations_with_checkpointing_bytes
    assert lean < whole.total_bytes
    monkeypatch.setattr(memory, "device_bytes", lambda _: lean)
    more = ("--set", "train.micro_batch_tokens=1600")
    done = run("train", workspace.root, "--dry-run", *more)
    assert "DOES NOT FIT" in done.out
    assert "it would with --set train." in done.out
    assert "not measured: it would not fit" in done.out


def test_each_language_gets_its_adapter_and_failures_are_told(
    run: Run, make_workspace: MakeWorkspace
) -> None:
    workspace = make_workspace("zh,vi")
    workspace.split("zh", "train").unlink()
    done = run("train", workspace.root, "--each", "--set", "train.max_steps=1")
    assert done.code == 1
    assert (workspace.adapter("vi") / "adapter_model.safetensors").is_file()
    assert "warning: zh: " in done.out
    assert "error: 1 of 2 adapters are not trained: zh" in done.err


def test_a_name_that_the_recipe_lacks_is_refused_at_once(
    run: Run, make_workspace: MakeWorkspace
) -> None:
    done = run("train", make_workspace("zh,vi").root, "km", "--each")
    assert done.code == 2
    assert "the recipe has no adapter km" in done.err


def test_what_was_measured_is_held_against_the_formula(
    make_workspace: MakeWorkspace,
) -> None:
    import dataclasses

    from bactrian.train.forecast import forecast
    from bactrian.train.forecast.probe import Probe

    found = forecast(make_workspace("zh,vi"), "toy")
    probe = Probe(10, 0.1, 100, 0.5, 0.1, 0.1, 50, 2 * found.memory.activations_bytes, 2.5, 1234.0)
    told = dataclasses.replace(found, probe=probe, memory=probe.told(found.memory))
    said = "\n".join(lines(told))
    assert "by the formula" in said and "measured (-50%)" in said
    assert "time        2 h 30 min at 1,234 tokens/s" in said
    assert told.memory.total_bytes - found.memory.total_bytes == found.memory.activations_bytes


def test_52_languages_are_told_in_a_line(make_workspace: MakeWorkspace) -> None:
    import dataclasses

    from bactrian.languages import parse
    from bactrian.train.forecast import forecast

    codes = [one.code for one in parse("all")]
    found = forecast(make_workspace("zh"), "toy")
    shortened = {code: 1 + place for place, code in enumerate(codes)}
    told = dataclasses.replace(found, languages=tuple(codes), shortened=shortened)
    first, second, *_ = lines(told)
    assert "in 52 languages" in first
    assert second.startswith("  rows shortened to fit: zh 52, ")
    assert second.endswith(
        f"and {sum(shortened.values()) - sum(range(45, 53))} in 44 languages more"
    )


@pytest.mark.parametrize(
    ("number", "words"),
    [(12, "12 B"), (1500, "1.5 kB"), (134_217_728, "134 MB"), (13_476_831_232, "13.5 GB")],
)
def test_sizes_are_written_as_a_person_does(number: int, words: str) -> None:
    assert size(number) == words

"""Folders are sent in one commit, come back as they went, and every refusal says the next step."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hub_fake
import pytest
from hub_fake import TOKEN, Hub
from small_adapter import write_adapter

from bactrian.errors import BactrianError
from bactrian.languages import all_languages
from bactrian.models.adapters import hushed
from bactrian.publish.push import Place, push

pytest.importorskip("huggingface_hub")
yaml = pytest.importorskip("yaml")
REPO = Place("ann/toy")
FILES = ("README.md", "a.safetensors", "sub/b.json")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A Hub on loopback in place of the real one, with a token that it knows."""
    from huggingface_hub import constants, hf_api
    from huggingface_hub.utils import _http

    with hub_fake.running() as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(hf_api.api, "endpoint", running.url)
        template = running.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        _http.close_session()
        yield running
        _http.close_session()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A README, a large file and one in a sub-folder."""
    place = tmp_path / "laid"
    (place / "sub").mkdir(parents=True)
    (place / "README.md").write_text('---\nlicense: "mit"\n---\n# toy\n', encoding="utf-8")
    (place / "a.safetensors").write_bytes(b"\0\1" * 5000)
    (place / "sub" / "b.json").write_text('{"no": "ខ្មែរ"}', encoding="utf-8")
    return place


def test_a_folder_goes_in_one_commit_and_comes_back(hub: Hub, folder: Path) -> None:
    done = push(folder, FILES, REPO)
    assert (done.files, done.sent, done.deleted, done.compared) == (3, 3, 0, "bytes")
    assert done.url == f"{hub.url}/ann/toy"
    assert hub.messages == ["bactrian publish: 3 files"]
    there = hub.files("ann/toy")
    assert {name: there[name] for name in FILES} == {
        name: (folder / name).read_bytes() for name in FILES
    }
    assert done.commit == hub.repos["ann/toy"]["main"]
    assert hub.count("GET", "/resolve/") == 4  # the three, and the Hub's own .gitattributes


def test_the_same_again_commits_nothing(hub: Hub, folder: Path) -> None:
    first = push(folder, FILES, REPO)
    again = push(folder, FILES, REPO)
    assert (again.sent, again.bytes, again.commit) == (0, 0, first.commit)
    assert len(hub.messages) == 1


def test_only_what_changed_is_sent(hub: Hub, folder: Path) -> None:
    (folder / "sub" / "bactrian.json").write_text("{}", encoding="utf-8")
    files = (*FILES, "sub/bactrian.json")
    push(folder, files, REPO)
    (folder / "sub" / "b.json").write_text("[]", encoding="utf-8")
    done = push(folder, files, REPO)
    assert (done.sent, done.bytes) == (1, 2)
    assert hub.count("PUT", "/large/") == 1
    assert hub.files("ann/toy")["sub/b.json"] == b"[]"


def test_a_branch_is_made(hub: Hub, folder: Path) -> None:
    done = push(folder, FILES, Place("ann/toy", branch="v1"))
    assert set(FILES) <= hub.files("ann/toy", "v1").keys()
    assert "a.safetensors" not in hub.files("ann/toy")
    assert done.url.endswith("/tree/v1")


def test_other_content_is_not_written_over(hub: Hub, folder: Path) -> None:
    hub.put("ann/toy", {"model.safetensors": b"1", "a.safetensors": b"2"})
    with pytest.raises(BactrianError) as told:
        push(folder, FILES, REPO)
    assert told.value.problem == "ann/toy has 1 files that this folder has not: model.safetensors"
    assert "--replace" in told.value.hint
    hub.put("ann/toy", {"a.safetensors": b"2"})
    with pytest.raises(BactrianError, match=r"ann/toy holds something else: its a\.safetensors"):
        push(folder, FILES, REPO)
    assert hub.messages == []


def test_told_to_it_replaces_in_the_same_commit(hub: Hub, folder: Path) -> None:
    hub.put("ann/toy", {"old.bin": b"1", "a.safetensors": b"2"})
    done = push(folder, FILES, Place("ann/toy", replace=True))
    assert (done.sent, done.deleted, len(hub.messages)) == (3, 1, 1)
    assert set(hub.files("ann/toy")) == set(FILES)


def refusing(status: int, part: str, **headers: str) -> hub_fake.Fault:
    def fault(method: str, path: str) -> hub_fake.Answer | None:
        return (status, headers, b"{}") if part in path else None

    return fault


def cut(part: str) -> hub_fake.Fault:
    return lambda method, path: "cut" if part in path else None


@pytest.mark.parametrize(
    ("fault", "problem", "hint"),
    [
        (
            refusing(403, "repos/create"),
            "the token that is here may not write to ann/toy",
            "--repo",
        ),
        (refusing(403, "/commit/"), "the token that is here may not write to ann/toy", "--repo"),
        (refusing(409, "/commit/"), "changed by somebody else", "run the same command again"),
        (refusing(412, "/commit/"), "changed by somebody else", "run the same command again"),
        (
            refusing(429, "/commit/", **{"Retry-After": "60"}),
            "takes no more requests now (rate limit)",
            "wait 60 seconds, then run",
        ),
        (refusing(429, "/preupload/"), "rate limit", "wait some minutes"),
        (refusing(429, "/commit/", RateLimit='"api";r=0;t=55'), "rate limit", "wait 55 seconds"),
        (refusing(503, "/commit/"), "has a fault of its own (503)", "run the same command again"),
        (cut("/api/models/ann/toy"), "the Hub cannot be reached", "run the same command again"),
        (cut("/large/"), "the Hub cannot be reached", "run the same command again"),
        (cut("/commit/"), "the Hub cannot be reached", "run the same command again"),
    ],
)
def test_what_the_hub_refuses_is_two_lines_and_leaves_nothing_half(
    hub: Hub, folder: Path, fault: hub_fake.Fault, problem: str, hint: str
) -> None:
    hub.fault = fault
    with pytest.raises(BactrianError) as told:
        push(folder, FILES, REPO)
    assert problem in told.value.problem
    assert hint in told.value.hint
    assert TOKEN not in str(told.value)
    assert "\n" not in str(told.value)
    assert set(hub.files("ann/toy") if hub.repos else ()) <= {".gitattributes"}
    hub.fault = None
    assert push(folder, FILES, REPO).sent == 3


def test_what_went_ahead_is_not_sent_again(hub: Hub, folder: Path) -> None:
    hub.fault = cut("/commit/")
    with pytest.raises(BactrianError):
        push(folder, FILES, REPO)
    hub.fault = None
    push(folder, FILES, REPO)
    assert hub.count("PUT", "/large/") == 1


def test_what_somebody_else_committed_meanwhile_is_kept(hub: Hub, folder: Path) -> None:
    def meanwhile(method: str, path: str) -> None:
        if "/commit/" in path:
            hub.put("ann/toy", {"theirs.json": b"{}"})

    hub.fault = meanwhile
    with pytest.raises(BactrianError, match="changed by somebody else meanwhile"):
        push(folder, FILES, REPO)
    assert hub.files("ann/toy") == {"theirs.json": b"{}"}


def test_a_wrong_token_and_none(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(BactrianError) as told:
        push(folder, FILES, REPO)
    assert told.value.problem == "the Hub does not know the token that is here"
    assert "hf auth login" in told.value.hint
    assert "hf_wrong" not in str(told.value)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(BactrianError, match="there is no token of the Hub"):
        push(folder, FILES, REPO)


def test_offline_is_said(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BactrianError, match="HF_HUB_OFFLINE is set"):
        push(folder, FILES, REPO)
    assert hub.asked == []


def test_a_head_that_the_hub_refuses_is_said(hub: Hub, folder: Path) -> None:
    (folder / "README.md").write_text('---\nbase_model: "/a/b"\n---\n', encoding="utf-8")
    with pytest.raises(BactrianError, match=r"refuses the head of README\.md.*base_model"):
        push(folder, FILES, REPO)


@pytest.mark.parametrize("name", FILES[1:])
def test_other_bytes_from_the_hub_are_noticed(hub: Hub, folder: Path, name: str) -> None:
    hub.spoil = lambda path, data: data[:-1] + b"!" if path == name else data
    with pytest.raises(BactrianError, match="gives back other bytes than were sent"):
        push(folder, FILES, REPO)


@pytest.fixture
def run(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """Return what runs ``bactrian publish`` and gives its exit code and what it printed."""
    from bactrian.cli import main

    monkeypatch.chdir(tmp_path)

    def go(*told: object) -> tuple[int, str, str]:
        words = ["publish", *map(str, told)]
        monkeypatch.setattr(sys, "argv", ["bactrian", *words])
        code: Any = 0
        try:
            main(words)
        except SystemExit as end:
            code = end.code or 0
        out, err = capsys.readouterr()
        return code, out, err

    return go


def test_many_adapters_in_one_repository_open_in_peft(
    run: Callable[..., Any], hub: Hub, tiny_base: Path, tmp_path: Path
) -> None:
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    folders = [
        write_adapter(tmp_path / "made" / name, languages=(name,), base=str(tiny_base))
        for name in ("no", "ar", "zh")
    ]
    code, out, err = run("adapter", *folders, "--repo", "toys", "--push")
    assert code == 0, err
    assert f"{hub.url}/ann/toys  13 of 13 files sent in one commit" in out
    assert len(hub.messages) == 1
    assert TOKEN not in out + err
    for data in hub.files("ann/toys").values():
        assert str(tmp_path).encode() not in data
        assert TOKEN.encode() not in data
    base = AutoModelForCausalLM.from_pretrained(tiny_base)
    with hushed():
        model = peft.PeftModel.from_pretrained(base, "ann/toys", subfolder="zh")
    state = {name: one for name, one in model.state_dict().items() if "lora_B" in name}
    assert len(state) == 2
    assert all(bool(one.any()) for one in state.values())
    code, out, _ = run("adapter", *folders, "--repo", "ann/toys", "--push")
    assert (code, len(hub.messages)) == (0, 1)
    assert "nothing to do: the same 13 files are there already" in out


def test_fifty_two_adapters_are_one_commit(
    run: Callable[..., Any], hub: Hub, tmp_path: Path
) -> None:
    codes = [language.code for language in all_languages()]
    folders = [write_adapter(tmp_path / "made" / code, languages=(code,)) for code in codes]
    code, _, err = run("adapter", *folders, "--repo", "ann/all", "--push", "--base-licence", "mit")
    assert code == 0, err
    assert hub.messages == [f"bactrian publish: {52 * 4 + 1} files"]
    there = hub.files("ann/all")
    for language in codes:
        front = yaml.safe_load(there[f"{language}/README.md"].split(b"---\n")[1])
        assert front["language"] == [language]
    page = yaml.safe_load(there["README.md"].split(b"---\n")[1])
    assert page["language"] == sorted(codes)


def test_many_adapters_each_in_its_own_with_an_index(
    run: Callable[..., Any], hub: Hub, tmp_path: Path
) -> None:
    folders = [write_adapter(tmp_path / "made" / name, languages=(name,)) for name in ("km", "zh")]
    code, _, err = run("adapter", *folders, "--each", "--repo", "ann/toys", "--push")
    assert code == 0, err
    assert set(hub.repos) == {"ann/toys", "ann/toys-km", "ann/toys-zh"}
    assert "adapter_model.safetensors" in hub.files("ann/toys-km")
    page = hub.files("ann/toys")["README.md"].decode()
    assert "[km](https://huggingface.co/ann/toys-km)" in page
    assert set(hub.files("ann/toys")) == {".gitattributes", "README.md"}


def test_a_model_goes_there_and_opens(
    run: Callable[..., Any], hub: Hub, tiny_base: Path, tmp_path: Path
) -> None:
    from shutil import copytree

    from transformers import AutoModelForCausalLM

    folder = copytree(tiny_base, tmp_path / "whole")
    (folder / "README.md").write_text('---\nlanguage: "no"\n---\n', encoding="utf-8")
    code, _, err = run("model", folder, "--repo", "ann/whole", "--push", "--data-licence", "mit")
    assert code == 0, err
    model = AutoModelForCausalLM.from_pretrained("ann/whole")
    assert model.config.hidden_size == 32


def test_a_folder_that_was_looked_at_is_sent_as_it_lies(
    run: Callable[..., Any], hub: Hub, tmp_path: Path
) -> None:
    folder = write_adapter(tmp_path / "made" / "zh")
    assert run("adapter", folder, "--to", "out")[0] == 0
    assert not hub.asked
    page = tmp_path / "out" / "README.md"
    page.write_text(page.read_text(encoding="utf-8") + "\nBy hand.\n", encoding="utf-8")
    code, out, _ = run("adapter", folder, "--to", "out", "--repo", "ann/zh", "--push")
    assert code == 0
    assert "out is sent as it lies there" in out
    assert hub.files("ann/zh")["README.md"].endswith(b"\nBy hand.\n")
    (tmp_path / "out" / "notes.json").write_text(f'"{TOKEN}"', encoding="utf-8")
    code, _, err = run("adapter", folder, "--to", "out", "--repo", "ann/zh", "--push")
    assert (code, len(hub.messages)) == (2, 1)
    assert "notes.json holds the value of HF_TOKEN" in err
    assert TOKEN not in err


def test_a_dry_run_asks_nothing_and_writes_nothing(
    run: Callable[..., Any], hub: Hub, tmp_path: Path
) -> None:
    folder = write_adapter(tmp_path / "made" / "zh")
    code, out, _ = run("adapter", folder, "--repo", "zh", "--push", "--dry-run")
    assert (code, hub.asked) == (0, [])
    assert "adapter_model.safetensors" in out
    assert not (tmp_path / "published").exists()

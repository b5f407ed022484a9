"""Sends a folder to the Hub in one commit, fetches it back and holds it against what was sent.

Large files go ahead of the commit, which alone makes anything visible: a connection that is cut
leaves the repository as it was, and what went ahead is not sent again. Knows nothing of cards.
"""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bactrian.errors import ConfigError, RunError
from bactrian.publish.push.refusals import speaking

OURS = "bactrian.json"
"""Marks a repository that bactrian filled; in a sub-folder, too."""
PAGES = (".gitattributes", "README.md")
"""What a new repository may have."""
FETCHED = 1 << 30
"""Bytes; up to here all is fetched back and compared, beyond the Hub's hashes are."""
GIT = 40
"""Letters of git's hash, which a file has that is not kept as a large one."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where on the Hub."""

    repo: str
    """user/name."""
    branch: str = "main"
    private: bool = False
    replace: bool = False
    """Files of the repository that the folder has not are deleted, in the same commit."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What was done."""

    repo: str
    url: str
    commit: str
    files: int
    """Files of the folder."""
    sent: int
    """Those of them that were new or had other bytes; 0: nothing was committed."""
    deleted: int
    bytes: int
    """Of what was sent."""
    compared: str
    """bytes, or hashes for a folder too large to be fetched back."""


@dataclass(frozen=True, slots=True)
class There:
    """What the repository has."""

    head: str
    """Empty where there is no repository, or no such branch."""
    files: Mapping[str, str]
    """Path to hash: sha256 of large files, git's of others."""
    exists: bool = True


def push(folder: Path, files: Sequence[str], place: Place) -> Pushed:
    """Send the files, one commit at most, and compare what the Hub gives back.

    Raises ConfigError where the token, the rights or the repository are not as they have to be,
    RunError where the Hub cannot be reached or gives back something else.
    """
    with speaking(place.repo):
        api = _api()
        there = _there(api, place)
        new = [name for name in files if not _same(folder / name, there.files.get(name))]
        extra = sorted(there.files.keys() - set(files) - {".gitattributes"})
        _check_content(place, there, new, extra)
        if not new and not (extra and place.replace):
            return _done(api, place, there.head, (folder, files), ([], []))
        if not there.head:
            _make(api, place, there)
            there = _there(api, place)
        gone = extra if place.replace else []
        commit = _commit(api, place, there.head, (folder, new), gone)
        return _done(api, place, commit, (folder, files), (new, gone))


def who() -> str:
    """Return the user whose token is here; raises ConfigError for none, and for a wrong one."""
    with speaking(""):
        return str(_api().whoami()["name"])


def _api() -> Any:
    from huggingface_hub import HfApi, get_token

    if get_token() is None:
        raise ConfigError(
            "there is no token of the Hub on this machine",
            "log in once: hf auth login; or set HF_TOKEN to one that may write",
        )
    return HfApi(library_name="bactrian")


def _there(api: Any, place: Place) -> There:
    """Return what is at the branch now."""
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        head = api.repo_info(place.repo, revision=place.branch).sha
        return There(head, _hashes(api, place.repo, head))
    except RevisionNotFoundError:
        return There("", {})
    except RepositoryNotFoundError as error:
        if error.response.status_code == 401:
            api.whoami()  # a missing repository and a wrong token look alike: this tells them apart
        return There("", {}, exists=False)


def _hashes(api: Any, repo: str, commit: str) -> dict[str, str]:
    found = api.list_repo_tree(repo, revision=commit, recursive=True)
    return {
        one.path: one.lfs["sha256"] if one.lfs else one.blob_id
        for one in found
        if hasattr(one, "blob_id")
    }


def _same(path: Path, told: str | None) -> bool:
    """Whether the Hub's hash of a file is that of this one."""
    if told is None:
        return False
    return told == (_git_hash(path) if len(told) == GIT else _sha256(path))


def _check_content(place: Place, there: There, new: Sequence[str], extra: Sequence[str]) -> None:
    """Raise ConfigError where the repository holds something that is not an earlier state of it."""
    if place.replace or not there.files:
        return
    ours = any(name.rpartition("/")[2] == OURS for name in there.files)
    overwritten = [name for name in new if name in there.files and name not in PAGES]
    if extra and set(extra) != {"README.md"}:
        raise ConfigError(
            f"{place.repo} has {len(extra)} files that this folder has not: {_some(extra)}",
            "name another --repo, or add --replace: they are deleted in the same commit",
        )
    if overwritten and not ours:
        raise ConfigError(
            f"{place.repo} holds something else: its {_some(overwritten)} is not from bactrian",
            "name another --repo, or add --replace to put this in its place",
        )


def _make(api: Any, place: Place, there: There) -> None:
    if not there.exists:
        api.create_repo(place.repo, private=place.private or None, exist_ok=True)
    if place.branch != "main":
        api.create_branch(place.repo, branch=place.branch, exist_ok=True)


def _commit(
    api: Any, place: Place, head: str, sent: tuple[Path, Sequence[str]], gone: Sequence[str]
) -> str:
    """Return the commit; refused by the Hub where somebody else has committed meanwhile."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    folder, names = sent
    operations = [
        *(CommitOperationAdd(name, str(folder / name)) for name in names),
        *(CommitOperationDelete(name, is_folder=False) for name in gone),
    ]
    with warnings.catch_warnings():
        # of huggingface_hub to its own HTTP client
        warnings.filterwarnings("ignore", "Use 'content=", DeprecationWarning)
        told = api.create_commit(
            place.repo,
            operations,
            commit_message=f"bactrian publish: {len(names)} files",
            revision=place.branch,
            parent_commit=head or None,
        )
    return str(told.oid)


def _done(
    api: Any,
    place: Place,
    commit: str,
    whole: tuple[Path, Sequence[str]],
    changed: tuple[Sequence[str], Sequence[str]],
) -> Pushed:
    folder, files = whole
    new, gone = changed
    how = _compare(api, (place.repo, commit), folder, files)
    return Pushed(
        repo=place.repo,
        url=f"{api.endpoint}/{place.repo}" + _branch(place),
        commit=commit,
        files=len(files),
        sent=len(new),
        deleted=len(gone),
        bytes=sum((folder / name).stat().st_size for name in new),
        compared=how,
    )


def _branch(place: Place) -> str:
    return "" if place.branch == "main" else f"/tree/{place.branch}"


def _compare(api: Any, at: tuple[str, str], folder: Path, files: Sequence[str]) -> str:
    """Hold what the Hub has at the commit against the folder; raises RunError where they differ."""
    repo, commit = at
    told = _hashes(api, repo, commit)
    wrong = [name for name in files if not _same(folder / name, told.get(name))]
    how = "hashes"
    if not wrong and sum((folder / name).stat().st_size for name in files) <= FETCHED:
        wrong, how = _fetched(repo, commit, folder, files), "bytes"
    if wrong:
        raise RunError(
            f"{repo} gives back other bytes than were sent: {_some(wrong)}",
            "run the same command again; if it stays so, tell the Hub's people",
        )
    return how


def _fetched(repo: str, commit: str, folder: Path, files: Sequence[str]) -> list[str]:
    """Fetch the commit into a folder of its own and return what differs."""
    from huggingface_hub import snapshot_download

    with tempfile.TemporaryDirectory(prefix="bactrian-fetched-") as there:
        back = Path(snapshot_download(repo, revision=commit, local_dir=there))
        return [
            name
            for name in files
            if not (back / name).is_file() or _sha256(back / name) != _sha256(folder / name)
        ]


def _git_hash(path: Path) -> str:
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

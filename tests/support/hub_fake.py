"""A Hub on loopback: the routes of upload and download that huggingface_hub calls, in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml  # type: ignore[import-untyped]

TOKEN = "hf_planted0123456789abcdefghijklmnopqrstu"
LARGE = (".safetensors", ".gguf", ".bin")
Answer = tuple[int, dict[str, str], bytes]
Fault = Callable[[str, str], "Answer | str | None"]


@dataclass
class Hub:
    """What is kept, what was asked, and what is to go wrong."""

    url: str = ""
    repos: dict[str, dict[str, str]] = field(default_factory=dict)
    """Repository to branch to commit."""
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    fault: Fault | None = None
    spoil: Callable[[str, bytes], bytes] | None = None
    """What a download gives in place of a file."""

    def files(self, repo: str, branch: str = "main") -> dict[str, bytes]:
        """Return what a branch holds."""
        return self.commits[self.repos[repo][branch]]

    def put(self, repo: str, files: Mapping[str, bytes], branch: str = "main") -> str:
        """Commit the files as the whole content of a branch."""
        told = json.dumps([repo, branch, len(self.commits), sorted(files)])
        commit = hashlib.sha1(told.encode()).hexdigest()
        self.commits[commit] = dict(files)
        self.repos.setdefault(repo, {})[branch] = commit
        return commit

    def count(self, method: str, part: str) -> int:
        """Return how often a route was asked."""
        return sum(one == method and part in path for one, path in self.asked)


@contextmanager
def running() -> Iterator[Hub]:
    """Serve a Hub while inside."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""

    def handle_one(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self._body()
        self.hub.asked.append((self.command, path))
        told = self.hub.fault(self.command, path) if self.hub.fault else None
        if isinstance(told, str):
            self.close_connection = True
            self.connection.close()
            return
        status, headers, data = told or self._answer(path, body)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_HEAD = handle_one  # noqa: N815

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, path: str, body: bytes) -> Answer:
        for pattern, does in ROUTES:
            found = re.fullmatch(pattern, path)
            if found:
                if pattern.startswith("/api") and not self._known():
                    return _refusal(401, "Invalid credentials in Authorization header")
                return does(self.hub, body, *found.groups())
        return _refusal(404, "no such route")

    def _known(self) -> bool:
        return self.headers.get("Authorization", f"Bearer {TOKEN}") == f"Bearer {TOKEN}"


def _json(told: Any, status: int = 200) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(told).encode()


def _refusal(status: int, words: str, code: str = "") -> Answer:
    headers = {"X-Error-Message": words, **({"X-Error-Code": code} if code else {})}
    return status, headers, json.dumps({"error": words}).encode()


def _whoami(hub: Hub, body: bytes) -> Answer:
    return _json({"name": "ann", "type": "user", "orgs": [], "auth": {"type": "access_token"}})


def _create(hub: Hub, body: bytes) -> Answer:
    told = json.loads(body)
    repo = f"{told.get('organization') or 'ann'}/{told['name']}"
    if repo in hub.repos:
        return _refusal(409, "You already created this model repo")
    hub.put(repo, {".gitattributes": b"*.safetensors filter=lfs\n"})
    return _json({"url": f"{hub.url}/{repo}", "name": repo})


def _commit_of(hub: Hub, repo: str, revision: str) -> str | Answer:
    if repo not in hub.repos:
        return _refusal(404, "Repository not found", "RepoNotFound")
    found = hub.repos[repo].get(revision, revision)
    if found not in hub.commits:
        return _refusal(404, "Invalid rev id", "RevisionNotFound")
    return found


def _info(hub: Hub, body: bytes, repo: str, revision: str | None = None) -> Answer:
    commit = _commit_of(hub, repo, revision or "main")
    if not isinstance(commit, str):
        return commit
    siblings = [{"rfilename": name} for name in hub.commits[commit]]
    return _json({"id": repo, "sha": commit, "siblings": siblings, "tags": [], "private": False})


def _tree(hub: Hub, body: bytes, repo: str, revision: str) -> Answer:
    commit = _commit_of(hub, repo, revision)
    if not isinstance(commit, str):
        return commit
    return _json([_entry(name, data) for name, data in hub.commits[commit].items()])


def _entry(name: str, data: bytes) -> dict[str, Any]:
    told: dict[str, Any] = {"type": "file", "path": name, "size": len(data), "oid": git_hash(data)}
    if name.endswith(LARGE):
        sha = hashlib.sha256(data).hexdigest()
        told["lfs"] = {"oid": sha, "size": len(data), "pointerSize": 134}
    return told


def _validate(hub: Hub, body: bytes) -> Answer:
    front = re.match(r"---\n(.*?)\n---", json.loads(body)["content"], re.DOTALL)
    told = yaml.safe_load(front[1]) if front else {}
    base = told.get("base_model", "a/b")
    for one in base if isinstance(base, list) else [base]:
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", one):
            words = {"message": f'"base_model" with value "{one}" is not valid'}
            return _json({"errors": [words], "warnings": []}, 400)
    return _json({"errors": [], "warnings": []})


def _preupload(hub: Hub, body: bytes, repo: str, revision: str) -> Answer:
    commit = _commit_of(hub, repo, revision)
    if not isinstance(commit, str):
        return commit
    told = [
        {
            "path": one["path"],
            "uploadMode": "lfs" if one["path"].endswith(LARGE) else "regular",
            "shouldIgnore": False,
        }
        for one in json.loads(body)["files"]
    ]
    return _json({"files": told})


def _batch(hub: Hub, body: bytes, repo: str) -> Answer:
    told = []
    for one in json.loads(body)["objects"]:
        upload = {"href": f"{hub.url}/large/{one['oid']}"}
        need = {} if one["oid"] in hub.large else {"actions": {"upload": upload}}
        told.append({**one, **need})
    return _json({"objects": told, "transfer": "basic"})


def _upload(hub: Hub, body: bytes, oid: str) -> Answer:
    if hashlib.sha256(body).hexdigest() != oid:
        return _refusal(400, "wrong bytes")
    hub.large[oid] = body
    return 200, {}, b""


def _commit(hub: Hub, body: bytes, repo: str, branch: str) -> Answer:
    head = _commit_of(hub, repo, branch)
    if not isinstance(head, str):
        return head
    files = dict(hub.commits[head])
    for line in body.splitlines():
        told = json.loads(line)
        value = told["value"]
        if told["key"] == "header":
            if value.get("parentCommit", head) != head:
                return _refusal(412, "A commit has happened since. Please refresh and try again.")
            hub.messages.append(value["summary"])
        elif told["key"] == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif told["key"] == "lfsFile":
            files[value["path"]] = hub.large[value["oid"]]
        elif told["key"] == "deletedFile":
            del files[value["path"]]
    commit = hub.put(repo, files, branch)
    return _json({"commitUrl": f"{hub.url}/{repo}/commit/{commit}", "commitOid": commit})


def _branch(hub: Hub, body: bytes, repo: str, branch: str) -> Answer:
    hub.repos[repo].setdefault(branch, hub.repos[repo]["main"])
    return _json({})


def _resolve(hub: Hub, body: bytes, repo: str, revision: str, name: str) -> Answer:
    commit = _commit_of(hub, repo, revision)
    if not isinstance(commit, str):
        return commit
    data = hub.commits[commit].get(name)
    if data is None:
        return _refusal(404, "Entry not found", "EntryNotFound")
    entry = _entry(name, data)
    etag = entry["lfs"]["oid"] if "lfs" in entry else entry["oid"]
    data = hub.spoil(name, data) if hub.spoil else data
    headers = {"ETag": f'"{etag}"', "X-Repo-Commit": commit, "Content-Length": str(len(data))}
    return 200, {**headers, "Accept-Ranges": "bytes"}, data


def git_hash(data: bytes) -> str:
    """Return git's name of a file's bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


REPO = r"([^/]+/[^/]+)"
ROUTES: tuple[tuple[str, Callable[..., Answer]], ...] = (
    (r"/api/whoami-v2", _whoami),
    (r"/api/repos/create", _create),
    (r"/api/validate-yaml", _validate),
    (rf"/api/models/{REPO}/preupload/(.+)", _preupload),
    (rf"/api/models/{REPO}/commit/(.+)", _commit),
    (rf"/api/models/{REPO}/branch/(.+)", _branch),
    (rf"/api/models/{REPO}/tree/([^/]+)", _tree),
    (rf"/api/models/{REPO}/revision/(.+)", _info),
    (rf"/api/models/{REPO}", _info),
    (rf"/{REPO}\.git/info/lfs/objects/batch", _batch),
    (r"/large/(\w+)", _upload),
    (rf"/{REPO}/resolve/([^/]+)/(.+)", _resolve),
)

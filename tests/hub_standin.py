"""What ``huggingface_hub`` says to the Hugging Face Hub, answered by a server of this machine; and what a bad Hub would answer."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

MODEL = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)(?:/(?P<verb>revision|preupload|commit|tree)/(?P<at>[^/]+))?/?$")
RESOLVE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<at>[^/]+)/(?P<file>.+)")


@dataclass
class Repo:
    """Commits, oldest first: ID and files."""

    private: bool
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)

    def commit(self, files: dict[str, bytes]) -> str:
        said = json.dumps([len(self.commits), {name: blob(data) for name, data in sorted(files.items())}])
        self.commits.append((hashlib.sha1(said.encode()).hexdigest(), files))
        return self.commits[-1][0]


@dataclass
class Hub:
    """All repositories, and how it misbehaves: ``trouble`` is a way of :meth:`Answer.do_GET` or :meth:`Answer.do_POST`."""

    repos: dict[str, Repo] = field(default_factory=dict)
    trouble: str = ""
    asked: list[str] = field(default_factory=list)
    address: str = ""


def blob(data: bytes) -> str:
    """The SHA-1 that git gives to a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Answer(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        return

    # --- asked ---

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._note()
        path = unquote(urlsplit(self.path).path)
        if self._fails():
            return
        if path == "/api/repos/create":
            self._create(json.loads(body))
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif (found := MODEL.match(path)) and (repo := self.hub.repos.get(found["repo"])):
            getattr(self, f"_{found['verb']}")(repo, body)
        else:
            self._missing("RepoNotFound")

    def do_GET(self) -> None:
        self._note()
        path = unquote(urlsplit(self.path).path)
        if self._fails():
            return
        if path == "/api/whoami-v2":
            self._json({"name": "me", "type": "user", "orgs": []})
            return
        found = RESOLVE.match(path) or MODEL.match(path)
        if not found or not (repo := self.hub.repos.get(found["repo"])):
            self._missing("RepoNotFound")
            return
        at = found["at"] or "main"
        known = {**dict(repo.commits), "main": repo.commits[-1][1]}
        if at not in known:
            self._missing("RevisionNotFound")
        elif "file" in found.groupdict():
            self._file(known[at], found["file"], at)
        else:
            self._info(found["repo"], repo, at, known[at])

    do_HEAD = do_GET

    # --- answered ---

    def _create(self, said: Any) -> None:
        name = f"{said.get('organization') or 'me'}/{said['name']}"
        url = {"url": f"{self.hub.address}/{name}", "name": name, "id": name}
        if name in self.hub.repos:
            self._json({**url, "error": "You already created this model repo"}, 409)
            return
        self.hub.repos[name] = Repo(said.get("private") or said.get("visibility") == "private")
        self.hub.repos[name].commit({".gitattributes": b""})
        self._json(url)

    def _preupload(self, repo: Repo, body: bytes) -> None:
        kept = repo.commits[-1][1]
        files = [
            {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False,
             "oid": blob(kept[one["path"]]) if one["path"] in kept else None}
            for one in json.loads(body)["files"]
        ]  # fmt: skip
        self._json({"files": files})

    def _commit(self, repo: Repo, body: bytes) -> None:
        lines = [json.loads(line) for line in body.splitlines()]
        parent = next(line["value"].get("parentCommit") for line in lines if line["key"] == "header")
        if self.hub.trouble == "meanwhile":
            repo.commit({**repo.commits[-1][1], "other": b"by somebody else"})
        if parent not in (None, repo.commits[-1][0]):
            self._json({"error": "The expected parent commit is another"}, 412)
            return
        new = {line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines if line["key"] == "file"}
        sha = repo.commit({**repo.commits[-1][1], **new})
        self._json({"success": True, "commitOid": sha, "commitUrl": f"{self.hub.address}/x/y/commit/{sha}"})

    def _info(self, name: str, repo: Repo, at: str, files: dict[str, bytes]) -> None:
        sha = repo.commits[-1][0] if at == "main" else at
        listed = [{"rfilename": file, "size": len(data), "blobId": blob(data)} for file, data in files.items()]
        if self.hub.trouble == "dots":
            listed.insert(0, {"rfilename": "../../evil", "size": 4, "blobId": "0" * 40})
        if self.hub.trouble == "announces":
            listed = [{**one, "size": 1 << 30} for one in listed]
        if self.hub.trouble == "no commit":
            sha = "main\x1b[31m"
        self._json({"id": name, "modelId": name, "sha": sha, "private": repo.private, "siblings": listed, "tags": [],
                    "downloads": 0, "likes": 0})  # fmt: skip

    def _file(self, files: dict[str, bytes], name: str, at: str) -> None:
        if name not in files:
            self._missing("EntryNotFound")
            return
        data = files[name]
        size = len(data) + 100 if self.hub.trouble == "length" else len(data)
        if self.hub.trouble == "endless":
            size, data = 1 << 40, data + bytes(13 << 20)
        self.send_response(200)
        for key, value in (("Content-Length", size), ("ETag", f'"{blob(files[name])}"'), ("X-Repo-Commit", at)):
            self.send_header(key, str(value))
        self.end_headers()
        if self.command == "HEAD":
            return
        with suppress(OSError):  # who has had enough goes away
            self.wfile.write(data[: len(data) // 2] if self.hub.trouble == "cut" else data)
        if len(data) != size or self.hub.trouble == "cut":
            self.close_connection = True

    def _fails(self) -> bool:
        status = {"401": 401, "500": 500, "403": 403}.get(self.hub.trouble)
        if status:
            self._json({"error": f"no, {self.headers.get('authorization')}"}, status)
        elif self.hub.trouble == "no JSON":
            self._send(b"{" * 100)
        return bool(status) or self.hub.trouble == "no JSON"

    def _missing(self, code: str) -> None:
        self._json({"error": code}, 404, {"X-Error-Code": code})

    def _json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(json.dumps(value).encode(), status, headers)

    def _send(self, data: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _note(self) -> None:
        self.hub.asked.append(f"{self.command} {self.path}")


@contextmanager
def served() -> Iterator[Hub]:
    """A Hub at a port of this machine."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Here", (Answer,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

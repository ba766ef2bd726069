"""A little of the Hugging Face Hub on this machine: repositories in memory, behind the few addresses that are needed.

The real client library speaks to it, so a test through it sees what the library sends and understands.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants, file_download
from huggingface_hub.utils.tqdm import progress_bar_states

from steepslope.files import _hub as hub

TOKEN = "hf_of_the_tests"


@dataclass
class Repo:
    """A repository: whether it is private, and its commits, each with all its files."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    @property
    def head(self) -> str:
        return [*self.commits][-1]

    def commit(self, files: dict[str, bytes], deleted: Collection[str] = ()) -> str:
        """Add a commit, whose name follows from its place and content."""
        before = self.commits[self.head] if self.commits else {}
        everything = {**{name: content for name, content in before.items() if name not in deleted}, **files}
        names = [f"{name}{hashlib.sha1(content).hexdigest()}" for name, content in everything.items()]
        sha = hashlib.sha1(f"{len(self.commits)}{names}".encode()).hexdigest()
        self.commits[sha] = everything
        return sha

    def found(self, revision: str) -> str | None:
        """Return the commit of a revision."""
        return self.head if revision == "main" else revision if revision in self.commits else None


class Handler(BaseHTTPRequestHandler):
    """The addresses of the Hub's API that the client asks for."""

    protocol_version = "HTTP/1.1"
    repos: dict[str, Repo]

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self, status: int, content: Any = None, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str) -> None:
        self.answer(status, {"error": code}, X_Error_Code=code)

    @property
    def may_write(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        if parts[1] == "validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        if not self.may_write:
            return self.answer(401, {"error": "Invalid username or password."})
        if parts[1:3] == ["repos", "create"]:
            return self.create(json.loads(body))
        repo = self.repos["/".join(parts[2:4])]
        if parts[4] == "preupload":
            files = [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                     for one in json.loads(body)["files"]]  # fmt: skip
            return self.answer(200, {"files": files})
        added, deleted = dict[str, bytes](), set[str]()
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                added[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "deletedFile":
                deleted.add(line["value"]["path"])
        sha = repo.commit(added, deleted)
        url = f"http://{self.headers['Host']}/{'/'.join(parts[2:4])}/commit/{sha}"
        return self.answer(200, {"commitOid": sha, "commitUrl": url, "success": True})

    def create(self, asked: dict[str, Any]) -> None:
        name = f"{asked.get('organization') or 'me'}/{asked['name']}"
        url = f"http://{self.headers['Host']}/{name}"
        if name in self.repos:
            return self.answer(409, {"url": url, "error": "is there already"})
        is_private = asked.get("private") or asked.get("visibility") == "private"
        self.repos[name] = Repo(bool(is_private))
        self.repos[name].commit({".gitattributes": b""})
        return self.answer(200, {"url": url, "id": name, "name": name})

    def do_GET(self) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        is_api = parts[0] == "api"
        name = "/".join(parts[2:4] if is_api else parts[:2])
        repo = self.repos.get(name)
        if repo is None or (repo.private and not self.may_write):
            return self.refuse(404 if self.may_write else 401, "RepoNotFound")
        after = parts[4:] if is_api else parts[2:]  # revision/REV, tree/REV, or resolve/REV/FILE
        sha = repo.found(after[1]) if len(after) > 1 else repo.head
        if sha is None:
            return self.refuse(404, "RevisionNotFound")
        files = repo.commits[sha]
        if not is_api:
            content = files.get("/".join(after[2:]))
            if content is None:
                return self.refuse(404, "EntryNotFound")
            etag = hashlib.sha1(content).hexdigest()
            return self.answer(200, content, ETag=f'"{etag}"', X_Repo_Commit=sha)
        if after[:1] == ["tree"]:
            return self.answer(200, [{"type": "file", "path": path, "size": len(content),
                                      "oid": hashlib.sha1(content).hexdigest()}
                                     for path, content in files.items()])  # fmt: skip
        siblings = [{"rfilename": path} for path in files]
        return self.answer(200, {"id": name, "modelId": name, "sha": sha, "private": repo.private, "siblings": siblings,
                                 "tags": []})  # fmt: skip

    do_HEAD = do_GET  # noqa: N815


@contextmanager
def served(folder: Path, token: str | None = TOKEN) -> Iterator[dict[str, Repo]]:
    """Give the repositories of a Hub that the client library speaks to in the block, with a cache in a folder."""
    repos: dict[str, Repo] = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Handler,), {"repos": repos}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        speaking_to(patch, f"http://127.0.0.1:{server.server_port}", folder, token)
        try:
            yield repos
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def speaking_to(patch: pytest.MonkeyPatch, endpoint: str, folder: Path, token: str | None = None) -> None:
    """Let the client library speak to an address, with a cache of one's own."""
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    for name, value in {
        "ENDPOINT": endpoint,
        "HUGGINGFACE_CO_URL_TEMPLATE": template, "HF_HUB_CACHE": str(folder / "hub"),
        "HF_TOKEN_PATH": str(folder / "token"), "HF_XET_CACHE": str(folder / "xet"),
    }.items():  # fmt: skip
        patch.setattr(constants, name, value)
    patch.setattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)  # a copy in older versions
    patch.setitem(progress_bar_states, "_global", False)
    patch.delenv("HF_TOKEN", raising=False)
    if token is not None:
        patch.setenv("HF_TOKEN", token)
    hub.hub_snapshot.cache_clear()

"""A Hub on 127.0.0.1, in memory: what huggingface_hub, transformers and datasets ask of the real one, and no more.

It keeps repositories with branches, commits and large files, checks tokens, and breaks off where it is told to. The
libraries read `HF_ENDPOINT` when they are imported, so what talks to it runs in a process of its own.
"""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

USERS = {"hf_writer": ("tester", "write"), "hf_reader": ("tester", "read")}  # token: its user, and what it may do
LARGE = (".safetensors", ".parquet", ".bin", ".onnx")
DATE = "2026-01-01T00:00:00.000Z"


@dataclass
class Repo:
    """One repository: its commits, each with all files of that state, and its branches."""

    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"0" * 40: {}})
    branches: dict[str, str] = field(default_factory=lambda: {"main": "0" * 40})

    def sha(self, revision: str) -> str | None:
        """The commit of a branch, or the one of that name."""
        return self.branches.get(revision, revision if revision in self.commits else None)

    def commit(self, branch: str, files: dict[str, bytes]) -> str:
        """Put a new state on a branch."""
        sha = hashlib.sha1(f"{branch} {len(self.commits)} {sorted(files)}".encode()).hexdigest()
        self.commits[sha], self.branches[branch] = files, sha
        return sha


class Refusal(Exception):
    """Answer with an error: the status, the Hub's code for it and a text."""

    def __init__(self, status: int, code: str = "", message: str = ""):
        self.status, self.code, self.message = status, code, message or code


class LoopbackHub:
    """The server, for a `with` statement.

    Attributes:
        url: for `HF_ENDPOINT`.
        repos: by kind (`model` or `dataset`) and name.
        large: contents of large files, by SHA-256.
        requests: method and path of each request so far.
    """

    def __init__(self):
        self.repos: dict[tuple[str, str], Repo] = {}
        self.large: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self._faults: list[tuple[str, str, int | None, int]] = []

    def __enter__(self):
        handler = type("HubHandler", (Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def fail(self, method: str, path: str, status: int | None = None, after: int = 0) -> None:
        """From the request `after` to a path (regular expression) on: answer `status`, or close the connection."""
        self._faults.append((method, path, status, after))

    def heal(self) -> None:
        """Answer everything properly again."""
        self._faults.clear()

    def fault(self, method: str, path: str) -> tuple[int | None] | None:
        """What is to go wrong with this request, if anything."""
        for number, (faulty, pattern, status, after) in enumerate(self._faults):
            if method == faulty and re.search(pattern, path):
                if after:
                    self._faults[number] = (faulty, pattern, status, after - 1)
                    return None
                return (status,)
        return None

    def files(self, name: str, kind: str = "model", revision: str = "main") -> dict[str, bytes]:
        """The files of a branch, by path."""
        repo = self.repos[kind, name]
        return repo.commits[repo.sha(revision)]

    def count(self, method: str, path: str = "") -> int:
        """How many requests came so far."""
        return sum(each == method and bool(re.search(path, target)) for each, target in self.requests)


class Handler(BaseHTTPRequestHandler):
    """Routes a request to the method of its endpoint."""

    hub: LoopbackHub
    protocol_version = "HTTP/1.1"
    REPO = r"/api/(?P<kind>model|dataset)s/(?P<name>[^/]+/[^/]+)"
    REVISION = r"/(?P<revision>[^/]+)"
    ROUTES = (
        ("GET", r"/api/whoami-v2", "whoami"),
        ("POST", r"/api/repos/create", "create"),
        ("POST", r"/api/validate-yaml", "validate_yaml"),
        ("GET", REPO + r"(/revision" + REVISION + r")?", "info"),
        ("GET", REPO + r"/refs", "refs"),
        ("GET", REPO + r"/tree" + REVISION + r"(/(?P<path>.*))?", "tree"),
        ("POST", REPO + r"/paths-info" + REVISION, "paths_info"),
        ("POST", REPO + r"/branch" + REVISION, "branch"),
        ("POST", REPO + r"/preupload" + REVISION, "preupload"),
        ("POST", REPO + r"/commit" + REVISION, "commit"),
        ("POST", r"/(?P<kind>datasets)?/?(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch", "batch"),
        ("PUT", r"/large/(?P<oid>\w+)", "upload"),
        ("GET", r"/(?P<kind>datasets)?/?(?P<name>[^/]+/[^/]+)/resolve" + REVISION + r"/(?P<path>.+)", "resolve"),
    )

    def log_message(self, *_):
        """Nothing on standard error."""

    def do_GET(self):
        self.answer("GET")

    def do_HEAD(self):
        self.answer("GET")

    def do_POST(self):
        self.answer("POST")

    def do_PUT(self):
        self.answer("PUT")

    def answer(self, method: str) -> None:
        """Answer one request."""
        parts = urlsplit(self.path)
        self.hub.requests.append((self.command, parts.path))
        self.query = parse_qs(parts.query)
        if fault := self.hub.fault(self.command, parts.path):
            self.close_connection = True
            if fault[0] is None:
                self.connection.shutdown(2)
                return
        self.body = self.read_body()
        try:
            if fault:
                raise Refusal(fault[0], message="told to fail")
            for wanted, pattern, name in self.ROUTES:
                if method == wanted and (match := re.fullmatch(pattern, parts.path)):
                    found = {key: unquote(value) for key, value in match.groupdict().items() if value}
                    self.send(getattr(self, name)(**found))
                    return
            raise Refusal(404, message="no such endpoint")
        except Refusal as refusal:
            text = {"error": refusal.message, "errors": [{"message": refusal.message}]}
            headers = {"X-Error-Code": refusal.code} if refusal.code else {}
            self.send(text, refusal.status, headers | {"X-Error-Message": refusal.message})

    def read_body(self) -> bytes:
        """The body, whole or in chunks."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def send(self, content, status: int = 200, headers: dict | None = None) -> None:
        """Send JSON, or bytes with the status and headers that come with them."""
        if isinstance(content, tuple):
            content, status, headers = content
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        kind = "application/octet-stream" if isinstance(content, bytes) else "application/json"
        for name, value in ({"Content-Type": kind, "Content-Length": str(len(data))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    # who asks, and for what

    def user(self) -> tuple[str, str] | None:
        """Name and role of whoever asks; `None` without a token."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in USERS:
            raise Refusal(401, message="Invalid credentials in Authorization header")
        return USERS.get(token)

    def require_writer(self, name: str) -> None:
        """Only the owner may write, with a token that may."""
        user = self.user()
        if user is None:
            raise Refusal(401, message="Invalid username or password.")
        if user != (name.split("/")[0], "write"):
            raise Refusal(403, message=f"You don't have the rights to write under the namespace of {name}")

    def repo(self, kind: str, name: str) -> Repo:
        """A repository that the one who asks may see."""
        repo = self.hub.repos.get((kind, name))
        if repo is None or (repo.private and (self.user() or ("",))[0] != name.split("/")[0]):
            raise Refusal(404 if self.user() else 401, "RepoNotFound", "Repository not found")
        return repo

    def state(self, kind: str, name: str, revision: str) -> tuple[str, dict[str, bytes]]:
        """Commit and files of a revision."""
        repo = self.repo(kind, name)
        sha = repo.sha(revision)
        if sha is None:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return sha, repo.commits[sha]

    # endpoints

    def whoami(self):
        if self.user() is None:
            raise Refusal(401, message="Invalid username or password.")
        name, role = self.user()
        token = {"role": role, "displayName": "test"}
        return {"type": "user", "name": name, "orgs": [], "auth": {"type": "access_token", "accessToken": token}}

    def create(self):
        asked = json.loads(self.body)
        owner = asked.get("organization") or (self.user() or ("",))[0]
        name, kind = f"{owner}/{asked['name']}", asked.get("type") or "model"
        self.require_writer(name)
        url = f"{self.hub.url}/{'datasets/' if kind == 'dataset' else ''}{name}"
        if (kind, name) in self.hub.repos:
            return {"error": "You already created this repo", "url": url}, 409, {}
        private = asked.get("private") or asked.get("visibility") == "private"
        self.hub.repos[kind, name] = Repo(bool(private))
        return {"url": url, "name": name, "id": name}

    def validate_yaml(self):
        if "license: nonsense" in json.loads(self.body)["content"]:
            raise Refusal(400, message='"license" must be one of the licenses that the Hub knows')
        return {"errors": [], "warnings": []}

    def info(self, kind, name, revision="main"):
        sha, files = self.state(kind, name, revision)
        dates = {"lastModified": DATE, "createdAt": DATE, "downloads": 0, "likes": 0, "tags": []}
        private = self.hub.repos[kind, name].private
        siblings = [{"rfilename": path} for path in sorted(files)]
        return {"id": name, "sha": sha, "private": private, "siblings": siblings, "gated": False} | dates

    def refs(self, kind, name):
        branches = self.repo(kind, name).branches
        listed = [{"name": b, "ref": f"refs/heads/{b}", "targetCommit": sha} for b, sha in branches.items()]
        return {"branches": listed, "tags": [], "converts": [], "pullRequests": []}

    def tree(self, kind, name, revision, path=""):
        _, files = self.state(kind, name, revision)
        inside = f"{path}/" if path else ""
        found = [file for file in sorted(files) if file.startswith(inside)]
        if path and not found:
            raise Refusal(404, "EntryNotFound", f"{path} does not exist on {revision}")
        entries = {}
        for file in found:
            steps = file.removeprefix(inside).split("/")
            for depth in range(1, len(steps)):
                folder = inside + "/".join(steps[:depth])
                entries[folder] = {"type": "directory", "path": folder, "oid": "0" * 40, "size": 0}
            entries[file] = entry(file, files[file])
        if self.query.get("recursive", ["False"])[0].lower() != "true":
            entries = {key: value for key, value in entries.items() if "/" not in key.removeprefix(inside)}
        return list(entries.values())

    def paths_info(self, kind, name, revision):
        _, files = self.state(kind, name, revision)
        is_json = "json" in self.headers.get("Content-Type", "")
        asked = json.loads(self.body)["paths"] if is_json else parse_qs(self.body.decode())["paths"]
        folders = {"/".join(file.split("/")[:depth]) for file in files for depth in range(1, file.count("/") + 1)}
        listed = [entry(path, files[path]) for path in asked if path in files]
        return listed + [
            {"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in asked if path in folders
        ]

    def branch(self, kind, name, revision):
        self.require_writer(name)
        repo = self.repo(kind, name)
        if revision in repo.branches:
            raise Refusal(409, message="Reference already exists")
        repo.branches[revision] = repo.branches["main"]
        return {}

    def preupload(self, kind, name, revision):
        self.require_writer(name)
        _, files = self.state(kind, name, revision)
        answers = []
        for file in json.loads(self.body)["files"]:
            path = file["path"]
            is_large = path.endswith(LARGE) or file["size"] > 10_000_000
            answer = {"path": path, "uploadMode": "lfs" if is_large else "regular", "shouldIgnore": False}
            if path in files:
                answer["oid"] = sha256(files[path]) if is_large else git_hash(files[path])
            answers.append(answer)
        return {"files": answers}

    def batch(self, name, kind=None):
        self.require_writer(name)
        objects = []
        for asked in json.loads(self.body)["objects"]:
            if asked["oid"] not in self.hub.large:
                asked["actions"] = {"upload": {"href": f"{self.hub.url}/large/{asked['oid']}"}}
            objects.append(asked)
        return {"transfer": "basic", "objects": objects}

    def upload(self, oid):
        if sha256(self.body) != oid:
            raise Refusal(400, message="the content is not that of the object")
        self.hub.large[oid] = self.body
        return b""

    def commit(self, kind, name, revision):
        self.require_writer(name)
        before, files = self.state(kind, name, revision)
        files = dict(files)
        for line in self.body.splitlines():
            step = json.loads(line)
            value = step["value"]
            if step["key"] == "header" and value.get("parentCommit", before) != before:
                raise Refusal(412, message="A commit has happened since")
            if step["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif step["key"] == "lfsFile":
                if value["oid"] not in self.hub.large:
                    raise Refusal(400, message=f"{value['path']} was not uploaded")
                files[value["path"]] = self.hub.large[value["oid"]]
            elif step["key"] == "deletedFile":
                files.pop(value["path"], None)
        sha = self.hub.repos[kind, name].commit(revision, files)
        return {"success": True, "commitOid": sha, "commitUrl": f"{self.hub.url}/{name}/commit/{sha}"}

    def resolve(self, name, revision, path, kind=None):
        sha, files = self.state("dataset" if kind else "model", name, revision)
        if path not in files:
            raise Refusal(404, "EntryNotFound", f"{path} does not exist on {revision}")
        data = files[path]
        headers = {"X-Repo-Commit": sha, "ETag": f'"{sha256(data)}"', "Accept-Ranges": "bytes"}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not wanted:
            return data, 200, headers
        first, last = int(wanted[1]), min(int(wanted[2] or len(data) - 1), len(data) - 1)
        return data[first : last + 1], 206, headers | {"Content-Range": f"bytes {first}-{last}/{len(data)}"}


def sha256(data: bytes) -> str:
    """What names a large file."""
    return hashlib.sha256(data).hexdigest()


def git_hash(data: bytes) -> str:
    """What names a small file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def entry(path: str, data: bytes) -> dict:
    """A file as it stands in a listing."""
    about = {"type": "file", "path": path, "size": len(data), "oid": git_hash(data)}
    if path.endswith(LARGE):
        about["lfs"] = {"oid": sha256(data), "size": len(data), "pointerSize": 134}
    return about

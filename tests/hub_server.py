"""A small model hub for tests: what the hub's client asks of the real one, in memory, on 127.0.0.1.

It answers uploads over the LFS protocol, commits, downloads and metadata, checks tokens and cards,
and can break connections on demand. It is no part of the package.
"""

import base64
import hashlib
import json
import re
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import yaml

TOKEN = "hf_a_token_of_the_test_hub"
LICENSES = {"mit", "other", "unknown", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-4.0"}


@dataclass
class Repo:
    """Commits as ``(id, message, {path: content})``; branches point to one of them or None."""

    private: bool = False
    commits: list = field(default_factory=list)
    branches: dict = field(default_factory=lambda: {"main": None})

    def files(self, revision):
        """Commit id and files of a branch or commit id; None if there is no such revision."""
        commit = self.branches.get(revision, revision)
        if revision in self.branches and commit is None:
            return "0" * 40, {}
        return next(((c, files) for c, _, files in self.commits if c == commit), None)


class Hub:
    """The server; use it as a context manager.

    Attributes:
        url: where it answers.
        repos: by id.
        requests: ``(method, path)`` of everything asked so far.
        cuts: how many of the next uploads are broken off half-way.
        down: break off every request, as if the network was gone.
    """

    def __init__(self):
        self.repos, self.lfs, self.requests, self.cuts = {}, {}, [], 0
        self.down = False
        handler = type("BoundHandler", (Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    ROUTES = (
        ("POST", r"/api/repos/create", "create"),
        ("POST", r"/api/validate-yaml", "validate"),
        ("POST", r"/api/models/(?P<repo>[^/]+/[^/]+)/preupload/(?P<rev>.+)", "preupload"),
        ("POST", r"/api/models/(?P<repo>[^/]+/[^/]+)/commit/(?P<rev>.+)", "commit"),
        ("POST", r"/api/models/(?P<repo>[^/]+/[^/]+)/branch/(?P<rev>.+)", "branch"),
        ("POST", r"/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch", "batch"),
        ("POST", r"/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/verify", "verify"),
        ("PUT", r"/lfs/(?P<oid>[0-9a-f]{64})", "store"),
        ("GET", r"/api/models/(?P<repo>[^/]+/[^/]+)(/revision/(?P<rev>.+))?", "info"),
        ("HEAD|GET", r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<rev>[^/]+)/(?P<path>.+)", "resolve"),
    )

    def dispatch(self):
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path))
        if self.hub.down:
            return self.hang_up()
        for method, pattern, name in self.ROUTES:
            match = re.fullmatch(pattern, path)
            if match and re.fullmatch(method, self.command):
                return getattr(self, name)(**match.groupdict())
        return self.answer(404, {"error": f"no route {path}"})

    do_GET = do_HEAD = do_POST = do_PUT = dispatch

    # ---- repositories ----------------------------------------------------------------------
    def create(self):
        wanted = self.body_json()
        if not self.may_write():
            return None
        repo = f"{wanted['organization']}/{wanted['name']}"
        private = wanted.get("private") or wanted.get("visibility") == "private"
        status = 409 if repo in self.hub.repos else 200
        self.hub.repos.setdefault(repo, Repo(private=bool(private)))
        return self.answer(status, {"url": f"{self.hub.url}/{repo}", "name": repo, "id": repo})

    def branch(self, repo, rev):
        self.body()
        found = self.may_write() and self.find(repo)
        if not found:
            return None
        if rev in found.branches:
            return self.answer(409, {"error": "exists"})
        found.branches[rev] = found.branches["main"]
        return self.answer(200, {})

    def info(self, repo, rev):
        found = self.find(repo)
        held = found and self.at(found, rev or "main")
        if not held:
            return None
        siblings = [{"rfilename": name} for name in held[1]]
        return self.answer(
            200,
            {"_id": "0", "id": repo, "modelId": repo, "sha": held[0], "siblings": siblings}
            | {"private": found.private, "downloads": 0, "likes": 0, "tags": []},
        )

    def validate(self):
        text = self.body_json()["content"]
        match = re.match(r"---\n(.*?)\n---\n", text, re.S)
        data = yaml.safe_load(match.group(1)) if match else {}
        wrong = [] if data.get("license") in LICENSES else [f"license: {data.get('license')}"]
        if data.get("license") == "other" and not data.get("license_name"):
            wrong.append("license_name is needed with license: other")
        if data.get("pipeline_tag") not in (None, "audio-to-audio"):
            wrong.append("pipeline_tag")
        for model in data.get("model-index") or []:
            for result in model["results"]:
                if not {"task", "dataset", "metrics"} <= set(result):
                    wrong.append("model-index")
                if not all({"type", "value"} <= set(metric) for metric in result["metrics"]):
                    wrong.append("model-index metrics")
        body = {"errors": [{"message": w} for w in wrong], "warnings": []}
        return self.answer(400 if wrong else 200, body)

    # ---- uploads ---------------------------------------------------------------------------
    def preupload(self, repo, rev):
        wanted = self.body_json()["files"]
        found = self.may_write() and self.find(repo)
        held = found and self.at(found, rev)
        if not held:
            return None
        files = []
        for file in wanted:
            lfs = file["path"].endswith((".bin", ".pth"))
            old = held[1].get(file["path"])
            oid = None if old is None else (sha256(old) if lfs else git_sha(old))
            mode = "lfs" if lfs else "regular"
            files.append(
                {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid}
            )
        return self.answer(200, {"files": files})

    def batch(self, repo):
        wanted = self.body_json()["objects"]
        if not (self.may_write() and self.find(repo)):
            return None
        objects = []
        for obj in wanted:
            if obj["oid"] not in self.hub.lfs:
                verify = f"{self.hub.url}/{repo}.git/info/lfs/objects/verify"
                upload = f"{self.hub.url}/lfs/{obj['oid']}"
                obj = obj | {"actions": {"upload": {"href": upload}, "verify": {"href": verify}}}
            objects.append(obj)
        return self.answer(200, {"transfer": "basic", "objects": objects})

    def store(self, oid):
        length = int(self.headers["Content-Length"])
        if self.hub.cuts > 0:
            self.hub.cuts -= 1
            self.rfile.read(length // 2)
            return self.hang_up()
        content = self.rfile.read(length)
        if sha256(content) != oid:
            return self.answer(400, {"error": "checksum"})
        self.hub.lfs[oid] = content
        return self.answer(200, {})

    def verify(self, repo):
        wanted = self.body_json()
        there = len(self.hub.lfs.get(wanted["oid"], b"")) == wanted["size"]
        return self.answer(200 if there else 404, {})

    def commit(self, repo, rev):
        lines = [json.loads(line) for line in self.body().splitlines() if line.strip()]
        found = self.may_write() and self.find(repo)
        held = found and self.at(found, rev)
        if not held:
            return None
        files, message = dict(held[1]), ""
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                message = value["summary"]
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.hub.lfs:
                    return self.answer(400, {"error": f"{value['path']} was never uploaded"})
                files[value["path"]] = self.hub.lfs[value["oid"]]
        oid = hashlib.sha1(f"{repo}{rev}{len(found.commits)}".encode()).hexdigest()
        found.commits.append((oid, message, files))
        found.branches[rev] = oid
        url = f"{self.hub.url}/{repo}/commit/{oid}"
        return self.answer(200, {"success": True, "commitUrl": url, "commitOid": oid})

    # ---- downloads -------------------------------------------------------------------------
    def resolve(self, repo, rev, path):
        found = self.find(repo)
        held = found and self.at(found, rev)
        if not held:
            return None
        commit, files = held
        if path not in files:
            return self.answer(404, {"error": path}, {"X-Error-Code": "EntryNotFound"}, commit)
        content = files[path]
        lfs = path.endswith((".bin", ".pth"))
        headers = {"ETag": f'"{sha256(content) if lfs else git_sha(content)}"'}
        return self.answer(200, content, headers, commit)

    # ---- tools -----------------------------------------------------------------------------
    def find(self, repo):
        found = self.hub.repos.get(repo)
        if found is None or (found.private and not self.authorized()):
            # As the real one: strangers do not learn what is private and what is not there.
            status = 404 if self.authorized() else 401
            self.answer(status, {"error": repo}, {"X-Error-Code": "RepoNotFound"})
            return None
        return found

    def at(self, found, rev):
        held = found.files(rev)
        if held is None:
            self.answer(404, {"error": rev}, {"X-Error-Code": "RevisionNotFound"})
        return held

    def authorized(self):
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def may_write(self):
        if not self.authorized():
            self.answer(401, {"error": "Invalid username or password."})
        return self.authorized()

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def body_json(self):
        return json.loads(self.body())

    def answer(self, status, body, headers=(), commit=None):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for key, value in dict(headers).items():
            self.send_header(key, value)
        if commit is not None:
            self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def hang_up(self):
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *args):
        """Keep the test's output clean."""


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def git_sha(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

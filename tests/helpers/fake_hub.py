"""A stand-in for the Hugging Face hub: repositories of small files, commits, downloads."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SHA = "0" * 40
TOKEN = "hf_of_the_test"


@dataclass
class Hub:
    """What the hub holds."""

    address: str = ""
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: dict[str, bool] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)


@contextmanager
def fake_hub() -> Iterator[Hub]:
    """Serve a hub on a free port of this machine."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def send(self, status, body=b"", **headers):
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            headers.setdefault("Content_Length", str(len(content)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def missing(self, code):
            self.send(404, {"error": "not found"}, X_Error_Code=code)

        def files(self, name):
            """Return the files of a repository, or None after an answer."""
            allowed = self.headers.get("Authorization") == f"Bearer {TOKEN}"
            if name not in hub.repositories or (hub.private[name] and not allowed):
                self.missing("RepoNotFound")
                return None
            return hub.repositories[name]

        def do_GET(self):
            hub.requests.append(f"{self.command} {self.path}")
            path = self.path.partition("?")[0].strip("/").split("/")
            if path[:2] == ["api", "models"]:
                name, revision = "/".join(path[2:4]), (path[5:] or ["main"])[0]
                files = self.files(name)
                if files is None:
                    return
                if revision not in ("main", SHA):
                    self.missing("RevisionNotFound")
                elif path[4:5] == ["tree"]:
                    self.send(200, [_entry(name, content) for name, content in files.items()])
                else:
                    siblings = [{"rfilename": name} for name in files]
                    about = {"id": name, "modelId": name, "sha": SHA, "private": False}
                    self.send(200, {**about, "siblings": siblings, "tags": []})
                return
            name, file = "/".join(path[:2]), "/".join(path[4:])
            files = self.files(name)
            if files is None:
                return
            if file not in files:
                self.missing("EntryNotFound")
                return
            digest = hashlib.sha256(files[file]).hexdigest()
            self.send(200, files[file], ETag=f'"{digest}"', X_Repo_Commit=SHA)

        do_HEAD = do_GET  # noqa: N815

        def do_POST(self):
            hub.requests.append(f"{self.command} {self.path}")
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self.send(401, {"error": "Invalid username or password."})
                return
            path = self.path.partition("?")[0].strip("/").split("/")
            if path == ["api", "repos", "create"]:
                asked = json.loads(sent)
                name = f"{asked.get('organization', 'me')}/{asked['name']}"
                if name in hub.repositories:
                    self.send(409, {"url": f"{hub.address}/{name}", "error": "exists"})
                    return
                hub.repositories[name] = {}
                hub.private[name] = asked.get("private") or asked.get("visibility") == "private"
                self.send(200, {"url": f"{hub.address}/{name}", "id": name, "name": name})
                return
            if path == ["api", "validate-yaml"]:  # of the model card
                self.send(200, {"errors": [], "warnings": []})
                return
            name = "/".join(path[2:4])
            if path[4] == "preupload":
                files = json.loads(sent)["files"]
                answers = [
                    {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for one in files
                ]
                self.send(200, {"files": answers})
                return
            for line in sent.decode().splitlines():
                item = json.loads(line)
                if item["key"] == "deletedFile":
                    del hub.repositories[name][item["value"]["path"]]
                if item["key"] == "file":
                    value = item["value"]
                    hub.repositories[name][value["path"]] = base64.b64decode(value["content"])
            url = f"{hub.address}/{name}/commit/{SHA}"
            self.send(200, {"commitUrl": url, "commitOid": SHA, "hookOutput": ""})

    return Handler


def _entry(name, content):
    digest = hashlib.sha1(content).hexdigest()
    return {"type": "file", "path": name, "size": len(content), "oid": digest}

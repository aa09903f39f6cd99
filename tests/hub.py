"""A model hub on the loop-back interface: the few routes that the hub's library asks.

Repositories are folders. What was asked for is kept in `asked`, so that a test can say which files
were never fetched.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """repositories: folders by ORG/NAME; gated: names whose files need a token; broken: those that
    are answered with an error of the server's; url: where it listens.
    """

    repositories: dict[str, Path] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    url: str = ""


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve until the block ends."""

    class Handler(_Handler):
        served = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    served: Hub

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        if path.count("/") < 3:  # of other things than repositories, which nobody here has
            self._send(404, b"")
            return
        self.served.asked.append(path)
        if path.startswith("api/models/"):
            org, name, *rest = path.removeprefix("api/models/").split("/")
            self._api(f"{org}/{name}", *rest)
        else:
            org, name, _, revision, file = path.split("/", 4)
            self._file(f"{org}/{name}", revision, file)

    def _api(self, repository: str, kind: str = "revision", *rest: str) -> None:
        revision = "/".join(rest) or "main"
        if not self._may(repository, revision, False):
            return
        files = sorted(p for p in self.served.repositories[repository].rglob("*") if p.is_file())
        names = [path.relative_to(self.served.repositories[repository]) for path in files]
        if kind == "tree":
            entries = [
                {"type": "file", "path": str(name), "size": path.stat().st_size, "oid": _etag(path)}
                for name, path in zip(names, files, strict=True)
            ]
            self._send(200, json.dumps(entries).encode())
            return
        siblings = [{"rfilename": str(name)} for name in names]
        about = {"id": repository, "sha": COMMIT, "siblings": siblings, "private": False}
        self._send(200, json.dumps(about).encode())

    def _file(self, repository: str, revision: str, file: str) -> None:
        if not self._may(repository, revision, True):
            return
        path = self.served.repositories[repository] / file
        if path.is_file():
            etag = {"ETag": f'"{_etag(path)}"', "X-Repo-Commit": COMMIT}
            self._send(200, path.read_bytes(), etag)
        else:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})

    def _may(self, repository: str, revision: str, is_file: bool) -> bool:
        """Whether it is answered; an error is sent if not."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token:
            self.served.tokens.add(token)
        if token == "hf_bad":
            self._send(401, b"", {"X-Error-Message": "Invalid credentials in Authorization header"})
        elif repository in self.served.broken:
            self._send(503, b"")
        elif repository not in self.served.repositories:
            self._send(401, b"", {"X-Error-Code": "RepoNotFound"})
        elif is_file and repository in self.served.gated and token != "hf_good":
            self._send(403, b"", {"X-Error-Code": "GatedRepo"})
        elif revision not in ("main", "v1", COMMIT):
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        else:
            return True
        return False

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _etag(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()

"""A loopback server that speaks as much of the Hugging Face Hub's protocol as fetching files takes.

Files of a repository are asked for at /OWNER/NAME/resolve/REVISION/FILE. An answer carries the commit and an ETag;
what is missing or forbidden carries X-Error-Code.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

_RESOLVE = "/resolve/"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """A running server.

    Attributes
    ----------
    endpoint : str
        What HF_ENDPOINT is set to.
    requests : list of (method, path)
        Every request, in the order of arrival.
    """

    endpoint: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)

    def files(self, method: str) -> list[str]:
        """The names of the files asked for with a method, sorted."""
        return sorted({path.rsplit("/", 1)[1] for asked, path in self.requests if asked == method and _RESOLVE in path})


@contextmanager
def serve(repositories: dict[str, Path], *, gated: frozenset[str] = frozenset()) -> Iterator[Hub]:
    """Serve folders as model repositories at revision `main` until the block ends."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer("HEAD")

        def do_GET(self) -> None:
            self.answer("GET")

        def answer(self, method: str) -> None:
            path = unquote(self.path)
            hub.requests.append((method, path))
            repository, _, rest = path.lstrip("/").partition(_RESOLVE)
            revision, _, name = rest.partition("/")
            if repository in gated:
                self.send(403, {"X-Error-Code": "GatedRepo"})
            elif repository not in repositories:
                self.send(404, {"X-Error-Code": "RepoNotFound"})
            elif revision not in ("main", COMMIT):
                self.send(404, {"X-Error-Code": "RevisionNotFound"})
            elif not (file := repositories[repository] / name).is_file():
                self.send(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            else:
                content = file.read_bytes()
                etag = hashlib.sha256(content).hexdigest()
                self.send(200, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}, content)

        def send(self, status: int, headers: dict[str, str], content: bytes = b"") -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

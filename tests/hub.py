"""A loopback server that speaks as much of the Hugging Face Hub's protocol as fetching files takes.

Files of a repository are asked for at /OWNER/NAME/resolve/REVISION/FILE. An answer carries the commit and an ETag;
what is missing or forbidden carries X-Error-Code. Of a file, parts are sent (`Range`), and badly where `Faults` say so.
The branches of a repository are listed at /api/models/OWNER/NAME/refs.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote
from uuid import uuid4

_RESOLVE = "/resolve/"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


@dataclass
class Faults:
    """What a server does wrong with the parts of files it is asked for."""

    whole: bool = False  # sends all of a file with 200
    breaks: list[int] = field(default_factory=list)  # each next answer breaks off after so many bytes
    content_range: str | None = None  # says this of any part: a format of start, last and total
    content_length: int | None = None  # says this
    statuses: list[int] = field(default_factory=list)  # each next part is answered with this, and nothing of it is sent
    encoding: str | None = None  # says that a part is compressed
    surplus: bytes = b""  # sends this behind a part, whose length is not said
    changes: list[bytes] = field(default_factory=list)  # after each answer the file becomes the next of these
    silent_etag: bool = False  # says no ETag with a part
    sent_on: str | None = None  # sends who asks to this host, which has the files too
    signs_for: Hub | None = None  # sends on to this server, to an address that is good for one answer
    relative: bool = False  # sends on to a path of its own first, as for a repository that was renamed
    expired: list[bool] = field(default_factory=list)  # whether the next address of a part is good no more


@dataclass(frozen=True)
class Part:
    """A part of a file that was asked for."""

    name: str
    start: int
    end: int
    authorized: bool  # whether a token came with it


@dataclass
class Hub:
    """A running server.

    Attributes
    ----------
    endpoint : str
        What HF_ENDPOINT is set to.
    requests : list of (method, path)
        Every request, in the order of arrival.
    parts : list of Part
        Every part of a file that was asked for.
    faults : Faults
        What it does wrong from now on.
    """

    endpoint: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    signatures: set[str] | None = None  # those that are good, where files are sent by such an address alone
    refused: int = 0  # requests without one

    def files(self, method: str) -> list[str]:
        """The names of the files asked for with a method, sorted."""
        return sorted({path.rsplit("/", 1)[1] for asked, path in self.requests if asked == method and _RESOLVE in path})


@contextmanager
def serve(
    repositories: dict[str, Path], *, gated: frozenset[str] = frozenset(), branches: Sequence[str] = ("main",)
) -> Iterator[Hub]:
    """Serve folders as model repositories at their branches, all alike, until the block ends.

    A folder that holds one of a branch's name is served from there, at a commit of its own.
    """
    hub = Hub()
    commits = {branch: COMMIT if branch == "main" else hashlib.sha1(branch.encode()).hexdigest() for branch in branches}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer("HEAD")

        def do_GET(self) -> None:
            self.answer("GET")

        def answer(self, method: str) -> None:
            path, _, asked = unquote(self.path).partition("?")
            hub.requests.append((method, path))
            repository, _, rest = path.lstrip("/").partition(_RESOLVE)
            revision, _, name = rest.partition("/")
            if path.startswith("/api/models/"):
                repository = path.removeprefix("/api/models/").removesuffix("/refs")
            if repository in gated:
                self.send(403, {"X-Error-Code": "GatedRepo"})
            elif repository not in repositories:
                self.send(404, {"X-Error-Code": "RepoNotFound"})
            elif path.endswith("/refs"):
                listed = [
                    {"name": name, "ref": f"refs/heads/{name}", "targetCommit": at} for name, at in commits.items()
                ]
                self.send(200, {}, json.dumps({"branches": listed, "tags": [], "converts": []}).encode())
            elif hub.faults.relative and not asked:
                self.send(307, {"Location": f"{self.path}?renamed"})
            elif hub.signatures is not None and asked not in hub.signatures:
                hub.refused += 1
                self.send(403, {}, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
            elif revision not in commits and revision not in commits.values():
                self.send(404, {"X-Error-Code": "RevisionNotFound"})
            else:
                branch = next(each for each, at in commits.items() if revision in (each, at))
                folder = repositories[repository] / branch
                self.answer_file((folder if folder.is_dir() else repositories[repository]) / name, commits[branch])

        def answer_file(self, file: Path, commit: str) -> None:
            said = {"X-Repo-Commit": commit}
            if not file.is_file():
                self.send(404, {"X-Error-Code": "EntryNotFound", **said})
                return
            content, faults = file.read_bytes(), hub.faults
            etag = f'"{hashlib.sha256(content).hexdigest()}"'
            asked = _RANGE.fullmatch(self.headers.get("Range", ""))
            if asked is not None:
                start, end = int(asked[1]), int(asked[2]) + 1
                hub.parts.append(Part(file.name, start, end, "Authorization" in self.headers))
            onward = self.onward() if file.suffix == ".safetensors" else None
            if onward is not None:
                linked = {"X-Linked-ETag": etag, "X-Linked-Size": str(len(content))}
                self.send(302, {"Location": onward, **linked, **said})
            elif asked is not None and faults.statuses:
                self.send(faults.statuses.pop(0), said)
            elif asked is None or faults.whole:
                self.send(200, {"ETag": etag, **said}, content)
            else:
                said |= {} if faults.silent_etag else {"ETag": etag}
                said |= {"Content-Encoding": faults.encoding} if faults.encoding else {}
                form = faults.content_range or "bytes {start}-{last}/{total}"
                said["Content-Range"] = form.format(start=start, last=end - 1, total=len(content))
                self.send(206, said, content[start:end])
            if asked is not None and faults.changes:
                file.write_bytes(faults.changes.pop(0))

        def onward(self) -> str | None:
            """The address of this file on another host, if it is sent on there: as the Hub signs it for a moment."""
            other = hub.faults.signs_for
            if other is None:
                return None if hub.faults.sent_on is None else hub.faults.sent_on + self.path
            path, signature = self.path.partition("?")[0], f"Expires=1&Signature={uuid4().hex}"
            good = self.command == "HEAD" or not (hub.faults.expired and hub.faults.expired.pop(0))
            if other.signatures is not None and good:
                other.signatures.add(signature)
            return f"{other.endpoint.replace('127.0.0.1', 'localhost')}{path}?{signature}"

        def send(self, status: int, headers: dict[str, str], content: bytes = b"") -> None:
            part, faults = status == 206, hub.faults
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            if part and faults.surplus:
                self.send_header("Connection", "close")  # and no length: the end of the connection is the end
            else:
                length = faults.content_length if part and faults.content_length is not None else len(content)
                self.send_header("Content-Length", str(length))
            self.end_headers()
            if self.command == "GET":
                sent = content[: faults.breaks.pop(0)] if part and faults.breaks else content
                self.wfile.write(sent + (faults.surplus if part else b""))
                if len(sent) < len(content) or (part and faults.surplus):
                    self.close_connection = True

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

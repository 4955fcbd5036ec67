"""Parts of a file on a server: the bytes asked for, or an error that says what came instead.

A server may break off, send the whole file instead of a part, say one length and send another, or have another file by
the next request. What it answers is held against what is known of the file (its size and its ETag) before a byte of it
is passed on. A token goes to the host that was asked, and to none that it redirects to: httpx leaves it out there.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from index.errors import SourceError
from index.files import brief

if TYPE_CHECKING:
    import httpx

TRIES = 5
"""How often in a row a server may fail before a byte more has come."""
PAUSE_SECONDS = 1.0
"""Before the second try; each further one waits twice as long."""

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII)
_LINKED_ETAG = "X-Linked-ETag"
"""What the Hub says of a file that another host sends: its own ETag, which that host may not know."""


class NoRangesError(Exception):
    """A server sends no parts of a file; what to do then is the caller's to say."""


@dataclass(frozen=True)
class RemoteFile:
    """A file on a server, of a known size and content."""

    name: str  # in words, for an error
    path: str  # `OWNER/NAME/FILE`
    url: str
    headers: dict[str, str]  # with a token, if there is one
    etag: str  # of its content, without quotes
    size: int  # bytes
    seconds: float  # to wait for a connection, and for each next byte

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end`, a few of them; raises what `stream` raises."""
        return b"".join(self.stream(start, end))

    def stream(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from `start` to `end` as they come, and go on where a server breaks off.

        Raises
        ------
        NoRangesError
            When the server sends no parts.
        SourceError
            When it fails again and again, has another file now, or sends other bytes than were asked for.
        """
        import httpx

        failed = 0
        while start < end:
            try:
                with self._answer(start, end) as response:
                    for chunk in response.iter_raw():  # in no larger pieces: they would be lost when it breaks
                        if len(chunk) > end - start:
                            raise SourceError(f"{self.name}: its server sent more bytes than it was asked for")
                        start, failed = start + len(chunk), 0
                        yield chunk
                if start < end:
                    raise httpx.ReadError("the answer ended too early")
            except httpx.TransportError as error:
                failed += 1
                if failed == TRIES:
                    raise SourceError(
                        f"{self.name}: its server failed {TRIES} times at byte {start:,} of {self.size:,} "
                        f"({brief(error)}); try again later, what has come is kept"
                    ) from error
                time.sleep(PAUSE_SECONDS * 2 ** (failed - 1))

    @contextmanager
    def _answer(self, start: int, end: int) -> Iterator[httpx.Response]:
        """Ask for a part, and give the answer once all that it says of itself is what was asked for."""
        import httpx
        from huggingface_hub import get_session

        headers = {**self.headers, "Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        with get_session().stream(
            "GET", self.url, headers=headers, follow_redirects=True, timeout=self.seconds
        ) as response:
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise SourceError(f"{self.name} has {self.size:,} bytes as the Hub says, and fewer as its server does")
            status = response.status_code
            # An address that the Hub has signed is good for some time; asked again, it signs another.
            expired = status == httpx.codes.FORBIDDEN and response.history
            if status >= 500 or status == httpx.codes.TOO_MANY_REQUESTS or expired:
                raise httpx.ReadError(f"it answers {status}")
            response.raise_for_status()
            self._check(response, start, end)
            yield response

    def _check(self, response: httpx.Response, start: int, end: int) -> None:
        etag = _etag(response)
        if etag not in (None, self.etag):
            raise SourceError(f"{self.name} was changed while it was fetched; run it again")
        encoded = response.headers.get("Content-Encoding", "identity") != "identity"
        if response.status_code != 206 or encoded or (etag is None and not response.history):
            raise NoRangesError
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        length = response.headers.get("Content-Length", str(end - start))
        asked = (start, end - 1, self.size)
        if found is None or tuple(map(int, found.groups())) != asked or length != str(end - start):
            said = brief(response.headers.get("Content-Range", "no range"))
            raise SourceError(
                f"{self.name}: asked for bytes {start}-{end - 1}/{self.size}, its server answers with {said}, of "
                f"{brief(length)} bytes; what it says cannot be trusted, fetch the file by other means"
            )


def plain_etag(etag: str) -> str:
    """Return an ETag without its quotes and the mark of a weak one."""
    return etag.removeprefix("W/").strip('"')


def _etag(response: httpx.Response) -> str | None:
    """Return the ETag of the whole file, as the first host says that was asked for a part; None where it does not."""
    chain = (*response.history, response)
    said = [each.headers[_LINKED_ETAG] for each in chain if _LINKED_ETAG in each.headers]
    etag = said[0] if said else chain[0].headers.get("ETag")
    return None if etag is None else plain_etag(etag)

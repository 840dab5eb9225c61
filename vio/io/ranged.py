"""Bytes of a file from any place on: over HTTP with ranges, retries and back-off, or from the disk.

HTTP semantics: RFC 9110, sections 14 (ranges) and 10.2.3 (Retry-After).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vio._version import __version__
from vio.errors import DataError

if TYPE_CHECKING:
    import requests

CHUNK = 1 << 14  # also the most that is lost when the process is killed
USER_AGENT = f"tinyvio/{__version__} (dataset download)"  # hosts answer 403 to the default of a library
_LONGEST_REQUEST = 300.0  # s that a server may ask to wait before the user is sent away
_PASSING = {408: "Request Timeout", 429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable"}
_PASSING |= {504: "Gateway Timeout"}
_FROM = "fetch it by other means and give its folder with --from"

Tell = Callable[[str], None]


class RangesIgnored(DataError):
    """The server sends the whole file whatever part is asked for."""


class Changed(DataError):
    """The file on the server is not the one that was begun."""


class Missing(DataError):
    """There is no such file on the server."""


class Source(Protocol):
    """A file of known length that gives its bytes from any place on; `name` is its address."""

    name: str

    def size(self) -> int:
        """Length in bytes."""
        ...

    def stamp(self) -> str:
        """What tells this version of the file from others, empty if nothing does."""
        ...

    def expect(self, size: int, stamp: str) -> None:
        """Raise Changed, now or with the next bytes, unless length and stamp are these."""
        ...

    def stream(self, start: int, stop: int | None) -> Iterator[bytes]:
        """Bytes start..stop-1 in pieces, to the end if stop is None. Raises DataError."""
        ...


@dataclass(frozen=True)
class Patience:
    """How often a request that brought nothing is tried, and the first and the longest wait between two tries (s, doubling)."""

    tries: int = 8
    first: float = 1.0
    longest: float = 60.0


class FileSource:
    """A file on the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)

    def size(self) -> int:
        """Length in bytes."""
        return self.path.stat().st_size

    def stamp(self) -> str:
        """Its length and the time of its last change."""
        return f"{self.path.stat().st_size} {self.path.stat().st_mtime_ns}"

    def expect(self, size: int, stamp: str) -> None:
        """Raise Changed unless length and time of the last change are these."""
        if (self.size(), self.stamp()) != (size, stamp):
            raise Changed(f"{self.name}: not the file that was begun, it changed")

    def stream(self, start: int, stop: int | None) -> Iterator[bytes]:
        """Bytes start..stop-1 in pieces."""
        with self.path.open("rb") as file:
            file.seek(start)
            left = (self.size() if stop is None else stop) - start
            while left > 0:
                piece = file.read(min(CHUNK, left))
                if not piece:
                    raise DataError(f"{self.name}: ends {left} bytes too early; it is not whole")
                left -= len(piece)
                yield piece


class _PassingFault(Exception):
    """A fault that may be gone at the next try; `wait` is what the server asked for, in seconds."""

    def __init__(self, text: str, wait: float | None = None) -> None:
        super().__init__(text)
        self.wait = wait


class HttpSource:
    """A file on a server. `tell` hears of every wait."""

    def __init__(self, url: str, patience: Patience = Patience(), tell: Tell = lambda text: None) -> None:
        import requests

        self.name = url
        self._patience = patience
        self._tell = tell
        self._session = requests.Session()
        self._session.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
        self._size: int | None = None
        self._stamp = ""

    def size(self) -> int:
        """Length in bytes, asked for with a request for the first byte."""
        if self._size is None:
            try:
                for _ in self.stream(0, 1):
                    pass
            except RangesIgnored:  # its answer told the length all the same; who wants a part will hear of it
                pass
        if self._size is None:
            raise DataError(f"{self.name}: the server does not tell the length of the file; {_FROM}")
        return self._size

    def stamp(self) -> str:
        """Entity tag of the last answer."""
        return self._stamp

    def expect(self, size: int, stamp: str) -> None:
        """Let the next answer raise Changed unless length and entity tag are these."""
        self._size, self._stamp = size, stamp

    def stream(self, start: int, stop: int | None) -> Iterator[bytes]:
        """Bytes start..stop-1 in pieces; a broken connection is taken up where it broke.

        Raises RangesIgnored, Changed, or DataError when patience is at its end or there is no hope.
        """
        at, end, failures = start, stop, 0
        while end is None or at < end:
            try:
                with self._answer(at, end) as (response, end):
                    for piece in response.iter_content(CHUNK):
                        piece = piece if end is None else piece[: end - at]
                        at, failures = at + len(piece), 0
                        if piece:
                            yield piece
                if end is None:
                    return
                fault = _PassingFault("the connection closed early")
            except _PassingFault as passing:
                fault = passing
            if at != end:
                failures += 1
                self._wait(failures, fault)

    @contextmanager
    def _answer(self, start: int, stop: int | None) -> "Iterator[tuple[requests.Response, int | None]]":
        """One request, and the end of what its answer brings."""
        import requests

        try:
            reach = f"bytes={start}-{'' if stop is None else stop - 1}"
            with self._session.get(self.name, headers={"Range": reach}, stream=True, timeout=(15, 60)) as response:
                yield response, self._accept(response, start, stop)
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema) as error:
            raise DataError(f"{self.name}: not an address: {error}") from None
        except requests.RequestException as error:
            raise _PassingFault(_words(error)) from None

    def _accept(self, response: "requests.Response", start: int, stop: int | None) -> int | None:
        """Judge the status and the range of an answer; the end of what it brings."""
        status = response.status_code
        if status in _PASSING:
            raise _PassingFault(f"{status} {_PASSING[status]}", _retry_after(response))
        if status == 416:
            raise self._changed()
        if status == 403:
            raise DataError(f"{self.name}: 403 Forbidden: the host refuses; wait a while, or {_FROM}")
        if status in (404, 410):
            raise Missing(f"{self.name}: {status}, not there: the link is dead; {_FROM}")
        if status not in (200, 206):
            raise DataError(f"{self.name}: the server answers {status} {response.reason}; {_FROM}")
        first, last, size = _range(response)
        self._remember(size, response.headers.get("ETag", ""))
        if status == 200 and (start > 0 or stop is not None):
            raise RangesIgnored(f"{self.name}: the server ignores range requests, so nothing can be cut out of the file; {_FROM}")
        if status == 206 and first != start:
            raise DataError(f"{self.name}: asked for byte {start}, the server sends from byte {first}; {_FROM}")
        if stop is not None and size is not None and stop > size:
            raise self._changed()
        return last if stop is None else stop

    def _remember(self, size: int | None, stamp: str) -> None:
        """Keep length and entity tag; refuse when they change between two answers."""
        if (self._size not in (None, size) and size is not None) or (self._stamp and stamp and stamp != self._stamp):
            raise self._changed()
        self._size, self._stamp = size if size is not None else self._size, stamp or self._stamp

    def _changed(self) -> Changed:
        """The error to raise; what was known of the file is forgotten."""
        self._size, self._stamp = None, ""
        return Changed(f"{self.name}: not the file that was begun, it changed on the server")

    def _wait(self, failures: int, fault: _PassingFault) -> None:
        """Sleep before the next try, or give up."""
        if failures >= self._patience.tries:
            raise DataError(f"{self.name}: {fault} ({failures} times in a row); what came is kept, run again later to continue")
        wait = min(self._patience.first * 2 ** (failures - 1), self._patience.longest) if fault.wait is None else fault.wait
        if wait > _LONGEST_REQUEST:
            raise DataError(f"{self.name}: {fault}: the host asks to wait {wait:.0f} s; what came is kept, run again then to continue")
        self._tell(f"{fault}; next try in {wait:g} s")
        time.sleep(wait)


def _range(response: "requests.Response") -> tuple[int, int | None, int | None]:
    """First byte, end and file length of an answer; None for what it does not say."""
    length = response.headers.get("Content-Length", "")
    whole = int(length) if length.isdigit() else None
    if response.status_code == 200:
        return 0, whole, whole
    text, _, size = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    first, _, last = text.partition("-")
    if not (first.isdigit() and last.isdigit()):
        raise DataError(f"{response.url}: the server sends a part without a usable Content-Range; {_FROM}")
    return int(first), int(last) + 1, int(size) if size.isdigit() else None


def _retry_after(response: "requests.Response") -> float | None:
    """Seconds the server asks to wait: a number or a date."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _words(error: Exception) -> str:
    """A network error in few words."""
    import requests

    if isinstance(error, requests.exceptions.Timeout):
        return "the server does not answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate is not accepted"
    text = str(error)
    if "Name or service" in text or "name resolution" in text or "getaddrinfo" in text:
        return "no such host, or no network"
    if "refused" in text:
        return "the server is not there (connection refused)"
    return "the connection closed early" if "IncompleteRead" in text or "broken" in text else f"the connection failed ({type(error).__name__})"

"""A host of archives on 127.0.0.1 that serves ranges, counts what it sends and misbehaves as told; and archives of the shape of EuRoC's."""

import io
import re
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from conftest import write_recording

SEQUENCES = ("S_01_easy", "S_02_medium", "S_03_difficult")


@dataclass
class Fault:
    """What the next answer does instead: a status, a cut after n bytes, the whole file whatever was asked, or a stop after n bytes until freed."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    whole: bool = False
    hold: int | None = None


class Host:
    """The state of the server: files by path, what it sent, what it shall do to the coming requests."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.sent = 0
        self.requests: list[tuple[str, str, str]] = []  # path, Range, User-Agent
        self.moved: dict[str, str] = {}
        self.faults: list[Fault] = []  # taken one by one by requests for more than a byte
        self.always: Fault | None = None
        self.etag = '"one"'
        self.held, self.free = threading.Event(), threading.Event()
        self.url = ""

    def fault(self, size: int) -> Fault:
        """The fault for an answer of this size."""
        if self.always is not None:
            return self.always
        return self.faults.pop(0) if self.faults and size > 1000 else Fault()


@contextmanager
def serving() -> Iterator[Host]:
    """A host while the block runs."""
    host = Host()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"host": host}))
    host.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield host
    finally:
        host.free.set()
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up between two requests is part of the tests: its reset must not stand on the stderr of another one."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    host: Host
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        self.host.requests.append((self.path, asked, self.headers.get("User-Agent", "")))
        data = self.host.files.get(self.path)
        if "tinyvio" not in self.headers.get("User-Agent", ""):
            return self._answer(403, b"no", {})
        if self.path in self.host.moved:
            return self._answer(302, b"", {"Location": self.host.moved[self.path]})
        if data is None:
            return self._answer(404, b"no", {})
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", asked)
        first = int(match[1]) if match else 0
        last = min(int(match[2]) if match and match[2] else len(data) - 1, len(data) - 1)
        if first >= len(data):
            return self._answer(416, b"", {})
        fault = self.host.fault(last - first + 1)
        if fault.status:
            return self._answer(fault.status, b"no", fault.headers)
        if fault.whole or not match:
            return self._answer(200, data, {"ETag": self.host.etag}, fault)
        place = {"Content-Range": f"bytes {first}-{last}/{len(data)}", "ETag": self.host.etag}
        return self._answer(206, data[first : last + 1], place, fault)

    def _answer(self, status: int, body: bytes, headers: dict[str, str], fault: Fault = Fault()) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        stop = fault.cut if fault.cut is not None else fault.hold
        self._send(body if stop is None else body[:stop])
        if fault.hold is not None:
            self.host.held.set()
            self.host.free.wait(60)
        if stop is not None:
            self.close_connection = True

    def _send(self, body: bytes) -> None:
        try:
            for at in range(0, len(body), 1 << 15):
                self.wfile.write(body[at : at + (1 << 15)])
                self.host.sent += len(body[at : at + (1 << 15)])
        except OSError:
            self.close_connection = True


def zipped(folder: Path) -> bytes:
    """A zip of a folder, with the leftovers that archives made on a Mac have."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(folder.rglob("*")):
            packed.write(path, path.relative_to(folder))
        packed.writestr("__MACOSX/._mav0", b"junk")
    return buffer.getvalue()


def recordings(folder: Path) -> dict[str, bytes]:
    """Three zips of recordings that differ, by name."""
    packed = {}
    for number, name in enumerate(SEQUENCES):
        recording = write_recording(folder / name, 6)
        noise = np.random.default_rng(number).integers(0, 256, 700_000, np.uint8).tobytes()
        (recording / "mav0" / "noise.bin").write_bytes(noise)
        packed[name] = zipped(recording)
    return packed


def nested(packed: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """`hall.zip`: hall/NAME/NAME.zip and a big NAME.bag each, as the room archives of EuRoC."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as outer:
        for name, data in packed.items():
            outer.writestr(f"hall/{name}/{name}.bag", np.random.default_rng(9).integers(0, 256, 1_000_000, np.uint8).tobytes())
            outer.writestr(f"hall/{name}/{name}.zip", data)
    return buffer.getvalue()


def catalog(url: str, extra: str = "") -> str:
    """A catalog file of the three sequences; `extra` is added to the second one."""
    tables = "".join(f'[sequences.{n}]\narchive = "hall"\nmember = "hall/{n}/{n}.zip"\n{extra if n == SEQUENCES[1] else ""}\n' for n in SEQUENCES)
    return f'title = "Lab"\nlicence = "for tests"\nbase = "{url}/"\n[archives.hall]\nfile = "hall.zip"\n{tables}'

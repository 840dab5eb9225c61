"""The web viewer's page: rerun's own files, served under a policy that lets the page talk to this machine alone."""

import contextlib
import http.server
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import NamedTuple

from vio.errors import TinyvioError

_FILES = ("index.html", "re_viewer.js", "re_viewer_bg.wasm", "favicon.svg", "favicon.ico", "sw.js")
_NEEDED = _FILES[:3]
_KEPT = ("Content-Type", "rerun-final-length")


class Asset(NamedTuple):
    """A file of the page and the headers that belong to it."""

    body: bytes
    headers: dict[str, str]


def fetch_assets(port: int) -> dict[str, Asset]:
    """The page's files from rerun's own server on this machine. Raises TinyvioError if it does not have them."""
    found: dict[str, Asset] = {}
    for name in _FILES:
        with contextlib.suppress(urllib.error.HTTPError):  # which of the small files there are depends on the version
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{name}", timeout=20) as answer:
                found[name] = Asset(answer.read(), {key: answer.headers[key] for key in _KEPT if key in answer.headers})
    missing = [name for name in _NEEDED if name not in found]
    if missing:
        raise TinyvioError(f"--serve: this rerun has no {missing[0]} to serve; install another version: pip install -U rerun-sdk")
    return found


def policy(hostname: str, data_port: int) -> str:
    """The content security policy of the page: it may fetch its own files and the recording, and reach nothing else."""
    allowed = f"'self' http://{hostname}:{data_port} blob: data:"
    return f"default-src 'self' 'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval' blob: data:; connect-src {allowed}"


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that closes its connection is nobody's concern."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Page:
    """An HTTP server of the viewer on host:port; what it shows comes from the recording's server on the same host, data_port."""

    def __init__(self, host: str, port: int, data_port: int, assets: Mapping[str, Asset], confined: bool) -> None:
        """Start serving. confined: keep the page from reaching anything but this server and the recording. Raises OSError."""
        self._server = _Server((host, port), _handler(data_port, assets, confined))
        self._thread = threading.Thread(target=self._server.serve_forever, name="viewer page", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(data_port: int, assets: Mapping[str, Asset], confined: bool) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hostname = urllib.parse.urlsplit(f"//{self.headers.get('Host', '127.0.0.1')}").hostname or "127.0.0.1"
            hostname = f"[{hostname}]" if ":" in hostname else hostname
            path, _, query = self.path.partition("?")
            if path == "/" and "url=" not in query:
                source = urllib.parse.quote(f"rerun+http://{hostname}:{data_port}/proxy", safe="")
                self._answer(302, b"", {"Location": "/?" + "&".join(filter(None, [query, f"url={source}"]))})
            elif asset := assets.get(path.lstrip("/") or "index.html"):
                extra = {"Content-Security-Policy": policy(hostname, data_port)} if confined else {}
                self._answer(200, asset.body, asset.headers | extra)
            else:
                self._answer(404, b"", {})

        def _answer(self, code: int, body: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(code)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # a reload in the middle of 40 MB
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Requests are nobody's concern."""

    return Handler

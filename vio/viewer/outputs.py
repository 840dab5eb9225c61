"""Where a recording goes: a file, the viewer's window, a web page. Nothing is sent anywhere else."""

import ipaddress
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from vio.errors import ConfigError, TinyvioError
from vio.viewer.web import Page, fetch_assets

if TYPE_CHECKING:
    import rerun as rr

OLDEST = (0, 41)  # of rerun-sdk; its interface changes with every release
_PATIENCE = 20.0  # s for a viewer to come up
_TIED = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, which an exec keeps (prctl(2))
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""
_TELEMETRY = "FORCE_RERUN_ANALYTICS"  # rerun's own switch: who sets it wants the telemetry


@dataclass(frozen=True)
class Wanted:
    """What the user asked for. port: of the web page, the recording itself is on the one above; None for no page."""

    window: bool = False
    file: Path | None = None
    port: int | None = None
    host: str = "127.0.0.1"

    def __bool__(self) -> bool:
        return self.window or self.file is not None or self.port is not None


def require(wanted: Wanted, say: Callable[[str], None]) -> None:
    """Check, before any work, that everything wanted can be had. Raises ConfigError; warns of a page that others can reach."""
    _require_rerun()
    if wanted.window and wanted.port is not None:
        raise ConfigError("--view and --serve: one viewer at a time; leave one of them out")
    if wanted.window and not _has_display():
        raise ConfigError("--view: there is no display here; record with --save-rrd FILE, or look from a browser with --serve")
    if wanted.file is not None:
        _require_writable(wanted.file)
    if wanted.port is not None:
        if not 1 <= wanted.port <= 65534:
            raise ConfigError(f"--serve {wanted.port}: a port is a number from 1 to 65534, and the one above it must be free too")
        for port in (wanted.port, wanted.port + 1):
            _require_free(wanted.host, port)
        if not _is_loopback(wanted.host):
            say(f"warning: --host {wanted.host}: everyone who reaches this machine can look; without --host only this machine can")


def _require_rerun() -> None:
    """Raises ConfigError where rerun is missing or too old."""
    remedy = "pip install -U 'tinyvio[view]'"
    if find_spec("rerun") is None:
        raise ConfigError(f"the viewer needs rerun, which is not installed: {remedy}")
    try:
        found = metadata.version("rerun-sdk")
    except metadata.PackageNotFoundError:
        raise ConfigError(f"the viewer needs rerun-sdk; another package named rerun is in its place: {remedy}") from None
    if tuple(int(part) for part in found.split(".")[:2]) < OLDEST:
        raise ConfigError(f"the viewer needs rerun-sdk {'.'.join(map(str, OLDEST))} or newer, and {found} is installed: {remedy}")


def _has_display() -> bool:
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _require_writable(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        existed = path.exists()
        with path.open("ab"):
            pass
        if not existed:
            path.unlink()
    except OSError as error:
        raise ConfigError(f"--save-rrd {path}: cannot be written ({error.strerror})") from None


def _require_free(host: str, port: int) -> None:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror as error:
        raise ConfigError(f"--host {host}: not an address of this machine ({error.strerror})") from None
    except OSError as error:
        raise ConfigError(f"--serve: port {port} on {host} cannot be had ({error.strerror}); name another: --serve {port + 10}") from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _environment() -> dict[str, str]:
    """Of rerun's programs: with CI set they send no telemetry and leave no trace of it on the disk, unless the user forces it."""
    quiet = {} if _TELEMETRY in os.environ else {"CI": "1"}
    return {**os.environ, "RUST_LOG": "error", "RERUN_APP_ONLY": "true", **quiet}


def start_program(*arguments: str | Path, tied: bool = False) -> subprocess.Popen:
    """Run rerun's program, out of reach of the terminal's Ctrl-C. tied: where the system can (Linux), it ends with us, however we end."""
    import rerun_cli

    program = Path(rerun_cli.__file__).parent / ("rerun.exe" if sys.platform == "win32" else "rerun")
    bundled = program.parent / "Rerun.app" / "Contents" / "MacOS" / "Rerun"
    command = [str(bundled if bundled.exists() else program), *map(str, arguments)]
    if tied and sys.platform == "linux":
        command = [sys.executable, "-ISc", _TIED, str(os.getpid()), *command]
    return subprocess.Popen(command, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def _await_port(host: str, port: int, process: subprocess.Popen, what: str) -> None:
    """Until something answers there. Raises TinyvioError if the program ends or does not come up."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection((host, port), 1.0).close()
            return
        except OSError:
            time.sleep(0.05)
    stopped = f"stopped with code {process.returncode}" if process.returncode is not None else f"did not answer within {_PATIENCE:.0f} s"
    process.kill()
    raise TinyvioError(f"{what}: rerun's viewer {stopped}; record with --save-rrd FILE instead")


@dataclass
class Output:
    """An open recording, None for one that is a file already. url: where its page is, or empty. `say` hears, once, that the window has been closed."""

    recording: "rr.RecordingStream | None"
    url: str
    wanted: Wanted
    say: Callable[[str], None]
    viewer: subprocess.Popen | None = None
    page: Page | None = None
    _gone: bool = field(default=False, init=False)

    def is_watched(self) -> bool:
        """Whether anything is still there to take the data."""
        if not self._gone and self.viewer is not None and self.viewer.poll() is not None:
            self._gone = True
            self.say("warning: the viewer was closed; the run goes on" + (f", and so does {self.wanted.file}" if self.wanted.file else ""))
        return not self._gone or self.wanted.file is not None

    def flush(self) -> None:
        """Wait until everything is where it should be; a viewer that is gone is no reason to stop."""
        if self.recording is None:
            return
        try:
            self.recording.flush(timeout_sec=60.0)
        except (RuntimeError, ValueError):
            self.is_watched()

    def close(self) -> None:
        """Finish the file and stop the page; a window stays open with all it was sent."""
        self.flush()
        if self.recording is not None:
            self.recording.disconnect()
        if self.page is not None:
            self.page.close()
            self.viewer.terminate()
            self.viewer.wait()


def open_output(wanted: Wanted, name: str, say: Callable[[str], None]) -> Output:
    """Open everything wanted, with a recording called `name`. Raises TinyvioError if a viewer does not come up."""
    os.environ.setdefault("RUST_LOG", "off")  # rerun would report a closed window by itself, at length
    import rerun as rr

    recording = rr.RecordingStream("tinyvio", recording_id=str(uuid.uuid4()))
    output = Output(recording, "", wanted, say)
    sinks: list[object] = []
    if wanted.port is not None:
        _serve(output)
        sinks.append(rr.GrpcSink(_proxy(wanted.host, wanted.port + 1)))
    elif wanted.window:
        port = _free_port()
        output.viewer = start_program("--bind", "127.0.0.1", "--port", str(port), "--expect-data-soon", "--hide-welcome-screen")
        _await_port("127.0.0.1", port, output.viewer, "--view")
        sinks.append(rr.GrpcSink(_proxy("127.0.0.1", port)))
    if wanted.file is not None:
        sinks.append(rr.FileSink(wanted.file))
    recording.set_sinks(*sinks)
    recording.send_recording_name(name)
    return output


def _proxy(host: str, port: int) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
    return f"rerun+http://{host}:{port}/proxy"


def show_file(wanted: Wanted, path: Path, say: Callable[[str], None]) -> Output:
    """Open a recording that exists, in a window or on a page. Raises TinyvioError if the viewer does not come up."""
    output = Output(None, "", wanted, say)
    if wanted.port is not None:
        _serve(output, path)
    else:
        start_program(path)
    return output


def _serve(output: Output, *files: Path) -> None:
    """The recording's server on the port above the page's, and the page, with files taken from a short-lived server of rerun's."""
    wanted = output.wanted
    data, page = _free_port(), _free_port()
    lender = start_program("--serve-web", "--bind", "127.0.0.1", "--port", str(data), "--web-viewer-port", str(page), tied=True)
    try:
        _await_port("127.0.0.1", page, lender, "--serve")
        assets = fetch_assets(page)
    finally:
        lender.kill()
        lender.wait()
    origin = f"http://*:{wanted.port}"
    server = start_program("--serve-grpc", "--bind", wanted.host, "--port", str(wanted.port + 1), "--cors-allow-origin", origin, *files, tied=True)
    try:
        _await_port(wanted.host, wanted.port + 1, server, "--serve")
        output.page = Page(wanted.host, wanted.port, wanted.port + 1, assets, _TELEMETRY not in os.environ)
    except BaseException:
        server.kill()
        raise
    output.viewer = server
    output.url = f"http://{'localhost' if wanted.host in ('0.0.0.0', '::') else wanted.host}:{wanted.port}"

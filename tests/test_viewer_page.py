"""The web viewer: its page reaches nobody but us, and a browser draws it."""

import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from screenshot import CHROMIUM, new_page

from vio.config import Config
from vio.io.sequence import open_sequence

pytest.importorskip("rerun", reason="the viewer needs rerun-sdk")
from vio.viewer import outputs, web  # noqa: E402

WIDTH, HEIGHT = 800, 500
_ASSETS = {name: web.Asset(name.encode(), {"Content-Type": "text/plain", "rerun-final-length": "7"}) for name in ("index.html", "re_viewer.js")}


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: object) -> None:
        """Redirections are what is looked at."""


@pytest.mark.parametrize("confined", [True, False])
def test_the_page_is_confined_to_itself_and_the_recording(confined: bool) -> None:
    """Oracle: the headers that a browser obeys (CSP level 3): nothing but this server and the port of the data may be reached."""
    port = outputs._free_port()
    page = web.Page("127.0.0.1", port, 4321, _ASSETS, confined)
    opener = urllib.request.build_opener(_Stay)
    try:
        with pytest.raises(urllib.error.HTTPError) as moved:
            opener.open(f"http://localhost:{port}/?renderer=webgl")
        assert moved.value.headers["Location"] == "/?renderer=webgl&url=rerun%2Bhttp%3A%2F%2Flocalhost%3A4321%2Fproxy"
        with opener.open(f"http://127.0.0.1:{port}/?url=x") as answer:
            assert answer.read() == b"index.html" and answer.headers["rerun-final-length"] == "7"
            policy = answer.headers["Content-Security-Policy"]
        assert (policy is not None) == confined
        if confined:
            parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
            assert parts["connect-src"] == "'self' http://127.0.0.1:4321 blob: data:" and "http" not in parts["default-src"]
        with pytest.raises(urllib.error.HTTPError) as absent:
            opener.open(f"http://127.0.0.1:{port}/../vio/cli.py")
        assert absent.value.code == 404
    finally:
        page.close()


def test_the_recording_is_served_on_this_machine_alone() -> None:
    """Oracle: connections to the loopback address and to another one of this machine."""
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {"127.0.0.1"}
    output = outputs.open_output(outputs.Wanted(port=(port := outputs._free_port())), "nothing", pytest.fail)
    try:
        for at in (port, port + 1):
            socket.create_connection(("127.0.0.1", at), 2).close()
            for other in others:
                with pytest.raises(OSError):
                    socket.create_connection((other, at), 2).close()
    finally:
        output.close()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port + 1), 2).close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_killed_run_leaves_no_server_behind() -> None:
    """Oracle: the ports of a process that served and was killed with a signal that cannot be caught; they can be had again."""
    port = outputs._free_port()
    serving = f"""
from vio.viewer import outputs
outputs.open_output(outputs.Wanted(port={port}), "nothing", print)
print("serving", flush=True)
input()
"""
    program = subprocess.Popen([sys.executable, "-c", serving], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None and program.stdout.readline() == "serving\n"
    program.kill()
    program.communicate()
    pause = threading.Event()
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port + 1)) != 0:
                return
        pause.wait(0.1)
    pytest.fail("the server of the data still answers")


def test_a_recording_on_disk_is_served_as_it_is(tmp_path: Path) -> None:
    """Oracle: the page that a live run has, and the server of the data, which answers as long as the output is open."""
    import rerun as rr

    recording = rr.RecordingStream("tinyvio", recording_id="drawn")
    recording.save(tmp_path / "x.rrd")
    recording.log("legend", rr.TextDocument("nothing"), static=True)
    recording.disconnect()
    output = outputs.show_file(outputs.Wanted(port=(port := outputs._free_port())), tmp_path / "x.rrd", pytest.fail)
    try:
        assert output.is_watched() and output.url == f"http://127.0.0.1:{port}"
        with urllib.request.urlopen(f"{output.url}/re_viewer_bg.wasm") as answer:
            assert answer.read(4) == b"\0asm"
        socket.create_connection(("127.0.0.1", port + 1), 2).close()
    finally:
        output.close()
    assert output.viewer is not None and output.viewer.poll() is not None


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; Debian and Ubuntu: apt install chromium")
def test_a_browser_draws_a_run_and_reaches_nobody_else(tmp_path: Path) -> None:
    """Oracle: a browser. The picture has the colours of tracks, landmarks and curves, and every request that succeeds stays here.

    And the run's own poses are those of a run that nobody looks at.
    """
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
    cv2 = pytest.importorskip("cv2")
    from vio import runner
    from vio.viewer.live import Watcher

    sequence, reached = open_sequence("room-small"), []
    output = outputs.open_output(outputs.Wanted(port=outputs._free_port()), "room-small", pytest.fail)
    try:
        watcher = Watcher(output, sequence, Config(), pytest.fail)
        options = runner.RunOptions(max_frames=30)
        watched = runner.run(sequence, Config(), options, observe=watcher.observe)
        watcher.close()
        alone = runner.run(sequence, Config(), options)
        assert all(np.array_equal(*pair) for pair in zip(vars(watched.trajectory).values(), vars(alone.trajectory).values()))
        with sync_api.sync_playwright() as driver:
            view = new_page(driver, WIDTH, HEIGHT)
            view.on("requestfinished", lambda request: reached.append(request.url))
            view.goto(f"{output.url}/?renderer=webgl")
            picture = _drawn(view, cv2, tmp_path / "viewer.png")
            view.context.browser.close()
    finally:
        output.close()
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert all(url.startswith((output.url, "blob:", "data:", f"http://127.0.0.1:{output.wanted.port + 1}")) for url in reached), reached


def _colourful(picture: np.ndarray) -> int:
    """Pixels with a clear colour."""
    return int((picture.max(axis=2).astype(int) - picture.min(axis=2) > 60).sum())


def _drawn(view: "object", cv2: "object", path: Path) -> np.ndarray:
    """The page as soon as space (left) and figures (right) have colours and the pictures (below) their greys; fails after a minute."""
    pause = threading.Event()
    for _ in range(60):
        view.screenshot(path=str(path))
        picture = cv2.imread(str(path))
        height, width = picture.shape[:2]
        upper, left = picture[40 : height // 2], width // 2
        space, figures, pictures = upper[:, :left], upper[:, left + 20 :], picture[-height // 3 : -40, :left]
        if _colourful(space) > 100 and _colourful(figures) > 100 and pictures.std() > 25:
            return picture
        pause.wait(1.0)
    pytest.fail(f"not drawn: {_colourful(space)} and {_colourful(figures)} coloured pixels, deviation {pictures.std():.0f}")

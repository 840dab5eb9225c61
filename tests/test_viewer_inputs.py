"""What a user of the viewer can get wrong: one line each, before any work; and a viewer that goes away in the middle."""

import os
import socket
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path

import pytest
from recordings import rows
from typer.testing import CliRunner, Result

from conftest import write_recording
from vio.cli import app

pytest.importorskip("rerun", reason="the viewer needs rerun-sdk")
from vio.viewer import outputs  # noqa: E402


def _tinyvio(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def _refused(result: Result, code: int = 2) -> str:
    """The error, after checking that it is one line and no traceback."""
    text = result.stderr.strip()
    assert result.exit_code == code and "\n" not in text and text.startswith("tinyvio: "), result.output
    return text


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        yield busy.getsockname()[1]


def test_without_a_display_a_window_is_refused_with_what_there_is_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the issue's own words."""
    monkeypatch.setattr(outputs.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    text = _refused(_tinyvio("run", "room-small", "--view"))
    assert "no display" in text and "--save-rrd" in text and "--serve" in text


def test_a_missing_or_old_viewer_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Oracle: the versions that pip would report."""
    recorded = ("run", "room-small", "--save-rrd", tmp_path / "x.rrd")
    monkeypatch.setattr(outputs.metadata, "version", lambda name: "0.9.1")
    assert "0.41 or newer, and 0.9.1 is installed" in _refused(_tinyvio(*recorded))

    def unknown(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(outputs.metadata, "version", unknown)
    assert "another package named rerun" in _refused(_tinyvio(*recorded))
    monkeypatch.setattr(outputs, "find_spec", lambda name: None if name == "rerun" else util.find_spec(name))
    assert "not installed: pip install -U 'tinyvio[view]'" in _refused(_tinyvio(*recorded))


def test_a_port_in_use_is_named(taken: int) -> None:
    """Oracle: a socket that listens there; the port above the page's is needed too."""
    for port in (taken, taken - 1):
        text = _refused(_tinyvio("run", "room-small", "--serve", port))
        assert f"port {taken}" in text and "in use" in text and f"--serve {taken + 10}" in text
    assert "one viewer at a time" in _refused(_tinyvio("run", "room-small", "--view", "--serve"))
    assert "1 to 65534" in _refused(_tinyvio("run", "room-small", "--serve", 65535))


def test_an_address_that_is_not_ours_is_refused_and_an_open_one_is_warned_of() -> None:
    """Oracle: TEST-NET-1 belongs to nobody (RFC 5737); 0.0.0.0 is every address."""
    assert "192.0.2.1" in _refused(_tinyvio("run", "room-small", "--serve", "--host", "192.0.2.1"))
    heard: list[str] = []
    outputs.require(outputs.Wanted(port=outputs._free_port(), host="0.0.0.0"), heard.append)
    outputs.require(outputs.Wanted(port=outputs._free_port()), lambda text: pytest.fail(text))
    assert len(heard) == 1 and heard[0].startswith("warning: --host 0.0.0.0")


def test_a_file_that_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    """Oracle: a folder in its place, a file where its folder should be; and no empty file is left by a check that passes."""
    (tmp_path / "file").write_text("")
    assert "cannot be written" in _refused(_tinyvio("run", "room-small", "--save-rrd", tmp_path))
    assert "cannot be written" in _refused(_tinyvio("run", "room-small", "--save-rrd", tmp_path / "file" / "x.rrd"))
    outputs.require(outputs.Wanted(file=tmp_path / "new" / "x.rrd"), pytest.fail)
    assert not (tmp_path / "new" / "x.rrd").exists()


@pytest.mark.parametrize("bare", [["--serve"], ["--serve", "--quiet"]])
def test_a_bare_serve_takes_the_usual_port(bare: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the port that --help names, in the line about the port above it."""
    asked: list[int] = []

    def refuse(host: str, port: int) -> None:
        asked.append(port)
        raise outputs.ConfigError("enough")

    monkeypatch.setattr(outputs, "_require_free", refuse)
    _refused(_tinyvio("run", "room-small", *bare))
    assert asked == [9090]


def test_a_folder_that_is_no_finished_run_is_refused(tmp_path: Path) -> None:
    """Oracle: an empty folder, one without its map, a damaged map."""
    out, shown = tmp_path / "out", ("--save-rrd", tmp_path / "x.rrd", "--quiet")
    assert "no run folder" in _refused(_tinyvio("view", tmp_path, *shown), 3)
    assert "no such recording" in _refused(_tinyvio("view", tmp_path / "none.rrd"))
    assert "for run folders" in _refused(_tinyvio("view", tmp_path / "none.rrd", *shown))
    assert _tinyvio("run", write_recording(tmp_path / "wall"), "--out", out, "--quiet").exit_code == 0
    whole = (out / "map.npz").read_bytes()
    (out / "map.npz").write_bytes(whole[:50])
    assert "map.npz: damaged" in _refused(_tinyvio("view", out, *shown), 3)
    (out / "map.npz").unlink()
    assert "map.npz is missing" in _refused(_tinyvio("view", out, *shown), 3)
    assert "map.npz is missing" in _refused(_tinyvio("view", out, *shown, "--compare", out), 3)


def test_a_finished_run_whose_recording_is_gone_is_shown_without_pictures(tmp_path: Path) -> None:
    """Oracle: the recording renamed; everything else is still drawn."""
    wall = write_recording(tmp_path / "wall")
    assert _tinyvio("run", wall, "--out", tmp_path / "out", "--quiet").exit_code == 0
    wall.rename(tmp_path / "moved")
    result = _tinyvio("view", tmp_path / "out", "--save-rrd", tmp_path / "x.rrd", "--quiet")
    assert result.exit_code == 0 and "shown without pictures" in result.stderr
    found = rows(tmp_path / "x.rrd")
    assert found["/world/body/left/tracks"] == 12 and "/world/body/left/image" not in found


def test_a_viewer_that_is_closed_in_the_middle_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the frames of the run and of the file, complete, though the viewer's process is killed while it runs; said once."""
    from vio.viewer.live import Watcher

    monkeypatch.setattr(outputs, "_has_display", lambda: True)
    started: list = []

    def serve_instead(*arguments: object) -> object:  # rerun's own server, which needs no display, in place of its window
        started.append(start("--serve-grpc", *[a for a in arguments if a not in ("--expect-data-soon", "--hide-welcome-screen")]))
        return started[-1]

    def take_and_close(self: Watcher, seen: object) -> None:
        take(self, seen)
        if self._index == 6:
            started[0].kill()
            started[0].wait()

    start, take = outputs.start_program, Watcher._take
    monkeypatch.setattr(outputs, "start_program", serve_instead)
    monkeypatch.setattr(Watcher, "_take", take_and_close)
    monkeypatch.setattr("vio.viewer.live._EVERY", 0.0)
    result = _tinyvio("run", write_recording(tmp_path / "wall"), "--out", tmp_path / "out", "--view", "--save-rrd", tmp_path / "x.rrd", "--quiet")
    assert result.exit_code == 0, result.output
    file = tmp_path / "x.rrd"
    assert result.stderr.splitlines() == [f"warning: the viewer was closed; the run goes on, and so does {file}", f"recorded in {file}"]
    assert rows(tmp_path / "x.rrd")["/world/body/left/image"] == 12
    assert len((tmp_path / "out" / "health.csv").read_text().splitlines()) == 13


def test_a_failure_in_the_drawing_is_one_line_and_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the run's own files, though drawing a frame raises."""
    from vio.viewer.scene import Scene

    draw = Scene.draw
    monkeypatch.setattr(Scene, "draw", lambda self, moments: draw(self, moments) if moments[-1].index < 2 else 1 // 0)
    result = _tinyvio("run", write_recording(tmp_path / "wall"), "--out", tmp_path / "out", "--save-rrd", tmp_path / "x.rrd", "--quiet")
    assert result.exit_code == 0 and (tmp_path / "out" / "metrics.json").exists()
    assert result.stderr.splitlines()[0] == "warning: the viewer failed (ZeroDivisionError: integer division or modulo by zero); the run goes on"


def test_rerun_s_programs_are_told_to_send_nothing_unless_the_user_wants_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Oracle: what such a program leaves in the user's folders: with telemetry, an identity and a file of events; here, nothing."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "CI", outputs._TELEMETRY):
        monkeypatch.delenv(name, raising=False)
    port = outputs._free_port()
    program = outputs.start_program("--serve-web", "--bind", "127.0.0.1", "--port", str(port), "--web-viewer-port", str(outputs._free_port()))
    try:
        outputs._await_port("127.0.0.1", port, program, "--serve")
    finally:
        program.terminate()
        program.wait()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    monkeypatch.setenv(outputs._TELEMETRY, "1")
    assert "CI" not in outputs._environment() and os.environ[outputs._TELEMETRY] == "1"

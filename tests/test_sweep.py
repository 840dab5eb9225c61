"""Sweeps on clusters: interrupted, killed, finished; on this machine and on somebody's scheduler; workers that die."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas
import pytest
from distributed import Client
from typer.testing import CliRunner

from vio import config, runner
from vio import sweep as clusters
from vio.cli import app
from vio.config import Config
from vio.io.sequence import open_sequence
from vio.sweeps.fields import changed
from vio.sweeps.outcome import Outcome, Store
from vio.sweeps.points import Stretch, point

ROOT = Path(__file__).resolve().parents[1]
PLAN = """
sequences = ["room-small"]
optional = ["no-such-flight"]
max_frames = 20
[grid]
frontend.max_features = [40, 50, 60, 70]
backend.window = [6, 8]
"""
VALUES = [(n, w) for n in (40, 50, 60, 70) for w in (6, 8)]


def _sweep(plan: Path, out: Path, *more: str) -> list[str]:
    return ["sweep", str(plan), "--out", str(out), *more]


def _started(arguments: list[str]) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-m", "vio.cli", *arguments], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _points(out: Path) -> dict[str, int]:
    """Files of finished points, and when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in (out / "points").glob("*.json")}


def _until(holds: Callable[[], object], process: subprocess.Popen, seconds: float = 120.0) -> None:
    """Wait for something that a process does."""
    end = time.monotonic() + seconds
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep file of eight short points, and one sequence that is not there."""
    path = tmp_path_factory.mktemp("plan") / "small.toml"
    path.write_text(PLAN)
    open_sequence("room-small")  # rendered before anything is timed or killed
    return path


@pytest.fixture(scope="module")
def out(plan: Path) -> Path:
    """Where the sweep of this module goes, again and again."""
    return plan.parent / "out"


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT and SIGKILL are POSIX")
def test_ctrl_c_keeps_what_is_finished_and_shows_it(plan: Path, out: Path) -> None:
    """Oracle: exit code 130, the files of the points, and a table that holds them."""
    process = _started(_sweep(plan, out, "--workers", "1"))
    _until(lambda: _points(out), process)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr and f"interrupted after {len(_points(out))} points" in stderr
    frame = pandas.read_parquet(out / "results.parquet")
    assert (frame["status"] == "ok").sum() == len(_points(out)) and len(frame) == 2 * len(VALUES)
    assert set(frame["status"]) <= {"ok", "not_run", "skipped"} and "not_run" in stdout


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT and SIGKILL are POSIX")
def test_a_sweep_killed_outright_repeats_no_finished_point(plan: Path, out: Path) -> None:
    """Oracle: the files of points finished before are the same files after; the missing ones are there now."""
    before = _points(out)
    process = _started(_sweep(plan, out, "--workers", "1"))
    _until(lambda: len(_points(out)) > len(before), process)
    process.kill()
    process.communicate()
    killed = _points(out)
    result = CliRunner().invoke(app, _sweep(plan, out, "--workers", "2"))
    assert result.exit_code == 0, result.output
    after = _points(out)
    assert len(after) == len(VALUES) and killed.items() <= after.items() and before.items() <= killed.items()
    frame = pandas.read_parquet(out / "results.parquet")
    assert frame["status"].tolist() == ["ok"] * len(VALUES) + ["skipped"] * len(VALUES)
    assert list(zip(frame["frontend.max_features"], frame["backend.window"])) == VALUES + VALUES
    for word in ("ATE room-small [m]", "skipped", "results.parquet"):
        assert word in result.stdout


def test_a_sweep_gives_what_a_run_gives(out: Path) -> None:
    """Oracle: `runner.run` in this process, to the last bit."""
    from vio.evaluation import accuracy

    sequence = open_sequence("room-small")
    same = changed(Config(), {"frontend.max_features": 50, "backend.window": 8}, "test")
    errors = accuracy(runner.run(sequence, same, runner.RunOptions(0.0, 20)).trajectory, sequence.ground_truth)
    frame = pandas.read_parquet(out / "results.parquet")
    row = frame[(frame["frontend.max_features"] == 50) & (frame["backend.window"] == 8) & (frame["status"] == "ok")]
    assert row["ate_rmse_m"].item() == errors.ate_rmse_m and row["path_m"].item() == errors.path_m


def test_a_finished_sweep_starts_no_cluster(plan: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: a cluster that cannot be started; the table is the same."""
    before = pandas.read_parquet(out / "results.parquet")
    monkeypatch.setattr(clusters, "local", None)
    assert CliRunner().invoke(app, _sweep(plan, out)).exit_code == 0
    pandas.testing.assert_frame_equal(pandas.read_parquet(out / "results.parquet"), before, check_exact=True)


@contextmanager
def _in_this_process(workers: int) -> Iterator[Client]:
    """A whole dask cluster in threads of this process: quick to start."""
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as client:
        yield client


def test_one_at_a_time_ends_with_a_profile_of_the_smallest_widths(plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the table of the search: the chosen widths are within the loss, the next ones below are not or were refused."""
    path, out = plan.parent / "search.toml", plan.parent / "search"
    path.write_text('sequences = ["room-small"]\nmax_frames = 15\n[one_at_a_time]\nprofile = "default"\nsignals = ["rotation", "weight"]\n')
    monkeypatch.setattr(clusters, "local", _in_this_process)
    result = CliRunner().invoke(app, _sweep(path, out, "--one-at-a-time", "--max-loss", "0.5"))
    assert result.exit_code == 0 and "all together" in result.stdout, result.output
    frame = pandas.read_parquet(out / "results.parquet")
    reference = frame[frame["signal"].isna()]["ate_rmse_m"].item()
    chosen = config.load(out / "smallest.toml").precision
    for name in ("rotation", "weight"):
        rows = frame[frame["signal"] == name].set_index("bits")
        fine = (rows["status"] == "ok") & (rows["ate_rmse_m"] <= 1.5 * reference)
        smallest = min([bits for bits in rows.index if fine[bits]], default=getattr(Config().precision, name).bits)
        assert smallest == 1 or not fine[smallest - 1]
        assert getattr(chosen, name).bits >= smallest  # wider where both together lose too much
    together = frame[frame["signal"] == "all"]  # from the widest down; the first is the last that was tried
    assert together["ate_rmse_m"].iloc[0] <= 1.5 * reference and frame["signal"].iloc[-1] == "all"


def _answers(address: str) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(address.rsplit(":")[-1]))) == 0


@contextmanager
def _dask() -> Iterator[str]:
    """A scheduler and two single-threaded workers as separate programs; yields the address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", address, "--no-dashboard", "--no-show", "--no-jupyter"]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1"]
    programs = [subprocess.Popen(command, **quiet) for command in (dask, worker, worker)]
    try:
        _until(lambda: _answers(address), programs[0])
        with Client(address, timeout=120) as client:
            client.wait_for_workers(2, timeout=120)
        yield address
    finally:
        for program in programs:
            program.kill()
            program.wait()


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT and SIGKILL are POSIX")
def test_a_scheduler_with_two_workers_gives_the_same_table_and_survives_the_death_of_one(plan: Path, out: Path) -> None:
    """Oracle: the table of the local cluster; after the first new outcome one of the two workers is killed, and no point is lost."""
    with _dask() as address:
        other = plan.parent / "other"
        result = CliRunner().invoke(app, _sweep(plan, other, "--scheduler", address))
        assert result.exit_code == 0, result.output
        frames = [pandas.read_parquet(folder / "results.parquet") for folder in (out, other)]
        pandas.testing.assert_frame_equal(*frames, check_exact=True)
        assert len({row.split(",")[4] for row in (other / "timing.csv").read_text().splitlines()[1:]}) == 2  # both took part
        _kill_one_worker(address, other)


def _kill_one_worker(address: str, folder: Path) -> None:
    """Run more points, and kill a worker after the first of them."""
    sequence = open_sequence("room-small")
    place = Stretch("room-small", None, "room-small", 0.0, 10, False, _identity(sequence, 10))
    todo = [point(changed(Config(), {"frontend.max_features": n}, "test"), place) for n in range(80, 88)]
    dead: list[int] = []

    def told(key: str, outcome: Outcome) -> tuple[()]:
        if not dead:
            dead.append(next(iter(client.run(os.getpid).values())))
            os.kill(dead[0], signal.SIGKILL)
        return ()

    with clusters.remote(address) as client:
        outcomes = clusters.evaluate(client, todo, Store(folder / "more"), told)
        assert dead and len(client.scheduler_info()["workers"]) == 1
    assert [outcomes[p.key].status for p in todo] == ["ok"] * len(todo)


def _identity(sequence: object, frames: int) -> str:
    from vio.sweeps.points import identity

    return identity(sequence, 0, frames)


def _refused(*arguments: str) -> str:
    """The one line of a command that must not work."""
    result = CliRunner().invoke(app, list(arguments))
    text = result.stderr.strip().removeprefix("no-such-flight: not there, skipped\n")
    assert result.exit_code in (1, 2, 3) and "\n" not in text and text.startswith("tinyvio: "), result.output
    return text


def test_a_scheduler_that_is_not_there_is_one_line(plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the issue; the line names the address and the remedy."""
    monkeypatch.setattr(clusters, "_PATIENCE", 0.3)
    text = _refused(*_sweep(plan, plan.parent / "nobody", "--scheduler", "tcp://127.0.0.1:9"))
    assert "tcp://127.0.0.1:9" in text and "dask scheduler" in text
    assert "--scheduler" in _refused(*_sweep(plan, plan.parent / "nobody", "--scheduler", "no address"))


def test_a_wrong_file_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    """Oracle: the issue; not even the folder of the results is there."""
    path = tmp_path / "bad.toml"
    path.write_text('sequences = ["room-small"]\n[grid]\nfrontend.max_features = [100, 5]\n')
    text = _refused(*_sweep(path, tmp_path / "out"))
    assert "bad.toml" in text and "frontend.max_features" in text and not (tmp_path / "out").exists()
    assert "no such sweep file" in _refused("sweep", str(tmp_path / "none.toml"))

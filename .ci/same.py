"""Runs of one short flight under different circumstances, and their files compared; exits with 1 and a line where two differ."""

import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

PROGRAM = [sys.executable, "-m", "vio.cli"]
NAME, FRAMES = "room-small", 60
FLIGHT = [NAME, "--max-frames", f"{FRAMES}", "--quiet"]
EXACT = ("tracks.npz", "counts.npz", "trajectory_euroc.csv", "states.npz", "health.csv", "map.npz")
PLAIN = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX"}
SWEEP = f'sequences = ["{NAME}"]\nmax_frames = 40\n[grid]\nfrontend.max_features = [200, 120, 60]\nbackend.window = [8, 6]\n'
SAVED = (3, 22, 41)  # frames before which the state is saved: the window opens, fills, is full


def digests(folder: Path, names: tuple[str, ...] = EXACT) -> dict[str, str]:
    """SHA-256 of files by name."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def run(out: Path, *options: str, **environment: str) -> Path:
    """One flight."""
    subprocess.run([*PROGRAM, "run", *FLIGHT, "--out", str(out), *options], check=True, env=os.environ | environment)
    return out


def watched(out: Path) -> Path:
    """One flight that is recorded and served while it runs, ended by Ctrl-C once it stays for those who look."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--save-rrd", str(out.with_suffix(".rrd")), "--serve", f"{port}"]
    with subprocess.Popen([*PROGRAM, "run", *FLIGHT, "--out", str(out), *options], stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if re.search("stays at .* until Ctrl-C", line):
                process.send_signal(signal.SIGINT)
    if process.returncode or not out.with_suffix(".rrd").stat().st_size:
        sys.exit(f"the run that is watched ended with {process.returncode}")
    return out


def sweep(folder: Path, workers: int) -> str:
    """Digest of the table of a sweep."""
    (folder / "plan.toml").write_text(SWEEP)
    out = folder / f"sweep{workers}"
    subprocess.run([*PROGRAM, "sweep", str(folder / "plan.toml"), "--workers", str(workers), "--out", str(out)], check=True, capture_output=True)
    return hashlib.sha256((out / "results.parquet").read_bytes()).hexdigest()


def flown(first: int, folder: Path, threads: int) -> list[str]:
    """Digests of the outputs from frame `first` on, by an engine that goes on from the state saved before it; the states of `SAVED` are left in folder."""
    from vio.io.npz import read_arrays
    from vio.io.sequence import open_sequence
    from vio.odometry import Odometry

    sequence, lines = open_sequence(NAME), []
    odometry = Odometry(sequence.calibration, threads=threads)
    if first:
        odometry.load_state_dict(read_arrays(folder / f"{first}.npz"))
    for k, (samples, frame) in enumerate(sequence):
        if k == FRAMES:
            break
        if k < first:
            continue
        if not first and k in SAVED:
            np.savez(folder / f"{k}.npz", **odometry.state_dict())
        odometry.add_imu(*samples)
        output = odometry.add_frame(frame.t_ns, frame.left, frame.right)
        what = [output.tracks.ids, output.tracks.uv_raw, output.tracks.status, output.counts]
        what += [] if (state := output.state) is None else [state.T_WB, state.v_WB, state.b_g, state.b_a, state.covariance]
        lines.append(hashlib.sha256(b"".join(map(np.ascontiguousarray, what)) + repr(output.health).encode()).hexdigest())
    return lines


def resumed(folder: Path, first: int) -> list[str]:
    """`flown` in a process of its own, from a saved state, on two threads."""
    return subprocess.run([sys.executable, __file__, str(folder), str(first)], check=True, capture_output=True, text=True).stdout.split()


def main() -> int:
    """Compare; the number of differences, at most 1."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # programs begun in a shell's background ignore it, and so would theirs
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first, whole = digests(run(folder / "first", "--threads", "1")), flown(0, folder, 1)
        same = {f"{threads} threads": digests(run(folder / f"threads{threads}", "--threads", threads)) == first for threads in ("1", "2", "4")}
        same["a run that is watched"] = digests(watched(folder / "watched")) == first
        same |= {f"saved before frame {k} and restored": resumed(folder, k) == whole[k:] for k in SAVED}
        tracks = digests(run(folder / "plain", NUMBA_CACHE_DIR=str(folder / "cache"), **PLAIN), EXACT[:2])
        same["tracks on the plainest processor"] = tracks == {file: first[file] for file in EXACT[:2]}
        same["a sweep of one and of two workers"] = sweep(folder, 1) == sweep(folder, 2)
    wrong = [what for what, holds in same.items() if not holds]
    print(f"different: {', '.join(wrong)}" if wrong else f"the same: {', '.join(same)}")
    return bool(wrong)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print("\n".join(flown(int(sys.argv[2]), Path(sys.argv[1]), 2)))
        sys.exit()
    sys.exit(main())

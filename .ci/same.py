"""Runs of one short flight under different circumstances, and their files compared; exits with 1 and a line where two differ."""

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM = [sys.executable, "-m", "vio.cli"]
FLIGHT = ["room-small", "--max-frames", "60", "--quiet"]
EXACT = ("tracks.npz", "counts.npz", "trajectory_euroc.csv", "states.npz", "health.csv")
PLAIN = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX"}
SWEEP = 'sequences = ["room-small"]\nmax_frames = 40\n[grid]\nfrontend.max_features = [200, 120, 60]\nbackend.window = [8, 6]\n'


def digests(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    """SHA-256 of files by name."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def run(out: Path, *options: str, **environment: str) -> Path:
    """One flight."""
    subprocess.run([*PROGRAM, "run", *FLIGHT, "--out", str(out), *options], check=True, env=os.environ | environment)
    return out


def sweep(folder: Path, workers: int) -> str:
    """Digest of the table of a sweep."""
    (folder / "plan.toml").write_text(SWEEP)
    out = folder / f"sweep{workers}"
    subprocess.run([*PROGRAM, "sweep", str(folder / "plan.toml"), "--workers", str(workers), "--out", str(out)], check=True, capture_output=True)
    return hashlib.sha256((out / "results.parquet").read_bytes()).hexdigest()


def main() -> int:
    """Compare; the number of differences, at most 1."""
    wrong = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = digests(run(folder / "first", "--threads", "1"), EXACT)
        for threads in ("1", "2", "4"):
            if digests(run(folder / f"threads{threads}", "--threads", threads), EXACT) != first:
                wrong.append(f"{threads} threads")
        if digests(run(folder / "plain", NUMBA_CACHE_DIR=str(folder / "cache"), **PLAIN), EXACT[:2]) != {file: first[file] for file in EXACT[:2]}:
            wrong.append("tracks on the plainest processor")
        if sweep(folder, 1) != sweep(folder, 2):
            wrong.append("a sweep of one and of two workers")
    print(f"different: {', '.join(wrong)}" if wrong else "the same: four runs, three numbers of threads, two kinds of processor, one and two workers of a sweep")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())

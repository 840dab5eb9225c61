"""The corner-score datapath in Verilog against the kernel's own rows, word by word."""

import dataclasses
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from vio.config import Config
from vio.frontend import corners

RTL = Path(__file__).resolve().parent / "rtl" / "corner_score.v"


def sums() -> np.ndarray:
    """Structure tensors (n, 3): the corners of the range that a sum of squares can reach, flat ones, edges, and random ones of every size."""
    rng = np.random.default_rng(1)
    size = 2.0 ** rng.uniform(0, 14.99, (3000, 2))
    a, c = size.T.astype(np.int64)
    b = np.rint(rng.uniform(-1, 1, 3000) * np.sqrt(a * c)).astype(np.int64)
    edges = [(0, 0, 0), (32767, 0, 32767), (32767, 32767, 32767), (32767, -32767, 32767), (32767, 0, 0), (0, 0, 32767), (1, 0, 0), (3, 1, 2), (7, -3, 2)]
    return np.concatenate([np.array(edges), np.stack([a, b, c], 1)])


def simulated(tensors: np.ndarray, is_harris: int, folder: Path) -> np.ndarray:
    """Scores from Icarus Verilog."""
    words = [(is_harris << 48) | ((int(a) & 0xFFFF) << 32) | ((int(b) & 0xFFFF) << 16) | (int(c) & 0xFFFF) for a, b, c in tensors]
    (folder / "stimulus.hex").write_text("".join(f"{word:013x}\n" for word in words))
    build = ["iverilog", "-g2005", "-s", "corner_score_bench", f"-Pcorner_score_bench.COUNT={len(words)}", "-o", "bench", str(RTL)]
    subprocess.run(build, cwd=folder, check=True)
    out = subprocess.run(["vvp", "-n", "bench"], cwd=folder, check=True, capture_output=True, text=True).stdout
    return np.array([int(line, 16) for line in out.split()], np.uint32).astype(np.int32)


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed (Debian and Ubuntu: apt install iverilog)")
@pytest.mark.parametrize("kind", ["shi_tomasi", "harris"])
def test_the_verilog_score_is_the_kernels(kind: str, tmp_path: Path) -> None:
    """Oracle: the compiled kernel, whose rows equal their own slow twin in tests/test_corners.py."""
    config = dataclasses.replace(Config(), frontend=dataclasses.replace(Config().frontend, corner=kind))
    fmt, tensors = corners.corner_format(config), sums()
    # the kernel takes unscaled sums: undo its shift
    xx, xy, yy = (np.ascontiguousarray(column << fmt.total.shift).astype(np.int32) for column in tensors.T)
    score = np.empty(len(tensors), np.int32)
    (corners._harris_row if fmt.is_harris else corners._shi_tomasi_row)(xx, xy, yy, fmt, score)
    np.testing.assert_array_equal(simulated(tensors, fmt.is_harris, tmp_path), score)

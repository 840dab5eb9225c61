"""Shared recordings: a small ASL folder that tests break on purpose, and the real EuRoC clip where it is at hand; tests in several processes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# no timed assertion (the first example compiles a kernel), and the same examples on every run
settings.register_profile("tinyvio", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tinyvio")

FIRST_NS = 1403636584763555584  # beyond 2^53: a float64 cannot hold it
PERIOD_NS = 50_000_000
WIDTH, HEIGHT = 320, 240

_CAMERA = """%YAML:1.0
sensor_type: camera
T_BS:
  cols: 4
  rows: 4
  data: [0.0, 0.0, 1.0, 0.0,
         -1.0, 0.0, 0.0, {y},
         0.0, -1.0, 0.0, 0.0,
         0.0, 0.0, 0.0, 1.0]
rate_hz: 20
resolution: [320, 240]
camera_model: pinhole
intrinsics: [200.0, 200.0, 160.0, 120.0]
distortion_model: radial-tangential
distortion_coefficients: [-0.1, 0.01, 0.0, 1e-4]
"""

_IMU = """sensor_type: imu
T_BS: {cols: 4, rows: 4, data: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]}
rate_hz: 200
gyroscope_noise_density: 1.7e-04
gyroscope_random_walk: 1.9e-05
accelerometer_noise_density: 2.0e-3
accelerometer_random_walk: 3.0e-3
"""


def write_recording(folder: Path, frames: int = 12) -> Path:
    """A rig that stands still before a textured wall, 0.1 m baseline and 10 px disparity, hence 2 m away."""
    import cv2

    rng = np.random.default_rng(1)
    wall = cv2.GaussianBlur(rng.integers(0, 256, (HEIGHT, WIDTH + 10), np.uint8), (0, 0), 2.0)
    wall = cv2.normalize(wall, None, 0, 255, cv2.NORM_MINMAX)
    stamps = FIRST_NS + PERIOD_NS * np.arange(frames)
    for sensor, y, picture in (("cam0", 0.05, wall[:, :WIDTH]), ("cam1", -0.05, wall[:, 10:])):
        (folder / "mav0" / sensor / "data").mkdir(parents=True)
        (folder / "mav0" / sensor / "sensor.yaml").write_text(_CAMERA.format(y=y))
        rows = "".join(f"{t},{t}.png\n" for t in stamps)
        (folder / "mav0" / sensor / "data.csv").write_text("#timestamp [ns],filename\n" + rows)
        encoded = cv2.imencode(".png", picture)[1].tobytes()
        for t in stamps:
            (folder / "mav0" / sensor / "data" / f"{t}.png").write_bytes(encoded)
    imu = folder / "mav0" / "imu0"
    imu.mkdir()
    (imu / "sensor.yaml").write_text(_IMU)
    times = range(FIRST_NS - 300_000_000, int(stamps[-1]) + 20_000_000, 5_000_000)
    noise = rng.normal(0, 1, (len(times), 6)) * [2e-3, 2e-3, 2e-3, 2e-2, 2e-2, 2e-2]
    values = noise + [0, 0, 0, 0, 0, 9.81]
    rows = "".join(f"{t}," + ",".join(f"{v:.6f}" for v in row) + "\n" for t, row in zip(times, values))
    (imu / "data.csv").write_text("#timestamp [ns],wx,wy,wz,ax,ay,az\n" + rows)
    return folder


def edit_line(path: Path, line: int, change: Callable[[str], str]) -> None:
    """Change one line (counted from 1) of a text file."""
    lines = path.read_text().splitlines()
    lines[line - 1] = change(lines[line - 1])
    path.write_text("\n".join(lines) + "\n")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Where processes share the tests (pytest-xdist): compile, before they start, what nearly all of them need, lest each of them does."""
    if hasattr(session.config, "workerinput"):
        _one_writer_of_kernels()
    elif session.config.getoption("numprocesses", None):
        from vio.backend import solver
        from vio.compilation import warm_up
        from vio.config import Config
        from vio.io.euroc_rig import euroc_rig

        if not solver.assemble.is_cached:
            warm_up(euroc_rig(), Config())


def _one_writer_of_kernels() -> None:
    """numba reads a kernel's index, takes the next free file and writes the index back: two processes at a time could take the same file."""
    from filelock import FileLock
    from numba.core.caching import IndexDataCacheFile

    save = IndexDataCacheFile.save

    def alone(self: IndexDataCacheFile, key: object, data: object) -> None:
        with FileLock(f"{self._index_path}.lock"):
            save(self, key, data)

    IndexDataCacheFile.save = alone


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A whole and readable ASL folder named `wall`; the test may break it."""
    return write_recording(tmp_path / "wall")


@pytest.fixture(scope="session")
def euroc_clip() -> Path:
    """The EuRoC clip beside the repository; its licence forbids shipping it."""
    path = Path(__file__).resolve().parents[2] / "shared" / "data" / "MH_01_clip"
    if not path.is_dir():
        pytest.skip("EuRoC's MH_01_clip is not at ../shared/data")
    return path

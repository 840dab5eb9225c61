"""Integer rays against the exact lens model and against their slow twins."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import oracles_stereo as oracle
import pytest
from test_camera import FISHEYE, SPHERES
from test_fixed import float_types
from tolerances import EXACT

from vio import lie
from vio.camera import FIELD_RADIUS, Camera, CameraModel, EquidistantCamera
from vio.errors import ConfigError
from vio.events import Event, new_counts
from vio.frontend import following, klt, outliers, rays, rows, stereo
from vio.kernels import Kernel
from vio.precision import Precision
from vio.types import TrackStatus

EUROC = Camera(752, 480, 458.654, 457.296, 367.215, 248.375, -0.28340811, 0.07395907, 0.00019359, 1.76187114e-05)
PLAIN = Camera(320, 240, 200.0, 210.0, 160.0, 120.0)
FOLDING = Camera(640, 480, 320.0, 320.0, 320.0, 240.0, -0.4, 0.0, 0.001, -0.002)  # its radius turns back at r = 0.91
PRECISION = Precision()
LENSES = pytest.mark.parametrize("camera", [EUROC, PLAIN, FISHEYE, SPHERES], ids=["euroc", "plain", "equidistant", "double sphere"])


def random_uv(camera: CameraModel, n: int, beyond: float = 0.0, seed: int = 0) -> np.ndarray:
    """Raw positions (n, 2) int32 spread over the picture and `beyond` pixels around it."""
    rng = np.random.default_rng(seed)
    return PRECISION.position.to_raw(rng.uniform(-beyond, (camera.width - 1 + beyond, camera.height - 1 + beyond), (n, 2))).astype(np.int32)


def random_seen(camera: CameraModel, n: int) -> np.ndarray:
    """Raw positions (n, 2) int32 in the lens's field."""
    uv = random_uv(camera, 3 * n)
    return uv[camera.in_view(PRECISION.position.to_float(uv))][:n]


def looked_up(uv: np.ndarray, lens: rays.Lens) -> np.ndarray:
    out = np.empty_like(uv)
    rays.lookup(uv, lens.table, lens.fmt, out, new_counts())
    return out


def projected(points: np.ndarray, lens: rays.Lens) -> np.ndarray:
    out = np.empty_like(points)
    rays.project(points, lens.radial, lens.fmt, out)
    return out


@LENSES
def test_a_ray_lands_within_a_tenth_of_a_pixel_of_its_own_pixel(camera: CameraModel) -> None:
    """Oracle: `CameraModel.project` in float64."""
    uv = random_seen(camera, 5000)
    assert len(uv) == 5000
    xy = PRECISION.ray.to_float(looked_up(uv, rays.make_lens(camera, PRECISION)))
    assert abs(camera.project(xy) - PRECISION.position.to_float(uv)).max() < 0.1


@LENSES
def test_projection_of_a_raw_ray_is_exact_to_a_hundredth_of_a_pixel(camera: CameraModel) -> None:
    """Oracle: `CameraModel.project` in float64 of the same quantised ray."""
    lens = rays.make_lens(camera, PRECISION)
    points = looked_up(random_seen(camera, 5000), lens)
    assert abs(PRECISION.position.to_float(projected(points, lens)) - camera.project(PRECISION.ray.to_float(points))).max() < 0.01


@pytest.mark.parametrize("camera", [EUROC, PLAIN, FOLDING, FISHEYE, SPHERES], ids=["euroc", "plain", "folding", "equidistant", "double sphere"])
def test_lookup_and_projection_equal_their_slow_twins(camera: CameraModel) -> None:
    """Oracle: the twins on Python integers; positions far outside the picture included."""
    lens = rays.make_lens(camera, PRECISION)
    uv = np.concatenate((random_uv(camera, 300, 60.0), [[0, 0], [2**19 - 1, -(2**19)], [-(2**19), 2**19 - 1]])).astype(np.int32)
    points = looked_up(uv, lens)
    assert points.tolist() == [list(oracle.undistorted(u, v, lens)) for u, v in uv.tolist()]
    wild = np.random.default_rng(1).integers(-(2**17), 2**17, (300, 2)).astype(np.int32)
    for some in (points, wild):
        assert projected(some, lens).tolist() == [list(oracle.distorted(x, y, lens)) for x, y in some.tolist()]


def test_a_ray_far_outside_never_folds_back_into_the_picture() -> None:
    """Oracle: monotonicity; the polynomial itself would bring r = 1.58 back to the centre."""
    lens = rays.make_lens(FOLDING, PRECISION)
    angle = np.linspace(0, 2 * np.pi, 64)
    for radius in (1.5, 1.58, 2.0, 5.0):
        points = PRECISION.ray.to_raw(radius * np.stack((np.cos(angle), np.sin(angle)), 1)).astype(np.int32)
        offset = PRECISION.position.to_float(projected(points, lens)) - (FOLDING.cx, FOLDING.cy)
        assert np.hypot(*offset.T).min() > 0.6 * FOLDING.fx


def test_a_track_that_leaves_the_field_is_out_of_the_image() -> None:
    """Oracle: the radius of each ray; features already lost keep their reason."""
    lens = rays.make_lens(FISHEYE, PRECISION)
    points = PRECISION.ray.to_raw(np.array([[0.0, 1.7], [1.3, 1.3], [-8.0, 7.9], [-1.8, 0.0]])).astype(np.int32)
    status = np.array([TrackStatus.TRACKED, TrackStatus.TRACKED, TrackStatus.FLAT, TrackStatus.TRACKED], np.uint8)
    rays.reject_out_of_view(points, lens.fmt, status)
    assert status.tolist() == [TrackStatus.TRACKED, TrackStatus.OUT_OF_IMAGE, TrackStatus.FLAT, TrackStatus.OUT_OF_IMAGE]


def test_only_blocks_in_the_field_propose_corners() -> None:
    """Oracle: EuRoC's lens sees everywhere; a fisheye's field of 60 degrees is a disc, whose share of the picture is known."""
    assert rays.visible_blocks(EUROC, 7).all()
    camera = EquidistantCamera(512, 512, 190.0, 190.0, 255.5, 255.5)
    share = np.pi * (190.0 * np.arctan(FIELD_RADIUS)) ** 2 / 512**2
    assert abs(rays.visible_blocks(camera, 4).mean() - share) < 0.005


def test_a_picture_larger_than_the_position_format_is_refused_with_the_width_it_needs() -> None:
    """Oracle: 2448 needs 12 integer bits and a sign; with the width named in the text the rays are as exact as ever."""
    camera = Camera(2448, 2048, 1800.0, 1800.0, 1220.0, 1030.0, -0.1, 0.02)
    with pytest.raises(ConfigError, match=r"precision\.position: 20 bits do not hold 2447 px of a 2448x2048 camera; --set precision\.position\.bits=21"):
        rays.make_lens(camera, PRECISION)
    wide = dataclasses.replace(PRECISION, position=dataclasses.replace(PRECISION.position, bits=21))
    uv = np.array([[2447.0, 2047.0], [3.0, 2000.0]])
    looked = looked_up(wide.position.to_raw(uv).astype(np.int32), rays.make_lens(camera, wide))
    assert abs(camera.project(PRECISION.ray.to_float(looked)) - uv).max() < 0.1
    with pytest.raises(ConfigError, match=r"--set precision\.focal\.bits=25"):
        rays.make_lens(dataclasses.replace(EUROC, fx=5000.0), PRECISION)


@pytest.mark.parametrize("angle", [0.0, 1e-4, 0.02, 0.3, 3.0])
def test_rotation_of_rays_equals_its_twin_and_follows_the_exact_one(angle: float) -> None:
    """Oracles: the twin; float64 rotation to four steps of the ray (rotation elements have 14 fraction bits)."""
    lens = rays.make_lens(EUROC, PRECISION)
    points, out = looked_up(random_uv(EUROC, 300), lens), np.empty((300, 2), np.int32)
    R = lie.so3_exp(np.array([0.6, -0.64, 0.48]) * angle)
    raw = PRECISION.rotation.to_raw(R)
    rays.rotate(points, raw, lens.fmt, out)
    assert out.tolist() == [list(oracle.rotated(x, y, raw.tolist(), lens.fmt)[:2]) for x, y in points.tolist()]
    turned = np.concatenate((PRECISION.ray.to_float(points), np.ones((300, 1))), 1) @ R.T
    ahead = turned[:, 2] > 0.5
    error = abs(turned[ahead, :2] / turned[ahead, 2:] - PRECISION.ray.to_float(out[ahead]))
    assert not ahead.any() or error.max() < 4 * 2.0**-14 / turned[ahead, 2].min() ** 2
    assert np.array_equal(out[turned[:, 2] < -0.01], points[turned[:, 2] < -0.01])
    if angle == 0.0:
        assert abs(out - points).max() == EXACT


def test_a_new_feature_borrows_the_flow_of_the_nearest() -> None:
    """Oracle: the twin; without neighbours the flow stays as it was."""
    rng = np.random.default_rng(2)
    new, old, flow = (rng.integers(-100, 100, (n, 2)).astype(np.int32) for n in (40, 60, 60))
    out = np.zeros_like(new)
    rays.borrow_flow(new, old[:0], flow[:0], out)
    assert not out.any()
    rays.borrow_flow(new, old, flow, out)
    assert out.tolist() == [list(f) for f in oracle.borrowed_flow(new.tolist(), old.tolist(), flow.tolist())]


def test_every_lookup_is_counted() -> None:
    """Oracle: the number of features."""
    lens, counts = rays.make_lens(EUROC, PRECISION), new_counts()
    uv = random_uv(EUROC, 17)
    rays.lookup(uv, lens.table, lens.fmt, np.empty_like(uv), counts)
    assert counts[Event.RAY_LOOKUP] == counts.sum() == 17


def run_all_kernels() -> None:
    """Compile every kernel of the modules below by three features."""
    from test_stereo import CONFIG, RIG

    lens, counts, R = rays.make_lens(EUROC, PRECISION), new_counts(), np.eye(3, dtype=np.int64)
    uv, flags, depth = np.zeros((3, 2), np.int32), np.ones(3, np.bool_), np.ones(3, np.int32)
    outlier, tracker = outliers.outlier_format(CONFIG, 450.0, 0.1), klt.klt_format(CONFIG)
    levels, status = tuple(np.zeros((64 >> k, 64 >> k), np.uint8) for k in range(CONFIG.frontend.pyramid_levels)), np.zeros(3, np.uint8)
    rays.borrow_flow(uv, uv, uv, uv)
    outliers.reject_by_depth(uv, depth, uv, depth, R, lens.fmt, outlier, flags, counts)
    following.follow(levels, levels, uv, uv, uv, np.zeros(0, np.int64), uv[:0], R, 1, uv, R, 0, 0, 0, 1, lens, tracker, outlier, uv, uv, uv, status, counts)
    stereo.match(levels, levels, uv, uv, depth, RIG, tracker, outlier, uv, flags, depth, counts)


def report() -> None:
    """Print every float found, and every kernel that was never typed."""
    run_all_kernels()
    for module in (rays, outliers, stereo, following, rows):
        for kernel in vars(module).values():
            if isinstance(kernel, Kernel) and kernel.py_func.__module__ == module.__name__:
                print(*(f"{kernel.py_func.__name__}: {line}" for line in float_types(kernel)), sep="\n", end="")
                print("" if kernel.versions else f"{kernel.py_func.__name__} was not compiled", end="")


def test_no_kernel_of_rays_outliers_stereo_or_following_holds_a_float(tmp_path: Path) -> None:
    """Oracle: numba's typed intermediate code in a process whose cache is empty, for a cached kernel hides its callees."""
    root = Path(__file__).resolve().parents[1]
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_OPT": "0", "PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}"}
    command = [sys.executable, "-W", "ignore", "-c", "import test_rays; test_rays.report()"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr

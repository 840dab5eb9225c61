"""Rolling shutter, the moments of an exposure, and corners that keep still on their points."""

import dataclasses

import numpy as np
import pytest

from vio import lie
from vio.camera import Camera
from vio.io import eye, pictures
from vio.io.render_spec import CameraSpec
from vio.io.scene import Box, Scene, Skin, build
from vio.io.textures import FLAT, POSTER
from vio.io.trajectory import Channel, Flight, Harmonics, from_harmonics

_CLEAN = CameraSpec(gain=0.6, vignetting=0.0, softness=0.0, read_noise=0.0, shot_noise=0.0)
_SOFT = dataclasses.replace(_CLEAN, softness=0.08)
_CAMERA = Camera(160, 120, 100.0, 100.0, 79.5, 59.5)
_R_WC = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # looks along x_W


def _sliding(speed: float) -> Flight:
    """A flight along -y_W, to the right of a camera that looks along x_W, at a constant speed in m/s."""
    return from_harmonics(Harmonics(-1.0, 0.0, y=Channel(speed, -speed), yaw=Channel(0.0)), -1.0, 1.0)


def _mount(flight: Flight) -> np.ndarray:
    """T_BS (4, 4) of a camera that looks along x_W on this flight, at the body's place."""
    R_WB = pictures.poses_at(flight, np.array([0]))[0, :3, :3]
    return lie.pose(R_WB.T @ _R_WC, np.zeros(3))


@pytest.fixture(scope="module")
def bar() -> Scene:
    """A bright upright bar, 0.4 m wide and 2 m away, in a dark room."""
    room = Box((0.0, 0.0, 0.0), (4.0, 4.0, 4.0), Skin(FLAT, 2.0, 0.2))
    return build(room, [Box((2.05, 0.0, 0.0), (0.05, 0.2, 3.0), Skin(FLAT, 1.0, 1.0), glow=1.0)], 0.1, 1)


def _edge_columns(picture: np.ndarray) -> np.ndarray:
    """Column (rows,) of the left edge of the bar in each row, to a fraction of a pixel: where the light has risen by half."""
    values = picture.astype(float)[:, : _CAMERA.width // 2 + 10]
    low, high = values[:, :20].mean(axis=1), values.max(axis=1)
    share = (values - low[:, None]) / (high - low)[:, None]
    column = np.argmax(share > 0.5, axis=1)
    rows = np.arange(len(share))
    before, after = share[rows, column - 1], share[rows, column]
    return column - 1 + (0.5 - before) / (after - before)


def test_a_bar_leans_under_a_rolling_shutter_as_the_formula_says(bar: Scene) -> None:
    """Oracle: closed form: at depth Z the edge moves by f v / Z pixels a second, row r is exposed (r / (h - 1) - 1/2) readout after the stamp."""
    speed, readout = 2.0, 0.06
    flight, spec = _sliding(speed), dataclasses.replace(_CLEAN, readout=readout)
    lens = eye.eye_of(_CAMERA, _mount(flight), spec)
    rolled = eye.draw(bar, lens, pictures.shutter_poses(flight, 0, spec, 100.0, 120), spec, np.uint64(1))
    still = eye.draw(bar, lens, pictures.shutter_poses(flight, 0, _CLEAN, 100.0, 120), _CLEAN, np.uint64(1))
    lean = _edge_columns(rolled) - _edge_columns(still)
    expected = -100.0 * speed / 2.0 * (np.arange(120) / 119.0 - 0.5) * readout
    assert np.ptp(expected) == pytest.approx(6.0)
    assert np.abs(lean - expected).max() < 0.2
    assert np.abs((lean - expected).mean()) < 0.03


def test_each_row_of_a_rolling_picture_is_that_row_of_a_global_picture_at_its_time(bar: Scene) -> None:
    """Oracle: pictures with a global shutter at the rows' own moments; equal but where an edge's neighbours move."""
    flight, spec = _sliding(1.0), dataclasses.replace(_CLEAN, readout=0.04)
    lens = eye.eye_of(_CAMERA, _mount(flight), spec)
    rolled = eye.draw(bar, lens, pictures.shutter_poses(flight, 0, spec, 100.0, 120), spec, np.uint64(1)).astype(int)
    for row in (0, 15, 16, 17, 60, 111, 119):
        moment = round((row / 119.0 - 0.5) * 0.04e9)
        alone = eye.draw(bar, lens, pictures.poses_at(flight, np.array([moment])), _CLEAN, np.uint64(1))
        assert np.abs(rolled[row] - alone[row]).max() <= 1


def test_a_rolling_shutter_at_rest_is_a_global_one(bar: Scene) -> None:
    """Oracle: equality of all bytes."""
    flight, spec = _sliding(0.0), dataclasses.replace(_CLEAN, readout=0.03)
    lens = eye.eye_of(_CAMERA, _mount(flight), spec)
    both = [eye.draw(bar, lens, pictures.shutter_poses(flight, 0, s, 100.0, 120), s, np.uint64(1)) for s in (spec, _CLEAN)]
    assert np.array_equal(*both)


def test_an_exposure_is_drawn_at_as_many_moments_as_pixels_pass() -> None:
    """Oracle: closed form: 300 pixels/rad, 1.5 m/s at the typical 2 m, 20 ms: 4.5 pixels; centred on the stamp; one at rest."""
    spec = CameraSpec(shutter=0.02, shutter_samples=8)
    poses = pictures.shutter_poses(_sliding(1.5), 0, spec, 300.0, 120)
    assert len(poses) == 5
    np.testing.assert_allclose(poses[:, 1, 3] - poses[2, 1, 3], -1.5 * 0.02 * (np.arange(5) - 2) / 5, atol=1e-6)
    assert len(pictures.shutter_poses(_sliding(0.0), 0, spec, 300.0, 120)) == 1
    assert len(pictures.shutter_poses(_sliding(50.0), 0, spec, 300.0, 120)) == 8


def test_corners_tracked_over_a_slow_motion_stay_on_their_points() -> None:
    """Oracle: the projection of the points, and OpenCV's tracker: a texture that crawls against the geometry would drag it along."""
    cv2 = pytest.importorskip("cv2")
    scene = build(Box((0.0, 0.0, 0.0), (3.0, 3.0, 3.0), Skin(POSTER, 2.4, 1.0)), [], 1.0, 1)
    camera = Camera(256, 192, 220.0, 220.0, 127.5, 95.5)
    lens = eye.eye_of(camera, np.eye(4), _SOFT)
    shifts = 0.00137 * np.arange(13)  # 0.1 pixel each, of a wall 3 m away
    drawn = [eye.draw(scene, lens, lie.pose(_R_WC, np.array([0.0, -s, 0.4 * s]))[None], _SOFT, np.uint64(1)) for s in shifts]
    corners = cv2.goodFeaturesToTrack(drawn[0], 60, 0.05, 12)
    off = []
    for s, picture in zip(shifts[1:], drawn[1:]):
        found, ok, _ = cv2.calcOpticalFlowPyrLK(drawn[0], picture, corners, None, winSize=(15, 15), criteria=(3, 50, 1e-4))
        moved = (found - corners)[ok.ravel() == 1, 0]
        off.append(moved - 220.0 * np.array([-s, 0.4 * s]) / 3.0)
    assert len(corners) >= 40
    assert np.sqrt(np.mean(np.square(np.concatenate(off)))) < 0.03
    assert np.abs(np.median(np.stack([o[:20] for o in off]), axis=0)).max() < 0.05

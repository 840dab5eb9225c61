"""The facade, driven as a user drives it: a rig before a textured wall, pictures and samples made here."""

from functools import lru_cache

import numpy as np
import pytest
from tolerances import LOOSE
from vio.calibration import Calibration, ImuNoise
from vio.camera import Camera
from vio.compilation import warm_up
from vio.config import Config
from vio.odometry import Odometry
from vio.types import FrameOutput, HealthState

cv2 = pytest.importorskip("cv2", reason="OpenCV shifts the synthetic pictures by fractions of a pixel")
WIDTH, HEIGHT, FOCAL, DEPTH = 320, 240, 200.0, 2.0
FRAME_NS, IMU_NS, EPOCH = 50_000_000, 5_000_000, 1_403_636_584_763_555_584
R_BC = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # the camera looks along x_B, z_B is up


def _extrinsics(y: float) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3], T[1, 3] = R_BC, y
    return T


CAMERA = Camera(WIDTH, HEIGHT, FOCAL, FOCAL, 160.0, 120.0)
RIG = Calibration(CAMERA, _extrinsics(0.05), ImuNoise(1.7e-4, 1.9e-5, 2e-3, 3e-3), CAMERA, _extrinsics(-0.05))


def slide(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the right (m) and its second derivative: at rest for 0.5 s, then 0.2 (1 - cos) with a period of 4 s."""
    s, rate = np.maximum(t - 0.5, 0.0), np.pi / 2
    return 0.2 * (1 - np.cos(rate * s)), np.where(t > 0.5, 0.2 * rate**2 * np.cos(rate * s), 0.0)


@lru_cache(maxsize=2)
def wall(seed: int = 1) -> np.ndarray:
    """A blurred random texture, wide enough for the slide."""
    rng = np.random.default_rng(seed)
    picture = cv2.GaussianBlur(rng.integers(0, 256, (HEIGHT, WIDTH + 120), np.uint8), (0, 0), 2.0)
    return cv2.normalize(picture, None, 0, 255, cv2.NORM_MINMAX)


def pictures(k: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Left and right view of frame k: a wall at 2 m moves by focal / depth = 100 px per metre; the baseline makes 10 px."""
    shift = 20.0 + FOCAL / DEPTH * float(slide(np.array(k * FRAME_NS * 1e-9))[0])
    views = (np.array([[1.0, 0.0, -shift - d], [0.0, 1.0, 0.0]]) for d in (0.0, 10.0))
    left, right = (cv2.warpAffine(wall(seed), M, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC) for M in views)
    return left, right


def samples(begin: int, end: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Exact samples (t_ns, w_B, a_B) of begin <= t < end, ns after the epoch; x_C is -y_B."""
    t = np.arange(begin, end, IMU_NS, dtype=np.int64)
    a = np.column_stack([np.zeros(len(t)), -slide(t * 1e-9)[1], np.full(len(t), 9.81)])
    return EPOCH + t, np.zeros((len(t), 3)), a


def feed(odometry: Odometry, k: int, seed: int = 1, mono: bool = False) -> FrameOutput:
    """Samples up to frame k, then the frame."""
    begin = (k - 1) * FRAME_NS + IMU_NS if k else -200_000_000
    odometry.add_imu(*samples(begin, k * FRAME_NS + IMU_NS))
    left, right = pictures(k, seed)
    return odometry.add_frame(EPOCH + k * FRAME_NS, left, None if mono else right)


def run(frames: int, **changes) -> list[FrameOutput]:
    """A new odometry over the first frames."""
    odometry = Odometry(RIG)
    return [feed(odometry, k, **changes) for k in range(frames)]


def same(a: list[FrameOutput], b: list[FrameOutput]) -> bool:
    """Whether two runs agree in every bit of state, tracks and counts."""

    def parts(o: FrameOutput) -> list[bytes]:
        s, t = o.state, o.tracks
        return [x.tobytes() for x in (s.T_WB, s.v_WB, s.b_g, s.b_a, s.covariance, t.ids, t.uv_raw, t.status, t.uv_right_raw, o.counts)]

    return len(a) == len(b) and all(parts(x) == parts(y) for x, y in zip(a, b, strict=True))


def finite(out: FrameOutput) -> bool:
    """Whether a state holds no NaN and no infinity."""
    s = out.state
    return s is not None and all(np.isfinite(x).all() for x in (s.T_WB, s.v_WB, s.b_g, s.b_a, s.covariance))


def test_a_slide_before_a_wall_is_followed() -> None:
    """Oracle: the slide's formula, within 1 cm over 0.4 m (one pixel is 1 cm here); no turn, points 2 m ahead."""
    odometry = Odometry(RIG)
    outputs = [feed(odometry, k) for k in range(60)]
    p = np.array([o.state.T_WB[:3, 3] for o in outputs])
    travelled = slide(np.arange(60) * FRAME_NS * 1e-9)[0]
    assert np.abs(np.linalg.norm(p, axis=1) - travelled).max() < 0.01
    R0 = outputs[0].state.T_WB[:3, :3]
    np.testing.assert_allclose(p @ R0, np.column_stack([0 * travelled, -travelled, 0 * travelled]), atol=0.01)
    np.testing.assert_allclose(outputs[-1].state.T_WB[:3, :3], R0, atol=0.01)
    assert outputs[0].health.initialised_by == "standstill"
    assert all(o.health.state is HealthState.GOOD for o in outputs[1:])
    ahead = (odometry.landmarks().p_WL @ R0)[:, 0]
    assert abs(np.median(ahead) - DEPTH) < 0.05


def test_one_camera_works_without_a_right_picture() -> None:
    """Oracle: the slide's formula; a mono rig standing still cannot know scale, so only a bounded error is asked."""
    odometry = Odometry(RIG.mono())
    outputs = [feed(odometry, k, mono=True) for k in range(50)]
    p = np.array([o.state.T_WB[:3, 3] for o in outputs])
    assert all(finite(o) for o in outputs)
    assert np.abs(np.linalg.norm(p, axis=1) - slide(np.arange(50) * FRAME_NS * 1e-9)[0]).max() < 0.1


def test_two_runs_give_the_same_bits() -> None:
    """Oracle: itself."""
    assert same(run(25), run(25))


def test_two_odometries_do_not_disturb_each_other() -> None:
    """Oracle: the same two flights, one after the other."""
    one, two, first, second = Odometry(RIG), Odometry(RIG), [], []
    for k in range(15):
        first.append(feed(one, k))
        second.append(feed(two, k, seed=2))
    assert same(first, run(15))
    assert same(second, run(15, seed=2))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1e9, 1e30])
@pytest.mark.parametrize("which", ["rate", "force"])
def test_absurd_samples_are_dropped_and_reported(bad: float, which: str) -> None:
    """Oracle: the run without them, bit for bit; the frame after names the reason once."""
    odometry, outputs = Odometry(RIG), []
    for k in range(8):
        if k == 5:
            value = np.array([0.0, bad, 0.0])
            w, a = (value, np.zeros(3)) if which == "rate" else (np.zeros(3), value)
            odometry.add_imu(EPOCH + 4 * FRAME_NS + 1_000_000, w, a)
        outputs.append(feed(odometry, k))
    assert same(outputs, run(8))
    assert ["imu_bad_sample" in o.health.reasons for o in outputs] == [k == 5 for k in range(8)]
    assert outputs[5].health.state is HealthState.DEGRADED


def test_samples_out_of_order_are_dropped_and_reported() -> None:
    """Oracle: the run without them, bit for bit."""
    odometry, outputs = Odometry(RIG), []
    for k in range(8):
        if k == 5:
            odometry.add_imu(EPOCH + 2 * FRAME_NS, np.full(3, 3.0), np.zeros(3))
        outputs.append(feed(odometry, k))
    assert same(outputs, run(8))
    assert "imu_out_of_order" in outputs[5].health.reasons


def test_samples_one_by_one_equal_samples_in_a_batch() -> None:
    """Oracle: the batched run, bit for bit."""
    odometry, outputs = Odometry(RIG), []
    for k in range(6):
        begin = (k - 1) * FRAME_NS + IMU_NS if k else -200_000_000
        for t, w, a in zip(*samples(begin, k * FRAME_NS + IMU_NS), strict=True):
            odometry.add_imu(int(t), w, a)
        outputs.append(odometry.add_frame(EPOCH + k * FRAME_NS, *pictures(k)))
    assert same(outputs, run(6))


def test_a_gap_in_the_samples_is_reported() -> None:
    """Oracle: construction: frame 5 has none of its ten samples."""
    odometry = Odometry(RIG)
    for k in range(5):
        feed(odometry, k)
    out = odometry.add_frame(EPOCH + 5 * FRAME_NS, *pictures(5))
    assert "imu_gap" in out.health.reasons
    assert finite(out)


@pytest.mark.parametrize(("back", "reason"), [(0, "frame_duplicate"), (1, "frame_out_of_order"), (FRAME_NS, "frame_out_of_order")])
def test_a_frame_that_comes_too_late_is_left_out_and_reported(back: int, reason: str) -> None:
    """Oracle: the contract: no state, the reason, and the run goes on as if nothing had been."""
    odometry = Odometry(RIG)
    outputs = [feed(odometry, k) for k in range(3)]
    late = odometry.add_frame(EPOCH + 2 * FRAME_NS - back, *pictures(2))
    assert late.state is None and len(late.tracks.ids) == 0
    assert late.health.state is HealthState.DEGRADED and late.health.reasons == (reason,)
    outputs += [feed(odometry, k) for k in range(3, 6)]
    assert same(outputs, run(6))


def test_pictures_of_another_size_are_refused() -> None:
    """Oracle: the contract: ValueError, before and after the start."""
    odometry = Odometry(RIG)
    with pytest.raises(ValueError):
        odometry.add_frame(EPOCH, np.zeros((10, 10), np.uint8), np.zeros((10, 10), np.uint8))
    with pytest.raises(ValueError):
        odometry.add_imu(np.array([1, 2]), np.zeros((1, 3)), np.zeros((1, 3)))


def darkened(begin: int, end: int, frames: int) -> list[FrameOutput]:
    """A rig at rest whose pictures are black from frame `begin` to `end`; the samples say that it stays."""
    odometry, black, outputs = Odometry(RIG), np.zeros((HEIGHT, WIDTH), np.uint8), []
    for k in range(frames):
        t = (k - 1) * FRAME_NS + IMU_NS + np.arange(0, FRAME_NS, IMU_NS, dtype=np.int64)
        odometry.add_imu(EPOCH + t, np.zeros((len(t), 3)), np.tile([0.0, 0.0, 9.81], (len(t), 1)))
        outputs.append(odometry.add_frame(EPOCH + k * FRAME_NS, *((black, black) if begin <= k < end else pictures(0))))
    return outputs


def test_black_frames_never_make_a_number_that_is_not_finite() -> None:
    """Oracle: finiteness of every state; darkness is reported as lost, and good comes back with the light."""
    outputs = darkened(10, 50, 70)
    assert all(finite(o) for o in outputs)
    assert outputs[30].health.state is HealthState.LOST
    assert outputs[-1].health.state is HealthState.GOOD


def test_darkness_does_not_move_a_rig_at_rest() -> None:
    """Oracle: rest: the noiseless samples alone hold the position."""
    assert max(np.linalg.norm(o.state.T_WB[:3, 3]) for o in darkened(10, 50, 55)) < 0.05


def test_darkness_from_the_first_frame_on_is_survived() -> None:
    """Oracle: finiteness; nothing was ever seen."""
    odometry, black = Odometry(RIG), np.zeros((HEIGHT, WIDTH), np.uint8)
    for k in range(15):
        odometry.add_imu(*samples((k - 1) * FRAME_NS + IMU_NS, k * FRAME_NS + IMU_NS))
        out = odometry.add_frame(EPOCH + k * FRAME_NS, black, black)
        assert finite(out)
        assert out.health.state is not HealthState.GOOD


def test_without_samples_it_waits() -> None:
    """Oracle: the contract: no state before the first inertial sample, and a start as soon as they come."""
    odometry = Odometry(RIG)
    for k in range(3):
        out = odometry.add_frame(EPOCH + k * FRAME_NS, *pictures(k))
        assert out.state is None
        assert out.health.state is HealthState.INITIALISING
    outputs = [feed(odometry, k) for k in range(3, 12)]
    assert all(finite(o) for o in outputs)
    assert np.linalg.norm(outputs[-1].state.T_WB[:3, 3]) < 0.01


def test_compiling_ahead_changes_nothing() -> None:
    """Oracle: the run without `warm_up`."""
    before = run(4)
    warm_up(RIG, Config())
    assert same(before, run(4))


def test_a_rig_at_rest_does_not_drift() -> None:
    """Oracle: rest for the first half second, noiseless."""
    outputs = run(10)
    assert max(np.linalg.norm(o.state.T_WB[:3, 3]) for o in outputs) < 10 * LOOSE
    assert max(np.linalg.norm(o.state.v_WB) for o in outputs) < 0.01

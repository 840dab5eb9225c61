"""Rendered pictures and folders against geometry, an independent library, and a brute-force render."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from tolerances import EXACT, TIGHT

from vio import lie
from vio.camera import Camera
from vio.errors import ConfigError, DataError
from vio.io import asl, eye, pictures, renderer
from vio.io.develop import develop
from vio.io.euroc_rig import euroc_rig
from vio.io.render_spec import CameraSpec, RenderSpec
from vio.io.render_toml import load_specs
from vio.io.rooms import KINDS, RoomSpec
from vio.io.scene import Box, Skin, build, clearance
from vio.io.simulator import simulate_flight
from vio.io.textures import FLAT, MOSAIC
from vio.io.trajectory import Channel, Harmonics, path_length

_CLEAN = CameraSpec(gain=0.6, vignetting=0.0, softness=0.0, read_noise=0.0, shot_noise=0.0)
_FLIGHT = Harmonics(-1.0, 1.0, Channel(0.0, 0.2), z=Channel(1.3), yaw=Channel(20.0, 15.0))
_TINY = RenderSpec(3, 0.3, 0.1, 20.0, 112, 80, RoomSpec("workshop", 5.0, 4.5, 3.0, 3), flight=_FLIGHT)
_R_WC = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # looks along x_W


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sequence of six small frames."""
    return renderer.render_sequence(_TINY, tmp_path_factory.mktemp("render") / "tiny")


@pytest.fixture(scope="module")
def small() -> RenderSpec:
    """The built-in small sequence."""
    return renderer.builtin_specs()["room-small"]


def test_a_rendered_folder_reads_back_as_the_sequence_that_was_asked_for(tiny: Path) -> None:
    """Oracle: the specification, through the ASL reader."""
    sequence = asl.read(tiny)
    rig = euroc_rig(112, 80)
    assert sequence.warnings == ()
    assert np.array_equal(np.diff(sequence.frame_t_ns), np.full(5, 50_000_000))
    assert sequence.imu_t_ns[0] == sequence.frame_t_ns[0] - 100_000_000
    assert sequence.imu_t_ns[-1] > sequence.frame_t_ns[-1]
    assert sequence.load(0).left.shape == sequence.load(5).right.shape == (80, 112)
    np.testing.assert_allclose(sequence.calibration.left.parameters, rig.left.parameters, atol=TIGHT)
    np.testing.assert_allclose(sequence.calibration.T_BR, rig.T_BR, atol=EXACT)
    assert sequence.calibration.imu == rig.imu


def test_the_ground_truth_file_holds_the_exact_states(tiny: Path) -> None:
    """Oracle: the flight, evaluated again; every digit must have survived the file."""
    table = np.loadtxt(tiny / "mav0" / "state_groundtruth_estimate0" / "data.csv", delimiter=",")
    stamps = [int(line.split(",")[0]) for line in (tiny / "mav0" / "imu0" / "data.csv").read_text().splitlines()[1:]]
    motion = renderer.flight_of(_TINY).at(np.array(stamps))
    assert table.shape == (len(stamps), 17)
    assert np.array_equal(table[:, 1:11], np.hstack([motion.p_WB, motion.q_WB, motion.v_WB]))


def test_the_same_seed_gives_the_same_bytes_on_one_thread_and_on_two(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: equality of every file."""
    monkeypatch.setattr(pictures, "_THREADS", 1)
    assert _files(renderer.render_sequence(_TINY, tmp_path / "again")) == _files(tiny)


def test_another_seed_gives_another_room_other_noise_and_other_inertial_data(tiny: Path, tmp_path: Path) -> None:
    """Oracle: inequality of every picture and of the IMU's file; the ground-truth poses are the same."""
    other = _files(renderer.render_sequence(dataclasses.replace(_TINY, seed=4), tmp_path / "other"))
    for name, data in _files(tiny).items():
        if name.endswith(".png") or "imu0/data.csv" in name:
            assert other[name] != data, name


def test_an_interrupted_render_leaves_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    """Oracle: the folder's listing after an exception out of the third frame, and with the remains of a killed process."""

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        renderer.render_sequence(_TINY, tmp_path / "cut", stop)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".cut.part-1" / "mav0").mkdir(parents=True)
    renderer.render_sequence(_TINY, tmp_path / "cut")
    assert asl.read(tmp_path / "cut").warnings == ()


def test_a_folder_that_holds_something_is_not_overwritten(tiny: Path) -> None:
    """Oracle: the contract: DataError, and the folder as before."""
    before = _files(tiny)
    with pytest.raises(DataError, match="exists already"):
        renderer.render_sequence(_TINY, tiny)
    assert _files(tiny) == before


def test_the_corners_of_a_plate_appear_where_the_camera_projects_them() -> None:
    """Oracle: Camera.project of the plate's corners, and OpenCV's sub-pixel corner finder in the picture."""
    cv2 = pytest.importorskip("cv2")
    room = Box((4.0, 0.0, 0.0), (4.5, 4.5, 4.5), Skin(FLAT, 2.0, 0.3))
    plates = [Box((4.0 + k, -1.6 + 1.9 * k, 0.9 - 0.9 * k), (0.001, 0.6, 0.4), Skin(FLAT, 1.0, 1.0), glow=0.5) for k in range(3)]
    scene = build(room, plates, 0.15, 1)
    rig = euroc_rig()
    lens = eye.eye_of(rig.left, rig.T_BC, _CLEAN)
    T_WB = lie.pose(_R_WC, np.zeros(3)) @ lie.inverse(rig.T_BC)
    picture = eye.draw(scene, lens, T_WB[None], _CLEAN, np.uint64(1))
    for plate in plates:
        x, y, z = plate.center
        corners = np.array([[x - 0.001, y + i * 0.6, z + j * 0.4] for i in (-1, 1) for j in (-1, 1)]) @ _R_WC
        expected = rig.left.project(corners[:, :2] / corners[:, 2:])
        criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 40, 1e-3)
        found = cv2.cornerSubPix(picture, expected.astype(np.float32)[:, None].copy(), (4, 4), (-1, -1), criteria)[:, 0]
        # a corner of 90 degrees pulls OpenCV's finder outwards a little; the four pulls cancel in the middle
        assert np.abs(found - expected).max() < 0.6
        assert np.abs((found - expected).mean(axis=0)).max() < 0.1


def test_depths_lie_on_surfaces_and_nothing_is_in_front(small: RenderSpec) -> None:
    """Oracle: the distance function of the boxes: 0 at the hit, positive at every point before it."""
    scene, rig = renderer.scene_of(small), euroc_rig(376, 240)
    pose = pictures.poses_at(renderer.flight_of(small), np.array([renderer.EPOCH_NS + 10**9]))[0] @ rig.T_BC
    uv = np.column_stack([np.tile(np.arange(3, 376, 12), 20), np.repeat(np.arange(3, 240, 12), 32)]).astype(float)
    xy = rig.left.unproject(uv)
    depth, _ = eye.surfaces(scene, pose, xy)
    rays = np.column_stack([xy, np.ones(len(xy))]) @ pose[:3, :3].T
    np.testing.assert_allclose(clearance(scene, pose[:3, 3] + depth[:, None] * rays), 0.0, atol=TIGHT)
    for share in (0.2, 0.5, 0.8, 0.95, 0.999):
        assert clearance(scene, pose[:3, 3] + share * depth[:, None] * rays).min() > 0.0


def test_the_right_picture_shows_what_the_left_one_and_the_depth_foretell(small: RenderSpec) -> None:
    """Oracle: left pixels carried through depth, T_RC and Camera.project; grey levels there agree unless hidden."""
    scene, rig = renderer.scene_of(small), euroc_rig(376, 240)
    T_WB = pictures.poses_at(renderer.flight_of(small), np.array([renderer.EPOCH_NS]))
    left, right = (eye.draw(scene, eye.eye_of(c, T, _CLEAN), T_WB, _CLEAN, np.uint64(1)) for c, T in ((rig.left, rig.T_BC), (rig.right, rig.T_BR)))
    uv = np.column_stack([np.tile(np.arange(376), 240), np.repeat(np.arange(240), 376)]).astype(float)
    xy = rig.left.unproject(uv)
    depth, surface = eye.surfaces(scene, T_WB[0] @ rig.T_BC, xy)
    assert rig.T_CR is not None and rig.right is not None
    p_R = np.column_stack([xy * depth[:, None], depth]) @ lie.inverse(rig.T_CR)[:3, :3].T + lie.inverse(rig.T_CR)[:3, 3]
    seen, met = eye.surfaces(scene, T_WB[0] @ rig.T_BR, p_R[:, :2] / p_R[:, 2:])
    visible = np.abs(seen - p_R[:, 2]) < 1e-6
    assert np.array_equal(surface[visible], met[visible])
    assert visible.mean() > 0.9
    uv_right = np.rint(rig.right.project(p_R[:, :2] / p_R[:, 2:])).astype(int)
    inside = visible & (uv_right >= 0).all(axis=1) & (uv_right < (376, 240)).all(axis=1)
    errors = np.abs(left.ravel()[inside].astype(int) - right[uv_right[inside, 1], uv_right[inside, 0]])
    shuffled = np.abs(left.ravel()[inside].astype(int) - np.roll(right[uv_right[inside, 1], uv_right[inside, 0]], 40).astype(int))
    assert np.median(errors) <= 5  # whole pixels are compared, hence not zero
    assert np.mean(errors) < 0.35 * np.mean(shuffled)


def test_a_picture_equals_the_mean_of_one_with_sixteen_times_the_pixels(small: RenderSpec) -> None:
    """Oracle: brute-force anti-aliasing: four by four pixels of a larger picture; what differs is aliasing or blur."""
    scene = renderer.scene_of(small)
    camera = Camera(160, 100, 90.0, 90.0, 79.5, 49.5)
    fine = Camera(640, 400, 360.0, 360.0, 319.5, 199.5)
    T_WB = lie.pose(_R_WC, np.array([-1.0, 0.3, 1.4]))[None]
    coarse, large = (eye.draw(scene, eye.eye_of(c, np.eye(4), _CLEAN), T_WB, _CLEAN, np.uint64(1)).astype(float) for c in (camera, fine))
    mean = large.reshape(100, 4, 160, 4).mean(axis=(1, 3))
    naive = large[2::4, 2::4]
    assert np.sqrt(np.mean((coarse - mean) ** 2)) < 0.7 * np.sqrt(np.mean((naive - mean) ** 2))
    assert abs(coarse.mean() - mean.mean()) < 0.5


def test_noise_has_the_declared_variance() -> None:
    """Oracle: closed form: read_noise^2 + shot_noise * value, plus 1/12 for the rounding to whole grey levels."""
    light = np.full((200, 300), 0.4, np.float32)
    noisy = CameraSpec(gain=1.0, vignetting=0.0, read_noise=1.5, shot_noise=0.03)
    picture = np.empty(light.shape, np.uint8)
    develop(light, np.ones_like(light), 1.0, 0.0, noisy.read_noise, noisy.shot_noise, np.uint64(9), picture)
    assert picture.mean() == pytest.approx(102.0, abs=0.05)
    assert picture.var() == pytest.approx(1.5**2 + 0.03 * 102.0 + 1.0 / 12.0, rel=0.03)


def test_motion_blur_is_the_mean_over_the_shutter(small: RenderSpec) -> None:
    """Oracle: the mean of the pictures at the single moments."""
    scene, rig = renderer.scene_of(small), euroc_rig(188, 120)
    lens = eye.eye_of(rig.left, rig.T_BC, _CLEAN)
    poses = pictures.poses_at(renderer.flight_of(small), renderer.EPOCH_NS + 10**9 + np.array([0, 20_000_000]))
    dark = dataclasses.replace(_CLEAN, gain=0.5)  # nothing may saturate
    single = [eye.draw(scene, lens, pose[None], dark, np.uint64(1)).astype(float) for pose in poses]
    blurred = eye.draw(scene, lens, poses, dark, np.uint64(1))
    lit = np.maximum(*single) < 255
    assert np.abs(blurred - 0.5 * (single[0] + single[1]))[lit].max() <= 1.0


def test_a_textured_wall_is_as_bright_from_afar_as_from_near() -> None:
    """Oracle: conservation: levels of the mip-map pyramid have equal means."""
    room = Box((0.0, 0.0, 0.0), (6.0, 6.0, 6.0), Skin(MOSAIC, 0.4, 1.0))
    scene = build(room, [], 1.0, 1)
    means = []
    for distance in (0.8, 3.0, 11.5):
        lens = eye.eye_of(Camera(128, 128, 400.0, 400.0, 63.5, 63.5), np.eye(4), _CLEAN)
        T_WB = lie.pose(_R_WC, np.array([6.0 - distance, 0.0, 0.0]))[None]
        means.append(eye.draw(scene, lens, T_WB, dataclasses.replace(_CLEAN, gain=0.8), np.uint64(1)).mean())
    assert np.ptp(means) < 0.12 * np.mean(means)


@pytest.mark.parametrize("name", renderer.builtin_names())
def test_built_in_flights_keep_away_from_walls_and_objects(name: str) -> None:
    """Oracle: the distance function of the scene, for the body and both cameras, all along the flight."""
    spec = renderer.builtin_specs()[name]
    rig, scene, flight = euroc_rig(), renderer.scene_of(spec), renderer.flight_of(spec)
    poses = pictures.poses_at(flight, simulate_flight(flight, 40.0).t_ns)
    for T_BS in (np.eye(4), rig.T_BC, rig.T_BR):
        assert clearance(scene, (poses @ T_BS)[:, :3, 3]).min() > 0.7


def test_the_built_in_flight_is_as_lively_as_a_real_one() -> None:
    """Oracle: figures of the flight: one second of rest, 15 to 20 m, rotation about all axes, up to about 1.5 m/s and 1.5 rad/s."""
    spec = renderer.builtin_specs()["room"]
    motion = simulate_flight(renderer.flight_of(spec))
    t = (motion.t_ns - renderer.EPOCH_NS) * 1e-9
    assert 15.0 <= path_length(motion.p_WB) <= 20.0
    assert np.abs(motion.v_WB[t < 0.9]).max() < 1e-3
    assert 1.2 < np.linalg.norm(motion.v_WB, axis=1).max() < 1.6
    assert 1.2 < np.linalg.norm(motion.w_B, axis=1).max() < 1.7
    assert np.abs(motion.w_B).max(axis=0).min() > 0.5


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_room_can_be_built_and_is_lit(kind: str) -> None:
    """Oracle: a scene's invariants: light finite and not negative, every face's grid inside the table of light."""
    scene = renderer.scene_of(dataclasses.replace(_TINY, room=RoomSpec(kind, 6.0, 5.0, 3.0, 6)))
    assert np.isfinite(scene.light).all() and scene.light.min() >= 0.0 and scene.light.max() > 0.5
    assert clearance(scene, np.array([[0.0, 0.0, 1.5]]))[0] > 0.3


def test_a_cached_sequence_is_rendered_once(small: RenderSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: progress is not called the second time; TINYVIO_CACHE chooses the folder; another version is another folder."""
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(renderer, "builtin_specs", lambda: {"tiny": _TINY})
    monkeypatch.setenv("TINYVIO_CACHE", str(tmp_path))
    first = renderer.builtin_sequence("tiny", progress=lambda *call: calls.append(call))
    assert calls == [(k, 6) for k in range(1, 7)]
    assert renderer.builtin_sequence("tiny", progress=lambda *call: calls.append(call)) == first
    assert len(calls) == 6 and tmp_path in first.parents
    monkeypatch.setattr(renderer, "VERSION", renderer.VERSION + 1)
    assert renderer.builtin_sequence("tiny", tmp_path) != first


def test_an_unknown_built_in_name_is_refused_with_the_known_ones() -> None:
    """Oracle: the contract."""
    with pytest.raises(DataError, match="room-small"):
        renderer.builtin_sequence("rom")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[a]\nseeds = 1\n", "unknown field 'a.seeds'"),
        ("[a]\nwidth = 'wide'\n", "'a.width' is 'wide'"),
        ("[a.flight]\nx = { waves = [[1.0, 2.0]] }\n", "'a.flight.x.waves'"),
        ("[a.room]\nkind = 'cave'\n", "no room of kind 'cave'"),
        ("[a]\nduration = 0\n", "'duration' is 0.0"),
        ("[a]\nlike = 'b'\n[b]\n", "'a.like' is 'b'"),
        ("a = 1\n", "'a' is a table"),
    ],
)
def test_a_specification_that_does_not_fit_is_refused_by_name(text: str, complaint: str, tmp_path: Path) -> None:
    """Oracle: the contract of `load_specs`: ConfigError that names the field."""
    path = tmp_path / "specs.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_specs(path)
    assert complaint in str(caught.value)


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the contract of `builtin_sequence`: DataError that names the remedy."""

    def full(picture: np.ndarray, source: str) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pictures, "encode_png", full)
    monkeypatch.setattr(renderer, "builtin_specs", lambda: {"tiny": _TINY})
    with pytest.raises(DataError, match="TINYVIO_CACHE"):
        renderer.builtin_sequence("tiny", tmp_path)
    shutil.rmtree(tmp_path / "rendered" / "gone", ignore_errors=True)
    assert not any((tmp_path / "rendered").iterdir())

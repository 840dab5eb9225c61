"""Pictures along a recorded flight: geometry, stamps, and the inertial data left as it was."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from tolerances import EXACT, LOOSE

from vio.errors import DataError
from vio.io import asl, asl_writer, renderer, tables
from vio.io.euroc_rig import euroc_rig
from vio.io.hybrid import flight_along, render_hybrid, room_around
from vio.io.render_spec import CameraSpec, RenderSpec
from vio.io.rooms import RoomSpec
from vio.io.scene import clearance
from vio.io.simulator import measure, simulate_flight
from vio.io.trajectory import Channel, Harmonics, from_harmonics

_CAMERA = CameraSpec(auto_exposure=110.0)
_SMALL = RenderSpec(3, 2.5, 0.5, 10.0, 112, 80, RoomSpec("workshop", 5.0, 4.5, 3.0, 3), _CAMERA)
_FLIGHT = Harmonics(-1.0, 1.0, Channel(20.0, 0.4), Channel(-7.0), Channel(1.3), yaw=Channel(20.0, 15.0))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of inertial data and poses alone, somewhere far from the origin, with an IMU without sensor.yaml."""
    root = tmp_path_factory.mktemp("hybrid") / "recorded" / "mav0"
    motion = simulate_flight(from_harmonics(_FLIGHT, -0.5, 3.0, renderer.EPOCH_NS))
    inertial = measure(motion, euroc_rig().imu, 1, np.zeros(3), np.zeros(3))
    asl_writer.write_imu(root / "imu0", euroc_rig().imu, inertial)
    asl_writer.write_truth(root / asl_writer.TRUTH, motion, inertial.b_g, inertial.b_a)
    (root / "imu0" / "sensor.yaml").unlink()
    return root.parent


def test_a_hybrid_keeps_the_inertial_file_and_follows_the_recorded_poses(recorded: Path, tmp_path: Path) -> None:
    """Oracle: the recording: bytes of its IMU file, its poses at their stamps, its biases; read back through the ASL reader."""
    folder = tmp_path / "hybrid"
    render_hybrid(recorded, _SMALL, folder)
    imu = Path("mav0", "imu0", "data.csv")
    assert (folder / imu).read_bytes() == (recorded / imu).read_bytes()
    sequence = asl.read(folder)
    assert sequence.warnings == ()
    assert len(sequence.frame_t_ns) >= 20
    truth = Path("mav0", "state_groundtruth_estimate0", "data.csv")
    old_ns, old, _ = tables.read_numbers(recorded / truth, 16)
    new_ns, new, _ = tables.read_numbers(folder / truth, 16)
    same = np.isin(old_ns, new_ns)
    np.testing.assert_allclose(new[:, :3], old[same, :3], atol=LOOSE)
    np.testing.assert_allclose(np.abs(np.sum(new[:, 3:7] * old[same, 3:7], axis=1)), 1.0, atol=LOOSE)
    np.testing.assert_allclose(new[:, 10:], old[same, 10:], atol=EXACT)
    assert new_ns[0] < sequence.frame_t_ns[0] and sequence.frame_t_ns[-1] < new_ns[-1]


def test_the_pictures_of_a_hybrid_are_exposed_by_themselves(recorded: Path, tmp_path: Path) -> None:
    """Oracle: the wanted mean grey level of the specification."""
    render_hybrid(recorded, dataclasses.replace(_SMALL, duration=0.5), tmp_path / "short")
    sequence = asl.read(tmp_path / "short")
    frame = sequence.load(1)
    assert frame.right is not None
    assert frame.left.mean() == pytest.approx(110.0, abs=12.0)
    assert frame.right.mean() == pytest.approx(110.0, abs=12.0)


def test_a_recording_without_ground_truth_is_refused(recorded: Path, tmp_path: Path) -> None:
    """Oracle: the contract: DataError that names the file."""
    bare = tmp_path / "bare"
    shutil.copytree(recorded, bare)
    shutil.rmtree(bare / "mav0" / "state_groundtruth_estimate0")
    with pytest.raises(DataError, match="state_groundtruth_estimate0"):
        render_hybrid(bare, _SMALL, tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("flight", ["V1_02_medium", "V2_01_easy", "MH_05_difficult"])
def test_real_flights_pass_smoothly_through_a_room_that_fits(flight: str) -> None:
    """Oracle: the recorded poses (centimetre and degree noise aside) and gyroscope, and the distance function of the room."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data" / "flights" / flight
    if not folder.is_dir():
        pytest.skip("EuRoC's flights are not at ../shared/data")
    t_ns, states, _ = tables.read_numbers(folder / "mav0" / "state_groundtruth_estimate0" / "data.csv", 16)
    motion = flight_along(folder).at(t_ns)
    off = np.linalg.norm(motion.p_WB - states[:, :3], axis=1)
    assert np.quantile(off, 0.99) < 0.002
    assert off.max() < 0.05  # MH_05's poses jump by 2 cm in one place
    imu_ns, imu, _ = tables.read_numbers(folder / "mav0" / "imu0" / "data.csv", 6)
    gyro = np.column_stack([np.interp(t_ns, imu_ns, imu[:, k]) for k in range(3)]) - states[:, 10:13]
    assert np.sqrt(np.mean((gyro - motion.w_B) ** 2)) < 0.1
    scene = room_around(motion, RenderSpec(room=RoomSpec("plain", 8.0, 8.0, 4.0, 4)))
    assert clearance(scene, motion.p_WB).min() > 0.7

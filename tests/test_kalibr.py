"""Folders calibrated by Kalibr: TUM-VI's export, images + CSV, sixteen bits, and the clock of the camera. Oracle: what the tests wrote."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from conftest import FIRST_NS, HEIGHT, PERIOD_NS, WIDTH
from tolerances import EXACT, TIGHT
from vio import lie
from vio.calibration import Calibration, ImuNoise
from vio.camera import Camera, DoubleSphereCamera, EquidistantCamera
from vio.errors import CalibrationError, DataError
from vio.io import asl, images, kalibr
from vio.io.image_headers import declared_size
from vio.io.recording import ReadOptions, sequence_of
from vio.io.sequence import open_sequence

_T_BC = lie.pose(lie.so3_exp(np.array([0.3, -1.2, 0.8])), np.array([0.01, -0.05, 0.02]))
_T_BR = lie.pose(lie.so3_exp(np.array([0.31, -1.19, 0.8])), np.array([0.01, 0.06, 0.02]))
_NOISE = ImuNoise(0.00016, 2.2e-05, 0.0028, 0.00086, 200.0)
_LEFT = EquidistantCamera(WIDTH, HEIGHT, 110.5, 111.25, 160.0, 120.5, 0.0034, 0.0007, -0.002, 2e-05)
_RIGHT = DoubleSphereCamera(WIDTH, HEIGHT, 92.0, 93.0, 158.0, 121.0, -0.2, 0.59)
_RIG = Calibration(_LEFT, _T_BC, _NOISE, _RIGHT, _T_BR, -0.0125)
_TOPICS = {"cam0": "/cam0/image_raw", "cam1": "/cam1/image_raw", "imu0": "/imu0"}


def _rows(matrix: np.ndarray) -> list[list[float]]:
    return [[float(v) for v in row] for row in matrix]


def _edited(folder: Path, change: Callable[[dict], None], name: str = kalibr.CHAIN) -> Path:
    """Write the pair into a folder and change a file's fields."""
    kalibr.write_pair(folder, _RIG, _TOPICS)
    fields = yaml.safe_load((folder / name).read_text())
    change(fields)
    (folder / name).write_text(yaml.safe_dump(fields))
    return folder / kalibr.CHAIN


def test_a_written_pair_is_read_back_to_the_last_bit(tmp_path: Path) -> None:
    """Oracle: the rig itself; T_cam_imu beside it is its inverse, for programs that want that name."""
    kalibr.write_pair(tmp_path, _RIG, _TOPICS)
    rig, topics = kalibr.read_pair(tmp_path / kalibr.CHAIN, mono=False)
    assert (rig.left, rig.right, rig.imu, rig.time_offset, topics) == (_LEFT, _RIGHT, _NOISE, -0.0125, _TOPICS)
    assert np.abs(rig.T_BC - _T_BC).max() == np.abs(rig.T_BR - _T_BR).max() == EXACT
    fields = yaml.safe_load((tmp_path / kalibr.CHAIN).read_text())
    assert np.abs(np.array(fields["cam0"]["T_cam_imu"]) @ _T_BC - np.eye(4)).max() < TIGHT


def test_the_name_tells_the_direction_of_the_extrinsics(tmp_path: Path) -> None:
    """Oracle: T_cam_imu alone, T_imu_cam alone, and the right camera by its transform from the left one give the same rig."""

    def cam_imu(fields: dict) -> None:
        del fields["cam0"]["T_imu_cam"], fields["cam1"]["T_imu_cam"]

    def imu_cam(fields: dict) -> None:
        del fields["cam0"]["T_cam_imu"], fields["cam1"]["T_cam_imu"]

    def chained(fields: dict) -> None:
        cam_imu(fields)
        del fields["cam1"]["T_cam_imu"]
        fields["cam1"]["T_cn_cnm1"] = _rows(lie.inverse(_T_BR) @ _T_BC)

    for change in (cam_imu, imu_cam, chained):
        rig, _ = kalibr.read_pair(_edited(tmp_path, change), mono=False)
        assert np.abs(rig.T_BC - _T_BC).max() < TIGHT and np.abs(rig.T_BR - _T_BR).max() < TIGHT


def test_imu_files_of_kalibrs_output_and_of_openvins_are_read(tmp_path: Path) -> None:
    """Oracle: the same fields in a table imu0, with OpenCV's first line."""
    chain = _edited(tmp_path, lambda fields: None)
    (tmp_path / "imu.yaml").write_text("%YAML:1.0\nimu0:\n  " + (tmp_path / "imu.yaml").read_text().replace("\n", "\n  ") + f"T_i_b: {_rows(np.eye(4))}\n")
    assert kalibr.read_pair(chain, mono=True)[0].imu == _NOISE


def _swap(fields: dict) -> None:
    fields["cam0"]["T_cam_imu"] = fields["cam0"]["T_imu_cam"]


def _without(camera: str, *names: str) -> Callable[[dict], None]:
    return lambda fields: [fields[camera].pop(name) for name in names]


def _set(camera: str, name: str, value: object) -> Callable[[dict], None]:
    return lambda fields: fields[camera].__setitem__(name, value)


REFUSALS: dict[str, tuple[Callable[[dict], None], str, str]] = {
    "both names, one inverted": (_swap, kalibr.CHAIN, "'T_imu_cam' and 'T_cam_imu' contradict each other"),
    "no extrinsics": (_without("cam0", "T_cam_imu", "T_imu_cam"), kalibr.CHAIN, "cam0: neither 'T_cam_imu' nor 'T_imu_cam'"),
    "rotation scaled": (_set("cam1", "T_imu_cam", _rows(1.01 * _T_BR)), kalibr.CHAIN, "cam1: 'T_imu_cam' is not a rigid transform"),
    "no intrinsics": (_without("cam0", "intrinsics"), kalibr.CHAIN, "cam0: field 'intrinsics' is missing"),
    "no resolution": (_without("cam1", "resolution"), kalibr.CHAIN, "cam1: field 'resolution' is missing"),
    "no coefficients": (_without("cam0", "distortion_coeffs"), kalibr.CHAIN, "cam0: field 'distortion_coeffs' is missing"),
    "unknown lens": (_set("cam0", "camera_model", "eucm"), kalibr.CHAIN, "camera_model 'eucm' is not supported"),
    "unknown distortion": (_set("cam0", "distortion_model", "fov"), kalibr.CHAIN, "distortion_model 'fov' is not supported"),
    "absurd spheres": (_set("cam1", "intrinsics", [92.0, 93.0, 158.0, 121.0, -0.2, 0.59]), kalibr.CHAIN, "the order is xi, alpha"),
    "clocks of the cameras": (_set("cam1", "timeshift_cam_imu", 0.02), kalibr.CHAIN, "differ by 32.50 ms"),
    "text as offset": (_set("cam0", "timeshift_cam_imu", "soon"), kalibr.CHAIN, "'timeshift_cam_imu' is"),
    "another version": (lambda fields: fields.update(cameras=[fields.pop("cam0"), fields.pop("cam1")]), kalibr.CHAIN, "no table 'cam0'"),
    "no density": (lambda fields: fields.pop("gyroscope_noise_density"), kalibr.IMU, "imu.yaml: field 'gyroscope_noise_density' is missing"),
    "no rate": (lambda fields: fields.pop("update_rate"), kalibr.IMU, "field 'update_rate' is missing"),
    "another body": (lambda fields: fields.update(T_i_b=_rows(_T_BC)), kalibr.IMU, "'T_i_b' is not the identity"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_broken_pair_is_refused_with_one_line_that_names_file_and_field(tmp_path: Path, name: str) -> None:
    """Oracle: the fault put in by hand."""
    change, file, expected = REFUSALS[name]
    chain = _edited(tmp_path, change, file)
    with pytest.raises(CalibrationError) as caught:
        kalibr.read_pair(chain, mono=False)
    assert expected in str(caught.value) and str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_chain_without_its_imu_file_and_two_chains_are_told(tmp_path: Path) -> None:
    """Oracle: the files present."""
    chain = _edited(tmp_path, lambda fields: None)
    (tmp_path / "imu.yaml").unlink()
    with pytest.raises(CalibrationError, match=r"imu\.yaml: missing"):
        kalibr.read_pair(chain, mono=False)
    for name in ("camchain-imucam-a.yaml", "camchain-imucam-b.yaml"):
        shutil.copy(chain, tmp_path / name)
    chain.unlink()
    with pytest.raises(CalibrationError, match="name the one to use with --calibration"):
        kalibr.find_chain(tmp_path)


def _as_tumvi(folder: Path) -> Path:
    """Turn the ASL folder of conftest into TUM-VI's layout: no sensor.yaml, 16-bit pictures, mocap0, calibration in dso."""
    for sensor in ("cam0", "cam1", "imu0"):
        (folder / "mav0" / sensor / "sensor.yaml").unlink()
    for path in (folder / "mav0").glob("cam*/data/*.png"):
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.uint16) * 257)
    (folder / "dso").mkdir()
    kalibr.write_pair(folder / "dso", _RIG, _TOPICS)
    (folder / "dso" / kalibr.CHAIN).rename(folder / "dso" / "camchain.yaml")
    (folder / "dso" / kalibr.IMU).rename(folder / "dso" / "imu_config.yaml")
    (folder / "mav0" / "mocap0").mkdir()
    poses = "".join(f"{FIRST_NS + k * PERIOD_NS},0,0,0,1,0,0,0\n" for k in range(12))
    (folder / "mav0" / "mocap0" / "data.csv").write_text("#timestamp [ns], p_RS_R_x [m], ...\n" + poses)
    return folder


def test_a_tumvi_folder_is_read_with_its_dso_calibration(recording: Path) -> None:
    """Oracle: the eight-bit folder it was made from; 257 v >> 8 = v."""
    expected = asl.read(recording).load(3)
    sequence = open_sequence(_as_tumvi(recording))
    frame = sequence.load(3)
    assert (frame.left == expected.left).all() and (frame.right == expected.right).all()
    assert frame.t_ns == FIRST_NS + 3 * PERIOD_NS - 12_500_000
    assert sequence.calibration.left == _LEFT and sequence.calibration.right == _RIGHT
    assert len(sequence.ground_truth.t_ns) == 12 and sequence.ground_truth.v_WB is None


def test_the_time_offset_moves_the_frames_to_the_clock_of_the_imu(recording: Path) -> None:
    """Oracle: t_imu = t_cam + offset, in whole nanoseconds; the option takes the place of the calibrated one."""
    plain = open_sequence(recording)
    moved = open_sequence(recording, time_offset=0.0123456)
    assert (moved.frame_t_ns - plain.frame_t_ns).tolist() == [12_345_600] * 12
    assert moved.load(2).t_ns == moved.frame_t_ns[2] and moved.calibration.time_offset == 0.0123456
    for sensor in ("cam0", "cam1"):
        with (recording / "mav0" / sensor / "sensor.yaml").open("a") as file:
            file.write("timeshift_cam_imu: -0.002\n")
    assert (open_sequence(recording).frame_t_ns - plain.frame_t_ns).tolist() == [-2_000_000] * 12
    assert (open_sequence(recording, time_offset=0.0).frame_t_ns == plain.frame_t_ns).all()
    with pytest.raises(CalibrationError, match="given in seconds"):
        open_sequence(recording, time_offset=12.3)


@pytest.mark.parametrize("tables", [True, False], ids=["with tables", "named by stamp"])
def test_images_and_csv_beside_kalibrs_files_are_a_recording(recording: Path, tmp_path: Path, tables: bool) -> None:
    """Oracle: the ASL folder the files were taken from; the layout is that of Kalibr's bag maker."""
    folder, source = tmp_path / "plain", recording / "mav0"
    for camera in ("cam0", "cam1"):
        shutil.copytree(source / camera / "data", folder / camera)
        if tables:
            shutil.copy(source / camera / "data.csv", folder / f"{camera}.csv")
    shutil.copy(source / "imu0" / "data.csv", folder / "imu0.csv")
    kalibr.write_pair(folder, _RIG, _TOPICS)
    (folder / "cam0" / "notes.png").touch()
    sequence, expected = sequence_of(asl.read_recording(folder), 0.0), asl.read(recording)
    assert (sequence.frame_t_ns == expected.frame_t_ns).all() and (sequence.imu_w_B == expected.imu_w_B).all()
    assert (sequence.load(5).right == expected.load(5).right).all()
    assert len(sequence.warnings) == (0 if tables else 1)
    mono = sequence_of(asl.read_recording(folder, ReadOptions(mono=True)))
    assert mono.calibration.right is None and mono.load(0).right is None


def test_a_calibration_can_be_named_and_takes_the_place_of_the_folders_own(recording: Path, tmp_path: Path) -> None:
    """Oracle: the named rig, by file and by folder; one that is not there is refused."""
    kalibr.write_pair(tmp_path, _RIG, _TOPICS)
    for place in (tmp_path, tmp_path / kalibr.CHAIN):
        assert open_sequence(recording, calibration=place).calibration.left == _LEFT
    with pytest.raises(DataError, match="no such file"):
        open_sequence(recording, calibration=tmp_path / "nothing")


@pytest.mark.parametrize(("bits", "shift"), [(8, 0), (10, 2), (12, 4), (14, 8), (16, 8)])
def test_sixteen_bit_words_are_reduced_by_the_bits_their_sensor_uses(recording: Path, bits: int, shift: int) -> None:
    """Oracle: full scale of the sensor is white in eight bits; one shift for all frames."""
    rng = np.random.default_rng(bits)
    written = {}
    for path in (recording / "mav0").glob("cam*/data/*.png"):
        written[path.name, path.parent.parent.name] = rng.integers(0, 1 << bits, (HEIGHT, WIDTH), dtype=np.uint16)
        cv2.imwrite(str(path), written[path.name, path.parent.parent.name])
    frame = open_sequence(recording).load(4)
    assert (frame.left == (written[f"{frame.t_ns}.png", "cam0"] >> shift)).all()


def test_cameras_of_another_size_and_lens_each_are_a_rig(recording: Path) -> None:
    """Oracle: the right pictures shrunk by half and their calibration with them."""
    for path in (recording / "mav0" / "cam1" / "data").glob("*.png"):
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[::2, ::2])
    path = recording / "mav0" / "cam1" / "sensor.yaml"
    path.write_text(path.read_text().replace("[320, 240]", "[160, 120]").replace("[200.0, 200.0, 160.0, 120.0]", "[100.0, 100.0, 80.0, 60.0]"))
    sequence = open_sequence(recording)
    assert sequence.load(0).left.shape == (240, 320) and sequence.load(0).right.shape == (120, 160)


def test_a_header_that_claims_a_huge_picture_is_refused_before_anything_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: a decoder that must not be called; the sizes stand in the headers of PNG and JPEG."""
    picture = np.zeros((48, 64), np.uint8)
    encoded = {kind: cv2.imencode(kind, picture)[1].tobytes() for kind in (".png", ".jpg")}
    assert declared_size(encoded[".png"], "x") == declared_size(encoded[".jpg"], "x") == (64, 48)
    monkeypatch.setattr(cv2, "imdecode", lambda *arguments: pytest.fail("decoded"))
    for kind, data in encoded.items():
        with pytest.raises(CalibrationError, match="the image is 64x48, but the calibration says 32x24"):
            images.decode(data, f"x{kind}", 32, 24)


def test_a_camera_without_distortion_is_a_plain_pinhole(tmp_path: Path) -> None:
    """Oracle: Kalibr's distortion_model none."""
    chain = _edited(tmp_path, lambda fields: fields["cam0"].update(distortion_model="none", distortion_coeffs=[]))
    assert kalibr.read_pair(chain, mono=True)[0].left == Camera(WIDTH, HEIGHT, 110.5, 111.25, 160.0, 120.5)

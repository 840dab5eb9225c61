"""Kalibr's results: `camchain-imucam.yaml` (cameras, extrinsics, time offset) and `imu.yaml` (noise), also as OpenVINS and TUM-VI ship them.

`T_cam_imu` maps the IMU to the camera, `T_imu_cam` the camera to the IMU: the name decides, and where both stand they must agree.
Source: https://github.com/ethz-asl/kalibr/wiki/yaml-formats
"""

from pathlib import Path
from typing import Any

import numpy as np

from vio import lie
from vio.calibration import Calibration, ImuNoise
from vio.camera import CameraModel
from vio.errors import CalibrationError
from vio.io.camera_yaml import lens_names, number, number_list, optional_float, parse_camera, parse_rigid
from vio.io.sensor_yaml import TIME_OFFSET, check_clocks, read_imu_noise
from vio.io.yaml_text import read_yaml

CHAIN, IMU = "camchain-imucam.yaml", "imu.yaml"
_CHAINS = (CHAIN, "*camchain-imucam*.yaml", "*imucam_chain*.yaml", "*camchain*.yaml")
_IMUS = (IMU, "imu0.yaml", "imu_config.yaml", "imu-*.yaml", "*imu_chain*.yaml")
_AGREE = 1e-3  # rad and m by which T_cam_imu and the inverse of T_imu_cam may differ


def find_chain(folder: Path) -> Path | None:
    """The camera-IMU chain in a folder, None if there is none. Raises CalibrationError if several could be meant."""
    for pattern in _CHAINS:
        found = sorted(folder.glob(pattern))
        if len(found) > 1:
            raise CalibrationError(f"{folder}: holds {', '.join(p.name for p in found)}; name the one to use with --calibration")
        if found:
            return found[0]
    return None


def read_pair(chain: Path, mono: bool) -> tuple[Calibration, dict[str, str]]:
    """The rig of a chain and the IMU file beside it, and the topics ("cam0", "cam1", "imu0") that they name.

    A chain of one camera gives a mono rig. Raises CalibrationError naming file and field.
    """
    fields = read_yaml(chain)
    cameras = [name for name in ("cam0", "cam1") if isinstance(fields.get(name), dict)]
    if "cam0" not in cameras:
        raise CalibrationError(f"{chain}: no table 'cam0'; a Kalibr chain (camchain-imucam.yaml) has one table per camera: cam0, cam1")
    noise, imu_topic = _read_imu(_imu_beside(chain))
    left, T_BC, offset = _camera(fields, "cam0", chain, None)
    right, T_BR = None, None
    if len(cameras) > 1 and not mono:
        right, T_BR, other = _camera(fields, "cam1", chain, T_BC)
        check_clocks(offset, other, str(chain))
    topics = {name: str(fields[name].get("rostopic") or "") for name in cameras} | {"imu0": imu_topic}
    return Calibration(left, T_BC, noise, right, T_BR, offset), {name: topic for name, topic in topics.items() if topic}


def _camera(chain: dict[str, Any], name: str, path: Path, T_BP: np.ndarray | None) -> tuple[CameraModel, np.ndarray, float]:
    """A camera, T_BC (4, 4) from it to the IMU, and its time offset; T_BP is the previous camera's transform."""
    fields, source = chain[name], f"{path}: {name}"
    return parse_camera(fields, source), _extrinsics(fields, source, T_BP), optional_float(fields, TIME_OFFSET, source)


def _extrinsics(fields: dict[str, Any], source: str, T_BP: np.ndarray | None) -> np.ndarray:
    """T_BC (4, 4) by whatever names the fields give it, which must not contradict each other."""
    found: dict[str, np.ndarray] = {}
    if "T_imu_cam" in fields:
        found["T_imu_cam"] = parse_rigid(fields["T_imu_cam"], "T_imu_cam", source)
    if "T_cam_imu" in fields:
        found["T_cam_imu"] = lie.inverse(parse_rigid(fields["T_cam_imu"], "T_cam_imu", source))
    if "T_cn_cnm1" in fields and T_BP is not None:
        found["T_cn_cnm1"] = T_BP @ lie.inverse(parse_rigid(fields["T_cn_cnm1"], "T_cn_cnm1", source))
    if not found:
        raise CalibrationError(f"{source}: neither 'T_cam_imu' nor 'T_imu_cam'; calibrate the cameras with the IMU (kalibr_calibrate_imu_camera)")
    (first, T_BC), *others = found.items()
    for name, T in others:
        difference = lie.inverse(T_BC) @ T
        angle, distance = float(np.linalg.norm(lie.so3_log(difference[:3, :3]))), float(np.linalg.norm(difference[:3, 3]))
        if angle > _AGREE or distance > _AGREE:
            raise CalibrationError(
                f"{source}: '{first}' and '{name}' contradict each other ({np.rad2deg(angle):.2f} degrees, {distance:.4f} m); "
                "T_cam_imu maps the IMU to the camera, T_imu_cam the camera to the IMU: keep the right one"
            )
    return T_BC


def _imu_beside(chain: Path) -> Path:
    """The IMU file that belongs to a chain."""
    for pattern in _IMUS:
        found = sorted(path for path in chain.parent.glob(pattern) if path != chain)
        if len(found) > 1:
            raise CalibrationError(f"{chain.parent}: holds {', '.join(p.name for p in found)}; leave the one to use beside {chain.name}, named {IMU}")
        if found:
            return found[0]
    raise CalibrationError(f"{chain.parent / IMU}: missing; Kalibr's IMU file with the noise densities belongs beside {chain.name}")


def _read_imu(path: Path) -> tuple[ImuNoise, str]:
    """Noise and topic; the fields stand at the top or in a table `imu0`."""
    fields, source = read_yaml(path), str(path)
    if isinstance(fields.get("imu0"), dict):
        fields, source = fields["imu0"], f"{path}: imu0"
    if "T_i_b" in fields and np.abs(parse_rigid(fields["T_i_b"], "T_i_b", source) - np.eye(4)).max() > 1e-6:
        raise CalibrationError(f"{source}: 'T_i_b' is not the identity, but the body of this rig is its IMU")
    return read_imu_noise(fields, source, "update_rate"), str(fields.get("rostopic") or "")


def write_pair(folder: Path, calibration: Calibration, topics: dict[str, str]) -> None:
    """Write the two files such that `read_pair` gives the same numbers: T_imu_cam is exact, T_cam_imu is for other programs."""
    cameras = [("cam0", calibration.left, calibration.T_BC)]
    if calibration.right is not None:
        cameras.append(("cam1", calibration.right, calibration.T_BR))
    tables = [_camera_table(name, camera, T_BC, calibration.time_offset, topics[name]) for name, camera, T_BC in cameras]
    (folder / CHAIN).write_text("".join(tables), encoding="utf-8")
    noise = calibration.imu
    values = {
        "accelerometer_noise_density": noise.accel_noise,
        "accelerometer_random_walk": noise.accel_walk,
        "gyroscope_noise_density": noise.gyro_noise,
        "gyroscope_random_walk": noise.gyro_walk,
        "update_rate": noise.rate_hz,
    }
    text = "".join(f"{name}: {number(value)}\n" for name, value in values.items())
    (folder / IMU).write_text(f"rostopic: {topics['imu0']}\n{text}", encoding="utf-8")


def _camera_table(name: str, camera: CameraModel, T_BC: np.ndarray, offset: float, topic: str) -> str:
    model, intrinsics, distortion, coefficients = lens_names(camera)
    transforms = "".join(
        f"  {label}:\n" + "".join(f"  - {number_list(row)}\n" for row in T)
        for label, T in (("T_cam_imu", lie.inverse(T_BC)), ("T_imu_cam", T_BC))
    )
    return (
        f"{name}:\n{transforms}  camera_model: {model}\n  intrinsics: {number_list(intrinsics)}\n"
        f"  distortion_model: {distortion}\n  distortion_coeffs: {number_list(coefficients)}\n"
        f"  resolution: [{camera.width}, {camera.height}]\n  rostopic: {topic}\n  {TIME_OFFSET}: {number(offset)}\n"
    )

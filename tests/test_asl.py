"""The ASL reader on whole, broken and oddly shaped folders. Oracle: the content that conftest wrote."""

import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from conftest import FIRST_NS, HEIGHT, PERIOD_NS, WIDTH, edit_line
from tolerances import EXACT, TIGHT
from vio.errors import CalibrationError, DataError
from vio.io import asl, images
from vio.io.sequence import frames, open_sequence


def _sub(path: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / "mav0" / path
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))

    return change


def _line(path: str, line: int, text: str) -> Callable[[Path], None]:
    return lambda folder: edit_line(folder / "mav0" / path, line, lambda old: text)


def _gone(path: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        target = folder / "mav0" / path
        shutil.rmtree(target) if target.is_dir() else target.unlink()

    return change


def _identical_rows(path: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / "mav0" / path
        header, row, *rest = file.read_text().splitlines()
        file.write_text("\n".join([header, *[row] * (len(rest) + 1)]))

    return change


REFUSALS = {
    "no sensor folder": (_gone("imu0"), "imu0/sensor.yaml: missing"),
    "no right camera": (_gone("cam1"), "--mono"),
    "no table": (_gone("cam0/data.csv"), "cam0/data.csv: missing"),
    "no images": (_gone("cam0/data"), "holds none of the 12 images"),
    "yaml is not yaml": (_sub("cam0/sensor.yaml", "rate_hz: 20", "rate_hz: [20"), "cam0/sensor.yaml, line"),
    "yaml is a text": (lambda f: (f / "mav0/imu0/sensor.yaml").write_text("hello"), "imu0/sensor.yaml: not a table"),
    "yaml is binary": (lambda f: (f / "mav0/imu0/sensor.yaml").write_bytes(b"\xff\xfe\x00\x81"), "imu0/sensor.yaml: not a text file"),
    "intrinsics missing": (_sub("cam0/sensor.yaml", "intrinsics", "intrinsic"), "field 'intrinsics' is missing"),
    "intrinsics too short": (_sub("cam0/sensor.yaml", "200.0, 200.0, ", ""), "4 finite numbers"),
    "intrinsics of another image": (_sub("cam0/sensor.yaml", "160.0, 120.0", "640.0, 512.0"), "do not fit a 320x240 image"),
    "unknown distortion": (_sub("cam1/sensor.yaml", "radial-tangential", "fov"), "distortion_model 'fov' is not supported; supported: pinhole"),
    "unknown camera": (_sub("cam0/sensor.yaml", "camera_model: pinhole", "camera_model: omni"), "camera_model 'omni' is not supported"),
    "rotation is none": (_sub("cam0/sensor.yaml", "[0.0, 0.0, 1.0", "[0.0, 0.0, 2.0"), "not a rigid transform"),
    "extrinsics missing": (_sub("cam0/sensor.yaml", "T_BS", "T_CS"), "field 'T_BS' is missing"),
    "cameras at one place": (_sub("cam1/sensor.yaml", "-0.05", "0.05"), "stand 0 m apart"),
    "noise density zero": (_sub("imu0/sensor.yaml", "2.0e-3", "0"), "'accelerometer_noise_density' is 0"),
    "noise density missing": (_sub("imu0/sensor.yaml", "gyroscope_random_walk", "walk"), "'gyroscope_random_walk' is missing"),
    "imu cell is no number": (_line("imu0/data.csv", 5, f"{FIRST_NS},0,0,zero,0,0,9.8"), "imu0/data.csv, line 5: 'zero' in column 4"),
    "imu row too short": (_line("imu0/data.csv", 7, "1,2,3"), "imu0/data.csv, line 7: 3 columns"),
    "imu stamp is a float": (_line("imu0/data.csv", 3, "1.4036e18,0,0,0,0,0,9.8"), "line 3: '1.4036e18' in column 1"),
    "imu table empty": (lambda f: (f / "mav0/imu0/data.csv").write_text("#t\n"), "has no rows"),
    "imu table binary": (lambda f: (f / "mav0/imu0/data.csv").write_bytes(b"\xff\xfe\x81"), "not a text file"),
    "camera stamp is no number": (_line("cam0/data.csv", 4, "abc,abc.png"), "cam0/data.csv, line 4: 'abc' is not a stamp"),
    "camera row without name": (_line("cam0/data.csv", 4, "123"), "cam0/data.csv, line 4: no file name"),
    "clocks differ": (_sub("cam1/data.csv", "\n14", "\n13"), "no two images lie within half a frame period"),
    "all stamps repeat": (_identical_rows("cam0/data.csv"), "out of order"),
    "imu of another day": (_sub("imu0/data.csv", "\n14", "\n13"), "no time in common"),
    "images of another size": (_sub("cam0/sensor.yaml", "[320, 240]", "[330, 250]"), "the image is 320x240, but the calibration says 330x250"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_broken_recording_is_refused_with_one_line_that_names_the_fault(recording: Path, name: str) -> None:
    """Oracle: the fault put in by hand."""
    damage, expected = REFUSALS[name]
    damage(recording)
    with pytest.raises(DataError) as caught:
        asl.read(recording)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_whole_recording_is_read_to_the_nanosecond(recording: Path) -> None:
    """Oracle: the numbers written; stamps beyond 2^53 would lose digits in a float64."""
    sequence = asl.read(recording)
    assert sequence.name == "wall"
    assert sequence.warnings == ()
    assert sequence.frame_t_ns.tolist() == [FIRST_NS + PERIOD_NS * i for i in range(12)]
    assert sequence.imu_t_ns[1] - sequence.imu_t_ns[0] == 5_000_000
    assert sequence.imu_w_B.shape == sequence.imu_a_B.shape == (len(sequence.imu_t_ns), 3)
    assert sequence.ground_truth is None
    camera = sequence.calibration.left
    assert camera.parameters == (200.0, 200.0, 160.0, 120.0, -0.1, 0.01, 0.0, 1e-4)
    assert np.abs(sequence.calibration.T_CR[:3, 3] - [0.1, 0, 0]).max() <= TIGHT


def test_the_folder_may_be_mav0_itself(recording: Path) -> None:
    """Oracle: the same recording opened from outside."""
    inner, outer = asl.read(recording / "mav0"), asl.read(recording)
    assert inner.name == outer.name
    assert (inner.frame_t_ns == outer.frame_t_ns).all()


def test_mono_needs_no_right_camera(recording: Path) -> None:
    """Oracle: the request."""
    shutil.rmtree(recording / "mav0" / "cam1")
    sequence = asl.read(recording, mono=True)
    assert sequence.calibration.right is None
    assert sequence.load(0).right is None


def test_stamps_that_go_back_or_repeat_are_dropped_and_reported(recording: Path) -> None:
    """Oracle: rows 5 and 6 moved by hand; both are named by count and first line."""
    path = recording / "mav0" / "imu0" / "data.csv"
    before = asl.read(recording).imu_t_ns
    edit_line(path, 7, lambda row: f"{before[3]}," + row.split(",", 1)[1])
    edit_line(path, 8, lambda row: f"{before[4]}," + row.split(",", 1)[1])
    sequence = asl.read(recording)
    assert sequence.imu_t_ns.tolist() == np.delete(before, [5, 6]).tolist()
    assert sequence.warnings == (f"{path}: dropped 2 rows whose stamps go back or repeat, first at line 7",)


def test_left_and_right_of_unequal_count_are_paired_by_time(recording: Path) -> None:
    """Oracle: one right row removed, another moved by 2 ms; the left stamp is the frame's."""
    path = recording / "mav0" / "cam1" / "data.csv"
    rows = path.read_text().splitlines()
    del rows[4]
    t, name = rows[6].split(",")
    rows[6] = f"{int(t) + 2_000_000},{name}"
    path.write_text("\n".join(rows))
    sequence = asl.read(recording)
    wanted = [FIRST_NS + PERIOD_NS * i for i in range(12) if i != 3]
    assert sequence.frame_t_ns.tolist() == wanted
    assert sequence.warnings == ("dropped 1 left and 0 right images without a partner within 25.0 ms",)


def test_nan_in_the_imu_is_read_as_it_stands(recording: Path) -> None:
    """Oracle: the row written; judging the value is the engine's duty."""
    edit_line(recording / "mav0" / "imu0" / "data.csv", 5, lambda row: row.split(",")[0] + ",nan,0,0,0,inf,9.8")
    sequence = asl.read(recording)
    assert np.isnan(sequence.imu_w_B[3, 0]) and np.isinf(sequence.imu_a_B[3, 1])


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_damaged_image_is_a_fault_of_its_frame_alone_and_order_is_kept(recording: Path, threads: int) -> None:
    """Oracle: frame 2 missing, 4 truncated, 5 with a flipped bit, 7 empty, 9 no image at all."""
    data = recording / "mav0" / "cam0" / "data"
    path = [data / f"{FIRST_NS + PERIOD_NS * i}.png" for i in range(12)]
    whole = path[0].read_bytes()
    path[2].unlink()
    path[4].write_bytes(whole[: len(whole) // 2])
    path[5].write_bytes(whole[:2000] + bytes([whole[2000] ^ 1]) + whole[2001:])
    path[7].write_bytes(b"")
    path[9].write_bytes(b"this is no image")
    loaded = list(frames(asl.read(recording), 0, 12, threads))
    assert [f.index for f in loaded] == list(range(12))
    faults = {f.index: f.fault for f in loaded if f.frame is None}
    words = {2: "cannot be read", 4: "truncated", 5: "checksum", 7: "empty", 9: "cannot be decoded"}
    assert faults.keys() == words.keys()
    assert all(words[i] in faults[i] and str(path[i]) in faults[i] for i in words)


def test_frames_can_be_abandoned_half_way(recording: Path) -> None:
    """Oracle: the generator closes without waiting for frames nobody wants."""
    stream = frames(asl.read(recording), 0, 12, 3)
    assert next(stream).index == 0
    stream.close()
    with pytest.raises(StopIteration):
        next(stream)


def test_every_inertial_sample_is_handed_out_once_and_before_its_frame(recording: Path) -> None:
    """Oracle: the batches put end to end are the table, and each ends with the first sample at or after its frame."""
    (recording / "mav0" / "cam0" / "data" / f"{FIRST_NS + 3 * PERIOD_NS}.png").unlink()
    sequence = asl.read(recording)
    pairs = list(sequence)
    assert [frame.t_ns for _, frame in pairs] == np.delete(sequence.frame_t_ns, 3).tolist()
    for (t_ns, _, _), frame in pairs:
        assert t_ns[-2] < frame.t_ns <= t_ns[-1]
    given = np.concatenate([t_ns for (t_ns, _, _), _ in pairs])
    assert given.tolist() == sequence.imu_t_ns[: len(given)].tolist()


def test_sixteen_bit_and_colour_pictures_become_grey_of_eight_bits(tmp_path: Path) -> None:
    """Oracle: 16 bits lose their lower 8; a colour picture with equal channels is its own grey."""
    grey = np.arange(WIDTH * HEIGHT, dtype=np.uint16).reshape(HEIGHT, WIDTH)
    cv2.imwrite(str(tmp_path / "deep.png"), grey)
    assert np.array_equal(images.read_grey(tmp_path / "deep.png", WIDTH, HEIGHT), (grey >> 8).astype(np.uint8))
    eight = (grey % 256).astype(np.uint8)
    for channels in (3, 4):
        cv2.imwrite(str(tmp_path / "colour.png"), np.dstack([eight] * channels))
        result = images.read_grey(tmp_path / "colour.png", WIDTH, HEIGHT)
        assert np.abs(result.astype(int) - eight).max() == EXACT
        assert result.flags.c_contiguous


def test_the_chunk_walk_agrees_with_the_specification_on_a_handmade_png(tmp_path: Path) -> None:
    """Oracle: a PNG assembled here byte by byte (PNG specification, sections 5 and 11)."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\x00" + bytes(range(y, y + 20)) for y in range(16))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20, 16, 8, 0, 0, 0, 0))
    path = tmp_path / "hand.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    assert np.array_equal(images.read_grey(path, 20, 16), np.add.outer(np.arange(16), np.arange(20)))
    with pytest.raises(CalibrationError, match="20x16, but the calibration says 21x16"):
        images.read_grey(path, 21, 16)


def test_ground_truth_is_normalised_and_its_bad_rows_are_reported(recording: Path) -> None:
    """Oracle: three rows written, one with NaN and one quaternion of length 1.001."""
    folder = recording / "mav0" / "state_groundtruth_estimate0"
    folder.mkdir()
    tail = ",0.1,0.2,0.3,0,0,0,0,0,0\n"
    rows = [f"{FIRST_NS},1,2,3,1.001,0,0,0{tail}", f"{FIRST_NS + 1},nan,2,3,1,0,0,0{tail}", f"{FIRST_NS + 2},1,2,4,0,1,0,0{tail}"]
    (folder / "data.csv").write_text("#t\n" + "".join(rows))
    sequence = asl.read(recording)
    truth = sequence.ground_truth
    assert truth.t_ns.tolist() == [FIRST_NS, FIRST_NS + 2]
    assert truth.q_WB.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0]]
    assert truth.v_WB[0].tolist() == [0.1, 0.2, 0.3]
    assert len(sequence.warnings) == 1 and "dropped 1 of 3 rows" in sequence.warnings[0]


def test_the_body_is_the_imu_even_if_the_folder_says_otherwise(recording: Path) -> None:
    """Oracle: moving all sensors of the rig by one rigid transform changes neither T_BC nor the ground truth of the IMU."""
    folder = recording / "mav0" / "mocap0"
    folder.mkdir()
    (folder / "data.csv").write_text(f"#t\n{FIRST_NS},1,2,3,1,0,0,0\n{FIRST_NS + PERIOD_NS},1,2,3,0,0,0,1\n")
    before = asl.read(recording)
    shifted = before.calibration.T_BC.copy()
    shifted[0, 3] += 0.5
    text = (recording / "mav0/imu0/sensor.yaml").read_text()
    (recording / "mav0/imu0/sensor.yaml").write_text(text.replace("[1, 0, 0, 0,", "[1, 0, 0, 0.5,"))
    for sensor in ("cam0", "cam1"):
        _sub(f"{sensor}/sensor.yaml", "[0.0, 0.0, 1.0, 0.0", "[0.0, 0.0, 1.0, 0.5")(recording)
    after = asl.read(recording)
    assert np.abs(after.calibration.T_BC - before.calibration.T_BC).max() <= TIGHT
    # half a turn about z: the IMU, 0.5 m ahead of the tracked body, ends 0.5 m behind it
    assert np.abs(after.ground_truth.p_WB - [[1.5, 2, 3], [0.5, 2, 3]]).max() <= TIGHT


def test_an_unknown_name_lists_the_built_in_sequences() -> None:
    """Oracle: the renderer's own list."""
    from vio.io.renderer import builtin_names

    with pytest.raises(DataError) as caught:
        open_sequence("no-such-thing")
    assert all(name in str(caught.value) for name in builtin_names())


def test_the_real_clip_is_read_in_full(euroc_clip: Path) -> None:
    """Oracle: the counts in the data's own description: 340 stereo frames at 20 Hz, IMU and ground truth at 200 Hz."""
    sequence = asl.read(euroc_clip)
    assert len(sequence.frame_t_ns) == 340 and sequence.warnings == ()
    assert abs(len(sequence.imu_t_ns) - (17.0 + 1.15) * 200) < 20
    assert len(sequence.ground_truth.t_ns) == len(sequence.imu_t_ns)
    frame = sequence.load(339)
    assert frame.left.shape == frame.right.shape == (480, 752) and frame.left.std() > 10

"""Bags of three formats: stamps, pictures, topics and faults. Oracle, where none is named: what the tests wrote with rosbags' own writers."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from bags import KINDS, Maker, raw_message, written

from conftest import FIRST_NS
from tolerances import EXACT
from vio.calibration import Calibration, ImuNoise
from vio.camera import Camera
from vio.errors import CalibrationError, DataError
from vio.io import bag, bag_images, kalibr
from vio.io.bag_store import COMPRESSED, IMAGE, IMU, ODOMETRY, POSE
from vio.io.bag_topics import choose
from vio.io.recording import ReadOptions
from vio.io.sequence import open_sequence

WIDTH, HEIGHT, FRAMES = 64, 48, 6
_T_BR = np.eye(4)
_T_BR[0, 3] = 0.1
RIG = Calibration(Camera(WIDTH, HEIGHT, 50.0, 50.0, 32.0, 24.0), np.eye(4), ImuNoise(1e-4, 1e-5, 1e-3, 1e-4), Camera(WIDTH, HEIGHT, 51.0, 51.0, 31.0, 24.0), _T_BR)
NAMES = {"cam0": "/left/image", "cam1": "/right/image", "imu0": "/imu"}
PICTURES = np.random.default_rng(2).integers(0, 256, (2, FRAMES, HEIGHT, WIDTH), np.uint8)
IMU_ROWS = np.random.default_rng(3).normal(0, 1, (60, 6))


def frame_ns(i: int) -> int:
    return FIRST_NS + 50_000_001 * i


def imu_ns(i: int) -> int:
    return FIRST_NS - 10_000_003 + 5_000_000 * i


def fill(maker: Maker, encoding: str = "mono8") -> None:
    """Six stereo frames and sixty inertial samples, logged 3 ms late; two inertial messages overtake each other, one comes twice."""
    late = 3_000_000
    for i in range(60):
        maker.imu("/imu", imu_ns(i), imu_ns(i) + late + (11_000_000 if i == 20 else 0), IMU_ROWS[i])
    maker.imu("/imu", imu_ns(30), imu_ns(30) + late + 1, IMU_ROWS[30])
    for i in range(FRAMES):
        for side, topic in enumerate(("/left/image", "/right/image")):
            maker.image(topic, frame_ns(i) + 100 * side, frame_ns(i) + late, PICTURES[side, i], encoding)
        maker.transform("/vicon", frame_ns(i), np.array([i, 0.0, 1.0]), np.array([1.0, 0.0, 0.0, 0.0]))


@pytest.fixture(scope="module", params=KINDS)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bag of each kind with its calibration beside it."""
    folder = tmp_path_factory.mktemp(request.param)
    with written(folder, request.param) as (maker, path):
        fill(maker)
    kalibr.write_pair(path.parent, RIG, {"cam0": "/unknown", "cam1": "/right/image", "imu0": "/imu"})
    return path


def test_a_bag_is_read_to_the_nanosecond_and_to_the_pixel(whole: Path) -> None:
    """Stamps are the headers', not the log's; messages are in their order; the repeated one is told."""
    heard: list[tuple[int, int]] = []
    recording = bag.read_recording(whole, progress=lambda done, total: heard.append((done, total)))
    assert recording.imu_t_ns.tolist() == [imu_ns(i) for i in range(60)]
    assert np.abs(recording.imu - IMU_ROWS).max() == EXACT
    assert [camera.t_ns.tolist() for camera in recording.cameras] == [[frame_ns(i) + 100 * side for i in range(FRAMES)] for side in (0, 1)]
    for i in (3, 0, 5, 1):
        assert all((recording.cameras[side].load(i) == PICTURES[side, i]).all() for side in (0, 1))
    assert recording.ground_truth.p_WB[:, 0].tolist() == list(range(FRAMES)) and recording.ground_truth.v_WB is None
    assert recording.warnings == (f"{whole}: /imu: dropped 1 messages that repeat a stamp",)
    assert heard[-1] == (61 + 3 * FRAMES, 61 + 3 * FRAMES) and recording.name == "flight"


def test_a_bag_opens_as_any_sequence_with_threads_and_in_mono(whole: Path) -> None:
    """Oracle: decoding on one thread."""
    from vio.io.sequence import frames

    sequence = open_sequence(whole)
    pictures = [[frame.frame.left for frame in frames(sequence, 0, FRAMES, threads)] for threads in (1, 4)]
    assert all((a == b).all() for a, b in zip(*pictures)) and len(pictures[0]) == FRAMES
    mono = open_sequence(whole, mono=True, topics={"cam0": "/right/image"})
    assert mono.load(2).right is None and (mono.load(2).left == PICTURES[1, 2]).all()


@pytest.mark.parametrize(("kind", "compressed"), [("rosbag1", "lz4"), ("rosbag1", "bz2"), ("rosbag2", "message"), ("rosbag2", "file"), ("mcap", "storage")])
def test_compressed_bags_are_read(tmp_path: Path, kind: str, compressed: str) -> None:
    """Every compression that the formats know, with pictures asked for out of order."""
    with written(tmp_path, kind, compressed) as (maker, path):
        fill(maker)
    kalibr.write_pair(path.parent, RIG, NAMES)
    recording = bag.read_recording(path)
    assert np.abs(recording.imu - IMU_ROWS).max() == EXACT
    assert all((recording.cameras[1].load(i) == PICTURES[1, i]).all() for i in (4, 0, 5))


def test_a_calibration_elsewhere_and_an_asl_calibration_serve_a_bag(whole: Path, recording: Path, tmp_path: Path) -> None:
    """An ASL folder's sensor.yaml files may calibrate a bag; a bag alone is refused with the remedy."""
    with pytest.raises(CalibrationError, match="320x240"):
        open_sequence(whole, calibration=recording)
    with pytest.raises(CalibrationError, match="no calibration there; put camchain-imucam.yaml"):
        open_sequence(whole, calibration=tmp_path)


def test_a_folder_that_holds_one_bag_is_that_bag(tmp_path: Path) -> None:
    """Oracle: the bag itself; with a second one beside it the folder is refused and both are named."""
    with written(tmp_path, "rosbag1") as (maker, path):
        fill(maker)
    kalibr.write_pair(tmp_path, RIG, NAMES)
    assert (open_sequence(tmp_path).frame_t_ns == open_sequence(path).frame_t_ns).all()
    (tmp_path / "second.mcap").touch()
    with pytest.raises(DataError, match="holds several bags, flight.bag, second.mcap; name one"):
        open_sequence(tmp_path)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut in half": lambda data: data[: len(data) // 2],
    "without its end": lambda data: data[:-40],
    "empty": lambda data: b"",
    "not a bag": lambda data: b"this is no bag\n" * 9,
    "overwritten": lambda data: data[: len(data) // 3] + bytes(len(data) // 2) + data[len(data) // 3 + len(data) // 2 :],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_bag_is_refused_with_one_line_or_read_as_far_as_it_is_whole(tmp_path: Path, kind: str, damage: str) -> None:
    """Oracle: no other exception than DataError, whatever the library meets in the bytes; sqlite and MCAP files may survive a short end."""
    with written(tmp_path, kind) as (maker, path):
        fill(maker)
    kalibr.write_pair(path.parent, RIG, NAMES)
    file = next(path.glob("*.db3")) if path.is_dir() else path
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    try:
        recording = bag.read_recording(path)
        [recording.cameras[0].load(i) for i in range(len(recording.cameras[0].t_ns))]
    except DataError as error:
        assert "\n" not in str(error) and str(path.parent) in str(error)
    else:
        assert damage in ("without its end", "overwritten") and kind != "rosbag1"


def test_a_cut_rosbag1_names_the_tool_that_mends_it(tmp_path: Path) -> None:
    """Oracle: ROS's own remedy for a bag without an index."""
    with written(tmp_path, "rosbag1") as (maker, path):
        fill(maker)
    kalibr.write_pair(tmp_path, RIG, NAMES)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match="damaged, cut off or of an unknown version .*`rosbag reindex` may recover it"):
        bag.read_recording(path)


def test_an_unknown_encoding_is_refused_on_opening(tmp_path: Path) -> None:
    """Oracle: the encoding's name and the supported ones in the text."""
    with written(tmp_path, "rosbag2") as (maker, path):
        fill(maker, encoding="32FC1")
    kalibr.write_pair(path, RIG, NAMES)
    with pytest.raises(DataError, match="/left/image: encoding '32FC1' is not supported; supported: mono8"):
        bag.read_recording(path)


def test_compressed_pictures_are_read_and_depth_is_refused(tmp_path: Path) -> None:
    """PNG is lossless, JPEG within its own error; a truncated one is the fault of its frame."""
    smooth = cv2.GaussianBlur(PICTURES[0, 0], (0, 0), 3.0)
    whole_png = cv2.imencode(".png", smooth)[1].tobytes()
    with written(tmp_path, "mcap") as (maker, path):
        fill(maker)
        for i, (form, data) in enumerate((("png", whole_png), ("jpeg", cv2.imencode(".jpg", smooth)[1].tobytes()), ("png", whole_png[:-30]))):
            maker.compressed("/c/compressed", frame_ns(i), frame_ns(i), data, form)
        maker.compressed("/d", frame_ns(0), frame_ns(0), whole_png, "16UC1; compressedDepth")
    kalibr.write_pair(path.parent, RIG, NAMES)
    pictures = bag.read_recording(path, ReadOptions(mono=True, topics={"cam0": "/c/compressed"})).cameras[0]
    assert (pictures.load(0) == smooth).all() and np.abs(pictures.load(1).astype(int) - smooth).max() < 10
    with pytest.raises(DataError, match="truncated"):
        pictures.load(2)
    with pytest.raises(DataError, match="compressed depth image"):
        bag.read_recording(path, ReadOptions(mono=True, topics={"cam0": "/d"}))


GREY, DEEP = PICTURES[0, 0], PICTURES[0, 0].astype(np.uint16) * 200
COLOUR = np.dstack([PICTURES[0, 0], PICTURES[0, 1], PICTURES[0, 2]])


@pytest.mark.parametrize(
    ("encoding", "stored", "expected"),
    [
        ("mono8", GREY, GREY), ("8UC1", GREY, GREY), ("mono16", DEEP, DEEP), ("16UC1", DEEP, DEEP), ("bgr8", COLOUR, COLOUR), ("8UC3", COLOUR, COLOUR),
        ("rgb8", COLOUR[..., ::-1], COLOUR), ("bgr16", COLOUR.astype(np.uint16) * 3, COLOUR.astype(np.uint16) * 3),
        ("rgb16", COLOUR[..., ::-1].astype(np.uint16) * 3, COLOUR.astype(np.uint16) * 3),
        ("bgra8", np.dstack([COLOUR, GREY]), COLOUR), ("rgba8", np.dstack([COLOUR[..., ::-1], GREY]), COLOUR),
    ],
)  # fmt: skip
def test_raw_encodings_become_grey_or_bgr(encoding: str, stored: np.ndarray, expected: np.ndarray) -> None:
    """Oracle: the channels put in order by hand."""
    picture = bag_images.decode_message(raw_message(stored, encoding), "x", WIDTH, HEIGHT)
    assert picture.dtype == expected.dtype and (picture == expected).all() and picture.flags.c_contiguous


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_a_bayer_mosaic_of_one_colour_becomes_that_colour(pattern: str, bits: int) -> None:
    """Oracle: the pattern's four letters are the pixels (0, 0), (0, 1), (1, 0), (1, 1), as ROS has it."""
    colour = {"b": 40, "g": 120, "r": 210}
    mosaic = np.tile(np.array([colour[c] for c in pattern]).reshape(2, 2), (HEIGHT // 2, WIDTH // 2)).astype(np.uint8 if bits == 8 else np.uint16)
    picture = bag_images.decode_message(raw_message(mosaic, f"bayer_{pattern}{bits}"), "x", WIDTH, HEIGHT)
    assert (picture == np.array([40, 120, 210])).all()


@pytest.mark.parametrize(("encoding", "order"), [("yuv422", (1, 0, 2, 0)), ("yuv422_yuy2", (0, 1, 0, 2))])
def test_yuv_without_colour_is_grey(encoding: str, order: tuple[int, ...]) -> None:
    """Oracle: U = V = 128 leaves grey; Y = 16 + 219/255 v, rounded."""
    stored = np.full((HEIGHT, WIDTH, 2), 128, np.uint8)
    stored[:, :, order.index(0)] = np.rint(16 + GREY * (219 / 255))
    picture = bag_images.decode_message(raw_message(stored, encoding), "x", WIDTH, HEIGHT)
    assert np.abs(picture.astype(int) - GREY[:, :, None]).max() <= 2


def test_padded_rows_and_big_endian_words_are_read() -> None:
    """Oracle: the picture before padding and swapping."""
    padded = np.hstack([GREY, np.full((HEIGHT, 5), 9, np.uint8)])
    assert (bag_images.decode_message(raw_message(padded, "mono8", width=WIDTH), "x", WIDTH, HEIGHT) == GREY).all()
    assert (bag_images.decode_message(raw_message(DEEP.astype(">u2"), "mono16", is_bigendian=1), "x", WIDTH, HEIGHT) == DEEP).all()


def test_pictures_that_contradict_their_header_are_refused() -> None:
    """Oracle: a size nobody calibrated, and rows that do not fit."""
    with pytest.raises(CalibrationError, match="the image is 100000x100000, but the calibration says 64x48"):
        bag_images.decode_message(raw_message(GREY, "mono8", width=100_000, height=100_000), "x", WIDTH, HEIGHT)
    with pytest.raises(DataError, match="do not hold 64x48 of mono8"):
        bag_images.decode_message(raw_message(GREY, "mono8", data=GREY.reshape(-1)[:-1]), "x", WIDTH, HEIGHT)
    with pytest.raises(DataError, match="do not hold 64x48 of mono16"):
        bag_images.decode_message(raw_message(GREY, "mono16"), "x", WIDTH, HEIGHT)


TYPES = {"/cam1": IMAGE, "/cam0": IMAGE, "/cam0/compressed": COMPRESSED, "/imu": IMU, "/gt": POSE, "/tf_like": "tf2_msgs/msg/TFMessage"}


def test_topics_are_found_by_type_name_or_request() -> None:
    """What the user says comes first, then the calibration's names, then the only ones of a type; left before right."""
    assert choose(TYPES, {}, {}, True, "x") == {"cam0": "/cam0", "cam1": "/cam1", "imu0": "/imu", "truth": "/gt"}
    assert choose(TYPES, {"cam0": "/cam1"}, {"cam1": "/cam0"}, True, "x")["cam0"] == "/cam1"
    sides = {"/a/right": IMAGE, "/b/left": IMAGE, "/imu": IMU}
    assert choose(sides, {}, {}, True, "x") == {"imu0": "/imu", "cam0": "/b/left", "cam1": "/a/right"}
    many = TYPES | {"/depth": IMAGE, "/imu2": IMU, "/odom": ODOMETRY}
    assert choose(many, {"imu0": "/imu2"}, {"cam0": "/cam0", "cam1": "/cam1"}, True, "x") == {"cam0": "/cam0", "cam1": "/cam1", "imu0": "/imu2"}


@pytest.mark.parametrize(
    ("types", "given", "stereo", "expected"),
    [
        ({"/c": IMAGE}, {}, False, "x: an IMU topic needed, but the bag has none"),
        (TYPES | {"/imu2": IMU}, {}, True, r"several IMU topics could be meant: /imu, /imu2; choose with --topic imu0=\.\.\."),
        (TYPES, {}, False, r"several image topics could be meant: /cam0, /cam1; choose with --topic cam0=\.\.\."),
        (TYPES | {"/depth": IMAGE}, {}, True, r"/cam0, /cam1, /depth; choose with --topic cam0=\.\.\. and --topic cam1"),
        ({"/c": IMAGE, "/imu": IMU}, {}, True, "two image topics, or use --mono, needed, but the bag has /c"),
        (TYPES, {"cam0": "/nothing"}, True, "no topic /nothing with messages; topics: /cam0, "),
        (TYPES, {"imu0": "/cam0"}, True, "/cam0 is of type sensor_msgs/msg/Image; imu0 needs sensor_msgs/msg/Imu"),
    ],
)
def test_topics_that_are_missing_or_not_unique_are_named(types: dict[str, str], given: dict[str, str], stereo: bool, expected: str) -> None:
    """Oracle: the candidates and the remedy in one line."""
    with pytest.raises(DataError, match=expected) as caught:
        choose(types, given, {}, stereo, "x")
    assert "\n" not in str(caught.value)

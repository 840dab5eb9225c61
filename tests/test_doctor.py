"""The doctor against faults made on purpose: what is well is let alone, what is not is named."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vio.doctor import files, geometry
from vio.doctor.examination import examine
from vio.doctor.look import Look, look, restamped
from vio.doctor.verdict import Level, Verdict
from vio.io.faults.registry import corrupted
from vio.io.sequence import Sequence, open_sequence

FLIGHTS = Path(__file__).resolve().parents[2] / "shared" / "data" / "flights"


def excerpt(sequence: Sequence, first: int, last: int) -> Sequence:
    """Frames first..last-1 and the inertial samples about them."""
    t_ns = sequence.frame_t_ns[first:last]
    imu = slice(*np.searchsorted(sequence.imu_t_ns, [t_ns[0] - 500_000_000, t_ns[-1] + 500_000_000]))
    return replace(
        sequence, frame_t_ns=t_ns, load=lambda k: sequence.load(first + k),
        imu_t_ns=sequence.imu_t_ns[imu], imu_w_B=sequence.imu_w_B[imu], imu_a_B=sequence.imu_a_B[imu],
    )


def not_well(verdicts: list[Verdict]) -> dict[str, Verdict]:
    """Faults and warnings by item."""
    return {v.item: v for v in verdicts if v.level in (Level.FAULT, Level.WARNING)}


@pytest.fixture(scope="module")
def shaken() -> tuple[Sequence, Look]:
    """A rendered flight that turns about every axis, 9 s, looked at once."""
    sequence = open_sequence("shake-small")
    return sequence, look(sequence)


@pytest.fixture(scope="module")
def clip(euroc_clip: Path) -> tuple[Sequence, Look]:
    """The last 8.5 s of the clip, in motion and then nearly at rest, looked at once."""
    sequence = excerpt(open_sequence(euroc_clip), 170, 340)
    return sequence, look(sequence)


def test_clean_renders_are_well(shaken: tuple[Sequence, Look]) -> None:
    """Oracle: the renderer, which makes no fault; `room-small` does start in motion, and turns too little for drift."""
    sequence, seen = shaken
    verdicts = examine(files.of_sequence(sequence), seen=seen)
    assert not_well(verdicts) == {} and all(v.level is Level.OK for v in verdicts)
    assert not_well(examine(files.of_sequence(open_sequence("room-small")))).keys() == {"imu.rest"}


def test_the_clip_is_well_but_for_its_start(clip: tuple[Sequence, Look], euroc_clip: Path, tmp_path: Path) -> None:
    """Oracle: the clip's own description: it is carried at its first sample, and else a good recording."""
    sequence, seen = clip
    assert not_well(examine(files.of_sequence(sequence), seen=seen)).keys() == {"imu.rest"}
    whole = files.open_recording(euroc_clip, tmp_path)
    assert not_well(list(whole.verdicts)) == {} and {v.item for v in whole.verdicts} == {"files.imu0", "files.cam0", "files.cam1"}


@pytest.mark.parametrize(("flight", "known"), [("V1_02_medium", set()), ("V2_01_easy", {"imu.rest"}), ("MH_05_difficult", set())])
def test_flights_without_cameras_are_well(flight: str, known: set[str], tmp_path: Path) -> None:
    """Oracle: the dataset's description; V2_01's samples begin in the air."""
    if not (FLIGHTS / flight).is_dir():
        pytest.skip("EuRoC's flights are not at ../shared/data")
    verdicts = examine(files.open_recording(FLIGHTS / flight, tmp_path))
    assert not_well(verdicts).keys() == known
    assert {"imu.gravity", "imu.gyro_noise", "truth.lag", "truth.rotation", "truth.gravity"} <= {v.item for v in verdicts if v.level is Level.OK}


# fault, items that must be named, further items that may be
SEEN_WITHOUT_NEW_PICTURES = [
    ("imu-gap:start=3,duration=0.2", {"imu.gaps"}, set()),
    ("imu-drop:share=0.05", {"imu.gaps"}, set()),
    ("imu-saturation:gyro=0.4", {"imu.gyro_saturation"}, {"camera.gyro_scale"}),
    ("imu-saturation:gyro=100,accel=9.9", {"imu.accel_saturation"}, {"imu.gravity", "truth.gravity"}),
    ("imu-spikes:gyro,rate=2", {"imu.gyro_spikes"}, {"imu.rest", "imu.gyro_noise"}),
    ("imu-spikes:accel,rate=2", {"imu.accel_spikes"}, {"imu.rest", "imu.accel_noise"}),
    ("imu-noise", {"imu.gyro_noise", "imu.accel_noise"}, {"imu.rest", "imu.gravity"}),
    ("units:gyro", {"camera.gyro_scale", "imu.gyro_units"}, set()),
    ("units:accel", {"imu.gravity"}, set()),
    ("clock-offset:ms=-20", {"camera.lag"}, set()),
    ("clock-offset:ms=35", {"camera.lag"}, set()),
    ("clock-offset:ms=250", {"camera.lag"}, {"clocks.overlap"}),
    ("clock-drift:ppm=2000", {"camera.drift"}, {"camera.lag", "clocks.overlap"}),
    ("jitter:camera,ms=4", {"camera.jitter"}, {"camera.lag"}),
    ("jitter:imu,ms=1", {"imu.jitter"}, set()),
    ("out-of-order:imu", {"imu.order"}, set()),
    ("extrinsics:left,degrees=5", {"camera.rotation", "stereo.epipolar"}, {"stereo.order"}),
    ("extrinsics:both,axis=z,degrees=5", {"camera.rotation"}, set()),
    ("extrinsics:right,axis=x,degrees=3", {"stereo.epipolar"}, set()),
    ("extrinsics-inverted", {"camera.rotation", "stereo.order"}, {"stereo.epipolar"}),
    ("swapped-cameras:calibration", {"stereo.order"}, {"stereo.epipolar", "camera.rotation"}),
    ("truncated-table:imu", {"clocks.overlap"}, {"camera.lag"}),
]


@pytest.mark.parametrize("recorded", ["shaken", "clip"])
@pytest.mark.parametrize(("fault", "named", "besides"), SEEN_WITHOUT_NEW_PICTURES, ids=[row[0] for row in SEEN_WITHOUT_NEW_PICTURES])
def test_a_fault_of_samples_clocks_or_calibration_is_named(fault: str, named: set[str], besides: set[str], recorded: str, request: pytest.FixtureRequest) -> None:
    """Oracle: the fault that was made; nothing else may be called ill but what follows from it (and the start of the clip, in motion)."""
    sequence, seen = request.getfixturevalue(recorded)
    ill = corrupted(sequence, [fault], 1)
    found = not_well(examine(files.of_sequence(ill), seen=restamped(seen, ill.frame_t_ns)))
    if recorded == "clip":
        besides = besides | {"imu.rest"}
    assert named <= found.keys() <= named | besides, [v.figure for v in found.values()]


@pytest.mark.parametrize("ms", [-20, 0, 35])
def test_the_time_offset_of_the_clip_is_found_to_a_millisecond(ms: int, clip: tuple[Sequence, Look]) -> None:
    """Oracle: the offset put in, the clip's own being calibrated away (Burri et al. 2016); 5 ms are asked for."""
    sequence, seen = clip
    ill = corrupted(sequence, [f"clock-offset:ms={ms}"])
    verdict = next(v for v in examine(files.of_sequence(ill), seen=restamped(seen, ill.frame_t_ns)) if v.item == "camera.lag")
    assert verdict.value == pytest.approx(-ms, abs=1.0)
    assert verdict.level is (Level.FAULT if ms else Level.OK)


def test_the_rotation_of_the_clip_is_found_to_a_degree(clip: tuple[Sequence, Look]) -> None:
    """Oracle: the calibration, turned by 4 degrees about each axis in turn, and inverted; 3 degrees are asked for."""
    sequence, seen = clip
    for axis in "xyz":
        verdicts = examine(files.of_sequence(corrupted(sequence, [f"extrinsics:axis={axis},degrees=4"])), seen=seen)
        assert next(v for v in verdicts if v.item == "camera.rotation").value == pytest.approx(4.0, abs=1.0)
    verdicts = examine(files.of_sequence(corrupted(sequence, ["extrinsics-inverted"])), seen=seen)
    assert "inverted: its inverse fits to 0." in not_well(verdicts)["camera.rotation"].figure


# fault, item that must be named, words of its figure
OF_PICTURES = [
    ("black:left,start=0.5,duration=0.5", "images.left.black", "10 of 30 pictures are black: 0.50 to 0.95 s"),
    ("black:both,start=0.5,duration=0.5", "images.right.black", "0.50 to 0.95 s"),
    ("lost:right,start=0.7", "images.right.black", "0.70 to 1.45 s"),
    ("lost:right,mode=missing,start=0.7", "stereo.pairs", "16 left"),
    ("frozen:left,start=0.5,duration=0.5", "images.left.frozen", "frozen: 0.50 to 0.95 s"),
    ("overexposed:right,start=0.5,duration=0.5", "images.right.overexposed", "0.50 to 0.95 s"),
    ("exposure-jumps:left,period=0.5,factor=0.5", "images.left.exposure_jumps", "2 jumps"),
    ("duplicate:right,share=0.2", "images.right.frozen", "duplicated frames"),
    ("drop:share=0.2", "camera.gaps", "samples missing"),
    ("drop:right,share=0.2", "stereo.pairs", "without a partner"),
    ("out-of-order:camera,share=0.3", "camera.order", "go back"),
    ("truncated-images:share=0.2", "images.decoded", "truncated"),
    ("swapped-cameras:pictures", "stereo.order", "exchanged"),
]


@pytest.mark.parametrize(("fault", "item", "words"), OF_PICTURES, ids=[row[0] for row in OF_PICTURES])
def test_a_fault_of_pictures_is_named_with_its_times(fault: str, item: str, words: str, shaken: tuple[Sequence, Look]) -> None:
    """Oracle: the fault that was made, at 20 Hz; each is seen through its own pictures."""
    ill = corrupted(excerpt(shaken[0], 60, 90), [fault], 1)
    found = not_well(examine(files.of_sequence(ill)))
    assert words in found[item].figure, found
    allowed = {item, "imu.rest"} | ({"images.left.black"} if "both" in fault else set()) | ({"stereo.epipolar", "camera.rotation"} if "swapped" in fault else set())
    assert found.keys() <= allowed, found


def test_several_faults_of_the_clip_are_told_apart(clip: tuple[Sequence, Look]) -> None:
    """Oracle: the faults that were made."""
    faults = ["black:left,start=0.5,duration=0.3", "frozen:right,start=1,duration=0.3", "overexposed:left,start=1.4,duration=0.2", "imu-gap:start=1,duration=0.1",
              "units:accel", "imu-spikes:gyro,rate=3", "drop:share=0.4,start=1.6"]
    found = not_well(examine(files.of_sequence(corrupted(excerpt(clip[0], 0, 44), faults, 2))))
    assert {"images.left.black", "images.right.frozen", "images.left.overexposed", "imu.gaps", "imu.gravity", "imu.gyro_spikes", "camera.gaps"} <= found.keys()
    assert "0.50 to 0.75 s" in found["images.left.black"].figure and "1.00 to 1.25 s" in found["images.right.frozen"].figure
    assert "images.right.black" not in found and "images.left.frozen" not in found


def test_a_rig_that_stands_still_gives_no_false_alarm_and_a_dead_gyro_does(shaken: tuple[Sequence, Look]) -> None:
    """Oracle: turns a thousandth of the real ones beside a gyro that shows noise alone, then the real ones beside the same gyro."""
    sequence, seen = shaken
    noise = np.random.default_rng(3).normal(0.0, 2e-3, sequence.imu_w_B.shape)
    standing = replace(seen, turns=replace(seen.turns, phi=1e-3 * seen.turns.phi))
    found = {v.item: v.level for v in geometry.against_gyro(standing, sequence.calibration, (sequence.imu_t_ns, noise))}
    assert found == {"camera.lag": Level.UNKNOWN}
    found = {v.item: v.level for v in geometry.against_gyro(seen, sequence.calibration, (sequence.imu_t_ns, noise))}
    assert found == {"camera.lag": Level.FAULT}

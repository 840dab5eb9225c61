"""Frames fed ahead: the front end looks at one while the back end concludes the one before, and no bit changes."""

from collections.abc import Callable

import numpy as np
import pytest
from test_odometry import EPOCH, FRAME_NS, IMU_NS, RIG, feed, pictures, same, samples

from vio.odometry import Odometry
from vio.types import FrameOutput, HealthState

Pair = tuple[np.ndarray, np.ndarray]
Change = Callable[[int, Pair], Pair]
FRAMES = 60


def _dark(k: int, pair: Pair) -> Pair:
    """Both cameras see nothing for a while, then long enough for the window to be opened anew."""
    return (np.zeros_like(pair[0]), np.zeros_like(pair[1])) if k in range(12, 15) or k in range(25, 45) else pair


def _left_dies(k: int, pair: Pair) -> Pair:
    return (np.zeros_like(pair[0]), pair[1]) if k >= 20 else pair


def _repeated(k: int, pair: Pair) -> Pair:
    return pictures(k - 1) if k in (11, 30, 31) else pair


def _flown(change: Change, threads: int, ahead: bool) -> list[FrameOutput]:
    odometry, outputs = Odometry(RIG, threads=threads), []
    for k in range(FRAMES):
        odometry.add_imu(*samples((k - 1) * FRAME_NS + IMU_NS if k else -200_000_000, k * FRAME_NS + IMU_NS))
        stamp, pair = EPOCH + (k - 5 if k == 33 else k) * FRAME_NS, change(k, pictures(k))  # one comes too late
        outputs += odometry.feed(stamp, *pair) if ahead else [odometry.add_frame(stamp, *pair)]
    return outputs + odometry.flush()


@pytest.mark.parametrize("change", [lambda k, pair: pair, _dark, _left_dies, _repeated], ids=["plain", "dark", "left dies", "repeated"])
def test_fed_ahead_gives_the_bits_of_one_frame_after_the_other(change: Change) -> None:
    """Oracle: `add_frame` with one thread, through darkness, restarts, a change of the leading camera, repeated and late frames."""
    expected, found = _flown(change, 1, False), _flown(change, 3, True)
    kept = [k for k, o in enumerate(expected) if o.state is not None]
    assert len(found) == len(expected) == FRAMES and len(kept) > FRAMES - 5
    assert [(o.t_ns, o.health, o.solved_t_ns, o.is_keyframe) for o in found] == [(o.t_ns, o.health, o.solved_t_ns, o.is_keyframe) for o in expected]
    assert same([found[k] for k in kept], [expected[k] for k in kept])
    assert {"frame_out_of_order"} <= {reason for o in found for reason in o.health.reasons}
    assert change is not _left_dies or "right_leads" in found[-1].health.reasons
    assert change is not _dark or HealthState.LOST in {o.health.state for o in found}


def test_a_frame_on_its_way_is_not_forgotten() -> None:
    """Oracle: the contract: whatever needs an idle engine says so; `flush` gives the output, and then nothing."""
    odometry = Odometry(RIG, threads=2)
    for k in range(3):
        odometry.add_imu(*samples((k - 1) * FRAME_NS + IMU_NS if k else -200_000_000, k * FRAME_NS + IMU_NS))
        odometry.feed(EPOCH + k * FRAME_NS, *pictures(k))
    for needs_rest in (odometry.state_dict, odometry.finish, lambda: feed(odometry, 3)):
        with pytest.raises(RuntimeError, match="flush"):
            needs_rest()
    assert odometry.flush()[-1].t_ns == EPOCH + 2 * FRAME_NS and odometry.flush() == []
    assert odometry.state_dict() and feed(odometry, 3).state is not None

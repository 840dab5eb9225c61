"""A keyframe solved while the next frame is tracked: the same bits as one after the other."""

import threading
from collections.abc import Callable

import numpy as np
import pytest
from test_odometry import EPOCH, FRAME_NS, IMU_NS, RIG, feed, pictures, same, samples

from vio.events import Event, new_counts
from vio.odometry import Odometry
from vio.solving import Solving
from vio.types import FrameOutput, HealthState

Pair = tuple[np.ndarray, np.ndarray]
Change = Callable[[int, Pair], Pair]
FRAMES = 24


def _flown(threads: int) -> list[FrameOutput]:
    odometry = Odometry(RIG, threads=threads)
    return [feed(odometry, k) for k in range(FRAMES)]


def _agree(a: list[FrameOutput], b: list[FrameOutput]) -> bool:
    return same(a, b) and [(o.health, o.solved_t_ns) for o in a] == [(o.health, o.solved_t_ns) for o in b]


def _dark(k: int, pair: Pair) -> Pair:
    """Both cameras see nothing for a while, then long enough for the window to be opened anew."""
    return (np.zeros_like(pair[0]), np.zeros_like(pair[1])) if k in range(12, 15) or k in range(25, 45) else pair


def _left_dies(k: int, pair: Pair) -> Pair:
    return (np.zeros_like(pair[0]), pair[1]) if k >= 20 else pair


def _repeated(k: int, pair: Pair) -> Pair:
    return pictures(k - 1) if k in (11, 30, 31) else pair


def _troubled(change: Change, threads: int) -> list[FrameOutput]:
    """A longer flight with changed pictures, one of which comes too late."""
    odometry, outputs = Odometry(RIG, threads=threads), []
    for k in range(60):
        odometry.add_imu(*samples((k - 1) * FRAME_NS + IMU_NS if k else -200_000_000, k * FRAME_NS + IMU_NS))
        outputs.append(odometry.add_frame(EPOCH + (k - 5 if k == 33 else k) * FRAME_NS, *change(k, pictures(k))))
    return outputs


@pytest.mark.parametrize("change", [lambda k, pair: pair, _dark, _left_dies, _repeated], ids=["plain", "dark", "left dies", "repeated"])
def test_side_by_side_gives_the_bits_of_one_after_the_other(change: Change) -> None:
    """Oracle: one thread, where a keyframe is solved before the next frame arrives; through darkness, restarts, a change of the leading camera,
    repeated and late frames."""
    expected, found = _troubled(change, 1), _troubled(change, 3)
    kept = [k for k, o in enumerate(expected) if o.state is not None]
    assert len(kept) > 55 and _agree([found[k] for k in kept], [expected[k] for k in kept])
    assert [(o.t_ns, o.health, o.is_keyframe) for o in found] == [(o.t_ns, o.health, o.is_keyframe) for o in expected]
    assert {"frame_out_of_order"} <= {reason for o in found for reason in o.health.reasons}
    assert change is not _left_dies or "right_leads" in found[-1].health.reasons
    assert change is not _dark or HealthState.LOST in {o.health.state for o in found}


def test_a_keyframe_is_solved_with_the_next_frame() -> None:
    """Oracle: the contract: the first keyframe is solved at once, any other comes in one frame later, with its counts."""
    outputs = _flown(1)
    keyframes = [k for k, o in enumerate(outputs) if o.is_keyframe]
    assert len(keyframes) > 2 and outputs[0].solved_t_ns == outputs[0].t_ns
    solved = [0, *(k + 1 for k in keyframes[1:] if k + 1 < FRAMES)]
    assert [k for k, o in enumerate(outputs) if o.solved_t_ns is not None] == solved
    assert all(o.solved_t_ns == outputs[k - 1].t_ns for k, o in enumerate(outputs) if k in solved[1:])
    assert all((o.counts[Event.GAUSS_NEWTON_ITERATION] > 0) == (o.solved_t_ns is not None) for o in outputs)


def test_looking_at_the_window_or_saving_it_changes_nothing() -> None:
    """Oracle: the same flight without; the state is taken with a keyframe still at work, and restored with another number of threads."""
    odometry, outputs = Odometry(RIG, threads=2), []
    for k in range(FRAMES):
        outputs.append(feed(odometry, k))
        odometry.landmarks(), odometry.window()
        if outputs[-1].is_keyframe:
            saved, odometry = odometry.state_dict(), Odometry(RIG, threads=1 + k % 2)
            odometry.load_state_dict(saved)
    assert _agree(outputs, _flown(1))


def test_what_the_last_keyframe_cost_is_told_at_the_end() -> None:
    """Oracle: the counts that the frame after it brings."""
    odometry = Odometry(RIG, threads=2)
    for k in range(FRAMES):
        if feed(odometry, k).is_keyframe and k > 0:
            break
    left = odometry.finish()
    assert left[Event.GAUSS_NEWTON_ITERATION] > 0 and np.array_equal(left, odometry.finish())
    assert feed(odometry, k + 1).counts[Event.GAUSS_NEWTON_ITERATION] == left[Event.GAUSS_NEWTON_ITERATION]
    assert not odometry.finish().any()


@pytest.mark.parametrize("threads", [1, 2])
def test_work_is_done_by_the_time_it_is_finished_and_its_errors_are_not_lost(threads: int) -> None:
    """Oracle: the contract; with two threads the work runs beside the caller."""
    solving, total, inside = Solving(threads), new_counts(), []
    solving.start(lambda counts: inside.append((threading.get_ident(), counts.__setitem__(0, 7))))
    assert solving.is_pending and solving.finish(total) >= 0 and not solving.is_pending
    assert total[0] == 7 and (inside[0][0] == threading.get_ident()) == (threads == 1)

    def failing(counts: np.ndarray) -> None:
        raise ArithmeticError("no such window")

    with pytest.raises(ArithmeticError, match="no such window"):
        solving.start(failing)
        solving.finish(total)

"""A keyframe solved while the next frame is tracked: the same bits as one after the other."""

import threading

import numpy as np
import pytest
from test_odometry import RIG, feed, same

from vio.events import Event, new_counts
from vio.odometry import Odometry
from vio.solving import Solving
from vio.types import FrameOutput

FRAMES = 24


def _flown(threads: int) -> list[FrameOutput]:
    odometry = Odometry(RIG, threads=threads)
    return [feed(odometry, k) for k in range(FRAMES)]


def _agree(a: list[FrameOutput], b: list[FrameOutput]) -> bool:
    return same(a, b) and [(o.health, o.solved_t_ns) for o in a] == [(o.health, o.solved_t_ns) for o in b]


def test_side_by_side_gives_the_bits_of_one_after_the_other() -> None:
    """Oracle: one thread, where a keyframe is solved before the next frame is looked at."""
    assert _agree(_flown(1), _flown(2))


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

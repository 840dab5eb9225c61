"""What a watcher is told about the window."""

import numpy as np
from windows import noisy_window

from vio.backend.linear_system import layout
from vio.backend.snapshot import Coupling, snapshot, sparsity

N = 5


def test_shared_landmarks_are_those_that_both_keyframes_see() -> None:
    """Oracle: a loop over landmarks and pairs."""
    w, _ = noisy_window(3, N, 30)
    w.ready[::4] = False
    expected = np.zeros((N, N), np.int64)
    for m in range(len(w.ids)):
        for i in range(N):
            for j in range(N):
                expected[i, j] += w.ids[m] >= 0 and w.ready[m] and w.seen[m, i].any() and w.seen[m, j].any()
    found = snapshot(w, N)
    assert np.array_equal(found.shared, expected) and expected.max() > 0
    assert np.array_equal(found.T_WB[:, :3, 3], w.p[:N]) and np.array_equal(found.T_WB[:, :3, :3], w.R[:N])


def test_the_snapshot_is_a_copy() -> None:
    """Oracle: the values before the window moved."""
    w, _ = noisy_window(3, N, 30)
    found = snapshot(w, N)
    before = found.T_WB.copy()
    w.p[:] += 1.0
    w.frozen[:] = ~w.frozen
    assert np.array_equal(found.T_WB, before) and not np.array_equal(found.in_prior, w.frozen[:N])


def test_the_sparsity_is_symmetric_and_within_what_is_stored() -> None:
    """Oracle: the solver's own layout; every block that is stored has a reason, and no other has."""
    w, _ = noisy_window(3, N, 30)
    w.frozen[:3] = True
    labels, order = sparsity(snapshot(w, N)), layout(N)
    assert np.array_equal(labels, labels.T)
    assert np.array_equal(np.tril(labels != Coupling.NOTHING), order.slot >= 0)
    newest = order.position[N - 1]
    assert labels[newest[2], newest[0]] == Coupling.INERTIAL  # its velocity and its position, by the inertial factor
    oldest = order.position[0]
    assert labels[oldest[3], order.position[2, 0]] == Coupling.PRIOR  # the oldest bias and a frozen pose


def test_an_empty_window_has_no_pattern() -> None:
    """Oracle: nothing in, nothing out."""
    w, _ = noisy_window(3, N, 30)
    assert sparsity(snapshot(w, 0)).shape == (0, 0)

"""Marginalisation against the full problem, numpy's Schur complement and the unobservable directions."""

import numpy as np
import pytest
from tolerances import TIGHT
from vio.backend import marginalization, solver, window
from vio.backend.linear_system import layout
from vio.backend.online_calibration import OnlineCalibration
from vio.backend.prior import Prior, prior_offset
from vio.backend.factors import Factors
from vio.events import Event, new_counts
from vio.lie import skew, so3_exp

from windows import NOTHING, RIG, noisy_window, scratch_of

N, ROWS = 6, 40
CAUCHY = 1.5


def random_prior(m: int, seed: int) -> Prior:
    """A well-conditioned prior over the first m keyframes."""
    rng, k = np.random.default_rng(seed), 15 + 6 * (m - 1)
    A = rng.normal(size=(k, k))
    return Prior(1e3 * (A @ A.T + k * np.eye(k)), 1e2 * rng.normal(size=k))


def no_prior(m: int) -> Prior:
    """A prior that knows nothing."""
    k = 15 + 6 * (m - 1)
    return Prior(np.zeros((k, k)), np.zeros(k))


def dense(w: window.Window, f: Factors, prior: Prior, m: int, n: int, online: OnlineCalibration | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The window's system as a dense matrix and gradient in state order (n x (p, theta, v, b_g, b_a))."""
    online = online or OnlineCalibration(RIG, NOTHING, n)
    where, scratch, system = layout(n), scratch_of(w), solver.new_system(n, online.size)
    solver.build(w, RIG, online.unknowns, f, prior, m, n, CAUCHY, 0.0, where, system, scratch, new_counts())
    blocks, gradient = system.blocks, system.gradient
    H = np.zeros((15 * n, 15 * n))
    for r, c in np.argwhere(where.slot >= 0):
        block = blocks[where.slot[r, c]]
        H[3 * r : 3 * r + 3, 3 * c : 3 * c + 3], H[3 * c : 3 * c + 3, 3 * r : 3 * r + 3] = block, block.T
    at = (3 * where.position.ravel()[:, None] + np.arange(3)).ravel()
    return H[np.ix_(at, at)], gradient[at]


def drop(w: window.Window, f: Factors, prior: Prior, m: int, n: int) -> Prior:
    """Marginalise keyframe 0 and shift the window, as the back end does."""
    out = marginalization.marginalise(w, RIG, f, prior, m, n, CAUCHY, scratch_of(w), new_counts(), OnlineCalibration(RIG, NOTHING, n))
    window.drop_oldest(w, n)
    for a in f:
        a[: n - 2] = a[1 : n - 1].copy()
    return out


def step(w: window.Window, f: Factors, prior: Prior, m: int, n: int) -> np.ndarray:
    """Gauss-Newton step (n, 15) by a dense solve, of a matrix scaled to a unit diagonal."""
    H, g = dense(w, f, prior, m, n)
    s = 1.0 / np.sqrt(np.diag(H))
    return (s * np.linalg.solve(H * np.outer(s, s), -g * s)).reshape(n, 15)


def wander(w: window.Window, n: int, seed: int, sigma: float = 3e-3) -> None:
    """Move the estimates of n keyframes off their linearisation points."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        w.R[i] = w.R[i] @ so3_exp(sigma * rng.normal(size=3))
        for a in (w.p, w.v, w.bg, w.ba):
            a[i] += sigma * rng.normal(size=3)


def test_elimination_equals_numpys_schur_complement() -> None:
    """Oracle: numpy: H_rr - H_re H_ee^-1 H_er and g_r - H_re H_ee^-1 g_e."""
    rng = np.random.default_rng(0)
    for size, k in ((2, 1), (20, 15), (60, 15)):
        A = rng.normal(size=(size, size))
        H, g = A @ A.T + np.eye(size), rng.normal(size=size)
        K = H[k:, :k] @ np.linalg.inv(H[:k, :k])
        H_r, g_r = marginalization.eliminate_leading(H.copy(), g.copy(), k)
        np.testing.assert_allclose(H_r, H[k:, k:] - K @ H[:k, k:], atol=TIGHT * np.abs(H).max())
        np.testing.assert_allclose(g_r, g[k:] - K @ g[:k], atol=TIGHT * np.abs(H).max())
        np.testing.assert_array_equal(H_r, H_r.T)


def test_a_variable_without_information_leaves_the_rest_alone() -> None:
    """Oracle: the Schur complement without its row and column."""
    A = np.random.default_rng(1).normal(size=(8, 8))
    H, g = A @ A.T, np.arange(8.0)
    H[2, :] = H[:, 2] = g[2] = 0.0
    keep = np.array([0, 1, 3, 4, 5, 6, 7])
    expected = marginalization.eliminate_leading(H[np.ix_(keep, keep)].copy(), g[keep].copy(), 3)
    for a, b in zip(marginalization.eliminate_leading(H.copy(), g.copy(), 4), expected, strict=True):
        np.testing.assert_allclose(a, b, atol=TIGHT)


@pytest.mark.parametrize("moved", [False, True], ids=["at the linearisation points", "away from them"])
@pytest.mark.parametrize("m", [1, 3, N])
def test_the_remaining_states_take_the_step_of_the_full_problem(m: int, moved: bool) -> None:
    """Oracle: dense solve of the window before keyframe 0 left. Same linearisation points, hence the same quadratic problem."""
    w, f = noisy_window(11, N, ROWS, state_sigma=3e-3)
    prior = random_prior(m, m)
    w.frozen[:m] = True
    if moved:
        wander(w, N, 2)
        window.relinearise(w, N)
    full = step(w, f, prior, m, N)
    reduced = step(w, f, drop(w, f, prior, m, N), N - 1, N - 1)
    np.testing.assert_allclose(reduced, full[1:], rtol=0, atol=1e-7 * np.abs(full).max())


def test_marginalising_twice_equals_the_full_problem() -> None:
    """Oracle: dense solve of the full window, with the linearisation points of the second removal frozen by the first."""
    w, f = noisy_window(12, N, ROWS, state_sigma=3e-3)
    prior = random_prior(1, 5)
    w.frozen[0] = True
    full = step(w, f, prior, 1, N)
    second = drop(w, f, drop(w, f, prior, 1, N), N - 1, N - 1)
    np.testing.assert_allclose(step(w, f, second, N - 2, N - 2), full[2:], rtol=0, atol=1e-7 * np.abs(full).max())


def test_the_gradient_survives_moved_estimates() -> None:
    """Oracle: the prior is a quadratic about its linearisation points: at other estimates its gradient is b + H d, whatever it was made at."""
    w, f = noisy_window(13, N, ROWS, state_sigma=3e-3)
    w.frozen[0] = True
    prior = drop(w, f, random_prior(1, 6), 1, N)
    wander(w, N - 1, 3)
    d = prior_offset(w, N - 1)
    with_prior, without = (dense(w, f, p, N - 1, N - 1)[1] for p in (prior, no_prior(N - 1)))
    poses = np.concatenate([np.arange(15), *(15 * i + np.arange(6) for i in range(1, N - 1))])
    expected = prior.b + prior.H @ d
    np.testing.assert_allclose((with_prior - without)[poses], expected, rtol=0, atol=TIGHT * np.abs(with_prior).max())


def gauge(w: window.Window, n: int) -> np.ndarray:
    """The four unobservable directions (15 + 6 (n - 1), 4) in the prior's layout: shift of the world and turn about gravity."""
    z, rows = np.array([0.0, 0.0, 1.0]), []
    for i in range(n):
        part = np.zeros((15 if i == 0 else 6, 4))
        part[:3, :3] = np.eye(3)
        part[:3, 3], part[3:6, 3] = skew(z) @ w.p_lin[i], w.R_lin[i].T @ z
        if i == 0:
            part[6:9, 3] = skew(z) @ w.v_lin[i]
        rows.append(part)
    return np.vstack(rows)


def learnt(prior: Prior, w: window.Window, n: int) -> np.ndarray:
    """Information (4,) of the prior about the unobservable directions, each relative to what its entries could add up to."""
    directions = gauge(w, n)
    return np.abs(np.einsum("ik,ij,jk->k", directions, prior.H, directions)) / np.einsum(
        "ik,ij,jk->k", np.abs(directions), np.abs(prior.H), np.abs(directions)
    )


def test_the_prior_knows_nothing_of_position_and_yaw() -> None:
    """Oracle: physics: stereo and an IMU observe neither where the world's origin lies nor the turn about gravity."""
    w, f = noisy_window(14, N, ROWS)
    prior = drop(w, f, no_prior(1), 1, N)
    assert (learnt(prior, w, N - 1) < TIGHT).all()
    tilt = gauge(w, N - 1)[:, 3].copy()
    for i in range(N - 1):
        at = 0 if i == 0 else 15 + 6 * (i - 1)
        tilt[at : at + 3], tilt[at + 3 : at + 6] = skew(np.array([1.0, 0, 0])) @ w.p_lin[i], w.R_lin[i].T @ [1.0, 0, 0]
    tilt[6:9] = skew(np.array([1.0, 0, 0])) @ w.v_lin[0]
    assert tilt @ prior.H @ tilt > 1.0  # a turn about a level axis is observable


def test_first_estimates_keep_yaw_unknown_when_estimates_move() -> None:
    """Oracle: the same after a second removal with moved estimates; with Jacobians at the new estimates yaw gains false information."""

    def second(first_estimates: bool) -> np.ndarray:
        w, f = noisy_window(15, N, ROWS)
        prior = drop(w, f, no_prior(1), 1, N)
        wander(w, N - 1, 4, 1e-2)
        if not first_estimates:
            w.frozen[:] = False
        return learnt(drop(w, f, prior, N - 1, N - 1), w, N - 2)

    kept, lost = second(True), second(False)
    assert (kept < TIGHT).all()
    assert lost[3] > 1e3 * max(kept[3], 1e-15)


def test_the_prior_is_positive_semidefinite_and_counted() -> None:
    """Oracle: eigenvalues; one event per removal."""
    w, f = noisy_window(16, N, ROWS)
    w.frozen[0] = True
    counts = new_counts()
    prior = marginalization.marginalise(w, RIG, f, random_prior(1, 1), 1, N, CAUCHY, scratch_of(w), counts, OnlineCalibration(RIG, NOTHING, N))
    values = np.linalg.eigvalsh(prior.H)
    assert values.min() > -TIGHT * values.max()
    assert counts[Event.MARGINALIZATION] == 1
    assert w.frozen[:N].all()

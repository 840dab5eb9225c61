"""How far inertial factors are relied on with one camera: their weights, and what becomes of a flight when a stretch contradicts the pictures."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from tolerances import LOOSE
from vio.backend.factors import factor
from vio.backend.reliance import weigh
from vio.backend.residuals import imu_residual

from windows import noisy_window

JITTER, LIMIT = 2e-3, 1.5


def squares(w, f, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Whitened squared residuals (n - 1,) of a window's inertial factors, and their information (n - 1, 9, 9) without a weight."""
    information = np.linalg.inv(f.covariance[: n - 1] + np.diag([JITTER**2] * 3 + [0.0] * 6) + 1e-12 * np.eye(9))
    states = [(w.R[i], w.p[i], w.v[i], w.bg[i], w.ba[i], w.R[i + 1], w.p[i + 1], w.v[i + 1]) for i in range(n - 1)]
    r = np.array([imu_residual(factor(f, i), *state) for i, state in enumerate(states)])
    return np.einsum("ni,nij,nj->n", r, information, r), information


def test_information_is_that_of_samples_and_trembling_places_times_geman_and_mcclures_weight() -> None:
    """Oracle: numpy's inverse of the covariances, and the derivative of Geman and McClure's loss k s / (k + s) with respect to s."""
    w, f = noisy_window(3, 6, 10, state_sigma=2e-3)
    s, information = squares(w, f, 6)
    k = max(9.0 * LIMIT**2, 3.0 * sorted(s)[2])
    by_differences = (k * (s + 1e-4) / (k + s + 1e-4) - k * (s - 1e-4) / (k + s - 1e-4)) / 2e-4
    weigh(w, f, 6, JITTER, LIMIT)
    for i in range(5):
        np.testing.assert_allclose(f.information[i], by_differences[i] * information[i], rtol=LOOSE, atol=LOOSE * np.abs(information[i]).max())


def pulled(w, f, n: int, square: float) -> None:
    """Move the newest of n keyframes until the whitened squared residual of its factor is so large."""
    start, way = w.p[n - 1].copy(), np.array([0.3, -0.5, 0.8])

    def off(step: float) -> float:
        w.p[n - 1] = start + step * way
        return abs(squares(w, f, n)[0][-1] - square)

    off(minimize_scalar(off, bounds=(0.0, 0.1), method="bounded", options={"xatol": 1e-12}).x)


def test_a_factor_at_the_limit_counts_a_quarter_beside_good_ones_and_more_where_that_is_usual() -> None:
    """Oracle: construction: a place is moved until the residual is 1.5 sigmas per degree of freedom, the other factors being exact, or there being none."""
    for n, weight in ((4, 0.25), (2, (1.0 + 1.0 / 3.0) ** -2)):
        w, f = noisy_window(3, n, 10, state_sigma=0.0)
        pulled(w, f, n, 9.0 * LIMIT**2)
        assert weigh(w, f, n, JITTER, LIMIT) > 0.1
        np.testing.assert_allclose(f.information[n - 2], weight * squares(w, f, n)[1][-1], rtol=1e-4, atol=1e-4 * np.abs(f.information[n - 2]).max())
        assert weigh(w, f, n, JITTER, LIMIT) == pytest.approx(0.0, abs=LOOSE)


def test_a_residual_that_is_no_number_leaves_its_factor_alone() -> None:
    """Oracle: the contract; the other factors are weighed all the same."""
    w, f = noisy_window(3, 4, 10)
    before = f.information.copy()
    w.v[3, 0] = np.nan
    weigh(w, f, 4, JITTER, LIMIT)
    np.testing.assert_array_equal(f.information[2], before[2])
    assert (f.information[:2] != before[:2]).any(axis=(1, 2)).all()

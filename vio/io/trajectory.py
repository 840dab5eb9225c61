"""Flights: C^4 splines of the body's pose, so that velocity, acceleration and angular rate are exact derivatives.

A pose is one B-spline of degree 5 with seven components: p_WB and an unnormalised quaternion s, whose direction s / |s| is q_WB.
It has no singular attitude, its fit is linear, and w_B = 2 vec(conj(s) ds/dt) / |s|^2 holds whatever |s| is, because
d|s|/dt only adds a real part to conj(s) ds/dt.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.interpolate import BSpline

GRAVITY_W = np.array([0.0, 0.0, -9.81])
_DEGREE = 5
_SAMPLE_HZ = 40.0  # of the formulas when they become a spline; the spline, not the formula, is the ground truth
_MARGIN = 0.25  # s of flight before and after the wanted span, so that the ends of the spline are never used

# columns: x_B up, y_B right, z_B forward, in a heading frame x forward, y left, z up: how EuRoC's IMU sits in its rig
R_HB = np.array([[0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [1.0, 0.0, 0.0]])


@dataclass(frozen=True)
class Motion:
    """Exact kinematics at n times.

    t_ns (n,) int64, p_WB (n, 3) m, q_WB (n, 4) wxyz, v_WB (n, 3) m/s in W, w_B (n, 3) rad/s and
    a_B (n, 3) m/s^2 what a perfect IMU in B measures (specific force R^T (a - g)).
    """

    t_ns: np.ndarray
    p_WB: np.ndarray
    q_WB: np.ndarray
    v_WB: np.ndarray
    w_B: np.ndarray
    a_B: np.ndarray


@dataclass(frozen=True)
class Channel:
    """One coordinate of a closed-form flight: offset + rate s + sum of amplitude sin(2 pi hz s + phase).

    waves: rows (amplitude, hz, phase in degrees). Units: metres for x, y, z; degrees for yaw, pitch, roll.
    """

    offset: float = 0.0
    rate: float = 0.0
    waves: tuple[tuple[float, float, float], ...] = ()

    def at(self, s: np.ndarray) -> np.ndarray:
        """Value (n,) at flight times s (n,) in seconds."""
        value = self.offset + self.rate * s
        for amplitude, hz, phase in self.waves:
            value = value + amplitude * np.sin(2.0 * np.pi * hz * s + np.radians(phase))
        return value


@dataclass(frozen=True)
class Harmonics:
    """A closed-form flight: a rest, a smooth take-off, then six channels of sines.

    The clock s of the channels stands during `rest` seconds, picks up speed during `ramp` seconds and then runs with
    the time. yaw turns left, pitch lifts the nose, roll lowers the right side.
    """

    rest: float = 1.0
    ramp: float = 2.0
    x: Channel = field(default_factory=Channel)
    y: Channel = field(default_factory=Channel)
    z: Channel = field(default_factory=Channel)
    yaw: Channel = field(default_factory=Channel)
    pitch: Channel = field(default_factory=Channel)
    roll: Channel = field(default_factory=Channel)

    def clock(self, t: np.ndarray) -> np.ndarray:
        """Flight time s (n,) of times t (n,): the integral of a degree-7 smooth step, hence C^4."""
        if self.ramp <= 0.0:
            return t - self.rest
        u = np.clip((t - self.rest) / self.ramp, 0.0, 1.0)
        eased = self.ramp * u**5 * (7.0 + u * (-14.0 + u * (10.0 - 2.5 * u)))
        return eased + np.maximum(t - self.rest - self.ramp, 0.0)

    def poses(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions p_WB (n, 3) and quaternions q_WB (n, 4) at times t (n,) in seconds."""
        from scipy.spatial.transform import Rotation

        s = self.clock(t)
        p_WB = np.column_stack([self.x.at(s), self.y.at(s), self.z.at(s)])
        angles = np.column_stack([self.yaw.at(s), -self.pitch.at(s), self.roll.at(s)])
        R_WB = Rotation.from_euler("ZYX", angles, degrees=True) * Rotation.from_matrix(R_HB)
        return p_WB, R_WB.as_quat()[:, [3, 0, 1, 2]]


@dataclass(frozen=True)
class Flight:
    """A spline of seven components (position, unnormalised quaternion) over seconds after `epoch_ns`, valid on [start, end]."""

    spline: "BSpline"
    epoch_ns: int
    start: float
    end: float

    def at(self, t_ns: np.ndarray) -> Motion:
        """Exact kinematics at stamps t_ns (n,). Raises ValueError outside the flight."""
        t_ns = np.asarray(t_ns, np.int64)
        t = (t_ns - self.epoch_ns) * 1e-9
        if len(t) and not (self.start - 1e-6 <= t.min() and t.max() <= self.end + 1e-6):
            raise ValueError(f"stamps from {t.min():.3f} to {t.max():.3f} s, but the flight lasts from {self.start:.3f} to {self.end:.3f} s")
        pose, rate, second = (self.spline(t, derivative) for derivative in range(3))
        s, ds = pose[:, 3:], rate[:, 3:]
        norm_sq = np.einsum("ij,ij->i", s, s)[:, None]
        q_WB = s / np.sqrt(norm_sq)
        w_B = 2.0 * _conjugate_product(s, ds) / norm_sq
        return Motion(t_ns, pose[:, :3], q_WB, rate[:, :3], w_B, _to_body(q_WB, second[:, :3] - GRAVITY_W))


def from_harmonics(shape: Harmonics, start: float, end: float, epoch_ns: int = 0) -> Flight:
    """The flight of a closed-form shape from `start` to `end`, seconds after `epoch_ns` (start may be negative: still at rest)."""
    from scipy.interpolate import make_interp_spline

    t = np.arange(np.floor((start - _MARGIN) * _SAMPLE_HZ), np.ceil((end + _MARGIN) * _SAMPLE_HZ) + 1) / _SAMPLE_HZ
    p_WB, q_WB = shape.poses(t)
    spline = make_interp_spline(t, np.hstack([p_WB, _continuous(q_WB)]), _DEGREE)
    return Flight(spline, epoch_ns, start, end)


def through_poses(t_ns: np.ndarray, p_WB: np.ndarray, q_WB: np.ndarray, knot_spacing: float = 0.05) -> Flight:
    """The smooth flight nearest (least squares) to recorded poses t_ns (n,), p_WB (n, 3), q_WB (n, 4).

    Recorded poses carry noise whose second derivative would be absurd; knots further apart than the poses take it out.
    Raises ValueError if there are too few poses or a gap between them is wider than the knots.
    """
    from scipy.interpolate import make_lsq_spline

    t = (np.asarray(t_ns, np.int64) - int(t_ns[0])) * 1e-9
    count = int(np.floor(t[-1] / knot_spacing)) if len(t) > 1 else 0
    if count < 2 * _DEGREE:
        raise ValueError(f"{len(t)} poses over {t[-1]:.3f} s are too few for a flight")
    if np.diff(t).max() > knot_spacing:
        raise ValueError(f"a gap of {np.diff(t).max():.3f} s between poses; at most {knot_spacing} s are bridged")
    inner = np.linspace(t[0], t[-1], count + 1)[1:-1]
    knots = np.r_[[t[0]] * (_DEGREE + 1), inner, [t[-1]] * (_DEGREE + 1)]
    spline = make_lsq_spline(t, np.hstack([p_WB, _continuous(q_WB)]), knots, _DEGREE)
    return Flight(spline, int(t_ns[0]), 0.0, float(t[-1]))


def path_length(p_WB: np.ndarray | Sequence) -> float:
    """Length in metres of a polyline (n, 3)."""
    return float(np.linalg.norm(np.diff(np.asarray(p_WB), axis=0), axis=1).sum())


def _continuous(q: np.ndarray) -> np.ndarray:
    """Quaternions (n, 4) of one rotation history, with signs chosen so that neighbours are close in R^4."""
    jumps = np.einsum("ij,ij->i", q[1:], q[:-1]) < 0.0
    signs = np.cumprod(np.r_[1.0, np.where(jumps, -1.0, 1.0)])
    return q * signs[:, None]


def _conjugate_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Vector part (n, 3) of conj(a) b for quaternions (n, 4)."""
    return a[:, :1] * b[:, 1:] - b[:, :1] * a[:, 1:] - np.cross(a[:, 1:], b[:, 1:])


def _to_body(q: np.ndarray, v: np.ndarray) -> np.ndarray:
    """R(q)^T v for unit quaternions (n, 4) and vectors (n, 3)."""
    u = -q[:, 1:]
    twice = 2.0 * np.cross(u, v)
    return v + q[:, :1] * twice + np.cross(u, twice)

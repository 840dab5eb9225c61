"""Block structure of the window's linear system: what is stored, and what a factorisation touches, for a window of n keyframes.

The rule is the engine's own storage layout, derived here once more from the factors that exist: five 3-vectors per keyframe
(p, theta, v, b_g, b_a); landmarks and prior couple all poses and the whole oldest state, an inertial factor couples neighbours;
velocities and biases are eliminated first, every second keyframe at a time, poses last. A test holds it to the engine's layout.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

COMPONENTS = 5


class Structure(NamedTuple):
    """Counts of 3x3 blocks. columns: diagonal blocks. below: stored blocks under the diagonal (triangular solves of a factorisation).

    updates: multiply-subtracts of a factorisation. stored: columns + below.
    """

    columns: int
    below: int
    updates: int

    @property
    def stored(self) -> int:
        """Blocks of the lower triangle that are kept."""
        return self.columns + self.below


def elimination_order(n: int) -> list[int]:
    """Keyframes in the order in which their velocities and biases are eliminated: every second one, then every second of the rest."""
    order, left = [], list(range(n))
    while len(left) > 1:
        order, left = order + left[1::2], left[0::2]
    return order + left


@lru_cache(maxsize=64)
def sparse(n: int) -> Structure:
    """The compressed system of n keyframes after symbolic factorisation."""
    chain = np.empty((n, 3), np.int64)
    for rank, i in enumerate(elimination_order(n)):
        chain[i] = 3 * rank + np.arange(3)
    poses = 3 * n + np.arange(2 * n)
    pattern = np.zeros((COMPONENTS * n, COMPONENTS * n), bool)
    groups = [np.concatenate([poses, chain[0]])]
    groups += [np.concatenate([chain[i], chain[i + 1], poses[2 * i : 2 * i + 4]]) for i in range(n - 1)]
    for group in groups:
        pattern[np.ix_(group, group)] = True
    below = np.zeros(COMPONENTS * n, np.int64)
    for k in range(COMPONENTS * n):
        under = k + 1 + np.flatnonzero(pattern[k + 1 :, k])
        pattern[np.ix_(under, under)] = True
        below[k] = under.size
    return Structure(COMPONENTS * n, int(below.sum()), int((below * (below + 1) // 2).sum()))


def dense(n: int) -> Structure:
    """The same system with every block of the lower triangle."""
    below = np.arange(COMPONENTS * n)
    return Structure(COMPONENTS * n, int(below.sum()), int((below * (below + 1) // 2).sum()))


def prior_size(window: int) -> int:
    """Variables of the prior: the whole oldest state, then the poses of the other keyframes that stay."""
    return 15 + 6 * (window - 1)


def marginal_size(window: int) -> int:
    """Variables of the dense system that marginalisation works on: two whole states, then poses, window + 1 keyframes in all."""
    return 30 + 6 * (window - 1)

"""Countable units of work. Kernels add to one int64 array indexed by `Event`; joules are none of their business."""

from enum import IntEnum

import numpy as np


class Event(IntEnum):
    """One member per unit of work that `hwmodel` prices. The order is the column order of `counts.npz`."""

    # front end
    PYRAMID_PIXEL = 0  # one output pixel of a reduced level
    CORNER_PIXEL = 1  # one corner score
    FEATURE_DETECTED = 2
    KLT_TEMPLATE = 3  # one template patch with gradients and Hessian, one level
    KLT_ITERATION = 4  # one residual window and one 2x2 step
    FEATURE_TRACKED = 5
    STEREO_CANDIDATE = 6  # one window compared along the epipolar line
    STEREO_MATCHED = 7
    RAY_LOOKUP = 8  # one feature undistorted through the table
    RANSAC_HYPOTHESIS = 9
    RANSAC_TEST = 10  # one correspondence scored against one hypothesis
    KEYFRAME = 11
    # back end
    IMU_SAMPLE = 12  # one preintegration step with covariance and bias Jacobians
    FRAME_RESIDUAL = 13  # one reprojection in the per-frame refinement
    REPROJECTION = 14  # one reprojection linearised in the window
    IMU_FACTOR = 15
    LANDMARK_ELIMINATED = 16  # one 3x3 landmark block inverted
    SCHUR_BLOCK = 17  # one 6x6 pose-pose update from an eliminated landmark
    CHOLESKY_BLOCK = 18  # one 3x3 block multiply-subtract of the factorisation
    SUBSTITUTION_BLOCK = 19  # one 3x3 block times vector of the substitutions
    GAUSS_NEWTON_ITERATION = 20
    MARGINALIZATION = 21
    # frame store
    BLOCK_ENCODED = 22  # one 4x4 block of the frame store written, all 16 pixels compared and packed
    BLOCK_DECODED = 23  # one block read and unpacked for a template
    # what the first list left out; new members go to the end, for the numbers are columns of stored runs
    RAY_ROTATION = 24  # one ray turned by the gyro's rotation
    RAY_PROJECTION = 25  # one ray distorted to a pixel
    DEPTH_HYPOTHESIS = 26  # RANSAC between keyframes with stereo depth; the two above are those between frames
    DEPTH_TEST = 27
    CHOLESKY_COLUMN = 28  # one 3x3 diagonal block factorised
    CHOLESKY_SOLVE = 29  # one 3x3 block below it solved against its triangle
    SCHUR_ROW = 30  # one keyframe that an eliminated landmark ties to the others


def new_counts() -> np.ndarray:
    """Return a zeroed int64 counter array with one entry per `Event`."""
    return np.zeros(len(Event), np.int64)

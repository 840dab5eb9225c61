"""Every kernel against its slow twin with drawn word lengths: the same integers for every format that is not refused."""

import dataclasses

import formats
import hypothesis.extra.numpy as hnp
import numpy as np
import oracles
import oracles_stereo as twins
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_corners import KINDS, features, patterns
from test_corners import found as corners_found
from test_corners import small as small_detector
from test_klt import pairs, small, tracked, waves
from test_pyramid import pictures

from vio import lie
from vio.calibration import Calibration
from vio.camera import Camera
from vio.config import Config
from vio.errors import ConfigError
from vio.events import new_counts
from vio.fixed import Fixed
from vio.frontend import anchor, corners, klt, outliers, pyramid, rays, stereo

LEFT = Camera(40, 28, 30.0, 31.0, 19.0, 14.0, -0.2, 0.04, 0.0005, -0.0003)
RIGHT = Camera(40, 28, 31.0, 30.0, 20.0, 13.0, -0.18, 0.03, -0.0004, 0.0002)
RIG = Calibration(LEFT, np.eye(4), None, RIGHT, lie.pose(lie.so3_exp(np.array([0.01, -0.008, 0.012])), np.array([0.11, 0.001, -0.002])))
RAYS = ("ray", "focal", "distortion", "radius_sq", "rotation")
DEPTHS = ("translation", "inverse_depth", "point", "direction", "epipolar", "displacement", "cross", "ransac_residual")


def moved(shape: tuple[int, int], seed: int, dx: float, dy: float, offset: float) -> tuple[np.ndarray, np.ndarray]:
    """Two pictures of waves, the second displaced and brighter, saturated here and there."""
    return waves(0, 0, shape=shape, seed=seed), waves(dx, dy, offset, shape, seed)


sides, shifts = st.integers(14, 20), st.floats(-1.5, 1.5)
moving = st.builds(moved, st.tuples(sides, sides), st.integers(0, 999), shifts, shifts, st.floats(-60, 60))
speckles = st.builds(lambda image, seed: image ^ np.random.default_rng(seed).integers(0, 256, image.shape, np.uint8), patterns, st.integers(0, 999))


def lists(levels: tuple[np.ndarray, ...]) -> list[list[list[int]]]:
    """Pictures as the twins take them."""
    return [level.tolist() for level in levels]


def unbiased(draw: st.DrawFn, signal, shape: tuple[int, ...], reach: float) -> np.ndarray:
    """Raw values int32 of a signal: most within `reach` (in its unit), some at the ends of the register."""
    ends = [max(signal.raw_min, -(2**31)), min(signal.raw_max, 2**31 - 1)]
    usual = min(max(int(reach * 2**signal.frac_bits), 1), ends[1])
    inside = st.integers(-usual if signal.signed else 0, usual)
    return draw(hnp.arrays(np.int32, shape, elements=inside | inside | inside | st.sampled_from(ends)))


@settings(max_examples=30)
@given(pictures, formats.grey("pixel"), formats.grey("pyramid_sample"))
def test_the_pyramid_equals_its_twin(image, pixel, sample) -> None:
    """Oracle: slow twin, the picture's own samples included."""
    config = formats.with_words(Config(), {"pixel": pixel, "pyramid_sample": sample})
    levels = pyramid.allocate(*image.shape, 3)
    (fmt,) = formats.fitting(config, lambda c: pyramid.pyramid_format(c.precision))
    pyramid.build(image, levels, fmt, new_counts())
    expected = [oracles.sampled(image.tolist(), pixel)]
    for _ in range(2):
        expected.append(oracles.reduce_picture(expected[-1], sample))
    assert lists(levels) == expected


@settings(max_examples=40)
@given(patterns | speckles, features, st.sampled_from(KINDS), st.sampled_from([3, 5, 7]), st.data())
def test_corners_equal_their_twins(image, existing, kind, window, data) -> None:
    """Oracle: slow twin, order included; noise, flat and saturated patches."""
    words = data.draw(formats.corner_words(window))
    config = formats.with_words(small_detector(corner=kind, corner_window=window, corner_min_score=1), words)
    formats.fitting(config, corners.corner_format)
    uv = corners_found(image, config, np.array(existing, np.int32).reshape(-1, 2))
    assert [tuple(at) for at in uv.tolist()] == oracles.detect(image.tolist(), existing, config)


def positions(draw: st.DrawFn, config: Config, n: int, shape: tuple[int, int]) -> np.ndarray:
    """Raw positions (n, 2) int32 inside a picture and around it, whatever the format holds."""
    one = 1 << config.precision.position.frac_bits
    inside, around = (hnp.arrays(np.int32, n, elements=st.integers(least * one, (size + most) * one)) for size, least, most in ((min(shape), 3, -4), (20, -2, 1)))
    return np.stack([draw(inside | around) for _ in "uv"], 1)


def followed(draw: st.DrawFn, pictures, uv: np.ndarray, config: Config) -> tuple[np.ndarray, np.ndarray]:
    """(second picture, where the search in it starts): the picture that was drawn, or the first one brighter, nearby or anywhere."""
    is_near = draw(st.booleans())
    second = np.minimum(pictures[0], 215) + np.uint8(40) if is_near else pictures[1]
    one = 1 << config.precision.position.frac_bits
    return second, uv + draw(hnp.arrays(np.int32, uv.shape, elements=st.integers(-one, one) if is_near else st.integers(-4 * one, 4 * one)))


@settings(max_examples=80)
@given(pairs | moving, formats.tracker_words(), st.integers(0, 2), st.data())
def test_tracks_equal_their_twins(pictures, words, top, data) -> None:
    """Oracle: slow twin; unrelated and displaced pictures and steps of brightness, on flat and saturated patches and beyond the border."""
    config = formats.with_words(small(klt_min_eigenvalue=0.05), words)
    formats.fitting(config, klt.klt_format)
    uv = positions(data.draw, config, 3, pictures[0].shape)
    second, guess = followed(data.draw, pictures, uv, config)
    levels = [pyramid.allocate(*image.shape, 3) for image in (pictures[0], second)]
    for image, out in zip((pictures[0], second), levels):
        pyramid.build(image, out, pyramid.pyramid_format(Config().precision), new_counts())
    out, status, residual, _ = tracked(*levels, uv, config, guess, top)
    expected = [oracles.track(*map(lists, levels), tuple(a), tuple(b), top, config)[:3] for a, b in zip(uv.tolist(), guess.tolist())]
    assert [(s, tuple(p), r) for s, p, r in zip(status.tolist(), out.tolist(), residual.tolist())] == expected


@settings(max_examples=40)
@given(pairs | moving, formats.tracker_words(), st.data())
def test_straightened_tracks_equal_their_twins(pictures, words, data) -> None:
    """Oracle: slow twin; anchors cut in and beyond the border."""
    config = formats.with_words(small(klt_min_eigenvalue=0.05), words)
    (fmt,) = formats.fitting(config, klt.klt_format)
    born, at = pictures[0], positions(data.draw, config, 3, pictures[0].shape)
    image, uv = followed(data.draw, pictures, at, config)
    side, fits, inside, before = anchor.side(fmt), np.zeros(3, np.bool_), np.zeros((3, 2), np.int32), uv.tolist()
    anchors = np.zeros((3, side, side), np.uint8)
    anchor.renew(born, at, np.ones(3, np.bool_), fmt, anchors, inside)
    cut = [oracles.anchored(born.tolist(), *place, config) for place in at.tolist()]
    assert [(a, tuple(i)) for a, i in zip(anchors.tolist(), inside.tolist())] == cut
    reach, limit = 2 << config.precision.position.frac_bits, 30 << config.precision.residual.frac_bits
    anchor.straighten(image, anchors, inside, uv, reach, limit, fmt, fits, new_counts())
    expected = [oracles.straightened(image.tolist(), *own, tuple(place), reach, limit, config) for own, place in zip(cut, before)]
    assert [(bool(f), tuple(p)) for f, p in zip(fits, uv.tolist())] == expected


@settings(max_examples=40)
@given(formats.geometry_words("position", *RAYS), st.sampled_from([LEFT, dataclasses.replace(LEFT, p1=0.02, p2=-0.03)]), st.data())
def test_rays_equal_their_twins(words, camera, data) -> None:
    """Oracle: slow twins of lookup, projection and rotation; far outside the picture and at the ends of the registers too."""
    config = formats.with_words(Config(), words)
    (lens,) = formats.fitting(config, lambda c: rays.make_lens(camera, c.precision))
    p, out = config.precision, np.empty((12, 2), np.int32)
    uv = unbiased(data.draw, p.position, (12, 2), 50)
    rays.lookup(uv, lens.table, lens.fmt, out, new_counts())
    assert out.tolist() == [list(twins.undistorted(*at, lens)) for at in uv.tolist()]
    wild = unbiased(data.draw, p.ray, (12, 2), 1.0)
    rays.project(wild, lens.radial, lens.fmt, out)
    assert out.tolist() == [list(twins.distorted(*ray, lens)) for ray in wild.tolist()]
    R = p.rotation.to_raw(lie.so3_exp(np.array([0.6, -0.64, 0.48]) * data.draw(st.sampled_from([0.0, 0.02, 0.3, 3.0]))))
    rays.rotate(wild, R, lens.fmt, out)
    assert out.tolist() == [list(twins.rotated(*ray, R.tolist(), lens.fmt)[:2]) for ray in wild.tolist()]


@settings(max_examples=60)
@given(formats.geometry_words(*RAYS[:1], *RAYS[-1:], *DEPTHS), st.integers(0, 2**31 - 1), st.data())
def test_outliers_equal_their_twins(words, seed, data) -> None:
    """Oracle: slow twins; rays and depths that share a motion, and some at the ends of their registers."""
    config = formats.with_words(dataclasses.replace(Config(), frontend=dataclasses.replace(Config().frontend, ransac_iterations=8)), words)
    fmt, lens = formats.fitting(config, lambda c: outliers.outlier_format(c, LEFT.fx, 0.11), lambda c: rays.make_lens(LEFT, c.precision))
    p = config.precision
    old, depth = unbiased(data.draw, p.ray, (10, 2), 0.7), unbiased(data.draw, p.inverse_depth, (10,), 2.0)
    new, newer = unbiased(data.draw, p.ray, (10, 2), 0.7), unbiased(data.draw, p.inverse_depth, (10,), 2.0)
    step = data.draw(st.integers(-4, 4)) * 2**p.ray.frac_bits // 32
    new[:7] = np.clip(old[:7].astype(np.int64) + step, p.ray.raw_min, p.ray.raw_max)
    newer[:7] = depth[:7]
    inlier, squares = np.empty(10, np.bool_), np.empty(10, np.int64)
    outliers.squared_displacements(old, new, fmt, squares)
    assert squares.tolist() == [sum(v * v for v in twins.moved(a, b, fmt)) for a, b in zip(old.tolist(), new.tolist())]
    support = outliers.reject_by_direction(old, new, seed, fmt, inlier, new_counts())
    pair = [[tuple(ray) for ray in some.tolist()] for some in (old, new)]
    assert (support, inlier.tolist()) == twins.direction_inliers(*pair, seed, fmt)
    R = p.rotation.to_raw(lie.so3_exp(np.array([0.02, -0.01, 0.03])))
    support = outliers.reject_by_depth(old, depth, new, newer, R, lens.fmt, fmt, inlier, new_counts())
    assert (support, inlier.tolist()) == twins.depth_inliers(old.tolist(), depth.tolist(), new.tolist(), newer.tolist(), R.tolist(), lens.fmt, fmt)


def matching(words) -> tuple[Config, rays.Lens, stereo.StereoRig, outliers.OutlierFormat]:
    """Configuration, left lens, rig and outlier format of the small rig, or another example."""
    frontend = dataclasses.replace(Config().frontend, pyramid_levels=1, stereo_window=5, stereo_max_inverse_depth=3.0, stereo_max_difference=60)
    config = formats.with_words(dataclasses.replace(Config(), frontend=frontend), words)
    left, right, outlier = formats.fitting(
        config, lambda c: rays.make_lens(LEFT, c.precision), lambda c: rays.make_lens(RIGHT, c.precision), lambda c: outliers.outlier_format(c, LEFT.fx, 0.11))
    (rig,) = formats.fitting(config, lambda c: stereo.make_rig(RIG, c, right))
    return config, left, rig, outlier


textures = hnp.arrays(np.uint8, (28, 40), elements=st.sampled_from([0, 255, 100]) | st.integers(0, 255), fill=st.integers(0, 255))


@settings(max_examples=30)
@given(formats.geometry_words("position", *RAYS, *DEPTHS, "stereo_sample", "stereo_sum"), textures, st.integers(0, 6), st.integers(0, 2**31 - 1), st.data())
def test_stereo_search_equals_its_twin(words, picture, disparity, seed, data) -> None:
    """Oracle: slow twin; pictures that match, near the border too, with and without known depth."""
    words = words | {name: dataclasses.replace(words[name], frac_bits=0) for name in ("stereo_sample", "stereo_sum")}
    config, left, rig, _ = matching(words)
    picture = picture ^ np.random.default_rng(seed).integers(0, 256, picture.shape, np.uint8)
    p, other = config.precision, np.roll(picture, -disparity, 1)
    uv = data.draw(hnp.arrays(np.int32, (4, 2), elements=st.integers(0, 34 << p.position.frac_bits)))
    known = unbiased(data.draw, p.inverse_depth, (4,), 3.0) * np.array([0, 1, 1, 0], np.int32)
    points, guess, found = np.empty_like(uv), np.zeros_like(uv), np.zeros(4, np.bool_)
    rays.lookup(uv, left.table, left.fmt, points, new_counts())
    stereo.search(picture, other, uv, points, known, rig.R_raw, rig.t_raw, rig.right.radial, rig.right.fmt, rig.fmt, guess, found, new_counts())
    features = zip(uv.tolist(), points.tolist(), known.tolist())
    expected = [twins.coarse_match(picture.tolist(), other.tolist(), tuple(a), tuple(b), k, rig) for a, b, k in features]
    assert [tuple(g) if f else None for g, f in zip(guess.tolist(), found)] == expected


@settings(max_examples=60)
@given(formats.geometry_words("position", *RAYS, *DEPTHS), st.data())
def test_stereo_verification_equals_its_twin(words, data) -> None:
    """Oracle: slow twin; matches on the epipolar line, off it, and at the ends of the registers."""
    config, _, rig, outlier = matching(words)
    p = config.precision
    uv, left, right = unbiased(data.draw, p.position, (8, 2), 30), unbiased(data.draw, p.ray, (8, 2), 0.7), unbiased(data.draw, p.ray, (8, 2), 0.7)
    back = uv.copy()
    back[::3] = unbiased(data.draw, p.position, (3, 2), 30)
    right[:5] = np.clip(left[:5].astype(np.int64) + [2**p.ray.frac_bits // 16, 0], p.ray.raw_min, p.ray.raw_max)
    has, depth = np.ones(8, np.bool_), np.empty(8, np.int32)
    stereo.verify(uv, back, left, right, rig.R_raw, rig.t_raw, rig.right.fmt, outlier, rig.fmt, has, depth, new_counts())
    expected = [twins.inverse_depth(u, b, x, y, rig, outlier) for u, b, x, y in zip(*(a.tolist() for a in (uv, back, left, right)))]
    assert depth.tolist() == expected
    assert has.tolist() == [rho > 0 for rho in expected]


REFUSED = {  # the signal that is named first, then the formats
    "ray": {"ray": Fixed(32, 14)},
    "displacement": {"displacement": Fixed(18, 14)},
    "epipolar": {"epipolar": Fixed(30, 14)},
    "inverse_depth": {"inverse_depth": Fixed(32, 14, False)},
    "ransac_residual": {"ransac_residual": Fixed(32, 14)},
    "point": {"point": Fixed(31, 14)},
    "translation": {"translation": Fixed(32, 18)},
    "position": {"position": Fixed(31, 8)},
    "distortion": {"distortion": Fixed(32, 3), "focal": Fixed(32, 4, False)},
    "residual": {"patch": Fixed(24, 16, False), "template": Fixed(24, 16, False), "residual": Fixed(24, 16), "weight": Fixed(21, 20, False),
                 "gradient": Fixed(4, 3), "hessian": Fixed(40, 6)},
}


@pytest.mark.parametrize("signal", REFUSED)
def test_a_format_whose_products_leave_64_bits_is_refused_by_name(signal: str) -> None:
    """Oracle: closed form, products of the largest magnitudes: rays squared, two epipolar normals, a threshold times a squared direction, and so on."""
    config = formats.with_words(Config(), REFUSED[signal], is_tied=False)
    with pytest.raises(ConfigError, match=f"precision.{signal}"):
        klt.klt_format(config)
        lens = rays.make_lens(LEFT, config.precision)
        outliers.outlier_format(config, LEFT.fx, 0.11)
        stereo.make_rig(RIG, config, lens)

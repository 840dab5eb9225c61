"""The work table of rays, RANSAC and stereo against counted datapaths that equal the slow twins, for three configurations."""

import dataclasses

import numpy as np
import oracles_geometry as og
import oracles_stereo as twin
import pytest
import scenes
from counting import counted
from test_work_front_end import CONFIGS, each, table
from vio.config import Config
from vio.events import Event
from vio.frontend import outliers, rays, stereo
from vio.lie import so3_exp

RNG = np.random.default_rng(6)
SMALL = {name: dataclasses.replace(c, frontend=dataclasses.replace(c.frontend, stereo_max_inverse_depth=2.0)) for name, c in CONFIGS.items()}


def rig_of(config: Config):
    """(left lens, rig, outlier format) of the test scene in a configuration."""
    left, right = (rays.make_lens(camera, config.precision) for camera in (scenes.LEFT, scenes.RIGHT))
    return left, stereo.make_rig(scenes.RIG, config, right), outliers.outlier_format(config, scenes.LEFT.fx, 0.11)


def raw_rays(n: int, config: Config, reach: float = 0.4) -> list[tuple[int, int]]:
    """Random rays in view."""
    return [tuple(int(v) for v in config.precision.ray.to_raw(xy)) for xy in RNG.uniform(-reach, reach, (n, 2))]


@each
def test_rays_cost_their_closed_forms(config: Config) -> None:
    """Oracle: slow twins of lookup, rotation and projection."""
    left, _, _ = rig_of(config)
    R = config.precision.rotation.to_raw(so3_exp(np.array([0.05, -0.1, 0.2])))
    one = 2**config.precision.position.frac_bits
    for (x, y), (u, v) in zip(raw_rays(5, config), RNG.integers(10 * one, 200 * one, (5, 2)).tolist()):
        value, ops = counted(og.looked_up, u, v, left, config)
        assert tuple(c.value for c in value) == twin.undistorted(u, v, left)
        assert ops == table(config, Event.RAY_LOOKUP)
        value, ops = counted(og.rotated, *og.rays(x, y, config), R, config)
        assert value == twin.rotated(x, y, R, left.fmt)
        assert ops == table(config, Event.RAY_ROTATION)

        def project() -> list:
            at = [a + b for a, b in zip(og.rays(x - 3, y + 2, config), (3, -2))]
            return og.projected(*at, left, config)

        value, ops = counted(project)
        assert tuple(c.value for c in value) == twin.distorted(x, y, left)
        assert ops == table(config, Event.RAY_PROJECTION)


@each
def test_ransac_between_frames_costs_its_closed_form(config: Config) -> None:
    """Oracle: slow twins of the pair's direction and of the support; one pair and its draws are two hypotheses."""
    _, _, fmt = rig_of(config)
    old = raw_rays(20, config)
    new = [(x + int(RNG.integers(-300, 300)), y + int(RNG.integers(-300, 300))) for x, y in old]
    lifted = [(og.rays(*a, config), og.rays(*r, config)) for a, r in zip(old, new)]
    t, ops = counted(og.pair_direction, lifted[0], lifted[1], config)
    picked, drawn = counted(og.draws, 12345, 17, config)
    state = (12345 * 1664525 + 1013904223) % 2**32
    following = (state * 1664525 + 1013904223) % 2**32
    first = state * 17 // 2**32
    assert picked == (first, (first + 1 + following * 16 // 2**32) % 17)
    assert t == twin.pair_direction(old[0], new[0], old[1], new[1], fmt)
    assert ops + drawn == table(config, Event.RANSAC_HYPOTHESIS, 2)
    for sign in (1, -1):
        expected = twin.agreeing(old, new, t, sign, fmt)
        for (a, r), agrees in zip(lifted, expected):
            value, ops = counted(og.agrees, a, r, t, sign, fmt.threshold_sq, config)
            assert value == agrees
            assert ops == table(config, Event.RANSAC_TEST)


@each
def test_ransac_between_keyframes_costs_its_closed_form(config: Config) -> None:
    """Oracle: the engine's `_point_translation` and `_agrees`."""
    _, _, fmt = rig_of(config)
    one = 1 << config.precision.ray.frac_bits
    old, depth = raw_rays(12, config), [int(v) for v in config.precision.inverse_depth.to_raw(RNG.uniform(0.2, 1.5, 12))]
    new = [(x + int(RNG.integers(-40, 40)), y + int(RNG.integers(-40, 40))) for x, y in old]
    after = [max(1, d + int(RNG.integers(-60, 60))) for d in depth]
    t, ops = counted(og.point_translation, [*old[0], one], depth[0], [*new[0], one], after[0], config)
    assert t == outliers._point_translation(*old[0], depth[0], *new[0], after[0], fmt)
    assert ops == table(config, Event.DEPTH_HYPOTHESIS)
    verdicts = set()
    for a, d0, r, d1 in zip(old, depth, new, after):
        value, ops = counted(og.depth_agrees, og.rays(*a, config), d0, og.rays(*r, config), d1, t, fmt.near_sq, fmt.depth_threshold, config)
        assert value == outliers._agrees(*a, d0, *r, d1, *t, fmt)
        assert ops == table(config, Event.DEPTH_TEST)
        verdicts.add(value)
    assert True in verdicts


@pytest.mark.parametrize("config", SMALL.values(), ids=SMALL)
def test_a_stereo_candidate_costs_its_closed_form(config: Config) -> None:
    """Oracle: slow twins of candidate and window."""
    _, rig, _ = rig_of(config)
    level = 2**rig.fmt.level
    picture = RNG.integers(0, 256, (240 // level, 320 // level)).tolist()
    template = twin.window(picture, 60, 50, rig.fmt)
    ray = raw_rays(1, config, 0.05)[0]
    turned = og.turned(*og.rays(*ray, config), rig.R_raw, config)
    for k in (2, 5):
        depth = k * rig.fmt.depth_step
        place = twin.candidate(twin.turned(ray, rig), depth, rig)
        shift = rig.right.fmt.position_frac + rig.fmt.level
        there = twin.window(picture, *(twin.shifted(v, shift) for v in place), rig.fmt)
        value, ops = counted(og.scored, turned, depth - rig.fmt.depth_step, rig.fmt.depth_step, (0, 0), template, picture, rig, (0, 2**31 - 1), config)
        assert value == (twin.fitted(sum(abs(a - b) for a, b in zip(template, there)), rig.fmt.difference), False, True)
        assert ops == table(config, Event.STEREO_CANDIDATE)


@each
def test_a_stereo_match_costs_its_closed_form(config: Config) -> None:
    """Oracle: slow twin of the inverse depth, for matches on the line at several depths and for one off it."""
    _, rig, outlier = rig_of(config)
    direction = twin.scaled([int(v) for v in rig.t_raw], outlier)
    one, ray = 2**config.precision.position.frac_bits, raw_rays(1, config, 0.2)[0]
    found = 0
    for k, off in ((3, 0), (9, 0), (14, 0), (9, 4000)):
        turned = np.array(twin.turned(ray, rig), float) + k * rig.fmt.depth_step * np.array(rig.t_raw, float) / 2.0 ** (
            config.precision.translation.frac_bits + config.precision.inverse_depth.frac_bits - config.precision.ray.frac_bits)
        right = tuple(int(round(v / turned[2] * 2**config.precision.ray.frac_bits)) + o for v, o in zip(turned[:2], (0, off)))
        arguments = (90 * one, 80 * one), (90 * one + 5, 80 * one - 7)
        expected = twin.inverse_depth(*arguments, ray, right, rig, outlier)
        value, ops = counted(og.matched, *arguments, og.rays(*ray, config), og.rays(*right, config), direction, rig, (rig.fmt.back_sq, rig.fmt.epipolar_sq), config)
        assert value == expected
        assert ops == table(config, Event.STEREO_MATCHED)
        found += value > 0
    assert found == 3

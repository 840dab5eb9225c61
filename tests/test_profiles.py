"""What the profiles claim: `wide` against float64, and `default` against `wide`."""


import numpy as np
import oracles_float
import pytest
from test_rays import EUROC, looked_up, projected

from vio.commands.common import resolve_config
from vio.config import Config
from vio.events import new_counts
from vio.frontend import corners, klt, pyramid, rays
from vio.io.sequence import open_sequence
from vio.types import TrackStatus

PROFILES = {name: resolve_config(name, []) for name in ("wide", "default")}
FRAMES = ((10, 11), (30, 31), (50, 52))


def levels_of(image: np.ndarray, config: Config) -> tuple[np.ndarray, ...]:
    """Pyramid of a picture."""
    out = pyramid.allocate(*image.shape, config.frontend.pyramid_levels)
    pyramid.build(image, out, pyramid.pyramid_format(config.precision), new_counts())
    return out


def features_of(image: np.ndarray) -> np.ndarray:
    """Corners of a picture (n, 2), whole pixels."""
    fmt = corners.corner_format(Config())
    found = corners.detect_corners(image, np.zeros((0, 2), np.int32), fmt, corners.allocate_workspace(*image.shape, fmt), new_counts())
    return found // 2**Config().precision.position.frac_bits


@pytest.fixture(scope="module")
def deviations() -> dict[str, np.ndarray]:
    """Distance (n,) in px between the integer track and the float one, for features that both find, by profile."""
    sequence, found = open_sequence("room-small"), {name: [] for name in PROFILES}
    for first, second in FRAMES:
        before, after = (levels_of(sequence.load(index).left, Config()) for index in (first, second))
        start = features_of(before[0]) + np.random.default_rng(first).integers(0, 256, 2) / 256
        exact = np.array([oracles_float.tracked(before, after, at, Config().frontend) for at in start])
        for name, config in PROFILES.items():
            position = config.precision.position
            uv = position.to_raw(start).astype(np.int32)
            out, status, residual = np.empty_like(uv), np.empty(len(uv), np.uint8), np.empty(len(uv), np.int32)
            klt.track(before, after, uv, uv, config.frontend.pyramid_levels - 1, klt.klt_format(config), out, status, residual, new_counts())
            distance = np.linalg.norm(position.to_float(out) - exact, axis=1)
            found[name].append(distance[(status == TrackStatus.TRACKED) & (distance < 1.0)])
            assert len(found[name][-1]) > 0.97 * (status == TrackStatus.TRACKED).sum() > 100
    return {name: np.concatenate(each) for name, each in found.items()}


def test_tracks_of_the_wide_profile_are_those_of_float64(deviations: dict[str, np.ndarray]) -> None:
    """Oracle: Lucas-Kanade in float64 on the same pyramids, same window and stopping rule: median 0.00011 px."""
    assert np.median(deviations["wide"]) < 1e-3
    assert np.quantile(deviations["wide"], 0.95) < 5e-3


def test_tracks_of_the_default_profile_deviate_by_less_than_a_hundredth_of_a_pixel(deviations: dict[str, np.ndarray]) -> None:
    """Oracle: the same: median 0.0016 px."""
    assert 5 * np.median(deviations["wide"]) < np.median(deviations["default"]) < 1e-2


def strayed(config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Distances (n,) in px that word lengths alone bring about: of a looked-up ray from the exact table's, of a projected ray from the model."""
    p, spacing = config.precision, 8
    lens = rays.make_lens(EUROC, p)
    at = np.random.default_rng(0).uniform(0, (EUROC.width - 1, EUROC.height - 1), (3000, 2))
    uv = p.position.to_raw(at).astype(np.int32)
    found = looked_up(uv, lens)
    at, ray = p.position.to_float(uv), p.ray.to_float(found)
    assert lens.fmt.cell_log2 - p.position.frac_bits == 3
    cell = np.floor(at / spacing) * spacing
    right, down = ((at - cell) / spacing).T[:, :, None]
    corners_of_cell = (EUROC.unproject(cell + np.array([spacing * j, spacing * i])) for i in (0, 1) for j in (0, 1))
    weights = ((1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down)
    exact = sum(w * corner for w, corner in zip(weights, corners_of_cell))
    back = p.position.to_float(projected(found, lens))
    return np.linalg.norm((ray - exact) * (EUROC.fx, EUROC.fy), axis=1), np.linalg.norm(back - EUROC.project(ray), axis=1)


def test_rays_of_the_wide_profile_are_those_of_float64() -> None:
    """Oracle: the exact lens in float64, interpolated as the table is: median 0.003 px (0.012 px with `default`), and 0.001 px on the way back."""
    (lookup, project), (default, _) = (strayed(PROFILES[name]) for name in ("wide", "default"))
    assert np.median(lookup) < 5e-3 and lookup.max() < 1e-2 and 3 * np.median(lookup) < np.median(default)
    assert np.median(project) < 2e-3 and project.max() < 1e-2


@pytest.mark.parametrize("name", PROFILES)
def test_corner_scores_are_those_of_float64_to_half_a_step(name: str) -> None:
    """Oracle: the smaller eigenvalue in float64; three sums are rounded to 1/8 each and two shifts cut a half, and what is beyond 16 bits saturates."""
    config, image = PROFILES[name], open_sequence("room-small").load(30).left
    fmt = corners.corner_format(config)
    workspace = corners.allocate_workspace(*image.shape, fmt)
    corners.detect_corners(image, np.zeros((0, 2), np.int32), fmt, workspace, new_counts())
    inside = np.s_[fmt.margin : -fmt.margin, fmt.margin : -fmt.margin]
    exact, score = oracles_float.smaller_eigenvalue(image, config.frontend.corner_window)[inside], workspace.score[inside] / 2**config.precision.corner_sum.frac_bits
    assert abs(score - exact).max() < 0.5 and np.median(abs(score - exact)) < 0.125

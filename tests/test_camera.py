"""Camera models against OpenCV, finite differences and closed forms."""

import cv2
import numpy as np
import pytest
from tolerances import LOOSE, TIGHT

from vio.camera import FIELD_RADIUS, Camera, CameraModel, DoubleSphereCamera, EquidistantCamera, radial_factor

RADTAN = Camera(752, 480, 458.654, 457.296, 367.215, 248.375, -0.28340811, 0.07395907, 0.00019359, 1.76187114e-05)
FISHEYE = EquidistantCamera(512, 512, 190.978, 190.973, 254.931, 256.897, 0.00348, 0.000715, -0.00205, 0.000203)  # TUM-VI's left camera
SPHERES = DoubleSphereCamera(512, 512, 157.3, 157.3, 255.0, 256.9, -0.20, 0.59)  # of the size the paper gives for it
MODELS = pytest.mark.parametrize("camera", [RADTAN, FISHEYE, SPHERES], ids=["radtan", "equidistant", "double sphere"])


def seen(camera: CameraModel, n: int = 400, seed: int = 0) -> np.ndarray:
    """Pixels (n, 2) in view, the principal point's neighbourhood among them."""
    rng = np.random.default_rng(seed)
    uv = rng.uniform((0, 0), (camera.width - 1, camera.height - 1), (4 * n, 2))
    uv = np.concatenate((np.array([camera.cx, camera.cy]) + rng.normal(0, 1e-6, (20, 2)), [[camera.cx, camera.cy]], uv))
    return uv[camera.in_view(uv)][:n]


def points(camera: CameraModel) -> np.ndarray:
    """Points (n, 3) ahead of the camera at several depths."""
    xy = camera.unproject(seen(camera))
    depth = np.random.default_rng(3).uniform(0.3, 9.0, (len(xy), 1))
    return np.column_stack([xy, np.ones(len(xy))]) * depth


def test_a_radial_tangential_camera_projects_as_opencv_does() -> None:
    """Oracle: cv2.projectPoints."""
    K = np.array([[RADTAN.fx, 0, RADTAN.cx], [0, RADTAN.fy, RADTAN.cy], [0, 0, 1]])
    p = points(RADTAN)
    expected = cv2.projectPoints(p, np.zeros(3), np.zeros(3), K, np.array(RADTAN.coefficients))[0].reshape(-1, 2)
    assert np.abs(RADTAN.project(p[:, :2] / p[:, 2:]) - expected).max() < TIGHT


def test_an_equidistant_camera_projects_and_unprojects_as_opencvs_fisheye() -> None:
    """Oracle: cv2.fisheye.projectPoints and undistortPoints, which iterates to its own tolerance."""
    K = np.array([[FISHEYE.fx, 0, FISHEYE.cx], [0, FISHEYE.fy, FISHEYE.cy], [0, 0, 1]])
    D, p = np.array(FISHEYE.coefficients), points(FISHEYE)
    expected = cv2.fisheye.projectPoints(p[:, None], np.zeros(3), np.zeros(3), K, D)[0].reshape(-1, 2)
    assert np.abs(FISHEYE.project(p[:, :2] / p[:, 2:]) - expected).max() < TIGHT
    uv = seen(FISHEYE)
    assert np.abs(FISHEYE.unproject(uv) - cv2.fisheye.undistortPoints(uv[:, None], K, D).reshape(-1, 2)).max() < LOOSE


def test_a_double_sphere_camera_follows_the_geometry_it_is_named_after() -> None:
    """Oracle: the construction itself on points of unit norm: onto the first sphere, shifted onto the second, then a pinhole."""
    p = points(SPHERES)
    first = p / np.linalg.norm(p, axis=1, keepdims=True)
    second = first + [0, 0, SPHERES.xi]
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    ahead = second + [0, 0, SPHERES.alpha / (1 - SPHERES.alpha)]
    focal = np.array([SPHERES.fx, SPHERES.fy]) / (1 - SPHERES.alpha)
    expected = focal * ahead[:, :2] / ahead[:, 2:] + [SPHERES.cx, SPHERES.cy]
    assert np.abs(SPHERES.project(p[:, :2] / p[:, 2:]) - expected).max() < TIGHT


def test_double_sphere_without_its_spheres_is_a_pinhole() -> None:
    """Oracle: xi = 0 and alpha = 0 leave u = f x + c."""
    camera = DoubleSphereCamera(640, 480, 300.0, 310.0, 320.0, 240.0, 0.0, 0.0)
    uv = seen(camera)
    assert np.abs(camera.unproject(uv) - (uv - [320.0, 240.0]) / [300.0, 310.0]).max() < TIGHT


@MODELS
def test_unprojection_inverts_projection(camera: CameraModel) -> None:
    """Oracle: the identity."""
    uv = seen(camera)
    assert len(uv) == 400
    assert np.abs(camera.project(camera.unproject(uv)) - uv).max() < TIGHT


@MODELS
def test_jacobians_are_the_derivatives(camera: CameraModel) -> None:
    """Oracle: central differences; the Jacobian of the unprojection is checked against its own, not against an inverse."""
    uv, h = seen(camera), 1e-6
    xy, d_xy_d_uv = camera.unproject_with_jacobian(uv)
    _, d_uv_d_xy = camera.project_with_jacobian(xy)
    for axis in range(2):
        step = np.eye(2)[axis] * h
        slope = (camera.project(xy + step) - camera.project(xy - step)) / (2 * h)
        assert np.abs(d_uv_d_xy[:, :, axis] - slope).max() < LOOSE
        slope = (camera.unproject(uv + 100 * step) - camera.unproject(uv - 100 * step)) / (200 * h)
        assert np.abs(d_xy_d_uv[:, :, axis] - slope).max() < LOOSE * np.abs(d_xy_d_uv).max()


@MODELS
def test_the_slope_of_the_radial_factor_is_its_derivative(camera: CameraModel) -> None:
    """Oracle: central differences, on both sides of the radius where a series takes over too."""
    c = camera.parameters[4:]
    for r2 in (2e-9, 9e-6, 1.1e-5, 1e-3, 0.3, 2.0, FIELD_RADIUS**2):
        h = min(1e-4, 0.4 * r2) if r2 > 1e-3 else 0.2 * r2
        above, below = radial_factor(camera.kind, r2 + h, *c)[0], radial_factor(camera.kind, r2 - h, *c)[0]
        assert abs(radial_factor(camera.kind, r2, *c)[1] - (above - below) / (2 * h)) < LOOSE + 1e-15 / h


@MODELS
def test_every_pixel_has_a_finite_ray_and_those_beyond_the_field_say_so(camera: CameraModel) -> None:
    """Oracle: far outside the picture the fisheye lenses see behind themselves."""
    uv = np.stack(np.meshgrid(np.arange(-900.0, 1500.0, 50.0), np.arange(-900.0, 1500.0, 50.0)), -1).reshape(-1, 2)
    xy, inside = camera.unproject(uv), camera.in_view(uv)
    assert np.isfinite(xy).all() and inside.any() and not inside.all()
    assert np.hypot(*xy[inside].T).max() <= FIELD_RADIUS
    assert np.abs(camera.project(xy[inside]) - uv[inside]).max() < 0.01


def test_the_field_of_a_fisheye_ends_at_sixty_degrees() -> None:
    """Oracle: without distortion the image radius is f theta."""
    camera = EquidistantCamera(512, 512, 190.0, 190.0, 256.0, 256.0)
    angle = np.deg2rad([0.0, 45.0, 60.2, 60.3, 89.0, 100.0])
    uv = np.column_stack([256.0 + 190.0 * angle, np.full(6, 256.0)])
    assert camera.in_view(uv).tolist() == [True, True, True, False, False, False]

"""The frozen configuration tree and its strict TOML form. The defaults below are the reference design and stand nowhere else."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import tomli_w

from vio.errors import ConfigError
from vio.files import parse_toml, read_toml, shown
from vio.limits import LARGEST_FLOAT, validated
from vio.precision import Precision

OPENING_STEPS = 8  # Gauss-Newton steps at most per keyframe while the first state of a moving rig may be far off
OPENING_ROUNDS = 3  # that the prior of the first keyframe is expanded anew per keyframe, with one camera

@dataclass(frozen=True)
class FrontEndConfig:
    """Integer front end. Lengths are pixels of the full image, scores are raw integers."""

    max_features: int = 200
    pyramid_levels: int = 4
    corner: str = "shi_tomasi"  # or "harris"
    corner_quality: float = 0.005  # a corner scores at least this share of the best one
    corner_min_score: int = 30  # and at least this, in raw steps of `precision.corner_sum` (for Harris the square of it)
    corner_window: int = 5  # side of the window the gradient products are summed over, px
    grid_rows: int = 8
    grid_cols: int = 12
    min_distance: int = 15
    border: int = 8
    klt_window: int = 15
    klt_iterations: int = 12
    klt_epsilon_log2: int = -5  # stop when the step is below 2^this pixels
    klt_max_residual: int = 20  # mean absolute difference, grey levels
    klt_min_eigenvalue: float = 0.5  # (grey levels / px)^2, mean over the window; a flatter template is not tracked
    anchor_reach: float = 2.0  # px by which a track may be corrected at a keyframe towards the patch of its birth; 0: not at all
    anchor_max_residual: float = 10.0  # mean absolute difference, grey levels; above it the present patch becomes the new anchor
    stereo_max_inverse_depth: float = 5.0  # 1/m; nearest depth searched is 0.2 m
    stereo_level: int = 1  # pyramid level of the epipolar search
    stereo_window: int = 9  # side of its window, px of that level
    stereo_step: float = 1.25  # px of that level between candidates
    stereo_max_difference: int = 40  # mean absolute difference of zero-mean windows, grey levels
    stereo_uniqueness: float = 0.9  # best difference / best elsewhere on the line must stay below
    stereo_back_tolerance: float = 1.0  # left-right-left disagreement, px
    stereo_epipolar_tolerance: float = 1.5  # distance from the epipolar line, px
    ransac_iterations: int = 64
    ransac_threshold: float = 1.5  # px
    ransac_min_share: float = 0.5  # below this share of inliers the hypothesis is distrusted and nothing is rejected
    min_survivors: float = 0.1  # share of the features that must be found again, or the frame counts as blind
    min_texture: float = 0.5  # grey levels between neighbours in the smallest level of the pyramid; below it the picture shows nothing
    hold_time: float = 1.0  # s for which features wait in the dark for a picture in which they are found again
    hold_survivors: float = 0.3  # share of them that must be found then; fewer are taken for chance
    exposure_jump: float = 1.25  # ratio of brightness between two frames from which on it is taken out before tracking
    keyframe_parallax: float = 20.0  # median rotation-compensated displacement since the last keyframe, px
    keyframe_min_tracked: float = 0.7  # share of the last keyframe's features still alive
    keyframe_max_interval: float = 0.5  # s
    frame_store: str = "raw"  # how the previous pyramid is kept: "raw", "block2" (2 bits a pixel) or "block1" (1 bit a pixel, 29 bits a 4x4 block)


@dataclass(frozen=True)
class BackEndConfig:
    """Sliding-window estimator. Sigmas are one standard deviation."""

    window: int = 10  # keyframes
    iterations: int = 2  # Gauss-Newton steps at most per keyframe
    cost_tolerance: float = 1e-3  # we stop when |cost change| / cost < cost_tolerance
    frame_iterations: int = 3  # Gauss-Newton steps of the per-frame refinement
    pixel_sigma: float = 0.3  # px that a track slides on its surface from keyframe to keyframe; 0.25 to 0.4 on renders
    stereo_sigma: float = 0.25  # px between the two pictures of a keyframe, in which a track has slid alike; 0.06 on renders, but alike for a dozen keyframes
    cauchy: float = 2.0  # whitened residual at which an observation counts half (Cauchy's loss)
    cauchy_contradicted: float = 0.35  # share of it that is left while features contradict each other (`health.max_contradictions`)
    gate: float = 8.0  # whitened residual above which an observation is rejected
    max_landmarks: int = 1000
    min_depth: float = 0.15  # m
    max_depth: float = 100.0  # m
    gyro_noise_scale: float = 2.5  # multiplies the calibrated density, which is that of a sensor at rest
    accel_noise_scale: float = 6.0
    gyro_vibration: float = 0.2  # share of the density of the vibration heard in flight that counts as noise besides; see `vio.inertial`
    accel_vibration: float = 0.4
    gyro_motion: float = 0.0012  # sqrt(s), density that counts per deviation of the rates of the last second: 0.24 % for 0.25 s
    accel_motion: float = 0.004  # sqrt(s), the same of the forces: 0.8 %
    arithmetic: str = "float64"  # of the linear solver: "float64", "float32" or "mN", a mantissa of N explicit bits (1 to 52)


@dataclass(frozen=True)
class RestConfig:
    """When the rig counts as standing still: the samples as quiet as `initial` says, and the picture too; what then is in `vio.backend.rest`."""

    enabled: bool = True
    span: float = 0.5  # s over which nothing may have moved
    max_shift: float = 0.2  # px that the picture may have moved over the span
    max_drift: float = 0.4  # px against the keyframe that the rest began with; beyond it the rest is over
    min_tracks: int = 15  # features followed over the span, fewer say nothing
    velocity_sigma: float = 0.01  # m/s, of the zero velocity: as much as max_shift over the span lets pass at 10 m
    memory: float = 20.0  # s of samples in the means at most


@dataclass(frozen=True)
class OnlineConfig:
    """Calibration in flight; see `vio.backend.online_calibration`. Sigmas are those of the calibration as given."""

    time_offset: bool = True
    mount: bool = False  # how the rig of cameras sits on the body
    dead_zone: float = 0.002  # s: a smaller time offset is not applied; EuRoC's ground truth itself wanders by 4 ms against its IMU
    significance: float = 5.0  # sigmas that the dead zone, or half the offset, must span: of an offset known worse than that, model errors make up much
    witnesses: int = 3  # keyframes in a row that must see it, one for twice as much; from then on it is followed
    time_offset_sigma: float = 0.02  # s
    time_offset_walk: float = 2e-4  # s/sqrt(s)
    shift_sigma: float = 0.02  # m
    turn_sigma: float = 0.02  # rad
    slowest: float = 0.05  # m/s and rad/s: below both a keyframe says nothing about time
    max_time_offset: float = 0.1  # s
    max_shift: float = 0.2  # m
    max_turn: float = 0.2  # rad
    beat: bool = True  # stamps that scatter about an even beat are put back on it, where the pictures say so; see `vio.beat`
    beat_scatter: float = 5e-4  # s of deviation from which on they scatter


@dataclass(frozen=True)
class InitialConfig:
    """Priors of the first state."""

    accel_window: float = 0.25  # s of inertial data averaged for the first gravity direction
    still_gyro: float = 0.03  # rad/s spread below which the rig is taken to stand still
    still_accel: float = 0.25  # m/s^2 spread
    tilt_sigma_still: float = 0.01  # rad
    tilt_sigma_moving: float = 0.5  # rad; a rig that gathers speed with half a g takes its inclination wrong by as much
    velocity_sigma_still: float = 0.05  # m/s
    velocity_sigma_moving: float = 2.0  # m/s
    gyro_bias_sigma: float = 0.1  # rad/s
    accel_bias_sigma: float = 0.2  # m/s^2


@dataclass(frozen=True)
class MonoConfig:
    """What is different with one camera; see `vio.backend.opening`. Sigmas are those of a moving start, whose velocity `span` suggests."""

    window: int = 20  # keyframes, in place of `backend.window`: what is known of scale is handed from one to the next, and a little lost each time
    keyframe_max_interval: float = 0.3  # s, in place of the front end's: where the accelerometer is at its best, between 1 and 4 Hz
    parallax: float = 3.0  # px that a ray must have moved before its point has a depth
    usual_depth: float = 3.0  # m
    iterations: int = 10  # Gauss-Newton steps at most before the first state's prior is expanded anew, while scale is open
    cost_tolerance: float = 1e-5  # as `backend.cost_tolerance`, while scale is open
    pixel_sigma: float = 0.9  # px, while scale is open
    interval: float = 0.1  # s between keyframes at least, while the velocity is unknown
    span: float = 1.0  # s before a moving start over which the rig is taken to have gone to and fro
    velocity_sigma: float = 0.7  # m/s
    tilt_sigma: float = 0.1  # rad
    gyro_noise_scale: float = 3.0  # in place of `backend.gyro_noise_scale`; vibration and motion say nothing
    accel_noise_scale: float = 4.0  # the same, the rest of which is in the next three; see `vio.backend.reliance`
    accel_walk_scale: float = 15.0  # multiplies the calibrated walk of the accelerometer's bias, see there too
    jitter: float = 0.0005  # m by which places tremble against the inertial samples
    contradiction: float = 1.5  # sigmas per degree of freedom between pictures and samples at which an inertial factor counts a quarter
    trembling: float = 6.0  # times that of `initial.still_...` is let pass at rest, as of rotors: a still picture is all there is to hold on to


@dataclass(frozen=True)
class HealthConfig:
    """Thresholds of the health report; `vio.health` says what each reason means."""

    min_tracks: int = 15  # landmarks below which a frame is degraded
    lost_tracks: int = 4  # and below which it sees nothing
    lost_after: float = 0.15  # s of that until vision counts as lost
    recover_frames: int = 5  # in a row with min_tracks after a loss until the state is good again
    imu_gap: float = 0.025  # s between samples
    frame_gap: float = 1.5  # usual intervals between frames
    max_gyro: float = 35.0  # rad/s; 2000 deg/s
    max_accel: float = 320.0  # m/s^2
    max_gyro_jump: float = 0.8  # rad/s from one sample to the next; a jump that lasts longer than three samples is believed
    max_accel_jump: float = 15.0  # m/s^2; EuRoC's flights stay below 0.31 rad/s and 9 m/s^2 at 200 Hz
    saturated_gyro: float = 1.0  # rad/s; a run of equal samples below this is rest, not the end of the range
    saturated_accel: float = 12.0  # m/s^2
    still_motion: float = 0.1  # px of predicted motion between two frames above which equal pictures cannot be
    max_contradictions: float = 0.15  # share of the features; EuRoC's clip stays below 0.1
    max_innovation: float = 150.0  # squared innovation over its degrees of freedom; recorded IMUs beside rendered pictures reach 102
    max_velocity_sigma: float = 0.3  # m/s, of the three components together
    flat_picture: float = 1.5  # grey levels of deviation between pixels far apart; below it a right picture shows nothing, noise of the sensor stays below
    min_stereo: float = 0.1  # share of a keyframe's features found in the right picture; below it depth comes from motion alone
    max_mount_evidence: float = 45.0  # squared turn of the rig of cameras over its covariance; flights as calibrated stay below 25, half a degree comes to 85
    swap_after: float = 0.2  # s for which the leading camera is blind while the other sees, until that one leads
    restart_after: float = 10.0  # s without vision after which the window is opened anew
    max_speed: float = 100.0  # m/s; beyond this and the next two the state makes no sense and the window is opened anew
    max_gyro_bias: float = 1.0  # rad/s
    max_accel_bias: float = 5.0  # m/s^2


@dataclass(frozen=True)
class Config:
    """The whole configuration of one odometry. `precision` holds every word length."""

    frontend: FrontEndConfig = field(default_factory=FrontEndConfig)
    backend: BackEndConfig = field(default_factory=BackEndConfig)
    rest: RestConfig = field(default_factory=RestConfig)
    online: OnlineConfig = field(default_factory=OnlineConfig)
    initial: InitialConfig = field(default_factory=InitialConfig)
    mono: MonoConfig = field(default_factory=MonoConfig)
    health: HealthConfig = field(default_factory=HealthConfig)
    precision: Precision = field(default_factory=Precision)


def _replace(base: Any, table: dict[str, Any], path: str, source: str) -> Any:
    """Return `base` with the fields of a TOML table put in, refusing unknown names and wrong types."""
    known = [f.name for f in dataclasses.fields(base)]
    values: dict[str, Any] = {}
    for name, value in table.items():
        where = f"{path}{name}"
        if name not in known:
            raise ConfigError(f"{source}: unknown field {shown(where)}; known here: {', '.join(known)}")
        values[name] = _convert(getattr(base, name), value, where, source)
    return dataclasses.replace(base, **values)


def _convert(old: Any, value: Any, where: str, source: str) -> Any:
    """Bring one TOML value to the type of the field it replaces."""
    if dataclasses.is_dataclass(old):
        if not isinstance(value, dict):
            raise ConfigError(f"{source}: '{where}' is a table, not {shown(value)}")
        return _replace(old, value, f"{where}.", source)
    if isinstance(old, Enum):
        allowed = [member.value for member in type(old)]
        if value not in allowed:
            raise ConfigError(f"{source}: '{where}' is {shown(value)}; allowed: {', '.join(allowed)}")
        return type(old)(value)
    if isinstance(old, float) and type(value) is int and abs(value) <= LARGEST_FLOAT:
        return float(value)
    if type(value) is not type(old):
        raise ConfigError(f"{source}: '{where}' wants a value of type {type(old).__name__}, not {shown(value)}")
    return value


def _plain(value: Any) -> Any:
    """Nested dicts of TOML types."""
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return value.value if isinstance(value, Enum) else value


def load(path: Path, base: Config | None = None) -> Config:
    """Read a TOML profile; fields it does not name keep those of `base`. Raises ConfigError naming file and line."""
    table = read_toml(path, what="the profile")
    return validated(_replace(base or Config(), table, "", str(path)), str(path))


def replaced(base: Config, table: dict[str, Any], source: str) -> Config:
    """`base` with the fields of a nested table put in. Raises ConfigError naming `source`, the field and what is allowed."""
    return validated(_replace(base, table, "", source), source)


def assigned(texts: list[str], form: str, example: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Nested tables of `field=value` texts (the `--set` option), each with its source; values are TOML, bare words are strings."""
    for text in texts:
        name, equals, raw = text.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"--set {text}: write {form}, for example --set {example}")
        try:
            value = parse_toml(f"v = {raw}", f"--set {text}")["v"]
        except ConfigError:
            value = raw.strip()
        for key in reversed(name.strip().split(".")):
            value = {key: value}
        yield value, f"--set {text}"


def override(config: Config, assignments: list[str]) -> Config:
    """Apply `section.field=value` texts. Raises ConfigError."""
    for table, source in assigned(assignments, "section.field=value", "backend.window=10"):
        config = _replace(config, table, "", source)
    return validated(config, "--set") if assignments else config


def dumps(config: Config) -> str:
    """The complete resolved configuration as TOML; `load` of it gives an equal Config."""
    return tomli_w.dumps(_plain(config))

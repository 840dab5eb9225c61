"""Word lengths: one field moves the kernels' registers, the report reads the logs."""

import dataclasses

import numpy as np
import pytest
from typer.testing import CliRunner

from vio import config, precision
from vio.cli import app
from vio.config import Config
from vio.errors import ConfigError
from vio.fixed import Fixed, new_log
from vio.frontend import klt, outliers, pyramid, stereo, store
from vio.frontend.corners import corner_format

SIGNALS = [f.name for f in dataclasses.fields(precision.Precision)]


@pytest.mark.parametrize(("signal", "bits"), [("step", 12), ("hessian", 30), ("position", 19), ("displacement", 14), ("corner_sum", 12)])
def test_one_field_moves_the_saturation_of_the_kernels(signal: str, bits: int) -> None:
    """Oracle: closed form of the register's limits, in the very integers that the kernel receives."""
    changed = config.override(Config(), [f"precision.{signal}.bits={bits}"])
    formats = [klt.klt_format(changed), outliers.outlier_format(changed, 450.0, 0.1), corner_format(changed)]
    name = "total" if signal == "corner_sum" else signal
    register = next(getattr(fmt, name) for fmt in formats if hasattr(fmt, name))
    assert (register.low, register.high) == (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize(("bits", "frac_bits"), [(0, 0), (-3, 0), (63, 0), (4, 5)])
def test_a_width_that_cannot_hold_its_signal_is_refused_by_name(signal: str, bits: int, frac_bits: int) -> None:
    """Oracle: the issue: no bits, more fraction than container, more than the widest container."""
    with pytest.raises(ConfigError, match=f"precision.{signal}:"):
        config.override(Config(), [f"precision.{signal}.bits={bits}", f"precision.{signal}.frac_bits={frac_bits}"])


def test_the_inner_loop_has_no_limits_only_where_none_can_be_met() -> None:
    """Oracle: closed form; one bit less than white needs them."""
    assert klt.klt_format(Config()).patch.low is None
    tight = config.override(Config(), ["precision.patch.bits=12"])
    assert klt.klt_format(tight).patch.high == 4095


def test_formats_that_must_agree_are_made_to_agree() -> None:
    """Oracle: the checks of the kernels' formats."""
    fields = {"patch": Fixed(12, 4, False), "residual_sum": Fixed(39, 9), "epipolar": Fixed(13, 10), "ray": Fixed(16, 12)}
    tied = precision.tied(dataclasses.replace(precision.Precision(), **fields))
    assert (tied.template.frac_bits, tied.residual.frac_bits, tied.cross, tied.point) == (4, 4, Fixed(28, 24), Fixed(22, 12))
    klt.klt_format(dataclasses.replace(Config(), precision=tied))
    outliers.outlier_format(dataclasses.replace(Config(), precision=tied), 450.0, 0.1)


@pytest.mark.parametrize(("fmt", "low", "high", "unused"), [(Fixed(8), -3, 5, 4), (Fixed(8), 0, 127, 0), (Fixed(8), -128, 0, 0), (Fixed(8, 0, False), 0, 15, 4), (Fixed(8), 0, 200, 0)])
def test_unused_top_bits_follow_from_the_extremes(fmt: Fixed, low: int, high: int, unused: int) -> None:
    """Oracle: closed form; -3 .. 5 needs four bits with the sign."""
    log = new_log(fmt)
    log[0], log[1] = low, high
    found = precision.seen(fmt, log)
    assert (found.smallest, found.largest, found.unused_bits) == (low, high, unused)


def test_the_table_names_every_signal() -> None:
    """Oracle: the fields of Precision."""
    result = CliRunner().invoke(app, ["precision"])
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.output.splitlines()[1:]] == SIGNALS


def test_a_missing_run_is_refused() -> None:
    """Oracle: exit code 2 and the folder's name."""
    result = CliRunner().invoke(app, ["precision", "no/such/run"])
    assert result.exit_code == 2 and "no/such/run" in result.output


def test_recording_kernels_give_the_same_pixels_and_see_the_extremes() -> None:
    """Oracle: the kernel without a log, and numpy's extremes of its output."""
    image = np.arange(24 * 24, dtype=np.uint32).reshape(24, 24).astype(np.uint8)
    plain, recorded, logs = pyramid.allocate(24, 24, 2), pyramid.allocate(24, 24, 2), precision.new_logs(precision.Precision())
    for levels, log in ((plain, None), (recorded, logs)):
        pyramid.build(image, levels, pyramid.pyramid_format(precision.Precision(), log), np.zeros(64, np.int64))
    np.testing.assert_array_equal(plain[1], recorded[1])
    assert logs["pixel"][:3].tolist() == [0, 255, 0]
    assert logs["pyramid_sample"][:3].tolist() == [recorded[1].min(), recorded[1].max(), 0]


def test_every_profile_is_one_that_the_kernels_carry() -> None:
    """Oracle: the kernels' own checks of their formats."""
    import scenes

    from vio.commands.common import resolve_config
    from vio.frontend import rays

    for name in ("default", "navion", "tiny", "wide"):
        profile = resolve_config(name, [])
        klt.klt_format(profile)
        corner_format(profile)
        outliers.outlier_format(profile, 450.0, 0.1)
        stereo.make_rig(scenes.RIG, profile, rays.make_lens(scenes.RIGHT, profile.precision))
        assert (store.store_format(profile) is None) == (profile.frontend.frame_store == "raw")

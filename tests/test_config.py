"""The configuration: strict in, complete out."""

import dataclasses
from pathlib import Path

import pytest

from vio import config
from vio.commands.common import profiles
from vio.config import Config
from vio.errors import ConfigError


def _load(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "profile.toml"
    path.write_text(text)
    return config.load(path)


def test_what_is_written_is_read_back_equal(tmp_path: Path) -> None:
    """Oracle: equality of the frozen trees, for the defaults and for a changed tree."""
    changed = config.override(Config(), ["backend.window=7", "frontend.corner=harris", "precision.position.frac_bits=6", "health.imu_gap=0.5"])
    assert changed != Config()
    for tree in (Config(), changed):
        assert _load(tmp_path, config.dumps(tree)) == tree


def test_the_written_form_names_every_field(tmp_path: Path) -> None:
    """Oracle: the fields of the dataclasses."""
    text = config.dumps(Config())
    for section in dataclasses.fields(Config):
        for field in dataclasses.fields(getattr(Config(), section.name)):
            assert field.name in text


def test_a_profile_changes_only_what_it_names(tmp_path: Path) -> None:
    """Oracle: dataclasses.replace; a whole number is welcome where a float is meant."""
    result = _load(tmp_path, "[health]\nmax_gyro = 10\n")
    assert result == dataclasses.replace(Config(), health=dataclasses.replace(Config().health, max_gyro=10.0))
    assert type(result.health.max_gyro) is float


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[backend]\nwindows = 3\n", "unknown field 'backend.windows'; known here: window,"),
        ("[back_end]\nwindow = 3\n", "unknown field 'back_end'"),
        ("backend = 3\n", "'backend' is a table"),
        ("[backend]\nwindow = 3.5\n", "'backend.window' wants a value of type int"),
        ("[backend]\nwindow = true\n", "'backend.window' wants a value of type int"),
        ("[backend]\ncauchy = 'much'\n", "'backend.cauchy' wants a value of type float"),
        ("[backend]\ncauchy = nan\n", "'backend.cauchy' is nan"),
        ("[backend]\nwindow = 2\n", "'backend.window' is 2; allowed: 3 to 30"),
        ("[frontend]\ncorner = 'fast'\n", "allowed: shi_tomasi, harris"),
        ("[frontend]\nklt_window = 14\n", "it must be odd"),
        ("[precision.position]\nrounding = 'up'\n", "allowed: nearest_even, nearest_up, truncate"),
        ("[precision.position]\nbits = 99\n", "precision.position: 99 bits; allowed: 1 to 32"),
        ("[precision.patch]\nbits = 0\n", "precision.patch: 0 bits"),
        ("[precision.ray]\nbits = 12\n", "precision.ray: 14 fraction bits in 12 bits"),
        ("[precision.weight]\nsigned = true\n", "precision.weight: must be unsigned"),
        ("[precision.pixel]\nfrac_bits = -1\n", "precision.pixel: grey levels"),
        ("[frontend]\nframe_store = 'jpeg'\n", "allowed: raw, block2, block1"),
        ("[backend\nwindow = 3\n", "line 1"),
    ],
)
def test_a_wrong_profile_is_refused_by_name(tmp_path: Path, text: str, expected: str) -> None:
    """Oracle: the mistake put in; the file is named, and the text is one line."""
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, text)
    assert expected in str(caught.value) and "profile.toml" in str(caught.value) and "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_missing_or_binary_profile_is_refused(tmp_path: Path) -> None:
    """Oracle: the file system."""
    with pytest.raises(ConfigError, match="the profile cannot be read"):
        config.load(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not a text file"):
        config.load(tmp_path / "binary.toml")


def test_nothing_can_be_changed_after_loading() -> None:
    """Oracle: frozen dataclasses refuse assignment."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().backend.window = 3


def test_every_profile_in_launch_loads() -> None:
    """Oracle: the strict loader itself; the default profile is the default configuration, and sweep files are no profiles."""
    folder = Path(__file__).resolve().parents[1] / "launch"
    assert profiles() == ("default", "navion", "tiny", "wide")
    assert config.load(folder / "default.toml") == Config()
    for name in profiles():
        config.load(folder / f"{name}.toml")

"""The sweep file: what it comes to, and what is refused before the first run."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vio.commands.common import resolve_config
from vio.config import Config
from vio.errors import ConfigError
from vio.frontend.corners import corner_format
from vio.frontend.klt_format import klt_format
from vio.precision import FOLLOWING, GREY
from vio.io.resources import resource
from vio.sweeps.fields import flattened, nested, signals, mantissa_bits, value_of, with_widths
from vio.sweeps.sweep_file import SweepFile, load

HEAD = 'sequences = ["room-small"]\n'
Reader = Callable[[str], SweepFile]


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    """Loads a text as a sweep file named bad.toml."""

    def reader(text: str) -> SweepFile:
        path = tmp_path / "bad.toml"
        path.write_text(text)
        return load(path, lambda name: resolve_config(name, []))

    return reader


def test_grid_list_and_word_lengths_multiply(read: Reader) -> None:
    """Oracle: itertools.product over the same axes."""
    plan = read(
        HEAD + "[set]\nbackend.cauchy = 2.0\n[grid]\nbackend.window = [6, 8]\n'frontend.max_features' = [60, 90]\n"
        "[[list]]\nfrontend.corner = 'harris'\n[[list]]\nfrontend.corner = 'shi_tomasi'\nbackend.iterations = 2\n"
        "[word_length]\nray = [18, 12]\nrotation = [11]\n"
    )
    assert plan.fields == ("backend.window", "frontend.max_features", "frontend.corner", "backend.iterations")
    found = {(*(value_of(v.config, name) for name in plan.fields), v.signal, v.bits) for v in plan.variants}
    rows = [("harris", Config().backend.iterations), ("shi_tomasi", 2)]
    widths = [("ray", 18), ("ray", 12), ("rotation", 11)]
    assert found == {(w, n, *row, *width) for w, n, row, width in itertools.product([6, 8], [60, 90], rows, widths)}
    assert len(plan.variants) == len(found) and all(v.config.backend.cauchy == 2.0 for v in plan.variants)


def test_a_file_with_sequences_alone_runs_its_profile_on_each(read: Reader) -> None:
    """Oracle: the profile itself."""
    plan = read('sequences = ["a", "b"]\noptional = ["c"]\n')
    assert [v.config for v in plan.variants] == [Config()] and plan.fields == () and plan.optional == ("c",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["sequences", "empty"]),
        ("sequences = 'room'", ["sequences", "list"]),
        ("sequences = [1]", ["sequences", "texts"]),
        ("sequences = [", ["TOML"]),
        (HEAD + "sequnces = []", ["sequnces", "known"]),
        (HEAD + "[grid]", ["grid", "empty"]),
        (HEAD + "[grid]\nbackend.window = []", ["grid.backend.window", "at least one"]),
        (HEAD + "[grid]\nbackend.window = 8", ["grid.backend.window", "list"]),
        (HEAD + "[grid]\nbackend.windw = [8]", ["backend.windw", "known"]),
        (HEAD + "[grid]\nbackend = [8]", ["backend"]),
        (HEAD + "[grid]\nbackend.window = [8, 1000]", ["grid", "backend.window", "1000", "3 to 30"]),
        (HEAD + "[grid]\nbackend.window = [8, 'x']", ["backend.window", "int"]),
        (HEAD + "[grid]\nprecision.ray.bits = [0]", ["precision.ray"]),
        (HEAD + "[[list]]", ["list"]),
        (HEAD + "[[list]]\nbackend.window = 2", ["list", "backend.window"]),
        (HEAD + "[word_length]\nnothing = [3]", ["word_length", "nothing", "known"]),
        (HEAD + "[word_length]\nray = [0]", ["word_length", "ray"]),
        (HEAD + "[word_length]\nray = [4.5]", ["word_length.ray", "whole numbers"]),
        (HEAD + "seeds = []", ["seeds"]),
        (HEAD + "seeds = [-1]", ["seeds"]),
        (HEAD + "max_frames = 0", ["max_frames"]),
        (HEAD + "start = -1", ["start"]),
        (HEAD + "profile = 'nobody'", ["nobody", "known"]),
        (HEAD + "[set]\nbackend.window = 1", ["set", "backend.window"]),
        (HEAD + "[one_at_a_time]\nsignals = ['nothing']", ["one_at_a_time", "nothing"]),
        (HEAD + "[one_at_a_time]\nmax_loss = -1", ["max_loss"]),
        (HEAD + "[grid]\n" + "".join(f"backend.{n} = {list(range(3, 30))}\n" for n in ("window", "iterations", "frame_iterations", "max_depth")), ["variants"]),
    ],
)  # fmt: skip
def test_a_wrong_sweep_file_is_refused_with_file_and_field(read: Reader, text: str, words: list[str]) -> None:
    """Oracle: the issue's list of bad input; the message holds each of the words."""
    with pytest.raises(ConfigError) as error:
        read(text)
    message = str(error.value)
    assert "\n" not in message and ("bad.toml" in message or "--profile" in message)
    for word in words:
        assert word in message, message


def test_the_sweep_files_of_the_distribution_load() -> None:
    """Oracle: the strict loader; the issue asks for a sweep of 60 points."""
    folder = resource("launch", "default.toml").parent
    files = {path.stem: load(path, lambda name: resolve_config(name, [])) for path in sorted(folder.glob("sweep-*.toml"))}
    assert len(files["sweep-word-length"].variants) * len(files["sweep-word-length"].sequences) == 60


@given(st.dictionaries(st.from_regex(r"\A[a-c]\.[a-c]\.[a-c]\Z"), st.integers()))
def test_flattening_undoes_nesting(values: dict[str, int]) -> None:
    """Oracle: the round trip."""
    assert flattened(nested(values)) == values


@pytest.mark.parametrize("signal", signals())
def test_fraction_bits_go_first_and_then_range(signal: str) -> None:
    """Oracle: the definition; the range in front of the point stays until no fraction is left."""
    old = getattr(Config().precision, signal)
    for bits in range(old.bits, 0, -1):
        try:
            new = getattr(with_widths(Config(), {signal: bits}).precision, signal)
        except ConfigError as error:
            assert signal in str(error)  # a width that cannot hold its signal at all
            continue
        dropped = old.frac_bits - (old.bits - bits)
        assert new.bits == bits and new.frac_bits == (old.frac_bits if signal in FOLLOWING else dropped if signal in GREY else max(0, dropped))


@pytest.mark.parametrize("signal", signals())
def test_the_engine_takes_every_width_that_only_drops_fraction_bits(signal: str) -> None:
    """Oracle: the kernels' own checks of their formats, which know nothing of sweeps."""
    old = getattr(Config().precision, signal)
    least = old.frac_bits if signal in FOLLOWING else old.bits - max(old.frac_bits, 0)
    for bits in range(old.bits, max(least, 1) - 1, -1):
        config = with_widths(Config(), {signal: bits})
        klt_format(config)
        corner_format(config)


def test_the_mantissa_of_an_arithmetic_is_read_from_its_name() -> None:
    """Oracle: IEEE 754-2019, table 3.5."""
    assert [mantissa_bits(name) for name in ("float64", "float32", "m8", "m", "x8")] == [52, 23, 8, None, None]


def test_an_error_of_a_width_names_the_signal() -> None:
    """Oracle: the issue."""
    with pytest.raises(ConfigError, match=re.escape("precision.ray")):
        with_widths(Config(), {"ray": 0})


@pytest.mark.parametrize(("name", "variants"), [("euroc", 1), ("ablation", 18)])
def test_the_sweeps_of_the_distribution_can_be_read(name: str, variants: int) -> None:
    """Oracle: counted by hand; the first line of the ablation is the default itself."""
    plan = load(resource("launch", f"{name}.toml"), lambda profile: resolve_config(profile, []))
    assert len(plan.variants) == variants and plan.variants[0].config == Config()


def test_notes_are_texts(read: Reader) -> None:
    """Oracle: the rule in the comments of launch/sweep-word-length.toml."""
    assert read(HEAD + 'notes = ["one", "two"]').notes == ("one", "two")
    with pytest.raises(ConfigError, match="notes"):
        read(HEAD + "notes = [1]")

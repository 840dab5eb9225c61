"""Golden vectors: what the files say is what the kernels hold."""

import json
from pathlib import Path

import numpy as np
import oracles
import pytest
import scenes
from typer.testing import CliRunner

from vio.cli import app
from vio.config import Config
from vio.fixed import Fixed
from vio.types import StereoFrame
from vio.vectors import Stage, Words, hex_text, new_traces, write_case, write_manifest


def read(folder: Path, name: str) -> np.ndarray:
    """A file's words as signed or unsigned integers, as the manifest says."""
    entry = next(e for e in json.loads((folder / "manifest.json").read_text())["files"] if e["file"] == name)
    words = np.array([int(line, 16) for line in (folder / name).read_text().split()], np.int64)
    return np.where(words >= 1 << (entry["bits"] - 1), words - (1 << entry["bits"]), words) if entry["signed"] else words


@pytest.mark.parametrize(("bits", "values", "text"), [(20, [-1, 5], "fffff\n00005\n"), (13, [-1, 4095], "1fff\n0fff\n"), (1, [0, 1], "0\n1\n")])
def test_words_are_two_s_complement_of_their_width(bits: int, values: list[int], text: str) -> None:
    """Oracle: closed form."""
    assert hex_text(Words(np.array(values), Fixed(bits))) == text


def test_a_case_of_the_pyramid_holds_picture_registers_and_levels(tmp_path: Path) -> None:
    """Oracle: slow twin of the pyramid on the input file; the register's values are the level's, in the order written."""
    picture = np.random.default_rng(0).integers(0, 256, (20, 30)).astype(np.uint8)
    frame = StereoFrame(7, picture, None)
    config = Config()
    stage = Stage(scenes.RIG, config, frame, frame, new_traces(config), 4)
    write_manifest(tmp_path, "pyramid", 7, write_case(tmp_path, "pyramid", stage))
    level = oracles.reduce_picture(read(tmp_path, "input_picture.hex").reshape(20, 30).tolist(), config.precision.pyramid_sample)
    assert read(tmp_path, "output_level1.hex").tolist() == [value for row in level for value in row]
    assert read(tmp_path, "register_pyramid_sample.hex")[: 10 * 15].tolist() == read(tmp_path, "output_level1.hex").tolist()
    assert read(tmp_path, "register_pixel.hex").tolist() == picture.ravel().tolist()


def test_an_unknown_kernel_and_a_store_that_codes_nothing_are_refused() -> None:
    """Oracle: exit code 2 and the remedy."""
    for arguments, text in ((["--kernel", "fft"], "known: pyramid"), (["--kernel", "store"], "frame_store=block1")):
        result = CliRunner().invoke(app, ["vectors", *arguments])
        assert result.exit_code == 2 and text in result.output

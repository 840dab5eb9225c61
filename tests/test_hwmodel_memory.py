"""Memory map: published totals, savings one by one, one bit more, overflows."""

import dataclasses

import numpy as np
import pytest
from hardware import navion, widened, with_fields
from hwmodel.area import area
from hwmodel.buffers.pictures import level_sizes
from hwmodel.buffers.record import ALL, NONE
from hwmodel.chip import load_chip
from hwmodel.energy import evaluate
from hwmodel.memory import by_module, check_depths, find, memory_map, total_kilobytes
from hwmodel.structure import sparse
from vio.config import ConfigError
from vio.events import new_counts
from vio.frontend.corners import allocate_workspace, corner_format, detect_corners


def test_the_map_meets_the_published_totals_and_ratios() -> None:
    """Oracle: 854 kB, 4.1x, 4.4x, 5.4x, 5.2x of the published chip, within the tolerances the project set itself."""
    config, _, _, chip = navion()
    before, after = (by_module(memory_map(config, chip, s)) for s in (NONE, ALL))
    total = sum(after.values())
    assert total == pytest.approx(854, rel=0.05)
    assert sum(before.values()) / total == pytest.approx(4.1, rel=0.05)
    for module, ratio, tolerance in (("frame store", 4.4, 0.03), ("graph", 5.4, 0.10), ("solver", 5.2, 0.10)):
        assert before[module] / after[module] == pytest.approx(ratio, rel=tolerance), module


def test_buffers_are_what_their_closed_forms_say() -> None:
    """Oracle: closed forms: 29 bits per 4x4 block of every level, and the compressed system's doubles."""
    config, _, _, chip = navion()
    buffers = memory_map(config, chip)
    blocks = sum(-(-h // 4) * -(-w // 4) for h, w in level_sizes(chip, config.frontend.pyramid_levels))
    assert (find(buffers, "left_now").words, find(buffers, "left_now").bits) == (blocks, 16 + 13)
    shape = sparse(config.backend.window + 1)
    assert find(buffers, "linear_system").words == 9 * shape.below + 6 * shape.columns
    assert total_kilobytes(buffers) == pytest.approx(sum(b.words * b.bits for b in buffers) / 8 / 1024)
    assert all(b.kilobytes <= b.banks * chip.macro_kilobytes for b in buffers)


@pytest.mark.parametrize("switch", ["frame_code", "sparse_tracks", "structured", "unstructured", "shared"])
def test_every_saving_saves(switch: str) -> None:
    """Oracle: the map with that switch alone turned off is larger."""
    config, _, _, chip = navion()
    assert total_kilobytes(memory_map(config, chip, dataclasses.replace(ALL, **{switch: False}))) > total_kilobytes(memory_map(config, chip)) + 10


@pytest.mark.parametrize(("signal", "buffer", "per_word"), [
    ("corner_score", "score_lines", 1), ("corner_gradient", "gradient_rows", 2), ("gradient", "template", 30), ("ray", "undistortion_left", 2), ("store_level", "left_now", 1),
])
def test_one_bit_more_moves_memory_area_and_energy_by_its_amount(signal: str, buffer: str, per_word: int) -> None:
    """Oracle: closed form; the buffer's words grow by the bits that hold the signal, and everything downstream grows with it."""
    config, counts, technology, chip = navion()
    config = with_fields(config, "precision", store_level=dataclasses.replace(config.precision.store_level, bits=6, frac_bits=-2))
    wider = widened(config, signal) if signal != "store_level" else with_fields(
        config, "precision", store_level=dataclasses.replace(config.precision.store_level, bits=7, frac_bits=-1))
    old, new = (find(memory_map(c, chip), buffer) for c in (config, wider))
    assert (new.words, new.bits - old.bits) == (old.words, per_word)
    assert area(wider, chip, technology)["die"].nominal > area(config, chip, technology)["die"].nominal
    assert evaluate(wider, counts, technology, chip).of().nominal > evaluate(config, counts, technology, chip).of().nominal


def test_one_field_moves_saturation_memory_and_energy_together() -> None:
    """Oracle: the largest value of 12 bits, met by every corner of a checkerboard; 20 bits less in each word of the score lines."""
    config, counts, technology, chip = navion()
    narrow = with_fields(config, "precision", corner_score=dataclasses.replace(config.precision.corner_score, bits=12))
    board = np.kron(np.indices((6, 8)).sum(0) % 2, np.full((16, 16), 255)).astype(np.uint8)
    best = []
    for c in (config, narrow):
        fmt = corner_format(c)
        workspace = allocate_workspace(*board.shape, fmt)
        detect_corners(board, np.zeros((0, 2), np.int32), fmt, workspace, new_counts())
        best.append(int(workspace.score.max()))
    assert best[0] > best[1] == 2**11 - 1
    before, after = (find(memory_map(c, chip), "score_lines") for c in (config, narrow))
    assert before.bits - after.bits == config.precision.corner_score.bits - 12
    assert evaluate(narrow, counts, technology, chip).of().nominal < evaluate(config, counts, technology, chip).of().nominal


def test_a_solver_in_single_precision_halves_its_words() -> None:
    """Oracle: 32 of 64 bits."""
    config, _, _, chip = navion()
    single = with_fields(config, "backend", arithmetic="float32")
    assert find(memory_map(single, chip), "linear_system").kilobytes == find(memory_map(config, chip), "linear_system").kilobytes / 2


def test_an_overflow_names_its_buffer() -> None:
    """Oracle: one word more than there is."""
    config, _, _, chip = navion()
    buffers = memory_map(config, chip)
    check_depths(buffers, {"observations": find(buffers, "observations").words})
    with pytest.raises(ConfigError, match="buffer 'observations' overflows"):
        check_depths(buffers, {"observations": find(buffers, "observations").words + 1})


def test_every_value_of_the_chip_is_tagged_and_three_are_calibrated() -> None:
    """Oracle: the rule the reconstruction is held to."""
    chip = load_chip("navion")
    assert sum(tag == "calibrated" for tag, _ in chip.notes.values()) == 3
    assert all(why for _, why in chip.notes.values())


@pytest.mark.parametrize(("text", "message"), [
    ("nonsense = 1", "unknown field"), ("", "missing field"), ("clock_MHz = [", "not a TOML file"),
])
def test_a_broken_chip_file_is_refused(tmp_path, text: str, message: str) -> None:
    """Oracle: the message names the file and the field."""
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_chip(str(path))

"""The notebooks run from start to end, draw their figures, and are committed as a reader wants to find them."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = {"accuracy_vs_word_length": 2, "memory_and_energy": 5, "your_own_recording": 3}  # and the figures of each
_PATHS = re.compile(r"(?<![\w.:/<])/(?:home|root|tmp|work|usr|mnt|Users|private|var)/|\b[A-Z]:\\\\")
_MOST_BYTES = 300_000


def _figures(book: nbformat.NotebookNode) -> int:
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    return sum("image/png" in output.get("data", {}) for output in outputs)


def _texts(book: nbformat.NotebookNode) -> str:
    """Sources and outputs, pictures left out."""
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    shown = [str(value) for output in outputs for kind, value in output.get("data", {}).items() if not kind.startswith("image")]
    return "\n".join([*(cell.source for cell in book.cells), *shown, *(output.get("text", "") for output in outputs)])


def test_every_notebook_is_known_here() -> None:
    """Oracle: the folder."""
    assert {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} == set(NOTEBOOKS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_from_start_to_end(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: a fresh kernel in an empty folder; an error in a cell is raised, and the figures are there."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    book = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", 4)
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    NotebookClient(book, timeout=170, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert _figures(book) == NOTEBOOKS[name] and not _PATHS.search(_texts(book))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_committed_small_in_order_and_without_paths(name: str) -> None:
    """Oracle: cells counted from one without a gap, as after one run; figures present; no path of anybody's machine, no warning."""
    path = ROOT / "notebooks" / f"{name}.ipynb"
    book = nbformat.read(path, 4)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert _figures(book) == NOTEBOOKS[name] and path.stat().st_size < _MOST_BYTES
    assert not _PATHS.search(_texts(book))
    assert not any(output.output_type == "stream" and output.name == "stderr" for cell in code for output in cell.outputs)

"""`tinyvio report`: what stands on the page is what the run folder says, and the page needs nothing but itself."""

import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hardware import navion
from hwmodel.buffers.pictures import level_sizes
from typer.testing import CliRunner

from vio import evaluation, lie
from vio.cli import app
from vio.config import Config, override
from vio.events import Event
from vio.io.run_folder import open_run
from vio.io.sequence import GroundTruth
from vio.io.writers import write_run
from vio.report import chip, hardware, motion, page, tables
from vio.report.style import COLOURS, inline_svg, readable_on, save, styled
from vio.report.subject import Subject, align, names, subjects
from vio.report.treemap import Box, squarify
from vio.runner import HealthRow, RunResult, TrackTable, Trajectory
from vio.types import TrackStatus

DESIGN = hardware.design("navion", "65nm-lstp", "crazyflie_2.1")
FRAMES = 40
START = 1_403_636_579_763_555_584
HOSTILE = "<script src='http://example.org/x.js'></script>&$x_1$"


def _counts(rng: np.random.Generator) -> np.ndarray:
    """Frames that could be navion's: its typical flight's mean, a step in each keyframe, and the left camera's pyramid alone."""
    config, typical, _, design = navion()
    counts = np.tile(typical.total // typical.frames, (FRAMES, 1))
    counts[:, [Event.KEYFRAME, Event.GAUSS_NEWTON_ITERATION]] = 0
    counts[::4, [Event.KEYFRAME, Event.GAUSS_NEWTON_ITERATION]] = 1
    counts[:, Event.PYRAMID_PIXEL] = sum(height * width for height, width in level_sizes(design, config.frontend.pyramid_levels)[1:])
    counts[:, Event.KLT_ITERATION] += rng.integers(0, 9, FRAMES)
    return np.minimum(counts, typical.largest)


def _result(rng: np.random.Generator, t: np.ndarray, p: np.ndarray, q: np.ndarray) -> RunResult:
    """A run along poses p, q; its features live five frames each."""
    n = len(t)
    trajectory = Trajectory(t, p, q, np.zeros((n, 3)), 1e-3 * rng.normal(size=(n, 3)), 1e-2 * rng.normal(size=(n, 3)))
    ids = np.concatenate([np.arange(10) + 10 * (k // 5) for k in range(n)])
    status = np.concatenate([np.full(10, TrackStatus.NEW if k % 5 == 0 else TrackStatus.TRACKED) for k in range(n)]).astype(np.uint8)
    table = TrackTable(np.full(n, 10, np.int32), ids, (rng.uniform(0, [752, 480], (10 * n, 2)) * 2**navion()[0].precision.position.frac_bits).astype(np.int32), status)
    states = ["initialising"] + ["good"] * (n - 6) + ["degraded"] * 5
    health = (HealthRow(int(t[0]), "sequence", message=HOSTILE), *(HealthRow(int(s), name, ("few_tracks",) * (name == "degraded"), 30, "standstill") for s, name in zip(t, states)))
    stages = {"front_end": rng.integers(1, 9, n) * 1_000_000, "back_end": np.where(np.arange(n) % 4, -1, 7_000_000), "engine": np.full(n, 9_000_000)}
    return RunResult(n, trajectory, np.tile(1e-6 * np.eye(15), (n, 1, 1)), t, _counts(rng), table, health, stages, 1.0, 0.1, False, "")


def write_example(folder: Path, name: str = "drawn", truthful: bool = True, assignments: tuple[str, ...] = ()) -> Path:
    """A run folder: a helix flown with noise of 1 cm, turned and shifted against its ground truth."""
    rng = np.random.default_rng(5)
    t = START + 50_000_000 * np.arange(FRAMES)
    angle = np.linspace(0, 5, FRAMES)
    p = np.column_stack([2 * np.cos(angle), np.sin(angle), 0.1 * angle])
    q = np.column_stack([np.cos(angle / 2), np.zeros((FRAMES, 2)), np.sin(angle / 2)])
    truth = GroundTruth(t, p, q, None, np.zeros((FRAMES, 6))) if truthful else None
    T = lie.so3_exp(np.array([0.0, 0.0, 0.7]))
    result = _result(rng, t, (p + 0.01 * rng.normal(size=p.shape)) @ T.T + [1, 2, 3], q)
    metrics = evaluation.metrics(name, result, evaluation.accuracy(result.trajectory, truth)) | {"image_width": 752, "image_height": 480}
    folder.mkdir(parents=True)
    write_run(folder, result, metrics, override(navion()[0], list(assignments)), truth=truth)
    return folder


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on one run."""
    folder = write_example(tmp_path_factory.mktemp("runs") / "one")
    result = CliRunner().invoke(app, ["report", str(folder), "--quiet"])
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(folder / "report" / "report.html")
    return folder


def _text(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


class _Loads(HTMLParser):
    """Collects what the elements of a page would make a browser fetch; references into the page and data in it left out."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element: its attributes that load something, and style sheets inside attributes."""
        self.tags.add(tag)
        values = [value or "" for name, value in attrs if name.split(":")[-1] in ("src", "srcset", "href", "data", "action", "poster")]
        values += [value for _, text in attrs for value in re.findall(r"url\(([^)]*)\)", text or "")]
        self.found += [value for value in values if not value.startswith(("#", "data:image/png;base64,"))]

    def handle_data(self, data: str) -> None:
        """The text of a style sheet."""
        if self.lasttag == "style":
            self.found += re.findall(r"url\([^)]*\)|@import.*", data)


def test_the_page_needs_no_network_and_escapes_what_comes_from_outside(reported: Path) -> None:
    """Oracle: HTML's list of attributes that load something; the health message is a script tag."""
    text = _text(reported / "report")
    loads = _Loads()
    loads.feed(text)
    assert loads.found == [] and not loads.tags & {"script", "link", "iframe", "object", "embed", "base"}
    assert html.escape(HOSTILE) in text.replace("&#39;", "&#x27;")


def test_a_browser_asks_for_nothing_but_the_page(reported: Path) -> None:
    """Oracle: the requests that Chromium makes, where it and playwright are installed."""
    browser = _chromium()
    with browser() as chromium:
        tab = chromium.new_page()
        asked: list[str] = []
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto((reported / "report" / "report.html").resolve().as_uri())
        drawn = tab.evaluate("[...document.querySelectorAll('figure svg')].map(s => s.getBoundingClientRect().height)")
    assert len(asked) == 1 and len(drawn) == 9 and min(drawn) > 100


def _chromium():
    """A context manager that starts a headless Chromium; skips where there is none."""
    import shutil
    from contextlib import contextmanager

    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium is installed (Debian and Ubuntu: apt install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

    @contextmanager
    def start():
        with sync_api.sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
            yield browser
            browser.close()

    return start


def test_every_figure_is_there_as_png_and_svg_and_in_the_page(reported: Path) -> None:
    """Oracle: the PNG signature, an XML parser, and the figure's identifiers in the page."""
    figures = reported / "report" / "figures"
    wanted = {"trajectory", "errors", "biases", "features", "stages", "memory", "energy", "energy-modules", "drone"}
    assert {path.stem for path in figures.iterdir()} == wanted and len(list(figures.iterdir())) == 18
    text = _text(reported / "report")
    for name in wanted:
        assert (figures / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert ElementTree.parse(figures / f"{name}.svg").getroot().tag.endswith("svg")
        assert f'id="{name}-figure_1"' in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_the_figures_on_the_page_are_those_of_the_run(reported: Path) -> None:
    """Oracle: metrics.json and the tables of `tinyvio chip` on the same folder."""
    metrics, text = json.loads((reported / "metrics.json").read_text()), _text(reported / "report")
    assert f"{metrics['ate_rmse_m']:.4f} m = {metrics['ate_percent']:.3f} % of the path" in text
    tables_of_chip = json.loads(CliRunner().invoke(app, ["chip", str(reported), "--json"]).stdout)
    power = next(row for row in tables_of_chip["power"]["rows"] if row["quantity"] == "power")
    assert f"{power['nominal']:.3g} mW ({power['low']:.3g} to {power['high']:.3g}) at 20 frames/s" in text
    assert f"{sum(row['kB'] for row in tables_of_chip['memory']['rows']):.0f} kB" in text


def test_the_alignment_leaves_evos_error(reported: Path) -> None:
    """Oracle: ATE of evo in metrics.json; the yaw of 0.7 rad between the two worlds is undone."""
    run = open_run(reported)
    aligned = align(run)
    assert aligned is not None and np.sqrt(np.mean(aligned.position_m**2)) == pytest.approx(run.metrics["ate_rmse_m"], rel=1e-9)
    assert np.nanmax(np.abs(aligned.rotation_deg - np.degrees(0.7))) < 1.0  # the example's attitudes were not turned with its positions


def test_the_same_run_gives_the_same_bytes(reported: Path, tmp_path: Path) -> None:
    """Oracle: figures drawn once more, byte for byte."""
    figures = reported / "report" / "figures"
    subject = subjects([reported], DESIGN)[0]
    with styled():
        for picture in (motion.trajectories([subject], ""), chip.energy_over_time(subject, "")):
            save(picture.figure, tmp_path / picture.name)
            for suffix in ("png", "svg"):
                assert (tmp_path / f"{picture.name}.{suffix}").read_bytes() == (figures / f"{picture.name}.{suffix}").read_bytes()


def test_runs_over_two_sequences_are_compared_with_what_differs(tmp_path: Path) -> None:
    """Oracle: the fields set; a run without ground truth has no errors, and one without a keyframe no average to price."""
    folders = [write_example(tmp_path / "a"), write_example(tmp_path / "b", "other", False, ("backend.max_landmarks=900", "frontend.border=9"))]
    with np.load(folders[1] / "counts.npz") as data:
        arrays = dict(data)
    arrays["counts"][:, Event.KEYFRAME] = 0
    np.savez_compressed(folders[1] / "counts.npz", **arrays)
    found = subjects(folders, DESIGN)
    with styled():
        parts = list(page.sections(found))
    drawn = {picture.name: "" for part in parts for picture in part.pictures}
    text = page.html(found, parts, drawn)
    assert "a against b" in text and {"trajectory-1", "trajectory-2", "memory-1", "energy-modules"} <= set(drawn) and "memory-2" not in drawn
    assert "b is the profile navion but for frontend.border, backend.max_landmarks" in text
    assert "there is no ground truth" in text and "On the chip: b: no frame with a keyframe" in text


def test_a_buffer_that_would_overflow_is_named(tmp_path: Path) -> None:
    """Oracle: 60 landmarks declared, and more in the counts; the price is there all the same."""
    subject = subjects([write_example(tmp_path / "run", assignments=("backend.max_landmarks=60",))], DESIGN)[0]
    assert subject.price is not None and "buffer 'landmarks' overflows" in subject.refusal


def test_a_run_without_a_single_pose_still_has_its_page(tmp_path: Path) -> None:
    """Oracle: every figure is made and the page says 0 % coverage."""
    folder, rng = tmp_path / "blind", np.random.default_rng(1)
    t = START + 50_000_000 * np.arange(FRAMES)
    full = _result(rng, t, np.zeros((FRAMES, 3)), np.tile([1.0, 0, 0, 0], (FRAMES, 1)))
    empty = Trajectory(t[:0], *(np.zeros((0, width)) for width in (3, 4, 3, 3, 3)))
    result = replace(full, trajectory=empty, covariance=np.zeros((0, 15, 15)))
    folder.mkdir()
    write_run(folder, result, evaluation.metrics("dark", result, evaluation.Accuracy()), Config())
    found = subjects([folder], DESIGN)
    with styled():
        parts = list(page.sections(found))
    assert "0 % of them with a pose" in page.html(found, parts, {picture.name: "" for part in parts for picture in part.pictures})


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (("nowhere",), 3, "no run folder"), (("one", "--drone", "zeppelin"), 2, "drones"), (("one", "--chip", "nothing"), 2, "chips"),
    (("one", "--fps", "-1"), 2, "positive"), (("one", "--technology", "3nm"), 2, "technologies"), (("one", "--out", "one/config.toml"), 3, "cannot write"),
])  # fmt: skip
def test_nonsense_is_refused_in_one_line(reported: Path, arguments: tuple[str, ...], code: int, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the exit code of the kind of error, and its reason."""
    monkeypatch.chdir(reported.parent)
    result = CliRunner().invoke(app, ["report", *arguments, "--quiet"])
    assert result.exit_code == code and message in result.output and len(result.output.strip().splitlines()) == 1


def test_boxes_of_a_treemap_fill_their_area_and_do_not_overlap() -> None:
    """Oracle: areas in proportion to the sizes; the example of the paper has no ratio above 3 (its figure 5: 6x4 among 6,6,4,3,2,2,1)."""
    sizes = [6.0, 6.0, 4.0, 3.0, 2.0, 2.0, 1.0]
    boxes = squarify(sizes, Box(0.0, 0.0, 6.0, 4.0))
    assert [b.width * b.height for b in boxes] == pytest.approx(sizes)
    assert (boxes[0].width, boxes[0].height) == pytest.approx((3.0, 2.0))  # the first two stand on each other at the left
    assert max(max(b.width / b.height, b.height / b.width) for b in boxes) < 3
    for i, a in enumerate(boxes):
        assert 0 <= a.x and a.x + a.width <= 6 + 1e-9 and 0 <= a.y and a.y + a.height <= 4 + 1e-9
        for b in boxes[:i]:
            wide, high = min(a.x + a.width, b.x + b.width) - max(a.x, b.x), min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
            assert wide < 1e-9 or high < 1e-9


def test_the_statistics_of_features_are_those_of_the_table(reported: Path) -> None:
    """Oracle: ten features in every frame, each alive for five."""
    subject = subjects([reported], DESIGN)[0]
    assert (subject.statuses[::5, TrackStatus.NEW] == 10).all() and (subject.statuses[1::5, TrackStatus.TRACKED] == 10).all()
    assert (subject.lifetimes == 5).all() and len(subject.lifetimes) == 10 * FRAMES // 5
    assert [row[2:5] for row in tables.events(subject).rows] == [("", "sequence", ""), ("1", "initialising", ""), ("34", "good", ""), ("5", "degraded", "few tracks")]


def test_names_are_as_short_as_they_can_be_told_apart() -> None:
    """Oracle: by hand."""
    assert names([Path("/x/a"), Path("/x/b")]) == ["a", "b"]
    assert names([Path("/x/a"), Path("/y/a")]) == ["x/a", "y/a"]
    assert names([Path("/x/_hidden\n")]) == ["./_hidden?"]


def test_axes_have_units_and_text_on_boxes_can_be_read(reported: Path) -> None:
    """Oracle: a bracketed unit, or a count, on every labelled axis; 4.5 is the contrast that WCAG 2 asks for."""
    found = subjects([reported], DESIGN)
    with styled():
        figures = [picture.figure for part in page.sections(found) for picture in part.pictures]
    labels = [text for figure in figures for axis in figure.axes for text in (axis.get_xlabel(), axis.get_ylabel()) if text]
    counted = {"features", "features lost per frame", "frames lived (log scale)", "features per 100x100 px", "ms (log scale): median, and a line to the 99th percentile"}
    assert len(labels) > 20 and all("[" in label or label in counted for label in labels), labels
    assert readable_on("#F0E442") == "black" and readable_on("#0072B2") == "white" and len(set(COLOURS)) == 7


def test_an_inline_figure_refers_to_itself_alone() -> None:
    """Oracle: an SVG written by hand."""
    svg = '<?xml version="1.0"?><!DOCTYPE svg><svg><metadata><a href="http://x"/></metadata><g id="a" clip-path="url(#b)"><use xlink:href="#c"/></g></svg>'
    assert inline_svg(svg, "f") == '<svg><g id="f-a" clip-path="url(#f-b)"><use xlink:href="#f-c"/></g></svg>'


def test_a_standing_rig_is_laid_on_its_truth_by_its_first_attitude(tmp_path: Path) -> None:
    """Oracle: poses that do not move leave Umeyama's rotation open; the error is then that of the attitude alone, which is none."""
    t, p, q = START + 50_000_000 * np.arange(FRAMES), np.zeros((FRAMES, 3)), np.tile([1.0, 0, 0, 0], (FRAMES, 1))
    result = _result(np.random.default_rng(0), t, p + 1.0, q)
    tmp_path.joinpath("still").mkdir()
    truth = GroundTruth(t, p, q, None, None)
    write_run(tmp_path / "still", result, evaluation.metrics("still", result, evaluation.Accuracy()), Config(), truth=truth)
    run = open_run(tmp_path / "still")
    aligned = align(run)
    assert aligned is not None and aligned.position_m == pytest.approx(0.0) and aligned.rotation_deg == pytest.approx(0.0)
    with styled():
        assert motion.trajectories([Subject("still", run, None, "")], "").figure.axes

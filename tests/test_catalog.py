"""The catalog of public recordings."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vio.cli import app
from vio.errors import DataError
from vio.io import catalog

EUROC = ["MH_01_easy", "MH_02_easy", "MH_03_medium", "MH_04_difficult", "MH_05_difficult"]
EUROC += ["V1_01_easy", "V1_02_medium", "V1_03_difficult", "V2_01_easy", "V2_02_medium", "V2_03_difficult"]


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder."""
    monkeypatch.setenv("TINYVIO_DATA", str(tmp_path))
    return tmp_path


def _names(dataset: str) -> list[str]:
    return [entry.sequence for entry in catalog.load().values() if entry.dataset == dataset]


def test_the_catalog_holds_the_published_sequences() -> None:
    """Oracle: the datasets' own lists of sequences; UZH-FPV has 28 with the Snapdragon camera, 16 of them with public ground truth."""
    assert _names("euroc") == EUROC
    assert _names("tumvi") == [f"room{i}" for i in range(1, 7)] + [f"corridor{i}" for i in range(1, 6)]
    uzh = [entry for entry in catalog.load().values() if entry.dataset == "uzhfpv"]
    assert len(uzh) == 28 and sum("withheld" not in entry.ground_truth for entry in uzh) == 16


def test_every_entry_has_a_licence_an_address_and_sums_of_the_right_form() -> None:
    """Oracle: the forms of md5, sha256 and addresses."""
    for entry in catalog.load().values():
        assert entry.licence and entry.citation and entry.ground_truth and entry.size
        for part in entry.parts:
            assert re.match(r"https?://[^/]+/", part.archive.url)
            assert part.archive.md5 is None or re.fullmatch("[0-9a-f]{32}", part.archive.md5)
            assert all(s is None or re.fullmatch("[0-9a-f]{64}", s) for s in (part.sha256, part.archive.sha256))
            assert part.bytes is None or part.bytes > 1_000_000


def test_a_sequence_of_euroc_is_a_nested_zip_and_one_of_tum_vi_a_tar_with_its_md5() -> None:
    """Oracle: the published shape of the archives."""
    mh3, room = catalog.find("MH_03_medium").parts[0], catalog.find("tumvi/room1").parts[0]
    assert mh3.member == "machine_hall/MH_03_medium/MH_03_medium.zip" and mh3.bytes == 1105301873 and mh3.archive.bytes == 12683729426
    assert room.member is None and room.archive.md5_url == room.archive.url + ".md5" and room.archive.url.endswith("/dataset-room1_512_16.tar")


def test_a_fetched_name_leads_to_the_folder_or_to_the_bag_in_it(root: Path) -> None:
    """Oracle: what the readers open: a folder with mav0, or a .bag."""
    (root / "euroc" / "MH_01_easy" / "mav0").mkdir(parents=True)
    (root / "uzhfpv" / "indoor_45_2").mkdir(parents=True)
    (root / "uzhfpv" / "indoor_45_2" / "x.bag").touch()
    assert catalog.recording("MH_01_easy") == root / "euroc" / "MH_01_easy"
    assert catalog.recording("uzhfpv/indoor_45_2") == root / "uzhfpv" / "indoor_45_2" / "x.bag"


@pytest.mark.parametrize(
    ("typed", "meant"), [("MH_3_medium", "euroc/MH_03_medium"), ("euroc/mh_03_medium", "euroc/MH_03_medium"), ("tumvi/romo1", "tumvi/room1"), ("hoover", "hover")]
)
def test_a_mistyped_name_is_answered_with_the_nearest(typed: str, meant: str) -> None:
    """Oracle: the name a reader would guess."""
    with pytest.raises(DataError, match=f"did you mean .*{meant}"):
        catalog.recording(typed)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title = ", "not a TOML file"),
        ('licence = "x"', "title: missing"),
        ('title = "x"\nlicence = "y"\ncolour = 1', "colour: no such field"),
        ('title = "x"\nlicence = "y"\n[archives.a]\nfile = "a.zip"', "archives.a.url: missing"),
        ('title = "x"\nlicence = "y"\nbase = "http://h/"\n[archives.a]\nfile = 3', "archives.a.file: must be of type str"),
        ('title = "x"\nlicence = "y"\n[sequences.s]\narchive = "b"', "sequences.s.archive: no archive 'b'"),
        ('title = "x"\nlicence = "y"\nbase = "u"\n[archives.a]\nfile = "f"\n[sequences."../s"]\narchive = "a"', "a name has no slash"),
        ('title = "x"\nlicence = "y"\nbase = "u"\n[archives.a]\nfile = "../f"', "archives.a.file: a file name"),
    ],
)
def test_a_catalog_with_a_mistake_is_told_by_file_and_field(root: Path, text: str, words: str) -> None:
    """Oracle: the field that is wrong."""
    (root / "catalog").mkdir()
    (root / "catalog" / "mine.toml").write_text(text)
    with pytest.raises(DataError) as caught:
        catalog.load()
    assert "mine.toml" in str(caught.value) and words in str(caught.value) and "\n" not in str(caught.value)


def test_the_list_names_everything_and_says_what_is_on_disk(root: Path) -> None:
    """Oracle: the catalog, and a folder made here."""
    (root / "euroc" / "V1_01_easy" / "mav0").mkdir(parents=True)
    rows = {row["name"]: row for row in json.loads(CliRunner().invoke(app, ["list", "--json"]).stdout)}
    assert set(catalog.load()) | {"room", "hover"} <= set(rows)
    assert rows["euroc/V1_01_easy"]["on_disk"] == str(root / "euroc" / "V1_01_easy") and rows["euroc/MH_01_easy"]["on_disk"] is None
    table = CliRunner().invoke(app, ["list"], env={"COLUMNS": "200"}).stdout
    line = next(line for line in table.splitlines() if line.startswith("euroc/V1_01_easy"))
    assert " yes " in line and "orientation ground truth is off" in line
    assert "In Copyright - Non-Commercial Use Permitted" in table and "already moving" in table and "1.11 GB" in table

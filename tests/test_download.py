"""`tinyvio fetch` against a host on this machine that does all that hosts do."""

import hashlib
import io
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner, Result

from archive_server import SEQUENCES, Fault, Host, catalog, nested, recordings, serving
from vio.cli import app
from vio.errors import DataError
from vio.io import archive, disk
from vio.io.catalog import find
from vio.io.download import fetch
from vio.io.ranged import CHUNK, Patience
from vio.io.sequence import open_sequence
from vio.io.transfer import Report

REPOSITORY = Path(__file__).resolve().parents[1]
WANTED = SEQUENCES[1]
NAME = f"lab/{WANTED}"
QUICK = Patience(tries=3, first=0.0)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Three zipped recordings."""
    return recordings(tmp_path_factory.mktemp("recordings"))


@pytest.fixture
def host() -> Iterator[Host]:
    """A server of this test alone."""
    with serving() as host:
        yield host


@pytest.fixture
def root(tmp_path: Path, host: Host, packed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder whose catalog names the host, which serves hall.zip."""
    folder = tmp_path / "data"
    monkeypatch.setenv("TINYVIO_DATA", str(folder))
    host.files["/hall.zip"] = nested(packed)
    _catalog(folder, catalog(host.url))
    return folder


def _catalog(root: Path, text: str) -> None:
    (root / "catalog").mkdir(parents=True, exist_ok=True)
    (root / "catalog" / "lab.toml").write_text(text)


def _tinyvio(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def _bring(root: Path, given: str | None = None, said: list[str] | None = None) -> Path:
    return fetch(find(NAME), root, given, QUICK, Report(said.append) if said is not None else Report())


def _refused(root: Path, *words: str, given: str | None = None) -> str:
    """The error of a fetch that must fail: one line with these words, and nothing in place."""
    with pytest.raises(DataError) as caught:
        _bring(root, given)
    text = str(caught.value)
    assert "\n" not in text and all(word in text for word in words), text
    assert not (root / "lab" / WANTED).exists()
    return text


def _is_whole(folder: Path, packed: dict[str, bytes]) -> None:
    """Oracle: the zip that was served, read by zipfile."""
    with zipfile.ZipFile(io.BytesIO(packed[WANTED])) as zipped:
        names = {name for name in zipped.namelist() if not name.endswith("/") and "MACOSX" not in name}
        assert {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} == names | {"fetched.json"}
        assert all((folder / name).read_bytes() == zipped.read(name) for name in names)
    assert list((folder.parents[1] / ".partial").rglob("*.part")) == []


def test_one_sequence_of_three_is_cut_out_of_the_archive_with_few_bytes_more_than_its_own(root: Path, host: Host, packed: dict[str, bytes]) -> None:
    """Oracle: the server's count of bytes against the length of the nested zip, plus 5 %."""
    folder = _bring(root)
    _is_whole(folder, packed)
    own = len(packed[WANTED])
    print(f"sequence {own} bytes, archive {len(host.files['/hall.zip'])}, sent {host.sent}, {100 * host.sent / own - 100:.2f} % more, {len(host.requests)} requests")
    assert own <= host.sent <= 1.05 * own < 0.3 * len(host.files["/hall.zip"])
    note = json.loads((folder / "fetched.json").read_text())
    assert note["files"][0]["sha256"] == hashlib.sha256(packed[WANTED]).hexdigest()


def test_a_deflated_member_and_zip64_directory_entries_give_the_same(root: Path, host: Host, packed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the zip that was served; zipfile writes ZIP64 records for everything beyond a lowered limit."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1000)
    host.files["/hall.zip"] = nested(packed, zipfile.ZIP_DEFLATED)
    monkeypatch.undo()
    monkeypatch.setenv("TINYVIO_DATA", str(root))
    assert b"PK\x06\x06" in host.files["/hall.zip"][-200:]
    host.faults = [Fault(), Fault(cut=100_000)]
    _is_whole(_bring(root), packed)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_killed_half_way_the_second_run_transfers_only_the_rest(root: Path, host: Host, packed: dict[str, bytes], sent: signal.Signals, code: int) -> None:
    """Oracle: the server's count: both runs together send the sequence once, plus 5 %; the second sends what the first did not keep."""
    own = len(packed[WANTED])
    host.faults = [Fault(), Fault(hold=own // 2)]
    command = [sys.executable, "-m", "vio.cli", "fetch", NAME, "--quiet"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    first = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    part = root / ".partial" / "lab" / WANTED / f"{WANTED}.zip.part"
    assert host.held.wait(60)
    while first.poll() is None and not (part.is_file() and part.stat().st_size >= own // 2 - CHUNK):
        time.sleep(0.01)
    first.send_signal(sent)
    _, said = first.communicate(timeout=20)
    assert first.returncode == code and not (root / "lab" / WANTED).exists() and b"Traceback" not in said
    assert (b"the same command continues" in said) == (sent == signal.SIGINT)
    kept, before = part.stat().st_size, host.sent
    host.free.set()
    second = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert second.returncode == 0, second.stderr
    _is_whole(root / "lab" / WANTED, packed)
    print(f"sequence {own} bytes, kept {kept}, second run sent {host.sent - before}, both {host.sent}")
    assert kept >= own // 2 - CHUNK and host.sent - before == own - kept and host.sent <= 1.05 * own


def test_passing_faults_are_waited_out(root: Path, host: Host, packed: dict[str, bytes]) -> None:
    """Oracle: the file; each fault is named while it is waited for, and Retry-After is obeyed."""
    said: list[str] = []
    busy = [Fault(status=429, headers={"Retry-After": "0"}), Fault(status=503), Fault()]  # the directory
    host.faults = busy + [Fault(cut=50_000), Fault(status=500), Fault(cut=90_000), Fault(status=502), Fault(cut=33_000), Fault(cut=0)]
    _is_whole(_bring(root, said=said), packed)
    text = "\n".join(said)
    assert all(word in text for word in ("429 Too Many", "500 Internal", "502 Bad", "503 Service", "closed early", "next try in 0 s"))
    assert host.sent <= 1.05 * len(packed[WANTED])


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(status=403), ("403 Forbidden", "--from")),
        (Fault(status=404), ("404", "link is dead", "--from")),
        (Fault(status=401), ("401", "--from")),
        (Fault(status=500), ("500 Internal Server Error", "3 times", "run again")),
        (Fault(status=429, headers={"Retry-After": "4000"}), ("429", "wait 4000 s", "run again")),
        (Fault(cut=0), ("closed early", "3 times", "run again")),
        (Fault(whole=True), ("ignores range requests", "--from")),
    ],
)
def test_a_host_that_refuses_costs_one_line_and_a_later_run_succeeds(root: Path, host: Host, packed: dict[str, bytes], fault: Fault, words: tuple[str, ...]) -> None:
    """Oracle: the list of faults of the issue; then the file that was served."""
    host.always = fault
    _refused(root, host.url, *words)
    host.always = None
    _is_whole(_bring(root), packed)


def test_a_host_may_send_to_another_address(root: Path, host: Host, packed: dict[str, bytes]) -> None:
    """Oracle: the file; the range must survive the redirection."""
    host.files["/store/77"], host.moved = host.files.pop("/hall.zip"), {"/hall.zip": "/store/77"}
    _is_whole(_bring(root), packed)
    assert host.sent <= 1.05 * len(packed[WANTED])


def test_a_host_that_is_not_there_costs_one_line(root: Path) -> None:
    """Oracle: the text; port 9 of this machine has no server."""
    _refused(root, "connection refused", given="http://127.0.0.1:9/x")
    _refused(root, "not an address", given="nothing://host/x")


def test_another_file_is_told_before_it_is_brought(root: Path, host: Host, packed: dict[str, bytes]) -> None:
    """Oracle: the text, and the server's count."""
    host.files["/hall.zip"] = b"<!doctype html>" + b" " * 300_000
    _refused(root, "not a zip archive")
    host.files["/hall.zip"] = nested({"T_01": packed[WANTED]})
    _refused(root, f"holds no hall/{WANTED}/{WANTED}.zip", "T_01.zip")
    host.files["/hall.zip"] = nested(packed)
    _catalog(root, catalog(host.url, "bytes = 12345"))
    _refused(root, "the catalog says 12345", "another file")
    _catalog(root, catalog(host.url).replace('"hall.zip"\n', '"hall.zip"\nbytes = 777\n', 1))
    _refused(root, "the catalog says 777", "another file")
    assert host.sent < 200_000


def test_damage_is_dropped_and_the_next_run_starts_afresh(root: Path, host: Host, packed: dict[str, bytes]) -> None:
    """Oracle: one flipped byte against CRC-32 of the directory; a wrong sha256 in the catalog."""
    good = host.files["/hall.zip"]
    at = good.find(packed[WANTED]) + 100_000
    host.files["/hall.zip"] = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
    _refused(root, "damaged or another file", "CRC-32", "run again")
    host.files["/hall.zip"] = good
    _catalog(root, catalog(host.url, f'sha256 = "{"0" * 64}"'))
    _refused(root, "sha256", "run again")
    _catalog(root, catalog(host.url, f'sha256 = "{hashlib.sha256(packed[WANTED]).hexdigest()}"\nframes = 6\n'))
    _is_whole(_bring(root), packed)


def test_an_archive_that_changes_between_two_runs_is_begun_again(root: Path, host: Host, packed: dict[str, bytes]) -> None:
    """Oracle: the new file; what was kept of the old one must not be mixed in."""
    host.faults = [Fault(), Fault(cut=200_000), Fault(status=404)]
    _refused(root, "404")
    assert (root / ".partial" / "lab" / WANTED / f"{WANTED}.zip.part").stat().st_size == 200_000 // CHUNK * CHUNK
    changed = packed | {SEQUENCES[0]: packed[SEQUENCES[0]] + b"more"}
    host.files["/hall.zip"], host.etag = nested(changed), '"two"'
    said: list[str] = []
    _is_whole(_bring(root, said=said), packed)
    assert any("changed" in text for text in said)


def test_a_count_that_is_not_the_catalogs_refuses_the_recording(root: Path, host: Host) -> None:
    """Oracle: the six frames that were written."""
    _catalog(root, catalog(host.url, "frames = 7"))
    _refused(root, "cam0/data.csv has 6 rows", "catalog says 7")


def _evil(name: str, data: bytes = b"x", mode: int = 0) -> bytes:
    """A zip with one member of this name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("mav0/cam0/data.csv", b"1,2\n")
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        packed.writestr(info, data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (_evil("../../evil"), ("leads outside",)),
        (_evil("mav0/../../evil"), ("leads outside",)),
        (_evil("/tmp/tinyvio-evil"), ("leads outside",)),
        (_evil("C:/evil"), ("leads outside",)),
        (_evil("mav0\\..\\evil"), ("leads outside",)),
        (_evil("mav0/link", b"/etc/passwd", stat.S_IFLNK | 0o777), ("link or a device",)),
        (_evil("mav0/bomb", bytes(40_000_000)), ("would unpack to 40 MB", "more than")),
        (_evil("mav0/lie", bytes(3_000_000)).replace((3_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little")), ("damaged",)),
        (_evil("README"), ()),
        (_evil("x")[:-30], ("damaged",)),
        (b"nothing like a zip", ("damaged, or not an archive",)),
    ],
)
def test_a_hostile_archive_is_refused_before_anything_is_unpacked(root: Path, host: Host, packed: dict[str, bytes], data: bytes, words: tuple[str, ...]) -> None:
    """Oracle: the folder beside and above the data folder, before and after."""
    host.files["/hall.zip"] = nested(packed | {WANTED: data})
    before = sorted(root.parent.iterdir())
    if words:
        _refused(root, *words)
        assert list((root / ".partial").rglob("data.csv")) == []
    else:
        assert (_bring(root) / "mav0" / "cam0" / "data.csv").is_file()  # the same archive with an honest name is taken
    assert sorted(root.parent.iterdir()) == before and not Path("/tmp/tinyvio-evil").exists()


def test_the_catalogs_size_bounds_what_is_unpacked(root: Path, host: Host, packed: dict[str, bytes]) -> None:
    """Oracle: the sum of the sizes in the zip's own directory: exact is enough, one byte less is refused."""
    with zipfile.ZipFile(io.BytesIO(packed[WANTED])) as zipped:
        total = sum(info.file_size for info in zipped.infolist() if "MACOSX" not in info.filename)
    _catalog(root, catalog(host.url, f"unpacked_bytes = {total - 1}"))
    _refused(root, "would unpack to")
    _catalog(root, catalog(host.url, f"unpacked_bytes = {total}"))
    _is_whole(_bring(root), packed)


def test_a_deflated_stream_that_goes_beyond_its_declared_size_is_stopped(root: Path, host: Host) -> None:
    """Oracle: a megabyte of zeros declared as ten bytes in both headers."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as outer:
        outer.writestr(f"hall/{WANTED}/{WANTED}.zip", bytes(1_000_000))
    data = buffer.getvalue()
    host.files["/hall.zip"] = data.replace((1_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    _refused(root, "more bytes than declared", "run again")


def test_a_full_disk_is_told_beforehand_and_when_it_happens(root: Path, host: Host, packed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: a disk that reports too little; then a file-size limit of the system, which fails a write as a full disk does."""
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: SimpleNamespace(free=100_000))
    _refused(root, "are needed and 100 kB are free", "--to")
    monkeypatch.undo()
    monkeypatch.setenv("TINYVIO_DATA", str(root))
    command = [sys.executable, "-c", "import signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); from vio.cli import main; main()", "fetch", NAME, "--quiet"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))

    result = subprocess.run(command, env=environment, preexec_fn=limit, capture_output=True, text=True, timeout=60)
    assert result.returncode == 3 and "no space left" in result.stderr and "run again" in result.stderr and "Traceback" not in result.stderr
    assert not (root / "lab" / WANTED).exists()
    before = host.sent
    _is_whole(_bring(root), packed)
    assert host.sent - before <= len(packed[WANTED]) - 200_000 + CHUNK


def test_a_folder_of_downloaded_zips_stands_in_for_the_host(root: Path, host: Host, packed: dict[str, bytes], tmp_path: Path) -> None:
    """Oracle: the zip itself; the room archive, the unpacked room archive, the nested zip and the file by name all give it, the server nothing."""
    places = [("hall.zip", host.files["/hall.zip"]), (f"hall/{WANTED}/{WANTED}.zip", packed[WANTED]), (f"{WANTED}.zip", packed[WANTED])]
    for number, (name, data) in enumerate(places):
        path = tmp_path / f"got{number}" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
        for given in (tmp_path / f"got{number}", path):
            target = tmp_path / f"to{number}{given.is_file()}"
            _is_whole(_bring(target, str(given)), packed)
            assert path.read_bytes() == data
    assert host.requests == []
    _refused(root, "no such file or folder", given=str(tmp_path / "absent"))
    _refused(root, f"neither {WANTED}.zip nor hall.zip", given=str(tmp_path))


def test_a_mirror_may_hold_the_room_archive_or_the_sequences_alone(root: Path, host: Host, packed: dict[str, bytes], tmp_path: Path) -> None:
    """Oracle: the zip itself."""
    host.files = {"/m/hall.zip": nested(packed), f"/n/{WANTED}.zip": packed[WANTED]}
    for number, given in enumerate(("m", "m/hall.zip", "n/")):
        _is_whole(_bring(tmp_path / f"to{number}", f"{host.url}/{given}"), packed)


def _tar(packed: dict[str, bytes], link: bool = False) -> bytes:
    """A tar of TUM VI's shape: everything under one folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar, zipfile.ZipFile(io.BytesIO(packed[WANTED])) as source:
        for name in source.namelist():
            if not name.endswith("/"):
                info = tarfile.TarInfo(f"dataset-x/{name}")
                info.size = source.getinfo(name).file_size
                tar.addfile(info, source.open(name))
        if link:
            info = tarfile.TarInfo("dataset-x/link")
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(info)
    return buffer.getvalue()


TAR = f'title = "Lab"\nlicence = "for tests"\nbase = "URL/"\nmd5_suffix = ".md5"\n[archives.x]\nfile = "x.tar"\n[sequences.{WANTED}]\narchive = "x"\n'


def test_a_plain_tar_is_checked_by_the_md5_beside_it(root: Path, host: Host, packed: dict[str, bytes]) -> None:
    """Oracle: hashlib; the folder that the tar wraps around the recording is taken off."""
    tar = _tar(packed)
    _catalog(root, TAR.replace("URL", host.url))
    host.files = {"/x.tar": tar, "/x.tar.md5": f"{'0' * 32}  x.tar\n".encode()}
    _refused(root, "md5", "run again")
    host.files["/x.tar"] = _tar(packed, link=True)
    del host.files["/x.tar.md5"]
    _refused(root, "link or a device")
    host.files = {"/x.tar": tar, "/x.tar.md5": f"{hashlib.md5(tar).hexdigest()}  x.tar\n".encode()}
    said: list[str] = []
    _is_whole(_bring(root, said=said), packed)
    assert not any("no checksum" in text for text in said)


def test_a_whole_file_from_a_host_without_ranges_starts_again_when_it_breaks(root: Path, host: Host, packed: dict[str, bytes]) -> None:
    """Oracle: the tar; the first answer breaks off, the server sends everything anew."""
    _catalog(root, TAR.replace("URL", host.url))
    host.files = {"/x.tar": _tar(packed)}
    host.faults = [Fault(whole=True, cut=400_000)] + [Fault(whole=True)] * 3
    said: list[str] = []
    _is_whole(_bring(root, said=said), packed)
    assert any("cannot resume" in text for text in said) and any("no checksum is known" in text for text in said)


def test_a_bag_and_its_calibration_lie_side_by_side(root: Path, host: Host) -> None:
    """Oracle: the bytes served; a name with two dots inside is no way out of the folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as calibration:
        calibration.writestr("calib/camchain-imucam-..calib_imu.yaml", "cam0: {}\n")
        calibration.writestr("calib/report.pdf", b"%PDF")
    host.files = {"/a.bag": b"#ROSBAG" * 40_000, "/c.zip": buffer.getvalue()}
    archives = '[archives.a]\nfile = "a.bag"\n[archives.c]\nfile = "c.zip"\n'
    _catalog(root, f'title = "L"\nlicence = "t"\nbase = "{host.url}/"\n{archives}[sequences.{WANTED}]\narchive = "a"\ncalibration = "c"\n')
    folder = _bring(root)
    assert {p.name for p in folder.iterdir()} == {"a.bag", "camchain-imucam-..calib_imu.yaml", "fetched.json"}
    assert (folder / "a.bag").read_bytes() == host.files["/a.bag"]


def test_run_finds_a_fetched_recording_by_name_and_says_how_to_fetch_one(root: Path, host: Host, tmp_path: Path) -> None:
    """Oracle: exit codes and texts; the frames of the standing recording."""
    absent = _tinyvio("run", NAME)
    assert absent.exit_code == 3 and f"tinyvio fetch {NAME}" in absent.stderr and "\n" not in absent.stderr.strip()
    assert "did you mean lab/S_02_medium" in _tinyvio("run", "S_02_medum").stderr
    brought = _tinyvio("fetch", WANTED, "--quiet")
    assert brought.exit_code == 0 and str(root / "lab" / WANTED) in brought.stdout and "for tests" in brought.stderr
    assert "for tests" not in _tinyvio("fetch", f"lab/{SEQUENCES[0]}", "--quiet").stderr  # the licence is shown once
    again = _tinyvio("fetch", NAME)
    assert again.exit_code == 0 and "already at" in again.stdout
    assert len(open_sequence(NAME).frame_t_ns) == 6
    ran = _tinyvio("run", NAME, "--out", tmp_path / "out", "--quiet")
    assert ran.exit_code == 0, ran.output
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["frames"] == 6
    rows = {row["name"]: row["on_disk"] for row in json.loads(_tinyvio("list", "lab/", "--json").stdout)}
    assert rows == {NAME: str(root / "lab" / WANTED), f"lab/{SEQUENCES[0]}": str(root / "lab" / SEQUENCES[0]), f"lab/{SEQUENCES[2]}": None}


def test_the_command_line_tells_a_failure_in_one_line(root: Path, host: Host) -> None:
    """Oracle: the exit code of data errors; the licence is the only other line."""
    host.always = Fault(status=500)
    result = _tinyvio("fetch", NAME, "--tries", 1, "--quiet")
    lines = result.stderr.strip().splitlines()
    assert result.exit_code == 3 and len(lines) == 2 and lines[1].startswith("tinyvio: ") and "run again" in lines[1]


def test_a_second_fetch_of_the_same_recording_is_kept_out(root: Path) -> None:
    """Oracle: the lock held here."""
    from filelock import FileLock

    (root / ".partial" / "lab").mkdir(parents=True)
    with FileLock(root / ".partial" / "lab" / f"{WANTED}.lock"):
        _refused(root, "another `tinyvio fetch`")


def test_the_ranged_file_reads_as_the_file_itself(host: Host) -> None:
    """Oracle: io.BytesIO."""
    from vio.io.ranged import HttpSource

    data = bytes(range(256)) * 300
    host.files["/x"] = data
    remote, local = archive.RangedFile(HttpSource(f"{host.url}/x")), io.BytesIO(data)
    for offset, whence, size in ((0, 0, 10), (-5, 2, -1), (-20_000, 2, 19_000), (70_000, 0, 100_000), (5, 1, 3), (76_800, 0, 4), (60_000, 0, 0)):
        assert remote.seek(offset, whence) == local.seek(offset, whence)
        assert remote.read(size) == local.read(size) and remote.tell() == local.tell()

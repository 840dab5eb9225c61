"""Which reader takes which path."""

from pathlib import Path

from vio.errors import DataError
from vio.io import asl, bag
from vio.io.progress import Progress
from vio.io.recording import ReadOptions, Recording


def read_recording(path: Path, options: ReadOptions = ReadOptions(), progress: Progress | None = None) -> Recording:
    """Open a recording of any kind: a bag (.bag, .mcap, .db3, a rosbag 2 folder) or a folder of sensors.

    `progress(done, total)` hears of the pass over a bag. Raises DataError or CalibrationError before any work.
    """
    if options.calibration is not None and not options.calibration.exists():
        raise DataError(f"{options.calibration}: no such file or folder; --calibration names Kalibr's camchain-imucam.yaml, or a folder that holds a calibration")
    path = _bag_inside(path) or path
    if bag.is_bag(path):
        return bag.read_recording(path, options, progress)
    if path.is_dir():
        return asl.read_recording(path, options)
    raise DataError(f"{path}: neither a bag (.bag, .mcap, .db3) nor a folder of sensors")


def _bag_inside(folder: Path) -> Path | None:
    """The only bag in a folder that has no sensors of its own. Raises DataError if there are several."""
    if not folder.is_dir() or bag.is_bag(folder) or any((folder / name).exists() for name in ("mav0", "imu0", "imu0.csv", "cam0")):
        return None
    found = sorted(path for path in folder.iterdir() if bag.is_bag(path))
    if len(found) > 1:
        raise DataError(f"{folder}: holds several bags, {', '.join(path.name for path in found)}; name one of them")
    return found[0] if found else None

"""Which reader takes which path."""

from collections.abc import Callable
from pathlib import Path

from vio.errors import DataError
from vio.io import asl, bag
from vio.io.recording import ReadOptions, Recording


def read_recording(path: Path, options: ReadOptions = ReadOptions(), progress: Callable[[int, int], None] | None = None) -> Recording:
    """Open a recording of any kind: a bag (.bag, .mcap, .db3, a rosbag 2 folder) or a folder of sensors.

    `progress(done, total)` hears of the pass over a bag. Raises DataError or CalibrationError before any work.
    """
    if options.calibration is not None and not options.calibration.exists():
        raise DataError(f"{options.calibration}: no such file or folder; --calibration names Kalibr's camchain-imucam.yaml, or a folder that holds a calibration")
    if bag.is_bag(path):
        return bag.read_recording(path, options, progress)
    if path.is_dir():
        return asl.read_recording(path, options)
    raise DataError(f"{path}: neither a bag (.bag, .mcap, .db3) nor a folder of sensors")

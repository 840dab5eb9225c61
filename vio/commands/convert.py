"""`tinyvio convert`: a recording in another format."""

from pathlib import Path
from typing import Annotated

import typer

from vio.commands.common import CalibrationOption, TimeOffsetOption, TopicOption, guarded, parse_topics, say
from vio.errors import ConfigError


@guarded
def convert(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A folder of sensors or a bag, as `tinyvio run` takes it.")],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="The folder to write; it must not exist yet.")],
    kind: Annotated[str, typer.Option("--format", metavar="asl|rosbag2|mcap", help="What to write: an ASL/EuRoC folder, or a rosbag 2 folder.")] = "asl",
    mono: Annotated[bool, typer.Option("--mono", help="Take the left camera alone.")] = False,
    calibration: CalibrationOption = None,
    topic: TopicOption = None,
    time_offset: TimeOffsetOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar; warnings and errors remain.")] = False,
) -> None:
    """Write a recording as an ASL/EuRoC folder or as a bag, every stamp, pixel and inertial value as it was.

    Images become PNG (8 or 16 bits, Bayer patterns become colour); a bag gets Kalibr's calibration files beside it.

    Examples:

    - `tinyvio convert flight.bag flight` makes an ASL folder; camchain-imucam.yaml and imu.yaml lie beside the bag

    - `tinyvio convert MH_01_easy MH_01_bag --format mcap`

    - `tinyvio convert flight.mcap flight --calibration calib --topic imu0=/imu/data_raw --time-offset 0.004`

    The folder appears when it is whole; after Ctrl-C nothing is left of it.
    """
    from dataclasses import replace

    from vio.console import Progress
    from vio.io import convert as converter
    from vio.io.formats import read_recording
    from vio.io.recording import ReadOptions

    if kind not in converter.FORMATS:
        raise ConfigError(f"--format {kind}: one of {', '.join(converter.FORMATS)}")
    options = ReadOptions(mono, calibration, parse_topics(topic or []), time_offset)
    with Progress(quiet) as progress:
        recording = read_recording(source, options, progress.work("indexing", "messages/s"))
    if time_offset is not None:
        recording = replace(recording, calibration=replace(recording.calibration, time_offset=time_offset))
    for text in recording.warnings:
        say(f"warning: {text}")
    with Progress(quiet) as progress:
        converter.convert(recording, destination, kind, progress.work("converting", "images/s"))
    if not quiet:
        pictures = " and ".join(str(len(camera.t_ns)) for camera in recording.cameras)
        typer.echo(f"{destination}: {pictures} images, {len(recording.imu_t_ns)} inertial samples")

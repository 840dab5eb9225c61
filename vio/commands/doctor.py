"""`tinyvio doctor`: what is wrong with a recording, and what to do about it."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from vio.commands.common import CalibrationOption, TimeOffsetOption, TopicOption, folder_of, guarded, parse_topics

FAULTS_FOUND = 4  # exit code


@guarded
def doctor(
    sequence: Annotated[str, typer.Argument(metavar="SEQUENCE", help="A recording or a built-in sequence; it may be broken or lack cameras.")],
    calibration: CalibrationOption = None,
    topic: TopicOption = None,
    time_offset: TimeOffsetOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdicts as JSON.")] = False,
    brief: Annotated[bool, typer.Option("--brief", help="Only what is not well; good items are counted.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Examine a recording: files, clocks, IMU, pictures, calibration and ground truth, each with figure, limit and remedy.

    Nothing is taken on trust: rotation comes from the pictures alone and is compared with the gyro, which gives the time offset, the
    drift of the clocks, the rotation of T_BS and the unit of the gyro; left and right are matched without their calibration.

    Examples:

    - `tinyvio doctor MH_01_easy`

    - `tinyvio doctor recording --brief` shows warnings and faults

    - `tinyvio doctor recording --json > report.json`

    Exit code: 0 if no fault was found (there may be warnings), 4 if there are faults, 3 if there is nothing to examine.
    """
    from vio.console import Progress
    from vio.doctor import report
    from vio.doctor.examination import examine, worst
    from vio.doctor.files import open_recording
    from vio.doctor.verdict import Level
    from vio.io.sequence import Sequence, open_sequence

    topics = parse_topics(topic or [])
    with tempfile.TemporaryDirectory(prefix="tinyvio-doctor-") as scratch, Progress(quiet) as progress:
        def opener(path: Path, mono: bool) -> Sequence:
            return open_sequence(path, mono, progress.rendering, calibration=calibration, topics=topics, time_offset=time_offset)

        recording = open_recording(folder_of(sequence, progress.rendering), Path(scratch), opener)
        verdicts = examine(recording, progress.work("looking", "frames/s"))
    level, name = worst(verdicts), recording.name if Path(sequence).expanduser().exists() else sequence
    if as_json:
        typer.echo(report.as_json(name, verdicts, level))
    else:
        report.print_table(name, verdicts, not brief)
    if level is Level.FAULT:
        raise typer.Exit(FAULTS_FOUND)

"""The whole examination of a recording, and its report."""


from vio.doctor import clocks, geometry, images, imu, truth
from vio.doctor.files import Patient
from vio.doctor.look import Look, look
from vio.doctor.verdict import Level, Verdict
from vio.io.progress import Progress


def examine(recording: Patient, progress: Progress | None = None, seen: Look | None = None) -> list[Verdict]:
    """Every verdict. `seen` spares the look at the pictures where it is known already; `progress(done, frames)` hears of that look."""
    sequence, samples = recording.sequence, recording.imu
    origin = _origin(recording)
    verdicts = [*recording.verdicts, *clocks.examine(list(recording.clocks), origin)]
    if sequence is not None:
        verdicts.append(clocks.overlap(sequence.frame_t_ns, None if samples is None else samples[0]))
    if samples is not None:
        verdicts += imu.examine(*samples, recording.noise, origin)
    if sequence is not None:
        verdicts += _pictures(recording, seen or look(sequence, progress))
    return verdicts + truth.examine(recording.truth, samples)


def _origin(recording: Patient) -> int:
    """Times are told after the first frame, or the first sample where there is none."""
    if recording.sequence is not None:
        return int(recording.sequence.frame_t_ns[0])
    return int(recording.clocks[0].t_ns.min()) if recording.clocks else 0


def _pictures(recording: Patient, seen: Look) -> list[Verdict]:
    """What only the pictures tell."""
    sequence, samples = recording.sequence, recording.imu
    verdicts = images.examine(seen)
    if recording.pair is not None:
        verdicts.append(clocks.pairs(*recording.pair))
    elif seen.right is not None:
        verdicts.append(clocks.unpaired(seen.lacking, 0, len(seen.index)))
    verdicts += geometry.against_gyro(seen, sequence.calibration, None if samples is None else samples[:2])
    return verdicts + geometry.stereo(seen, sequence.calibration)


def worst(verdicts: list[Verdict]) -> Level:
    """The gravest level among the verdicts, items that could not be measured aside."""
    levels = {v.level for v in verdicts}
    return next((level for level in (Level.FAULT, Level.WARNING) if level in levels), Level.OK)

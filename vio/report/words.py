"""The report's sentences: what a reader who looks no further should take home."""

from vio.report.subject import Subject


def in_short(s: Subject) -> list[str]:
    """What came out, what it would cost on a chip, and what that means to a drone; a sentence each."""
    out = [_accuracy(s)]
    if s.price:
        out += [_on_chip(s), _on_drone(s)]
    if s.refusal:
        out.append(f"On the chip: {s.refusal}.")
    return out


def _accuracy(s: Subject) -> str:
    metrics, t = s.run.metrics, s.run.frame_t_ns
    seconds = (t[-1] - t[0]) / 1e9 if len(t) else 0.0
    text = f"{s.run.name}: {metrics['frames']} frames over {seconds:.1f} s, {100 * metrics['coverage']:.4g} % of them with a pose"
    if metrics.get("ate_rmse_m") is None:
        return f"{text}; there is no ground truth to hold the trajectory against."
    percent = "" if metrics.get("ate_percent") is None else f", {metrics['ate_percent']:.3f}\u00a0%"
    return f"{text}; the trajectory is {100 * metrics['ate_rmse_m']:.2f} cm (RMS) off the ground truth over {metrics['path_m']:.1f} m{percent}."


def _on_chip(s: Subject) -> str:
    report, flight, design = s.price.report, s.price.flight, s.price.design
    power, energy = report.power_mW, report.per_frame_uJ
    return (
        f"As a {design.technology.name} chip at {report.fps:.3g} frames/s it would draw {power.nominal:.2f} mW (published energies allow {power.low:.2f} to {power.high:.2f}), "
        f"{energy.nominal:.0f} uJ a frame, with {flight.kilobytes:.0f} kB of memory of its own.")  # fmt: skip


def _on_drone(s: Subject) -> str:
    budget, craft = s.price.budget, s.price.design.drone
    text = f"On {craft.name} ({craft.mass_g:g} g, hovering at {craft.hover_W:g} W) that is {100 * budget.hover_share.nominal:.2g} % of the hover power"
    if budget.flight_min:
        text += f": {60 * budget.lost_min.nominal:.2g} s of a flight of {budget.flight_min:.1f} min"
    room = budget.room_mW.nominal
    rest = f"{room:.0f} mW of the {craft.perception_mW:g} mW for perception are left" if room >= 0 else f"the {craft.perception_mW:g} mW for perception are exceeded by {-room:.0f} mW"
    return f"{text}; beside two cameras and an IMU {rest}."


def cards(s: Subject) -> list[tuple[str, str, str]]:
    """The figures of a single run in large: (value, unit, meaning)."""
    metrics = s.run.metrics
    out = []
    if metrics.get("ate_rmse_m") is not None:
        out.append((f"{100 * metrics['ate_rmse_m']:.2f}", "cm", "ATE, RMS"))
    out.append((f"{100 * metrics['coverage']:.4g}", "%", "of the frames have a pose"))
    if metrics.get("fps"):
        out.append((f"{metrics['fps']:.0f}", "frames/s", "on the machine that ran it"))
    if s.price:
        report, flight = s.price.report, s.price.flight
        out += [
            (f"{report.power_mW.nominal:.2f}", "mW", f"as a chip, at {report.fps:.3g} frames/s"), (f"{report.per_frame_uJ.nominal:.0f}", "uJ", "per frame"),
            (f"{flight.kilobytes:.0f}", "kB", "on-chip memory"),
        ]  # fmt: skip
    return out

"""`tinyvio run --chip`: what the run would have cost on a chip, into metrics.json and chip.parquet."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vio.errors import ConfigError

if TYPE_CHECKING:
    from hwmodel.live import Flight
    from vio.config import Config
    from vio.io.sequence import Sequence
    from vio.runner import RunResult


def require() -> None:
    """Raise ConfigError, before any work, where the Parquet packages are missing."""
    from importlib.util import find_spec

    missing = [name for name in ("pandas", "pyarrow") if find_spec(name) is None]
    if missing:
        raise ConfigError(f"--chip writes Parquet and needs {', '.join(missing)}: pip install 'tinyvio[sweep]'")


def fly(opened: "Sequence", config: "Config", result: "RunResult") -> "tuple[Flight | None, ConfigError | None]":
    """The run on the Navion-like chip of its picture size, at the rate of its frames; and why not, or which buffer would overflow.

    The refusal is returned, not raised: the run itself is good and its files are to be written first.
    """
    import numpy as np
    from hwmodel.chip import load_chip
    from hwmodel.live import flight, with_picture
    from hwmodel.memory import check_depths, memory_map
    from hwmodel.technology import load_technology

    if len(result.frame_t_ns) < 2:
        return None, ConfigError("--chip needs two frames or more to know the frame rate")
    fps = 1e9 / float(np.median(np.diff(result.frame_t_ns)))
    chip, flown = with_picture(load_chip("navion"), opened.calibration.left.width, opened.calibration.left.height), None
    try:
        flown = flight(config, result.counts, chip, load_technology("65nm-lstp"), fps)
        check_depths(memory_map(config, chip), flown.high_water)
    except ConfigError as error:
        return flown, error
    return flown, None


def metrics(flight: "Flight") -> dict[str, Any]:
    """The flight's summary for metrics.json; bands as [low, nominal, high]."""
    return {
        "technology": "65nm-lstp", "fps": flight.fps, "clock_MHz": flight.clock_MHz, "vdd_V": flight.vdd,
        "energy_per_frame_uJ": [float(v) for v in flight.total_uJ.mean(0)], "power_mW": list(flight.power_mW),
        "memory_kB": flight.kilobytes, "memory_used_kB": flight.kilobytes_used, "high_water": flight.high_water,
    }


def write(folder: Path, flight: "Flight", result: "RunResult") -> None:
    """chip.parquet: one row per frame, uJ by module, and in all with the band."""
    import pandas as pd
    from vio.events import Event
    from vio.io.writers import write_atomic

    columns: dict[str, Any] = {"t_ns": result.frame_t_ns, "keyframe": result.counts[:, Event.KEYFRAME].astype(bool)}
    columns |= {f"{band}_uJ" if band else "uJ": flight.total_uJ[:, k] for k, band in ((1, ""), (0, "low"), (2, "high"))}
    columns |= {f"uJ {module}": flight.energy_uJ[:, k] for k, module in enumerate(flight.modules)}
    data = io.BytesIO()
    pd.DataFrame(columns).to_parquet(data, index=False)
    write_atomic(folder / "chip.parquet", data.getvalue())

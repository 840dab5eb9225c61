"""Perception against a drone's hover power and battery, and against a budget."""

from dataclasses import dataclass, fields
from typing import NamedTuple

from hwmodel.tables import Band, find_toml, read_toml, rows
from vio.config import ConfigError, shown


@dataclass(frozen=True)
class Drone:
    """A flying platform; its TOML files live in hwmodel/data/drones or with the user. battery_Wh = 0: no battery on board.

    electronics_W is what the present electronics draw in flight, contained in hover_W.
    """

    name: str
    mass_g: float
    battery_Wh: float
    hover_W: float
    electronics_W: float
    perception_mW: float  # what the platform's class can spend on perception
    source: str


def load_drone(name: str) -> Drone:
    """A drone by name or from a user's TOML. Raises ConfigError for unknown or missing fields and for numbers that make no sense."""
    path = find_toml("drones", name)
    table = read_toml(path, what="the drone")
    wanted = [f.name for f in fields(Drone) if f.name != "name"]
    for field in sorted(set(table) ^ set(wanted), key=lambda field: (field not in table, field)):
        problem = "unknown field" if field in table else "missing field"
        raise ConfigError(f"{path}: {problem} {shown(field)}; a drone has: {', '.join(wanted)}")
    for field in wanted[:-1]:
        value = table[field]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e6 or (value == 0 and field in ("mass_g", "hover_W", "perception_mW")):
            raise ConfigError(f"{path}: '{field}' is {shown(value)}; it must be a positive number")
    if not isinstance(table["source"], str):
        raise ConfigError(f"{path}: 'source' is text that says where the numbers come from")
    return Drone(name=path.stem, **table)


class Budget(NamedTuple):
    """What perception costs a drone."""

    hover_share: Band  # of hover power
    total_share: Band  # of hover power and perception together
    flight_min: float  # without it; 0 without a battery
    lost_min: Band
    energy_J: Band  # over that flight, or over a minute without a battery
    room_mW: Band  # of the platform's perception budget after chip, two cameras and IMU; negative when there is none


def sensors_mW() -> tuple[float, float]:
    """(one camera, IMU): published powers of two parts made for small drones."""
    table = {r["platform"]: float(r["value"]) for r in rows("drone_power.csv") if r["quantity"] == "power"}
    return table["camera_hm01b0"], table["imu_bmi160"]


def budget(drone: Drone, power_mW: Band) -> Budget:
    """The drone's account with a chip of that power on board."""
    hover = drone.hover_W * 1e3
    minutes = 60.0 * drone.battery_Wh / drone.hover_W
    lost = Band(*(minutes - 60.0 * drone.battery_Wh / (drone.hover_W + p * 1e-3) for p in power_mW))
    seconds = 60.0 * minutes if minutes else 60.0
    camera, imu = sensors_mW()
    rest = drone.perception_mW - 2 * camera - imu
    return Budget(
        power_mW.times(1 / hover), Band(*(p / (hover + p) for p in power_mW)), minutes, lost, power_mW.times(seconds * 1e-3),
        Band(rest - power_mW.high, rest - power_mW.nominal, rest - power_mW.low))

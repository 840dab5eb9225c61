"""Which topic of a bag is which sensor: what the user says, else what the calibration names, else the only ones of their type."""

from collections.abc import Mapping

from vio.errors import DataError
from vio.io.bag_store import COMPRESSED, IMAGE, IMU, ODOMETRY, POSE, TRANSFORM

_PICTURES, _POSES = (IMAGE, COMPRESSED), (POSE, TRANSFORM, ODOMETRY)
SENSORS = {"cam0": _PICTURES, "cam1": _PICTURES, "imu0": (IMU,), "truth": _POSES}
_WORDS = {"cam0": "image", "imu0": "IMU"}


def choose(types: Mapping[str, str], given: Mapping[str, str], named: Mapping[str, str], stereo: bool, source: str) -> dict[str, str]:
    """Topic of each sensor: "cam0", "cam1" in stereo, "imu0" and, if there is one, "truth".

    types: message type of every topic. given: what the user said. named: what the calibration says. Raises DataError, which
    begins with `source`, if a topic is missing, of another type, or one of several.
    """
    wanted = ["cam0", "cam1", "imu0"] if stereo else ["cam0", "imu0"]
    chosen: dict[str, str] = {}
    for sensor in [*wanted, "truth"]:
        if sensor in given:
            chosen[sensor] = _given(types, sensor, given[sensor], source)
        elif types.get(named.get(sensor, "")) in SENSORS[sensor]:
            chosen[sensor] = named[sensor]
    if "imu0" not in chosen:
        chosen["imu0"] = _only(_of_type(types, (IMU,)), "imu0", 1, source)[0]
    missing = [sensor for sensor in wanted if sensor not in chosen]
    if missing:
        free = [topic for topic in _cameras(types) if topic not in chosen.values()]
        chosen.update(zip(missing, _only(free, missing[0], len(missing), source)))
    poses = _of_type(types, _POSES)
    if "truth" not in chosen and len(poses) == 1:
        chosen["truth"] = poses[0]
    return chosen


def _given(types: Mapping[str, str], sensor: str, topic: str, source: str) -> str:
    """A topic that the user named, if it can be that sensor."""
    if topic not in types:
        raise DataError(f"{source}: no topic {topic} with messages; topics: {', '.join(sorted(types)) or 'none'}")
    if types[topic] not in SENSORS[sensor]:
        raise DataError(f"{source}: {topic} is of type {types[topic]}; {sensor} needs {' or '.join(SENSORS[sensor])}")
    return topic


def _of_type(types: Mapping[str, str], kinds: tuple[str, ...]) -> list[str]:
    return sorted(topic for topic, kind in types.items() if kind in kinds)


def _cameras(types: Mapping[str, str]) -> list[str]:
    """Topics of pictures, left before right; a compressed copy of a raw topic does not count."""
    raw = _of_type(types, (IMAGE,))
    copies = [topic for topic in _of_type(types, (COMPRESSED,)) if topic.removesuffix("/compressed") not in raw]
    return sorted(raw + copies, key=lambda topic: ("right" in topic.lower(), topic))


def _only(found: list[str], sensor: str, count: int, source: str) -> list[str]:
    """`count` topics, if there are exactly so many."""
    what = _WORDS.get(sensor, "image")
    option = " and ".join(f"--topic {name}=..." for name in ([sensor] if count == 1 else ["cam0", "cam1"]))
    if len(found) < count:
        need = "two image topics, or use --mono," if count == 2 else f"{'an' if what[0] in 'iI' else 'a'} {what} topic"
        raise DataError(f"{source}: {need} needed, but the bag has {', '.join(found) or 'none'}")
    if len(found) > count:
        raise DataError(f"{source}: several {what} topics could be meant: {', '.join(found)}; choose with {option}")
    return found

"""What every command shares: one line per error with its exit code, Ctrl-C, and the configuration from a profile."""

import functools
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vio.errors import ConfigError, DataError, TinyvioError
from vio.io.progress import Progress

if TYPE_CHECKING:
    from vio.config import Config

_LONGEST_LINE = 2000
INTERRUPTED = 130  # the shell's convention for SIGINT
TOPIC_SENSORS = ("cam0", "cam1", "imu0", "truth")

CalibrationOption = Annotated[
    Path | None, typer.Option(metavar="FILE|DIR", help="Kalibr's camchain-imucam.yaml (imu.yaml beside it), or a folder that holds a calibration.")
]
TopicOption = Annotated[list[str] | None, typer.Option("--topic", metavar="SENSOR=TOPIC", help="Topic of a bag for cam0, cam1, imu0 or truth; repeatable.")]
TimeOffsetOption = Annotated[
    float | None, typer.Option(metavar="S", help="Add S seconds to the camera's stamps to get the IMU's time, in place of the calibrated offset.")
]


def say(text: str) -> None:
    """One line on standard error; of what a file put into it, control characters and all beyond 2000 characters are left out."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    typer.echo(line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}...", err=True)


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Turn the errors a user can meet into one line and an exit code."""

    @functools.wraps(command)
    def call(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except TinyvioError as error:
            say(f"tinyvio: {error}")
            raise typer.Exit(error.exit_code) from None
        except OSError as error:
            say(f"tinyvio: {error}")
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            say("tinyvio: interrupted; nothing more was written")
            raise typer.Exit(INTERRUPTED) from None

    return call


def resolve_config(profile: str, assignments: list[str]) -> "Config":
    """Defaults, then the profile (a name in launch/ or a TOML file), then `section.field=value` texts. Raises ConfigError."""
    from vio import config
    from vio.io.resources import resource

    if profile.endswith(".toml") or "/" in profile:
        path = Path(profile).expanduser()
    else:
        path = resource("launch", "default.toml").parent / f"{profile}.toml"
        if not path.is_file():
            raise ConfigError(f"--profile {profile}: no profile of this name; known: {', '.join(profiles())}; or give a path to a TOML file")
    return config.override(config.load(path), assignments)


def profiles() -> tuple[str, ...]:
    """Names of the profiles in launch/: the files in it that hold sections of a configuration and nothing else."""
    from dataclasses import fields

    from vio.config import Config
    from vio.files import read_toml
    from vio.io.resources import resource

    sections = {f.name for f in fields(Config)}
    files = sorted(resource("launch", "default.toml").parent.glob("*.toml"))
    return tuple(path.stem for path in files if sections.issuperset(read_toml(path, what="the profile")))


def launch_file(file: Path, kind: str) -> Path:
    """The file itself, or that of its name in launch/, wherever that is installed. Raises ConfigError, which calls it a `kind` file."""
    from vio.io.resources import resource

    if file.exists():
        return file
    try:
        return resource("launch", file.name)
    except DataError:
        raise ConfigError(f"{file}: no such {kind} file") from None


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Within it Ctrl-C only makes the yielded function true, so that the frame in work is finished and the files are written."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    previous = signal.signal(signal.SIGINT, lambda number, frame: asked.set())
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, previous)


def parse_topics(assignments: list[str]) -> dict[str, str]:
    """`sensor=topic` texts as a table. Raises ConfigError for another form or an unknown sensor."""
    topics: dict[str, str] = {}
    for text in assignments:
        sensor, equals, topic = text.partition("=")
        if not equals or not topic or sensor not in TOPIC_SENSORS:
            raise ConfigError(f"--topic {text}: the form is SENSOR=TOPIC, and the sensors are {', '.join(TOPIC_SENSORS)}")
        topics[sensor] = topic
    return topics


def folder_of(name: str, rendering: Progress | None = None) -> Path:
    """Where a recording is on disk: a path as it is, a built-in sequence rendered, a fetched one by its name in the catalog.

    Raises DataError for a name that stands for nothing.
    """
    from vio.io.catalog import recording
    from vio.io.renderer import builtin_names, builtin_sequence

    path = Path(name).expanduser()
    if path.exists():
        return path
    return builtin_sequence(name, progress=rendering) if name.partition("@")[0] in builtin_names() else recording(name)

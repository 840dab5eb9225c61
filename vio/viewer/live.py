"""A run as it happens: the engine's thread leaves each frame in a queue, another one draws it."""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vio.backend.snapshot import Snapshot
from vio.config import Config
from vio.io.sequence import Sequence
from vio.odometry import Odometry
from vio.types import FrameOutput, Landmarks, StereoFrame
from vio.viewer import layout
from vio.viewer.columns import Columns
from vio.viewer.moment import Moment
from vio.viewer.outputs import Output
from vio.viewer.pictures import jpeg, shrunk
from vio.viewer.scene import Scene

_QUEUE = 32  # frames the drawing may lag behind before the run waits for it
_EVERY, _SELDOM, _MOST = 0.25, 2.0, 250  # s with a viewer, s with a file alone, and frames, that are drawn together


@dataclass(frozen=True)
class _Seen:
    """A frame as the engine's thread leaves it: references and small copies, nothing computed."""

    frame: StereoFrame
    output: FrameOutput
    landmarks: Landmarks | None
    window: Snapshot | None


class Watcher:
    """Draws a run into `output`. Hand `observe` to the run loop, and `close` when it has ended; the run itself is not changed by it."""

    def __init__(self, output: Output, sequence: Sequence, config: Config, say: Callable[[str], None]) -> None:
        """Show the empty scene."""
        self._output, self._config, self._say = output, config, say
        columns = Columns(output.recording)
        columns.legend(layout.LEGEND)
        output.recording.send_blueprint(layout.single("", sequence.calibration.right is not None, True))
        self._scene = Scene(columns, sequence.calibration, config, sequence.ground_truth, shrunk=True)
        self._queue: queue.Queue[_Seen | None] = queue.Queue(_QUEUE)
        self._stopped = threading.Event()
        self._every = _SELDOM if output.viewer is None else _EVERY
        self._index, self._waiting = 0, list[Moment]()
        self._sent = time.monotonic()
        self._thread = threading.Thread(target=self._work, name="viewer", daemon=True)
        self._thread.start()

    def observe(self, engine: Odometry, frame: StereoFrame, output: FrameOutput) -> None:
        """Take a frame from the run loop; waits where the drawing lags far behind."""
        if self._stopped.is_set():
            return
        is_new = output.solved_t_ns is not None
        self._queue.put(_Seen(frame, output, engine.landmarks() if is_new else None, engine.window() if is_new else None))

    def close(self) -> None:
        """Draw what is left, and the errors of the whole run; returns when everything is where it should be."""
        self._queue.put(None)
        self._thread.join()
        self._output.flush()

    def _work(self) -> None:
        """Until the end of the run."""
        while (seen := self._queue.get()) is not None:
            self._attempt(self._take, seen)
        self._attempt(self._draw)
        self._attempt(self._scene.finish)

    def _attempt(self, step: Callable[..., None], *arguments: object) -> None:
        """A step of the drawing; what goes wrong there ends the drawing, not the run."""
        if self._stopped.is_set():
            return
        try:
            step(*arguments)
        except Exception as error:
            self._say(f"warning: the viewer failed ({type(error).__name__}: {error}); the run goes on")
            self._stopped.set()

    def _take(self, seen: _Seen) -> None:
        """Compress a frame's pictures; now and then, draw what has come together."""
        self._waiting.append(_moment(self._index, seen, self._config))
        self._index += 1
        if len(self._waiting) >= _MOST or time.monotonic() - self._sent > self._every:
            self._draw()

    def _draw(self) -> None:
        """Draw what has come together, if anything has."""
        moments, self._waiting = self._waiting, []
        if moments:
            self._scene.draw(moments)
        self._sent = time.monotonic()
        if not self._output.is_watched():
            self._stopped.set()


def _moment(index: int, seen: _Seen, config: Config) -> Moment:
    output, frame, tracks = seen.output, seen.frame, seen.output.tracks
    right, uv_right = None, None
    if output.is_keyframe and frame.right is not None:
        right, uv_right = jpeg(shrunk(frame.right)), config.precision.position.to_float(tracks.uv_right_raw)
        uv_right[~tracks.has_right] = np.nan
    return Moment(
        index, output.t_ns, output.state,
        tracks.ids, config.precision.position.to_float(tracks.uv_raw), tracks.status, tracks.age, output.counts, output.stage_ns,
        output.health.state.value, output.health.reasons, output.health.tracked, jpeg(shrunk(frame.left)), right, uv_right, seen.landmarks, seen.window)

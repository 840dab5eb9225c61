"""What a buffer is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Savings:
    """The switches by which the chip got small; all off is the straightforward design."""

    frame_code: bool = True  # pictures in the code of `frontend.frame_store`
    sparse_tracks: bool = True  # tracks in two stages, features and observations, instead of a landmark x keyframe table
    structured: bool = True  # symmetric matrices as triangles
    unstructured: bool = True  # of the linear system only the blocks that can be non-zero, fill included
    shared: bool = True  # marginalisation and the copy of an undone step live in the linear system's memory


ALL = Savings()
NONE = Savings(False, False, False, False, False)


@dataclass(frozen=True)
class Buffer:
    """One on-chip memory: `words` of `bits`, in `banks` macros of `ports` ports; `why` says what its depth follows from."""

    module: str
    name: str
    words: int
    bits: int
    ports: int
    why: str
    banks: int = 1

    @property
    def kilobytes(self) -> float:
        """Size, 1 kB = 1024 bytes."""
        return self.words * self.bits / 8192

"""Pictures as a recording keeps them."""

import cv2
import numpy as np

_LARGE = 1 << 17  # pixels; larger pictures are recorded at half their size while a run waits
_QUALITY = 75  # of JPEG


def shrunk_size(width: int, height: int) -> tuple[int, int]:
    """Width and height that a picture of this size is recorded with during a run."""
    return (width // 2, height // 2) if width * height > _LARGE else (width, height)


def shrunk(picture: np.ndarray) -> np.ndarray:
    """A picture (height, width) uint8 in that size, each pixel the mean of those it stands for."""
    height, width = picture.shape
    size = shrunk_size(width, height)
    return picture if size == (width, height) else cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def jpeg(picture: np.ndarray) -> bytes:
    """A picture (height, width) uint8 as a JPEG file."""
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()

"""Local features: points of a picture that can be found again after it was cropped, turned or covered in part.

RootSIFT (Lowe, 2004; Arandjelović and Zisserman, 2012) by OpenCV. Another detector is one more class with ``version``
and ``extract``; all that comes later reads ``Features`` only.
"""

from __future__ import annotations

import struct
import threading
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from sosie.errors import DamagedError
from sosie.types import Picture, Pixels
from sosie.verify.opencv import opencv

__all__ = ["FeatureExtractor", "Features", "RootSift", "from_bytes", "to_bytes", "working"]

_SIDE = 400  # OpenCV's SIFT doubles its input once more; smaller pictures are enlarged at most twice
_LIMIT = 500
_THUMB = 64
_HEADER = struct.Struct("<4sHHH")
_MAGIC = b"SLF1"

# A mirrored patch has the same gradients: rows in reverse, orientations negated (4 rows × 4 columns × 8 orientations).
_LAYOUT = np.arange(128).reshape(4, 4, 8)
_MIRROR = _LAYOUT[::-1][:, :, (-np.arange(8)) % 8].ravel()


@dataclass(frozen=True, slots=True)
class Features:
    """Local features of one picture, and the picture itself very small.

    ``points`` (n, 4): x, y, scale in pixels of a working picture of ``width`` × ``height`` whose top left corner is
    (0, 0), and the angle in degrees. ``descriptors`` (n, 128): of unit length once divided by their norm.
    ``thumb`` (64, 64): luminance, squashed to a square.
    """

    width: int
    height: int
    points: npt.NDArray[np.float32]
    descriptors: npt.NDArray[np.uint8]
    thumb: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.points)

    def mirrored(self) -> Features:
        """Return the features of the picture seen in a mirror, without looking at it again."""
        points = self.points.copy()
        points[:, 0] = self.width - points[:, 0]
        points[:, 3] = (180 - points[:, 3]) % 360
        return Features(self.width, self.height, points, self.descriptors[:, _MIRROR], self.thumb[:, ::-1])


class FeatureExtractor(Protocol):
    """Finds local features. ``version`` names everything that the result depends on."""

    @property
    def version(self) -> str: ...

    def extract(self, picture: Picture) -> Features: ...


class RootSift:
    """RootSIFT at a fixed working size. Thread-safe."""

    version: ClassVar[str] = f"rootsift-{_SIDE}-{_LIMIT}-1"

    def __init__(self, *, side: int = _SIDE, limit: int = _LIMIT) -> None:
        self._side = side
        self._limit = limit
        self._local = threading.local()

    def coarse(self) -> RootSift:
        """Return one that works at half the size, for pictures whose fine detail is a screen or noise."""
        return RootSift(side=self._side // 2, limit=self._limit)

    def extract(self, picture: Picture) -> Features:
        """Return at most ``limit`` features, the strongest; none for a picture without structure."""
        return self.extract_grey(working(picture.pixels))

    def extract_grey(self, grey: npt.NDArray[np.uint8]) -> Features:
        """Do the same for luminance (h, w), such as ``working`` gives."""
        grey = _scaled(grey, self._side)
        height, width = grey.shape
        points, found = self._sift().detectAndCompute(grey, None)
        thumb = _resized(grey, _THUMB, _THUMB)
        if found is None or not points:
            return Features(width, height, np.empty((0, 4), np.float32), np.empty((0, 128), np.uint8), thumb)
        at = np.array([(p.pt[0] + 0.5, p.pt[1] + 0.5, p.size, p.angle) for p in points], np.float32)
        root = np.sqrt(found / np.maximum(found.sum(axis=1, keepdims=True), 1e-6))
        descriptors = np.minimum(np.round(root * 512), 255).astype(np.uint8)
        return Features(width, height, at[: self._limit], descriptors[: self._limit], thumb)

    def _sift(self) -> Any:
        if not hasattr(self._local, "sift"):
            self._local.sift = opencv().SIFT_create(
                nfeatures=self._limit, contrastThreshold=0.02, edgeThreshold=12, enable_precise_upscale=True
            )
        return self._local.sift


def to_bytes(features: Features) -> bytes:
    """Pack features: 8 bytes a point, 4 bits a component of its descriptor."""
    points = features.points.astype(np.float64)
    packed = np.empty((len(points), 4), "<u2")
    packed[:, 0] = np.clip(points[:, 0] / features.width * 65535, 0, 65535)
    packed[:, 1] = np.clip(points[:, 1] / features.height * 65535, 0, 65535)
    packed[:, 2] = np.clip(points[:, 2] * 64, 1, 65535)
    packed[:, 3] = (points[:, 3] % 360) / 360 * 65535
    nibbles = (np.minimum(features.descriptors.astype(np.uint16) + 8, 255) >> 4).astype(np.uint8)
    half = nibbles[:, 0::2] << 4 | nibbles[:, 1::2]
    header = _HEADER.pack(_MAGIC, features.width, features.height, len(points))
    return header + packed.tobytes() + half.tobytes() + features.thumb.tobytes()


def from_bytes(data: bytes) -> Features:
    """Unpack what ``to_bytes`` packed; raise DamagedError for anything else."""
    try:
        magic, width, height, count = _HEADER.unpack_from(data)
    except struct.error:
        magic, width, height, count = b"", 0, 0, 0
    if magic != _MAGIC or len(data) != _HEADER.size + count * (8 + 64) + _THUMB * _THUMB:
        raise DamagedError("local features are damaged: `sosie copies --prepare` computes them anew")
    body = np.frombuffer(data, np.uint8, offset=_HEADER.size)
    packed = body[: count * 8].view("<u2").reshape(count, 4).astype(np.float32)
    scale = np.array([width / 65535, height / 65535, 1 / 64, 360 / 65535], np.float32)
    half = body[count * 8 : count * 72].reshape(count, 64)
    descriptors = np.empty((count, 128), np.uint8)
    descriptors[:, 0::2], descriptors[:, 1::2] = half & 0xF0, half << 4
    thumb = body[count * 72 :].reshape(_THUMB, _THUMB)
    return Features(width, height, packed * scale, descriptors, thumb)


def working(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """Return a picture's luminance at the size that features are looked for."""
    return _scaled(opencv().cvtColor(pixels, opencv().COLOR_RGB2GRAY), _SIDE)


def _scaled(grey: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    factor = min(2.0, side / max(grey.shape))
    size = max(1, round(grey.shape[1] * factor)), max(1, round(grey.shape[0] * factor))
    return grey if size == grey.shape[::-1] else _resized(grey, *size)


def _resized(grey: npt.NDArray[np.uint8], width: int, height: int) -> npt.NDArray[np.uint8]:
    cv2 = opencv()
    smaller = width * height < grey.size
    resized: npt.NDArray[np.uint8] = cv2.resize(
        grey, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    )
    return resized

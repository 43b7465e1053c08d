"""Of boxes over the same thing, keep the surest."""

from __future__ import annotations

import numpy as np

from sosie.types import FloatMatrix, Ids

__all__ = ["overlaps", "suppress"]


def suppress(boxes: FloatMatrix, scores: FloatMatrix, labels: Ids, *, overlap: float, most: int) -> Ids:
    """Return the rows of boxes (n, 4: x1, y1, x2, y2) that stay, surest first, at most ``most``.

    A box goes where a surer one of its class overlaps it (IoU) by more than ``overlap``, or a surer one of any class
    by more than 0.9: one thing under two names is one thing.
    """
    left = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(left) and len(kept) < most:
        best, left = int(left[0]), left[1:]
        kept.append(best)
        over = overlaps(boxes[best], boxes[left])
        left = left[~((over > overlap) & (labels[left] == labels[best])) & (over <= 0.9)]
    return np.array(kept, np.int64)


def overlaps(box: FloatMatrix, boxes: FloatMatrix) -> FloatMatrix:
    """Return the intersection over union of one box (4,) with others (n, 4)."""
    x1, y1, x2, y2 = boxes.T
    across = np.minimum(x2, box[2]) - np.maximum(x1, box[0])
    down = np.minimum(y2, box[3]) - np.maximum(y1, box[1])
    inner = np.maximum(across, 0) * np.maximum(down, 0)
    areas = (x2 - x1) * (y2 - y1) + (box[2] - box[0]) * (box[3] - box[1])
    return np.asarray(inner / np.maximum(areas - inner, 1e-12), np.float32)

"""How detectors write down what they see: one function for each layout of outputs.

Each takes the outputs that its description names, for one picture, the size of the input, and how sure a box has to be.
It returns such boxes (n, 4) as x1, y1, x2, y2 in pixels of the input, how sure they are (n,) between 0 and 1, and what
they are (n,). Of thousands of places few are that sure: only those are worked out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from sosie.errors import UntrustedModel
from sosie.types import FloatMatrix, Ids

__all__ = ["LAYOUTS", "Candidates"]

Candidates: TypeAlias = tuple[FloatMatrix, FloatMatrix, Ids]
Layout: TypeAlias = Callable[[Sequence[Any], int, int, int, float], Candidates]  # outputs, classes, size, least

_STRIDES = (8, 16, 32)


def yolox(outputs: Sequence[Any], classes: int, width: int, height: int, least: float) -> Candidates:
    """(1, cells, 5 + classes): offsets in grid cells, logarithms of sizes, objectness, classes (Ge et al. 2021)."""
    rows = _matrix(outputs[0], 5 + classes)
    cells, strides = _grid(width, height)
    if len(rows) != len(cells):
        raise UntrustedModel(f"{len(rows)} cells came for an input of {width} × {height}, which has {len(cells)}")
    near = np.flatnonzero(rows[:, 4] >= least)  # no class is surer than that there is something
    rows, cells, strides = rows[near], cells[near], strides[near]
    centres, sizes = (rows[:, :2] + cells) * strides, np.exp(np.minimum(rows[:, 2:4], 20)) * strides
    return _surest(_corners(centres, sizes), rows[:, 5:] * rows[:, 4:5], least)


def yolov8(outputs: Sequence[Any], classes: int, width: int, height: int, least: float) -> Candidates:
    """(1, 4 + classes, cells), YOLOv8 and YOLO11: centres and sizes in pixels, then a score for each class."""
    rows = _matrix(np.swapaxes(np.asarray(outputs[0]), -1, -2), 4 + classes)
    rows = rows[np.flatnonzero(rows[:, 4:].max(axis=1) >= least)]
    return _surest(_corners(rows[:, :2], rows[:, 2:4]), rows[:, 4:], least)


def detr(outputs: Sequence[Any], classes: int, width: int, height: int, least: float) -> Candidates:
    """Logits (1, queries, classes) and boxes (1, queries, 4) as centres and sizes in shares (RT-DETR 2024)."""
    logits, boxes = _matrix(outputs[0], classes), _matrix(outputs[1], 4)
    boxes = boxes * np.array([width, height, width, height], np.float32)
    return _surest(_corners(boxes[:, :2], boxes[:, 2:]), _sigmoid(logits), least)


def labelled(outputs: Sequence[Any], classes: int, width: int, height: int, least: float) -> Candidates:
    """Labels (1, n), boxes (1, n, 4) in pixels and scores (1, n): D-FINE, and RT-DETR by its authors."""
    labels, boxes = np.asarray(outputs[0]).reshape(-1).astype(np.int64), _matrix(outputs[1], 4)
    sure = np.asarray(outputs[2], np.float32).reshape(-1)
    if not len(labels) == len(boxes) == len(sure):
        raise UntrustedModel(
            f"{len(labels)} labels, {len(boxes)} boxes and {len(sure)} scores came: they must be as many"
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise UntrustedModel(f"label {labels.max()} came, and the description names {classes} classes")
    kept = sure >= least
    return boxes[kept], sure[kept], labels[kept]


def ssd(outputs: Sequence[Any], classes: int, width: int, height: int, least: float) -> Candidates:
    """Boxes (1, anchors, 4) as y1, x1, y2, x2 in shares, scores (1, anchors, 1 + classes) with background first."""
    boxes, scores = _matrix(outputs[0], 4), _matrix(outputs[1], 1 + classes)[:, 1:]
    if len(boxes) != len(scores):
        raise UntrustedModel(f"{len(boxes)} boxes and {len(scores)} rows of scores came: they must be as many")
    near = np.unique(np.flatnonzero(scores >= least) // classes)
    boxes = boxes[near][:, [1, 0, 3, 2]] * np.array([width, height, width, height], np.float32)
    return _surest(boxes, scores[near], least)


def fastestdet(outputs: Sequence[Any], classes: int, width: int, height: int, least: float) -> Candidates:
    """(1, 5 + classes, rows, columns): one box a cell; confidence is objectness^0.6 × class^0.4 (dog-qiuqiu 2022)."""
    grid = np.asarray(outputs[0], np.float32)
    if grid.ndim != 4 or grid.shape[1] != 5 + classes:
        raise UntrustedModel(
            f"an output of shape {grid.shape} came, where (1, {5 + classes}, rows, columns) was described"
        )
    down, across = grid.shape[2:]
    cells = grid[0].reshape(5 + classes, -1)
    there = np.clip(cells[0], 0, 1) ** 0.6
    near = np.flatnonzero(there >= least)  # no class is surer than that there is something
    rows, (y, x) = cells[:, near].T, np.divmod(near, across)
    centres = (np.stack([x, y], 1) + np.tanh(rows[:, 1:3])) * np.array([width / across, height / down])
    sizes = _sigmoid(rows[:, 3:5]) * np.array([width, height])
    sure = there[near, None] * np.clip(rows[:, 5:], 0, 1) ** 0.4
    return _surest(_corners(centres, sizes), sure, least)


LAYOUTS: Mapping[str, Layout] = {
    "yolox": yolox,
    "yolov8": yolov8,
    "detr": detr,
    "labelled": labelled,
    "ssd": ssd,
    "fastestdet": fastestdet,
}


def _matrix(output: Any, columns: int) -> FloatMatrix:
    """Return the rows of an output for one picture; raise where it is not as wide as described."""
    found = np.asarray(output, np.float32)
    if found.ndim == 3 and len(found) == 1:
        found = found[0]
    if found.ndim != 2 or found.shape[1] != columns:
        raise UntrustedModel(
            f"an output of shape {np.shape(output)} came, where rows of {columns} numbers were described:"
            " the layout or the number of classes does not fit this network"
        )
    return found


@cache
def _grid(width: int, height: int) -> tuple[FloatMatrix, FloatMatrix]:
    """Return the cells (n, 2) of all strides as x, y, and the stride of each (n, 1)."""
    cells, strides = [], []
    for stride in _STRIDES:
        y, x = np.meshgrid(np.arange(height // stride), np.arange(width // stride), indexing="ij")
        cells.append(np.stack([x.ravel(), y.ravel()], 1))
        strides.append(np.full((x.size, 1), stride))
    grid = np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)
    for each in grid:
        each.setflags(write=False)  # it is shared by all pictures
    return grid


def _surest(boxes: FloatMatrix, scores: FloatMatrix, least: float) -> Candidates:
    """Take the best class of each place (n, classes), and the places where that is sure enough."""
    labels = scores.argmax(axis=1)
    sure = scores[np.arange(len(labels)), labels]
    kept = sure >= least
    return boxes[kept], sure[kept], labels[kept]


def _corners(centres: Any, sizes: Any) -> FloatMatrix:
    return np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1).astype(np.float32)


def _sigmoid(x: FloatMatrix) -> FloatMatrix:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -60, 60))), np.float32)

"""Figures of answers for notebooks and papers, with matplotlib (the extra ``plot``).

>>> import sosie.plot                                              # doctest: +SKIP
>>> sosie.plot.neighbours(library, library.search("a.jpg"))        # doctest: +SKIP
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sosie.errors import SosieError
from sosie.extras import missing
from sosie.library import Library
from sosie.present.text import display_path, shorten
from sosie.query.encode import bytes_of
from sosie.types import Hit, SearchResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["distance", "distances", "neighbours"]

_SIDE = 1.7  # inches of one picture


def distance(hit: Hit, metric: str | None = "dot") -> float:
    """Return how far a hit is from its query: the Euclidean distance of unit vectors, 0 to 2.

    Of an index of another ``metric``, that metric's own distance.
    """
    return hit.distance(metric, "l2" if metric == "dot" else None)


def neighbours(library: Library, result: SearchResult, *, columns: int = 6) -> Figure:
    """Return a figure of the query and its neighbours, each with its rank, id, distance and verdict.

    Pictures that are away leave their place empty. Raises MissingExtra without matplotlib.
    """
    rows = max(1, math.ceil((len(result) + 1) / columns))
    figure = _figure(columns * _SIDE, rows * (_SIDE + 0.55))
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for cell in cells:
        cell.axis("off")
    _draw(cells[0], _query_picture(library, result.query), f"query\n{shorten(display_path(result.query), 24)}")
    for cell, hit in zip(cells[1:], result, strict=False):
        sure = "" if hit.probability is None else f" {hit.probability:.0%}"
        _draw(
            cell,
            _thumbnail(library, hit.id),
            f"{hit.rank} · id {hit.id} · {distance(hit, result.metric):.3f}\n{hit.verdict}{sure}",
        )
    figure.tight_layout()
    return figure


def distances(results: SearchResult | Sequence[SearchResult]) -> Figure:
    """Return a figure of distance by rank, one line a query; where a line climbs, likeness ends."""
    listed = [results] if isinstance(results, SearchResult) else list(results)
    figure = _figure(6, 3.6)
    axes = figure.subplots()
    for result in listed:
        ranks, far = [hit.rank for hit in result], [distance(hit, result.metric) for hit in result]
        axes.plot(ranks, far, marker="o", label=shorten(display_path(result.query), 40))
    axes.set(xlabel="rank", ylabel="distance")
    axes.grid(alpha=0.3)
    if 1 <= len(listed) <= 8:
        axes.legend(fontsize="small")
    figure.tight_layout()
    return figure


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure  # without pyplot: no window, nothing global
    except ModuleNotFoundError as error:
        raise missing("figures need matplotlib", "plot") from error
    return Figure(figsize=(width, height))


def _draw(cell: Any, data: bytes | None, title: str) -> None:
    from PIL import Image

    cell.set_title(title, fontsize=8)
    if data is not None:
        cell.imshow(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def _query_picture(library: Library, query: str) -> bytes | None:
    kind, _, number = query.partition(":")
    if kind == "id" and number.isdigit():
        return _thumbnail(library, int(number))
    try:
        return library.pictures.preview(bytes_of(query))
    except SosieError:  # bytes that were asked about are not kept, and words are no picture
        return None


def _thumbnail(library: Library, content_id: int) -> bytes | None:
    try:
        return library.thumbnail(content_id)
    except SosieError:
        return None

"""Counts and latencies in Prometheus' text format, version 0.0.4.

Some forty lines stand in for a client library: the server has counters, gauges and one kind of histogram.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from threading import Lock

from sosie.types import number_text

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

Labels = tuple[tuple[str, str], ...]


class Metrics:
    """What a server has done so far. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counters: dict[str, dict[Labels, float]] = {}
        self._histograms: dict[str, dict[Labels, list[float]]] = {}

    def count(self, name: str, labels: Mapping[str, str], by: float = 1) -> None:
        """Add to a counter."""
        key = tuple(sorted(labels.items()))
        with self._lock:
            series = self._counters.setdefault(name, {})
            series[key] = series.get(key, 0) + by

    def observe(self, name: str, labels: Mapping[str, str], seconds: float) -> None:
        """Add one duration to a histogram."""
        key = tuple(sorted(labels.items()))
        with self._lock:
            series = self._histograms.setdefault(name, {})
            cells = series.setdefault(key, [0.0] * (len(_BOUNDS) + 2))
            cells[bisect_left(_BOUNDS, seconds)] += 1
            cells[-1] += seconds

    def text(self, gauges: Mapping[str, float]) -> str:
        """Return everything as text, with ``gauges`` read just now."""
        lines: list[str] = []
        with self._lock:
            for name, series in sorted(self._counters.items()):
                lines.append(f"# TYPE {name} counter")
                lines += [f"{name}{_braces(key)} {number_text(value)}" for key, value in sorted(series.items())]
            for name, cells_of in sorted(self._histograms.items()):
                lines.append(f"# TYPE {name} histogram")
                for key, cells in sorted(cells_of.items()):
                    lines += _buckets(name, key, cells)
        for name, value in sorted(gauges.items()):
            lines += [f"# TYPE {name} gauge", f"{name} {number_text(value)}"]
        return "\n".join(lines) + "\n"


def _buckets(name: str, key: Labels, cells: list[float]) -> list[str]:
    lines, total = [], 0.0
    for bound, cell in zip((*_BOUNDS, float("inf")), cells[:-1], strict=True):
        total += cell
        edge = "+Inf" if bound == float("inf") else f"{bound:g}"
        lines.append(f"{name}_bucket{_braces((*key, ('le', edge)))} {number_text(total)}")
    lines.append(f"{name}_sum{_braces(key)} {cells[-1]:.9g}")
    lines.append(f"{name}_count{_braces(key)} {number_text(total)}")
    return lines


def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    pairs = ",".join(f'{name}="{_quoted(value)}"' for name, value in labels)
    return f"{{{pairs}}}"


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')

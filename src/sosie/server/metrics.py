"""Counts, gauges and latencies in Prometheus' text format, version 0.0.4.

Some sixty lines stand in for a client library: the server has counters, gauges and one kind of histogram.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from threading import Lock

from sosie.types import number_text

__all__ = ["CONTENT_TYPE", "DESCRIBED", "Metrics", "Sample"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

Labels = tuple[tuple[str, str], ...]

# Every metric that there is: its type, and what it says.
DESCRIBED: Mapping[str, tuple[str, str]] = {
    "process_cpu_seconds_total": ("counter", "User and system CPU time of the server, in seconds."),
    "process_max_fds": ("gauge", "Files and connections that the server may have open."),
    "process_open_fds": ("gauge", "Files and connections that the server has open."),
    "process_resident_memory_bytes": ("gauge", "Memory of the server, without its decoders."),
    "process_start_time_seconds": ("gauge", "When the server started, in seconds since 1970."),
    "process_virtual_memory_bytes": ("gauge", "Address space of the server."),
    "sosie_access_log_dropped_total": ("counter", "Lines of the access log that could not be written."),
    "sosie_build_info": ("gauge", "Always 1; the labels say what runs."),
    "sosie_index_info": ("gauge", "Always 1; the label says which kind of index answers."),
    "sosie_index_recall": ("gauge", "Recall of the index, measured when it was built."),
    "sosie_index_tail": ("gauge", "Pictures that are new since the index was built, and are searched exactly."),
    "sosie_jobs_open": ("gauge", "Jobs of this server that run or wait."),
    "sosie_jobs_total": ("counter", "Jobs of this server that have ended, by kind and state."),
    "sosie_pictures": ("gauge", "Pictures in the library."),
    "sosie_pictures_refused_total": ("counter", "Pictures in requests that could not be used, by reason."),
    "sosie_quarantined": ("gauge", "Files that could not become pictures."),
    "sosie_queue_depth": ("gauge", "Searches, uploads and previews that run or wait."),
    "sosie_recall_checked": ("gauge", "Searches among the latest that were checked against exact search."),
    "sosie_recall_dropped": ("counter", "Checks of recall that were let go since too many waited."),
    "sosie_recall_failed": ("counter", "Checks of recall that failed."),
    "sosie_recall_in_service": ("gauge", "Recall of the latest checked searches; NaN before the first check."),
    "sosie_request_seconds": ("histogram", "Seconds from a request's head to the end of its answer."),
    "sosie_requests_in_progress": ("gauge", "Requests that are being answered."),
    "sosie_requests_total": ("counter", "Requests that were answered, by method, route and status."),
    "sosie_search_part_seconds": ("histogram", "Seconds of the parts of a search: decode, embed, search, verify."),
    "sosie_search_seconds": ("histogram", "Seconds of a search, by what was searched with."),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """A value that is read when somebody asks for it."""

    name: str
    value: float
    labels: Labels = ()


class Metrics:
    """What a server has done so far. Thread-safe; ``in_progress`` is for the event loop's thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counters: dict[str, dict[Labels, float]] = {}
        self._histograms: dict[str, dict[Labels, list[float]]] = {}
        self.in_progress = 0

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

    def refused(self, reason: str) -> None:
        """Count a picture in a request that could not be used."""
        self.count("sosie_pictures_refused_total", {"reason": reason})

    def text(self, read: Iterable[Sample] = ()) -> str:
        """Return everything as text, with the values that were ``read`` just now; metrics without a value, too."""
        lines = dict[str, list[str]]()
        for sample in read:
            lines.setdefault(sample.name, []).append(f"{sample.name}{_braces(sample.labels)} {_number(sample.value)}")
        with self._lock:
            for name, series in self._counters.items():
                lines[name] = [f"{name}{_braces(key)} {number_text(value)}" for key, value in sorted(series.items())]
            for name, cells_of in self._histograms.items():
                lines[name] = [line for key, cells in sorted(cells_of.items()) for line in _buckets(name, key, cells)]
        return "".join(f"{line}\n" for name in sorted(DESCRIBED) for line in _described(name, lines.get(name, [])))


def _described(name: str, lines: list[str]) -> list[str]:
    kind, help_text = DESCRIBED[name]
    return [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}", *lines]


def _number(value: float) -> str:
    return "NaN" if math.isnan(value) else number_text(value)


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

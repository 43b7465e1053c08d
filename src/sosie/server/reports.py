"""The reports of `sosie evaluate` that the page lists and shows: run folders side by side in one folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sosie.errors import NotFound

__all__ = ["Report", "list_reports", "read_report"]

_SHOWN = 200  # runs that the list shows, newest first
_FIGURES = {"labels": ("mAP", "recall@1", "precision@10"), "copies": ("micro_ap", "recall@p90")}


@dataclass(frozen=True, slots=True)
class Report:
    """One run as the list shows it, named by its path in the folder; ``at`` is when it was written (seconds)."""

    name: str
    protocol: str
    at: float
    pictures: int
    figures: tuple[tuple[str, float], ...]


def list_reports(folder: Path | None) -> list[Report]:
    """Return the runs in a folder that have a report, newest first; what is no run is passed over."""
    if folder is None or not folder.is_dir():
        return []
    # `sosie run` puts what it measured together in a folder of its own
    pages = [path for depth in ("*", "*/*") for path in folder.glob(f"{depth}/report.html") if _inside(path, folder)]
    found = [_report(folder, path) for path in pages]
    return sorted((each for each in found if each), key=lambda each: (-each.at, each.name))[:_SHOWN]


def read_report(folder: Path | None, name: str, *, inside: bool = True) -> str:
    """Return the page of a run; raise NotFound where there is none.

    ``inside`` refuses a name that leads out of the folder, by dots or by a link; tests take it out.
    """
    try:
        path = (folder or Path()) / name / "report.html"
        if folder is None or (inside and not _inside(path, folder)):
            raise NotFound
        return path.read_text(encoding="utf-8")
    except (NotFound, OSError, ValueError) as error:  # a name may be too long, or hold what no path can
        raise NotFound("there is no such report: make one with `sosie evaluate labels`") from error


def _inside(path: Path, folder: Path) -> bool:
    """Say whether a file lies in a folder, wherever dots and links lead."""
    return path.resolve().is_relative_to(folder.resolve())


def _report(folder: Path, page: Path) -> Report | None:
    place = page.parent
    try:
        config = json.loads((place / "config.json").read_text(encoding="utf-8"))["config"]
        metrics = json.loads((place / "score.json").read_text(encoding="utf-8"))["metrics"]
        protocol = str(config["protocol"])
        return Report(
            name=place.relative_to(folder).as_posix(),
            protocol=protocol,
            at=page.stat().st_mtime,
            pictures=int(config["references"]["count"]),
            figures=_figures(metrics, _FIGURES.get(protocol, tuple(metrics))),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _figures(metrics: Mapping[str, Any], names: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
    values = ((name, metrics.get(name)) for name in names)
    return tuple((name, float(value)) for name, value in values if isinstance(value, int | float))

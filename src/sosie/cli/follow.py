"""Keep folders and a library in step until somebody says stop."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import sosie
from sosie.analysis.embedding import Features
from sosie.cli.output import note
from sosie.contracts import Source
from sosie.errors import SosieError, UsageError
from sosie.models.adding import AddOptions

__all__ = ["follow"]

_SETTLE = 1.0  # seconds that a file has to keep its size before it counts as written
_AT_MOST = 30.0  # seconds to wait for a file that never settles; it is looked at all the same


def follow(
    folders: Sequence[str],
    sources: Sequence[Source],
    lib: sosie.Library,
    *,
    labels: Mapping[str, Any],
    gps: bool = False,
    features: Features = "later",
    stop: threading.Event,
) -> None:
    """Add what appears below ``folders``, forget what is deleted, and take changes over, until ``stop`` is set.

    The operating system tells of changes; where it cannot (network drives), the folders are looked through twice a
    second. A file that is still being written is waited for.
    """
    import watchfiles

    for folder in folders:
        if not Path(folder).is_dir():
            raise UsageError(f"--watch follows folders, and {folder} is none")
    note(f"watching {', '.join(folders)}; Ctrl-C ends it")
    changes = watchfiles.watch(
        *folders, stop_event=stop, debounce=1600, step=200, raise_interrupt=False, recursive=True, watch_filter=None
    )
    for changed in changes:
        _wait_until_written([path for _, path in changed], stop)
        for source in sources:
            if not stop.is_set():
                _bring_up_to_date(source, lib, sync=True, labels=labels, gps=gps, features=features, stop=stop)


def _bring_up_to_date(source: Source, lib: sosie.Library, **options: Unpack[AddOptions]) -> None:
    try:
        report = lib.add(source, **options)
    except SosieError as error:  # an unplugged drive comes back
        note(f"{error}")
        return
    counts = {"new": report.new, "moved": report.moved, "forgotten": report.dropped}
    counts["refused"] = report.quarantined.total()
    if any(counts.values()):
        note(f"{time.strftime('%H:%M:%S')} " + ", ".join(f"{n} {what}" for what, n in counts.items() if n))


def _wait_until_written(paths: Sequence[str], stop: threading.Event) -> None:
    """Wait until files keep their sizes: a copy that is under way would be refused as truncated."""
    deadline = time.monotonic() + _AT_MOST
    before = _sizes(paths)
    while not stop.wait(_SETTLE) and time.monotonic() < deadline:
        now = _sizes(paths)
        if now == before:
            return
        before = now


def _sizes(paths: Sequence[str]) -> list[tuple[int, int]]:
    found = []
    for path in paths:
        try:
            status = os.stat(path)  # noqa: PTH116 - as watchfiles gives it
        except OSError:
            found.append((-1, 0))
        else:
            found.append((status.st_size, status.st_mtime_ns))
    return found

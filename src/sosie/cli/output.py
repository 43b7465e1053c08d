"""What commands print: documents to stdout, notes and progress to stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sosie.ingest import Progress

__all__ = ["emit_json", "note", "note_sandbox", "progress_bar"]


def emit_json(document: Any) -> None:
    """Print one JSON document; names that are not text stay readable through escapes."""
    json.dump(document, sys.stdout, ensure_ascii=True, indent=1, allow_nan=False)
    sys.stdout.write("\n")


def note(text: str) -> None:
    """Tell a person something that is not the answer."""
    print(text, file=sys.stderr)


def note_sandbox() -> None:
    """Say what this system lacks of the sandbox of decoders, where it lacks anything."""
    from sosie.decode.seal import warning

    if text := warning():
        note(text)


class _Bar:
    """A progress bar of one run; ``total`` may come to be known while it runs."""

    def __init__(self, bar: Any, task: Any) -> None:
        self._bar, self._task = bar, task
        self._last = 0.0

    def set_total(self, total: int) -> None:
        self._bar.update(self._task, total=total)

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._last < 0.1:
            return
        self._last = now
        self._bar.update(
            self._task,
            completed=progress.seen,
            rate=f"{progress.rate:.0f}/s",
            features=f"features {progress.with_features}" if progress.with_features else "",
            bad=f"{progress.quarantined} refused" if progress.quarantined else "",
        )


@contextmanager
def progress_bar(title: str, *, quiet: bool = False) -> Iterator[_Bar]:
    """Show files done, rate and time left on stderr where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[features]}"),
        TextColumn("[red]{task.fields[bad]}"),
        console=console,
        disable=quiet or not console.is_terminal,
        transient=True,
    ) as bar:
        yield _Bar(bar, bar.add_task(title, total=None, rate="", features="", bad=""))

"""A bar for work that goes on in a program of somebody else: in a terminal or a notebook, nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

__all__ = ["CountsFiles", "is_interactive", "progress_bar"]


class CountsFiles(Protocol):
    """How far a run is: the files of which it is known what they are, and what became of them."""

    @property
    def seen(self) -> int: ...
    @property
    def indexed(self) -> int: ...
    @property
    def quarantined(self) -> int: ...


T = TypeVar("T", bound=CountsFiles)


def is_interactive() -> bool:
    """Tell whether somebody sees what a bar draws: a terminal, or the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return (shell is not None and hasattr(shell, "kernel")) or bool(sys.stderr and sys.stderr.isatty())


@contextmanager
def progress_bar(title: str, wanted: Callable[[T], None] | bool | None) -> Iterator[Callable[[T], None] | None]:
    """Yield what is told of progress: ``wanted`` itself, a bar where it is True and somebody sees it, else None.

    The bar is tqdm's where that is installed, since it draws in notebooks, too; else rich's.
    """
    if callable(wanted) or not wanted or not is_interactive():
        yield wanted if callable(wanted) else None
        return
    try:
        from tqdm.auto import tqdm
    except ImportError:
        with _rich(title) as show:
            yield show
    else:
        with tqdm(desc=title, unit=" files") as bar:
            yield lambda now: _advance(bar, now)


def _advance(bar: Any, now: CountsFiles) -> None:
    bar.set_postfix(new=now.indexed, refused=now.quarantined, refresh=False)
    bar.update(now.seen - bar.n)


@contextmanager
def _rich(title: str) -> Iterator[Callable[[CountsFiles], None]]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda now: bar.update(
            task, description=f"{title}: {now.seen:,} files, {now.indexed:,} new, {now.quarantined:,} refused"
        )

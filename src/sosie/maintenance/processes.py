"""A library in another process: a fork opens its own, and what is pickled for a spawned one is how it was opened.

A connection of SQLite, the threads of a network and the pipes to decode workers belong to the process that made them.
So the child of a fork never touches those of its parent, not even to close them; it makes its own when it needs them.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

__all__ = ["Reopens"]

_alive: weakref.WeakSet[Reopens] = weakref.WeakSet()
_of_parents: list[Mapping[str, Any]] = []  # kept, so that nothing of it is closed by the garbage collector


class Reopens:
    """What opens itself anew, by a path and the options of its constructor, in every process that it comes to."""

    _opening: Mapping[str, Any]

    def __new__(cls, path: Path, **options: Any) -> Self:
        made = super().__new__(cls)
        made._opening = {"path": path.absolute(), **options}
        _alive.add(made)
        return made

    if not TYPE_CHECKING:  # or a type checker takes every name for an attribute

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__") or not self.__dict__.pop("_forked", False):
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            _calm_threads()
            self.__init__(**self._opening)
            return getattr(self, name)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _reopened, (type(self), {**self._opening, "create": False})

    def _stay_closed(self) -> None:
        _alive.discard(self)

    def _leave_behind(self) -> None:
        _of_parents.append(dict(self.__dict__))
        self.__dict__ = {"_opening": self._opening, "_forked": True}


def _reopened(kind: type[Reopens], opening: Mapping[str, Any]) -> Reopens:
    return kind(**opening)


def _after_in_child() -> None:
    for each in list(_alive):
        each._leave_behind()


def _calm_threads() -> None:
    """Let faiss do without threads in the child of a fork: OpenMP's did not survive it, and would be waited for."""
    if (faiss := sys.modules.get("faiss")) is not None:
        faiss.omp_set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_in_child)

"""One piece of long work: its state, its progress, what came of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

__all__ = ["Job", "JobState"]


class JobState(StrEnum):
    """Where a job is in its life."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def over(self) -> bool:
        return self in (JobState.DONE, JobState.FAILED, JobState.STOPPED)


@dataclass
class Job:
    """One piece of work. Its thread writes the fields, others read them; ``version`` grows with every change.

    A ``far`` one runs in another server, and is a copy of what that server last said of it.
    """

    id: str
    kind: str
    title: str
    state: JobState = JobState.WAITING
    progress: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    created_at: float = field(default_factory=time.time)
    ended_at: float | None = None
    version: int = 0
    far: bool = False
    params: Mapping[str, Any] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)

    def report(self, progress: Mapping[str, Any]) -> None:
        """Replace the progress."""
        self.progress = dict(progress)
        self.version += 1

    def move(self, state: JobState) -> None:
        """Enter the next state."""
        self.state = state
        if state.over:
            self.ended_at = time.time()
        self.version += 1

    def to_json(self) -> dict[str, Any]:
        """Return what others may know of it, with plain JSON types."""
        return {
            "id": self.id,
            "kind": self.kind,
            "title": self.title,
            "state": self.state.value,
            "progress": dict(self.progress),
            "result": None if self.result is None else dict(self.result),
            "error": None if self.error is None else dict(self.error),
            "created_at": self.created_at,
            "ended_at": self.ended_at,
        }

    @classmethod
    def far_away(cls, told: Mapping[str, Any], *, version: int) -> Self:
        """Return a copy of a job of another server, from its ``to_json``."""
        return cls(**{**told, "state": JobState(told["state"])}, version=version, far=True)

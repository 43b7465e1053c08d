"""Copies for the routes: what a picture is a copy of, two pictures compared, duplicates in the background."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter

from sosie.errors import NotFound, UsageError
from sosie.server.board import Board, MemoryBoard
from sosie.server.job import Job

if TYPE_CHECKING:
    from sosie.copies.compare import Comparison
    from sosie.copies.duplicates import DuplicateGroup, DuplicateReport
    from sosie.copies.plans import Plan
    from sosie.decode import DecodePool
    from sosie.library import Library
    from sosie.query.copy_query import CopyQuery
    from sosie.types import SearchResult
    from sosie.verify.features import Features

__all__ = ["CopyDesk"]

_MOST_POINTS = 120
_SORT, _LAST = "duplicates", "last"


class CopyDesk:
    """One library's copies, with a worker of its own for pictures that are asked about. Thread-safe.

    Constructing it starts nothing.
    """

    def __init__(self, library: Library, board: Board | None = None) -> None:
        self._library, self._board = library, board or MemoryBoard()
        self._lock = Lock()
        self._pools: dict[str, DecodePool] = {}

    def report(self) -> DuplicateReport | None:
        """Return the duplicates that were found last, by whichever server; raise ServiceAway."""
        found = self._board.read(_SORT, [_LAST])
        return _reports().validate_python(found[_LAST]) if found else None

    def query(self, asked: bytes | int) -> CopyQuery:
        """Return a question about a picture of the library or an upload; raise BadPicture, NotFound."""
        if isinstance(asked, int):
            self._library.picture(asked)
            stored = self._library.copies.finder.stored_query(asked)
            if stored is not None:
                return stored
        data, engine = self._bytes(asked), self._library.engine
        analysed = self._workers("sosie.analysis.features:analyse_query", engine.params).submit(data).result()
        sha256 = hashlib.sha256(data).hexdigest()
        return engine.copies.query(sha256, sha256, analysed)

    def find(self, asked: bytes | int, *, k: int) -> SearchResult:
        """Return what a picture is a copy of, surest first."""
        started = time.perf_counter()
        query = self.query(asked)
        decode = (time.perf_counter() - started) * 1000  # the network included, which sees two small views
        found = self._library.copies.finder.find(query, k=k + 1)
        if isinstance(asked, int):
            found = replace(found, hits=tuple(h for h in found.hits if h.id != asked)[:k])
        return found.lasting(decode + found.took_ms, decode=decode)

    def compare(self, first: bytes | int, second: int) -> dict[str, Any]:
        """Return the verdict on two pictures, what was done to the second to make the first, and matched points."""
        from sosie.copies.compare import ANALYSE, PARAMS, compare, side_of
        from sosie.query.finder import MAX_FALSE_RATE

        pool = self._workers(ANALYSE, PARAMS)
        sides = [side_of(_name(asked), self._bytes(asked), pool) for asked in (first, second)]
        found = compare(
            *sides,
            calibration=self._library.copies.finder.calibration,
            max_false_rate=MAX_FALSE_RATE,
            decisions={(one.a, one.b): one.decision for one in self._library.catalogue.decisions()},
        )
        matrix = found.evidence.matrix if found.is_copy else None
        return {
            **found.to_json(),
            "sentences": found.certificate.sentences() if found.certificate else [],
            "findings": [{"name": name, **values} for name, values in _findings(found)],
            "matrix": [list(row) for row in matrix] if matrix else None,
            "points": _points(found.first.features, found.second.features) if matrix else [],
        }

    def decide(self, first: int, second: int, decision: str | None) -> None:
        """Remember what a person decided about two pictures; None takes it back."""
        if first == second:
            raise UsageError("a decision is about two different pictures")
        a, b = self._library.picture(first).sha256, self._library.picture(second).sha256
        if decision is None:
            self._library.catalogue.drop_decision(a, b)
        else:
            self._library.catalogue.put_decision(a, b, decision)

    def look_for_duplicates(self, job: Job) -> Mapping[str, Any]:
        """Prepare what is new, then group the copies inside the library; keep the report."""
        copies = self._library.copies
        copies.prepare(workers=1, progress=_progress(job, "prepare"))
        report = copies.duplicates(progress=_progress(job, "compare"))
        self.show(report)
        return {"groups": len(report.groups), "pictures": report.pictures}

    def groups(self) -> tuple[DuplicateGroup, ...] | None:
        """Return the groups that were found last as they stand now, None where nobody has looked; raise ServiceAway."""
        from sosie.copies.review import current_groups

        report = self.report()
        return None if report is None else current_groups(report, self._library.catalogue)

    def plan(self, give_up: Collection[str], action: str) -> tuple[Plan, int]:
        """Return a plan for the files that are given up, and its size in bytes; raise NotFound, UsageError."""
        from sosie.copies.identity import identity_of
        from sosie.copies.review import bytes_of_plan, plan_of_choices

        groups = self.groups()
        if groups is None:
            raise NotFound("duplicates were not looked for yet: start that job")
        plan = plan_of_choices(groups, give_up, action=action, library=identity_of(self._library.catalogue))
        return plan, bytes_of_plan(plan, groups)

    def apply(self, job: Job, lines: Sequence[Mapping[str, Any]], folder: str | None) -> Mapping[str, Any]:
        """Carry out the lines of a plan through the journal; raise UsageError, LibraryBusy."""
        from sosie.copies.apply import Settings, apply_plan
        from sosie.copies.plans import line_of

        report = _progress(job, "apply")
        found = apply_plan(
            [line_of(line) for line in lines],
            catalogue=self._library.catalogue,
            library=self._library.path,
            settings=Settings(None if folder is None else Path(folder)),
            progress=lambda done: report(done, len(lines)),
        )
        return {"applied": len(found.done), "refused": found.to_json()["refused"]}

    def undo(self, _job: Job) -> Mapping[str, Any]:
        """Undo the plan that was carried out last; raise NotFound, LibraryBusy, DamagedError."""
        from sosie.copies.undo import last_journal, undo_plan

        library = self._library
        found = undo_plan(last_journal(library.path), catalogue=library.catalogue, library=library.path)
        return {"restored": len(found.restored), "refused": found.to_json()["refused"]}

    def show(self, report: DuplicateReport) -> None:
        """Let every server give these as the duplicates that were found last."""
        self._board.post(_SORT, _LAST, _reports().dump_python(report, mode="json"))

    def close(self) -> None:
        """End the workers."""
        with self._lock:
            for pool in self._pools.values():
                pool.close()
            self._pools.clear()

    def _bytes(self, asked: bytes | int) -> bytes:
        return asked if isinstance(asked, bytes) else self._library.read(asked)

    def _workers(self, analyse: str, params: Mapping[str, Any]) -> DecodePool:
        from sosie.decode.pool import DecodePool, query_workers

        with self._lock:
            key = f"{analyse} {sorted(params.items())}"  # another model wants other workers
            if key not in self._pools:
                self._pools[key] = DecodePool(
                    1,
                    analyse=analyse,
                    params=params,
                    limits=self._library.limits.interactive(),
                    most=query_workers(),
                )
            return self._pools[key]


@cache
def _reports() -> TypeAdapter[DuplicateReport]:
    """Return what makes reports plain, and whole again."""
    from sosie.copies.duplicates import DuplicateReport

    return TypeAdapter(DuplicateReport)


def _name(asked: bytes | int) -> str:
    return f"id:{asked}" if isinstance(asked, int) else "upload"


class _Stopped(UsageError):
    """A job was asked to stop."""


def _progress(job: Job, stage: str) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        if job.stop.is_set():
            raise _Stopped("stopped")
        job.report({"stage": stage, "done": done, "total": total})

    return report


def _findings(found: Comparison) -> list[tuple[str, dict[str, str]]]:
    return found.certificate.findings() if found.certificate else []


def _points(first: Features, second: Features) -> list[list[float]]:
    """Return matched points of two pictures as x, y, x, y, each 0 to 1."""
    from sosie.verify.geometry import align

    fit = align(first, second)
    if fit is None:
        return []
    size = [first.width, first.height, second.width, second.height]
    pairs = np.hstack([fit.query, fit.reference]) / np.asarray(size, np.float64)
    step = max(1, len(pairs) // _MOST_POINTS)
    return [[round(float(v), 4) for v in row] for row in pairs[::step]]

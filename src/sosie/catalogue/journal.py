"""What the catalogue knows of itself: who did what, jobs, and the derived files that go with it."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sosie.catalogue.database import Database
from sosie.catalogue.records import Job, LogEntry, Vouched, fields_digest
from sosie.errors import DamagedError

__all__ = ["Journal"]

_JOB = "id, kind, state, actor, params, progress, result, created_at, updated_at"


class Journal(Database):
    """Reads and writes it. None of it is part of an answer, so writing it leaves the epoch as it is."""

    # -------------------------------------------------------------------------------------------- the log

    def append_log(self, actor: str, deed: str, detail: Mapping[str, Any] | None = None) -> LogEntry:
        """Write down that somebody did something."""
        row = (time.time(), actor, deed, json.dumps(dict(detail or {})))
        with self.transaction("writing the log", epoch=False) as connection:
            cursor = connection.execute(
                "INSERT INTO log (at, actor, deed, detail, digest) VALUES (?, ?, ?, ?, ?)", (*row, fields_digest(*row))
            )
            return LogEntry(int(cursor.lastrowid or 0), *row[:3], detail or {})

    def log(self, *, limit: int = 100, before: int | None = None) -> list[LogEntry]:
        """Return the last entries, or the last ones with an id below ``before``, newest first."""
        rows = self.query(
            "SELECT id, at, actor, deed, detail, digest FROM log WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2",
            (before, limit),
        )
        for row in rows:
            if row[-1] is not None and fields_digest(*row[1:-1]) != row[-1]:
                raise DamagedError(f"entry {row[0]} of the log in {self.path} is damaged: run `sosie doctor`")
        return [
            LogEntry(i, at, actor, deed, self.parsed(detail, f"entry {i} of the log"))
            for i, at, actor, deed, detail, _ in rows
        ]

    # -------------------------------------------------------------------------------------------- jobs

    def put_job(self, job: Job) -> None:
        """Store a job, in the place of the one with its id."""
        now = time.time()
        texts = [json.dumps(dict(each)) for each in (job.params, job.progress)]
        result = None if job.result is None else json.dumps(dict(job.result))
        row = (job.id, job.kind, job.state, job.actor, *texts, result, job.created_at or now, job.updated_at or now)
        with self.transaction("storing a job", epoch=False) as connection:
            connection.execute(f"INSERT OR REPLACE INTO jobs ({_JOB}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def job(self, job_id: str) -> Job | None:
        """Return one job."""
        found = self._jobs("id = ?", (job_id,))
        return found[0] if found else None

    def jobs(self, *, states: Collection[str] | None = None) -> list[Job]:
        """Return all jobs, or those in some states, oldest first."""
        if states is None:
            return self._jobs("1", ())
        return self._jobs(f"state IN ({', '.join('?' * len(states))})", tuple(states))

    def drop_jobs(self, ids: Sequence[str]) -> None:
        """Forget jobs."""
        with self.transaction("forgetting jobs", epoch=False) as connection:
            connection.executemany("DELETE FROM jobs WHERE id = ?", [(each,) for each in ids])

    def _jobs(self, condition: str, parameters: Sequence[Any]) -> list[Job]:
        rows = self.query(f"SELECT {_JOB} FROM jobs WHERE {condition} ORDER BY created_at, id", parameters)
        return [self.parsed(row, f"job {row[0]}", _job) for row in rows]

    # -------------------------------------------------------------------------------------------- derived files

    def vouch(self, files: Sequence[Vouched], *, withdraw: Sequence[str] = ()) -> None:
        """Record, in one commit, derived files that go with this catalogue, and that others, by name, do no more."""
        now = time.time()
        rows = [(one.name, one.kind, one.digest, json.dumps(dict(one.detail)), one.at or now) for one in files]
        with self.transaction("recording an index", epoch=False) as connection:
            connection.executemany("DELETE FROM vouched WHERE name = ?", [(name,) for name in withdraw])
            connection.executemany(
                "INSERT OR REPLACE INTO vouched (name, kind, digest, detail, at) VALUES (?, ?, ?, ?, ?)", rows
            )

    def vouched(self, *, below: str = "") -> dict[str, Vouched]:
        """Return the derived files that go with this catalogue, by name; those whose name begins with ``below``."""
        rows = self.query(
            "SELECT name, kind, digest, detail, at FROM vouched WHERE substr(name, 1, length(?1)) = ?1 ORDER BY name",
            (below,),
        )
        return {
            name: Vouched(name, kind, digest, self.parsed(text, f"what vouches for {name}"), at)
            for name, kind, digest, text, at in rows
        }

    def vouches(self, name: str, digest: str) -> bool:
        """Tell whether a derived file goes with this catalogue; an older one that is only read vouched for nothing."""
        if not self.query("SELECT 1 FROM meta WHERE key = 'identity'"):
            return True
        return bool(self.query("SELECT 1 FROM vouched WHERE name = ? AND digest = ?", (name, digest)))

    def adopt(self, files: Sequence[Vouched]) -> None:
        """Vouch for what an older library had when it was opened; what comes later is not asked about again."""
        self.vouch(files)
        with self.transaction("recording an index", epoch=False) as connection:
            connection.execute("DELETE FROM meta WHERE key = 'adopt'")

    @property
    def adopts(self) -> bool:
        """Tell whether this is an older library whose derived files have not been looked at yet."""
        return not self.read_only and bool(self.query("SELECT 1 FROM meta WHERE key = 'adopt'"))


def _job(row: tuple[Any, ...]) -> Job:
    job_id, kind, state, actor, params, progress, result, created_at, updated_at = row
    done = None if result is None else json.loads(result)
    return Job(job_id, kind, state, actor, json.loads(params), json.loads(progress), done, created_at, updated_at)

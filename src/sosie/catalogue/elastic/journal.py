"""Verdicts of pairs, the log, jobs, and what a library on a cluster vouches for: notes, each by a key of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from sosie.catalogue.elastic.notes import Notes
from sosie.catalogue.pairs import check_pair
from sosie.catalogue.records import ContentChange, Job, LogEntry, PairVerdict, Vouched

__all__ = ["Journal"]


class Journal(Notes):
    """Reads and writes it. None of it is part of an answer, so writing it leaves the epoch as it is."""

    def changes(self, _since: int) -> list[ContentChange] | None:
        """Return None: nothing that is derived from the pictures lies beside a cluster, which searches them itself."""
        return None

    # -------------------------------------------------------------------------------------------- pairs

    def pairs(self, keys: Iterable[tuple[bytes, bytes]], *, judge: str) -> dict[tuple[bytes, bytes], PairVerdict]:
        """Return those of some pairs, each in the order of its digests, that this judge has judged."""
        names = {f"pair:{_pair_name(a, b, judge)}": (a, b) for a, b in keys}
        found = self.get_many(self.names.notes, names)
        return {names[key]: _pair(*names[key], judge, hit["_source"]) for key, hit in found.items()}

    def put_pairs(self, pairs: Sequence[PairVerdict]) -> None:
        """Store verdicts, in the place of what the same judge said of the same pairs; raise UsageError for a >= b."""
        for pair in pairs:
            check_pair(pair)
        said = {
            _pair_name(pair.a, pair.b, pair.judge): (
                {"verdict": pair.verdict, "probability": pair.probability, "evidence": dict(pair.evidence)},
                pair.at,
            )
            for pair in pairs
        }
        self._put_notes("pair", said)

    # -------------------------------------------------------------------------------------------- the log

    def append_log(self, actor: str, deed: str, detail: Mapping[str, Any] | None = None) -> LogEntry:
        """Write down that somebody did something."""
        value, number = {"actor": actor, "deed": deed, "detail": dict(detail or {})}, int(time.time() * 1e6)
        with self.writing("writing the log"):
            while not self._create_note("log", f"{number:016d}", value, at=time.time()):
                number += 1  # another writer had the same microsecond
            self._refresh_notes()
        return LogEntry(number, number / 1e6, actor, deed, detail or {})

    def log(self, *, limit: int = 100, before: int | None = None) -> list[LogEntry]:
        """Return the last entries, or the last ones with an id below ``before``, newest first."""
        among: list[Mapping[str, Any]] = [{"term": {"what": "log"}}]
        if before is not None:
            among.append({"range": {"name": {"lt": f"{before:016d}"}}})
        hits = self.connection.wait_out(
            lambda client: client.search(
                index=self.names.notes,
                query={"bool": {"filter": among}},
                sort=[{"name": "desc"}],
                size=limit,
                allow_partial_search_results=False,
            )
        )["hits"]["hits"]
        read = [(int(hit["_source"]["name"]), json.loads(hit["_source"]["value"]["json"])) for hit in hits]
        return [LogEntry(i, i / 1e6, value["actor"], value["deed"], value["detail"]) for i, value in read]

    def _create_note(self, what: str, name: str, value: Mapping[str, Any], *, at: float) -> bool:
        """Write a note, unless there is one of that name; tell whether it was written."""
        note = {"what": what, "name": name, "value": {"json": json.dumps(value)}, "at": at}
        made = self.connection.write(
            lambda client: client.options(ignore_status=409).create(
                index=self.names.notes, id=f"{what}:{name}", document=note
            )
        )
        return bool(made.get("result") == "created")

    # -------------------------------------------------------------------------------------------- jobs

    def put_job(self, job: Job) -> None:
        """Store a job, in the place of the one with its id."""
        now = time.time()
        dated = replace(job, created_at=job.created_at or now, updated_at=job.updated_at or now)
        self._put_notes("job", {job.id: (asdict(dated), dated.created_at)})

    def job(self, job_id: str) -> Job | None:
        """Return one job."""
        found = self.get(self.names.notes, f"job:{job_id}")
        return None if found is None else Job(**json.loads(found["_source"]["value"]["json"]))

    def jobs(self, *, states: Collection[str] | None = None) -> list[Job]:
        """Return all jobs, or those in some states, oldest first."""
        found = (Job(**json.loads(value["json"])) for _, value, _ in self._notes("job"))
        kept = (job for job in found if states is None or job.state in states)
        return sorted(kept, key=lambda job: (job.created_at, job.id))

    def drop_jobs(self, ids: Sequence[str]) -> None:
        """Forget jobs."""
        self._put_notes("job", {}, gone=ids)

    # -------------------------------------------------------------------------------------------- derived files

    def vouch(self, files: Sequence[Vouched], *, withdraw: Sequence[str] = ()) -> None:
        """Record derived files that go with this catalogue, and that others, by name, do no more."""
        self._put_notes("vouched", {one.name: (asdict(one), one.at) for one in files}, gone=withdraw)

    def vouched(self, *, below: str = "") -> dict[str, Vouched]:
        """Return the derived files that go with this catalogue, by name; those whose name begins with ``below``."""
        notes = ((name, json.loads(value["json"]), at) for name, value, at in self._notes("vouched"))
        return {name: Vouched(**{**value, "at": at}) for name, value, at in notes if name.startswith(below)}

    # -------------------------------------------------------------------------------------------- notes

    def _put_notes(
        self, what: str, said: Mapping[str, tuple[Mapping[str, Any], float]], gone: Sequence[str] = ()
    ) -> None:
        """Write notes by name, each a JSON document and its moment (0: now), and remove those that are ``gone``."""
        now, index = time.time(), self.names.notes
        operations: list[Mapping[str, Any]] = [{"delete": {"_index": index, "_id": f"{what}:{name}"}} for name in gone]
        sources: list[Mapping[str, Any] | None] = [None] * len(gone)
        for name, (value, at) in said.items():
            operations.append({"index": {"_index": index, "_id": f"{what}:{name}"}})
            sources.append({"what": what, "name": name, "value": {"json": json.dumps(value)}, "at": at or now})
        with self.writing("storing notes"):
            self.connection.bulk(operations, sources)
            self._refresh_notes()

    def _refresh_notes(self) -> None:
        self.connection.write(lambda client: client.indices.refresh(index=self.names.notes))


def _pair_name(a: bytes, b: bytes, judge: str) -> str:
    return f"{judge}:{a.hex()}-{b.hex()}"


def _pair(a: bytes, b: bytes, judge: str, source: Mapping[str, Any]) -> PairVerdict:
    value = json.loads(source["value"]["json"])
    return PairVerdict(a, b, judge, value["verdict"], value["probability"], value["evidence"], source["at"])

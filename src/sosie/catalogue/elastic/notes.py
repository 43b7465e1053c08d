"""What a library on Elasticsearch knows beside its pictures: records, spaces, decisions, refused files."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from sosie.catalogue.decisions import DECISIONS, ordered_pair
from sosie.catalogue.elastic.base import Base, Hit
from sosie.catalogue.elastic.mapping import space_field
from sosie.catalogue.records import Decision, QuarantineRow, Space
from sosie.catalogue.specs import read_spec, spec_hash
from sosie.errors import LibraryBusy, UnknownName, UsageError
from sosie.types import EmbedderSpec, Head, ImageRef

__all__ = ["Notes"]

_TRIES = 100  # of changing a record that others change, too


class Notes(Base):
    """Reads and writes the small things."""

    # -------------------------------------------------------------------------------------------- records

    def record(self, key: str) -> Any:
        """Return a stored JSON document (a calibration, a benchmark …), or None."""
        found = self.get(self.names.notes, f"record:{key}")
        return json.loads(found["_source"]["value"]["json"]) if found else None

    def put_record(self, key: str, value: Mapping[str, Any]) -> None:
        """Store a JSON document."""
        with self.commit("storing a record", self.names.notes):
            self._put_note("record", key, {"json": json.dumps(value)})

    def update_record(self, key: str, change: Callable[[Any], Mapping[str, Any]]) -> None:
        """Put ``change`` of a record, or of None, in its place; it is read again where another writer was faster."""
        with self.commit("changing a record", self.names.notes):
            for tries in range(_TRIES):
                found = self.get(self.names.notes, f"record:{key}")
                known = json.loads(found["_source"]["value"]["json"]) if found else None
                if self._replace_record(key, found, change(known)):
                    return
                time.sleep(0.01 * (tries + 1) * random.random())  # noqa: S311 - so that writers do not march in step
        raise LibraryBusy(f"others change {key!r} at {self.cluster} all the time: try again later")

    def _replace_record(self, key: str, found: Hit | None, value: Mapping[str, Any]) -> bool:
        """Write a record only where it is as it was found, or still not there; tell whether it was."""
        where = {"_index": self.names.notes, "_id": f"record:{key}"}
        seen = found and {"if_seq_no": found["_seq_no"], "if_primary_term": found["_primary_term"]}
        note = {"what": "record", "name": key, "value": {"json": json.dumps(value)}, "at": time.time()}
        result = self.connection.bulk([{"index": {**where, **seen}} if seen else {"create": where}], [note])[0]
        return int(result["status"]) != HTTPStatus.CONFLICT

    def records(self) -> dict[str, Any]:
        """Return every stored JSON document by its key."""
        return {name: json.loads(value["json"]) for name, value, _ in self._notes("record")}

    def _put_note(self, what: str, name: str, value: Mapping[str, Any], *, at: float | None = None) -> None:
        note = {"what": what, "name": name, "value": value, "at": at or time.time()}
        self.connection.write(lambda client: client.index(index=self.names.notes, id=f"{what}:{name}", document=note))

    def _notes(self, what: str) -> list[tuple[str, dict[str, Any], float]]:
        """Return (name, value, at) of every note of a sort, in order of name."""
        hits = self.connection.scan(self.names.notes, key="name", query={"term": {"what": what}})
        return [(hit["_source"]["name"], hit["_source"]["value"], hit["_source"]["at"]) for hit in hits]

    # -------------------------------------------------------------------------------------------- spaces

    def spaces(self) -> list[Space]:
        """Return every embedding space, oldest first."""
        found = sorted(self._notes("space"), key=lambda note: (note[1]["made_at"], note[1]["order"]))
        return [_space(name, value) for name, value, _ in found]

    def space(self, name: str) -> Space:
        """Return the space of that name; raise UnknownName."""
        known = {space.name: space for space in self.spaces()}
        if name not in known:
            raise UnknownName(f"no space is called {name!r}; known: {', '.join(known) or 'none'}")
        return known[name]

    def ensure_spaces(
        self, spec: EmbedderSpec, *, regions: str = "whole", heads: Sequence[Head] | None = None
    ) -> list[Space]:
        """Return one space per head of the embedder, or of ``heads``, making those that are not there."""
        heads = spec.heads if heads is None else heads
        digest = spec_hash(spec)
        known = {(space.spec_hash, space.head, space.regions): space for space in self.spaces()}
        wanted = [(digest, head.name, regions) for head in heads]
        if any(key not in known for key in wanted):
            made_at = time.time()
            with self.commit("adding a space", self.names.notes):
                for order, head in enumerate(heads):
                    if (digest, head.name, regions) in known:
                        continue
                    name = f"{spec.name}@{spec.version}/{head.name}/{regions}"
                    if any(name == space.name for space in known.values()):  # another network under that name
                        name = f"{name}#{digest}"
                    space = Space(
                        _space_id(digest, head.name, regions), name, spec, digest, head.name, head.dim, regions
                    )
                    self._put_field(space)
                    value = {"json": json.dumps(asdict(space)), "made_at": made_at, "order": order}
                    self._put_note("space", name, value)
                    known[digest, head.name, regions] = space
        return [known[key] for key in wanted]

    def _put_field(self, space: Space) -> None:
        """Give the pictures a field for what they hold of a space."""
        kind = str(self.meta().get("kind", self.cluster.kind))
        field = space_field(space, kind, self.cluster.oversample)
        self.connection.write(lambda client: client.indices.put_mapping(index=self.names.pictures, properties=field))

    # -------------------------------------------------------------------------------------------- decisions

    def put_decision(self, a: str, b: str, decision: str, *, note: str = "", at: float | None = None) -> None:
        """Store a decision about two pictures, given by the hex SHA-256 of their bytes; the last one counts."""
        if decision not in DECISIONS:
            raise UsageError(f"a decision is one of {', '.join(DECISIONS)}, not {decision!r}")
        low, high = (digest.hex() for digest in ordered_pair(a, b))
        value = {"a": low, "b": high, "decision": decision, "note": note}
        with self.commit("storing a decision", self.names.notes):
            self._put_note("decision", f"{low}-{high}", value, at=at)

    def drop_decision(self, a: str, b: str) -> bool:
        """Take a decision back; tell whether there was one."""
        key = "decision:{}-{}".format(*(digest.hex() for digest in ordered_pair(a, b)))
        with self.commit("undoing a decision", self.names.notes):
            found = self.get(self.names.notes, key) is not None
            self.connection.bulk([{"delete": {"_index": self.names.notes, "_id": key}}], [None])
        return found

    def decisions(self) -> list[Decision]:
        """Return every decision, oldest first."""
        found = [Decision(**value, at=at) for _, value, at in self._notes("decision")]
        return sorted(found, key=lambda one: (one.at, one.a, one.b))

    # -------------------------------------------------------------------------------------------- quarantine

    def quarantine(self, *, reason: str | None = None) -> list[QuarantineRow]:
        """Return the files that could not become pictures."""
        names = ("uri", "reason", "detail", "tries", "at")
        return [QuarantineRow(*(source[name] for name in names)) for source in self._refused(reason)]

    def quarantined_refs(self, *, reason: str | None = None) -> list[tuple[str, ImageRef]]:
        """Return (root, reference) of quarantined files, for another try."""
        return [(source["root"], ImageRef(source["uri"])) for source in self._refused(reason)]

    def _refused(self, reason: str | None) -> list[Mapping[str, Any]]:
        query = {"term": {"reason": reason}} if reason else {"match_all": {}}
        return [hit["_source"] for hit in self.connection.scan(self.names.quarantine, key="uri", query=query)]


def _space(name: str, value: Mapping[str, Any]) -> Space:
    raw = json.loads(value["json"])
    return Space(**{**raw, "name": name, "spec": read_spec(json.dumps(raw["spec"]))})


def _space_id(digest: str, head: str, regions: str) -> int:
    """Return a space's id, which follows from what it is: two writers that make it at once make the same."""
    return int.from_bytes(hashlib.sha256(f"{digest}/{head}/{regions}".encode()).digest()[:7]) >> 3

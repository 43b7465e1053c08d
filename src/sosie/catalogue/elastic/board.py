"""Notes that the servers of one library leave for each other: sessions, jobs, uploads that are searched with.

They are no part of what the library knows: writing one is no commit, and an export leaves them out.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

from sosie.catalogue.elastic.notes import Notes

__all__ = ["Board"]


class Board(Notes):
    """Keeps the contract of `sosie.server.board.Board`."""

    def post(self, what: str, name: str, value: Any) -> None:
        """Leave a note, in the place of one of that name."""
        note = {"what": f"server/{what}", "name": name, "value": {"json": json.dumps(value)}, "at": time.time()}
        self.connection.wait_out(
            lambda client: client.index(index=self.names.notes, id=_key(what, name), document=note)
        )

    def read(self, what: str, names: Iterable[str]) -> dict[str, Any]:
        """Return those of some notes that are there, by name, as they are now."""
        found = self.get_many(self.names.notes, (_key(what, name) for name in names)).values()
        return {hit["_source"]["name"]: json.loads(hit["_source"]["value"]["json"]) for hit in found}

    def posted(self, what: str) -> dict[str, float]:
        """Return the names of all notes of a sort with when each was left (seconds since 1970), oldest first."""
        self.connection.wait_out(lambda client: client.indices.refresh(index=self.names.notes))
        query = {"term": {"what": f"server/{what}"}}
        hits = self.connection.scan(self.names.notes, key="name", query=query, source_includes=["name", "at"])
        found = {hit["_source"]["name"]: float(hit["_source"]["at"]) for hit in hits}
        return dict(sorted(found.items(), key=lambda note: note[1]))

    def take_down(self, what: str, names: Iterable[str]) -> None:
        """Remove notes; those that are not there are as good as removed."""
        operations = [{"delete": {"_index": self.names.notes, "_id": _key(what, name)}} for name in names]
        self.connection.bulk(operations, [None] * len(operations))


def _key(what: str, name: str) -> str:
    return f"server/{what}:{name}"

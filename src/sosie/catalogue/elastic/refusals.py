"""What a commit makes of the documents of refused files: how often each was tried, and the end of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sosie.catalogue.elastic.documents import place_key
from sosie.catalogue.records import AddQuarantine

__all__ = ["Refusals"]


class Refusals:
    """The refused files that one commit has to do with, by the key of their place."""

    def __init__(self, hits: Iterable[Mapping[str, Any]]) -> None:
        self._known = {hit["_id"]: hit["_source"] for hit in hits}
        self._now: dict[str, dict[str, Any] | None] = {}

    def put(self, change: AddQuarantine, root: str, now: float) -> None:
        """Keep that a file was refused, once more where it was before."""
        ref, key = change.ref, place_key(change.ref.uri)
        before = self._now.get(key) or self._known.get(key) or {"tries": 0}
        self._now[key] = {
            "uri": ref.uri, "reason": change.reason, "detail": change.detail, "root": before.get("root", root),
            "size": ref.size, "mtime_ns": ref.mtime_ns, "inode": ref.inode, "tries": before["tries"] + 1, "at": now,
        }  # fmt: skip

    def forget(self, uri: str) -> None:
        """Forget that what lies at a place was refused: it is a picture now, or gone."""
        if self._known or self._now:  # mostly nothing was, and a key costs a digest
            self._now[place_key(uri)] = None

    def operations(self, index: str) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any] | None]]:
        """Return the bulk operations, with their sources, that write what has changed."""
        operations: list[Mapping[str, Any]] = []
        sources: list[Mapping[str, Any] | None] = []
        for key, source in self._now.items():
            if source is not None or key in self._known:
                operations.append({"index" if source else "delete": {"_index": index, "_id": key}})
                sources.append(source)
        return operations, sources

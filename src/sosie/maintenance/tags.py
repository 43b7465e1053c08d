"""Tags of a library: counting them, telling those that lack by stored vectors, turning them off."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from sosie.catalogue import Space, Store
from sosie.catalogue.tags import TAG, TAGS, tags_are_told
from sosie.contracts import Embedder, TellsTags
from sosie.errors import UsageError

__all__ = ["Tags"]

_BLOCK = 512  # pictures of one commit


class Tags:
    """What the network recognises in pictures, kept as facts; calling it counts them.

    They are no labels: nothing is trained on them or measured by them.
    """

    def __init__(self, catalogue: Store, embedder: Embedder, space: Space) -> None:
        self._catalogue, self._embedder, self._space = catalogue, embedder, space

    def __call__(self) -> dict[str, int]:
        """Return how many pictures have each tag, most frequent first."""
        return self._catalogue.fact_counts(TAG)

    @property
    def on(self) -> bool:
        """Whether pictures get tags when they are added."""
        return tags_are_told(self._catalogue, self._embedder)

    @property
    def lacking(self) -> bool:
        """Whether pictures may lack tags that the network would tell: they were embedded before there were any."""
        record = self._catalogue.record(TAGS) or {}
        return self.on and record.get("by") != self._version()

    def turn_on(
        self, *, progress: Callable[[int], None] = lambda _done: None, stop: threading.Event | None = None
    ) -> int:
        """Tell the tags of all pictures by their stored vectors, and those of new ones from now on.

        No picture is read. Return how many pictures have tags now. ``progress`` gets how many are done; a run that was
        stopped begins anew. Raises UsageError where the model in use tells none.
        """
        version = self._version()
        self._catalogue.put_record(TAGS, {"on": True})
        found = done = 0
        for ids in self._blocks():
            if stop is not None and stop.is_set():
                return found
            found += self._tell(ids)
            done += len(ids)
            progress(done)
        self._catalogue.put_record(TAGS, {"on": True, "by": version})
        return found

    def turn_off(self) -> int:
        """Forget all tags, and tell none from now on; return how many pictures had some."""
        self._catalogue.put_record(TAGS, {"on": False})
        forgotten = 0
        for ids in self._blocks():
            have = [content_id for content_id, facts in self._catalogue.facts_of(ids).items() if TAG in facts]
            self._catalogue.put_facts({content_id: {TAG: ()} for content_id in have})
            forgotten += len(have)
        return forgotten

    def _tell(self, ids: list[int]) -> int:
        assert isinstance(self._embedder, TellsTags)
        known, vectors = self._catalogue.vectors_of(self._space, ids)
        tags = self._embedder.tags_of(vectors)
        self._catalogue.put_facts({int(i): {TAG: each} for i, each in zip(known, tags, strict=True)})
        return sum(map(bool, tags))

    def _blocks(self) -> Iterator[list[int]]:
        ids = self._catalogue.live_ids()
        for at in range(0, len(ids), _BLOCK):
            yield ids[at : at + _BLOCK].tolist()

    def _version(self) -> str:
        version = self._embedder.tags_version if isinstance(self._embedder, TellsTags) else None
        if version is None:
            raise UsageError(f"{self._embedder.spec.name} tells no tags: `sosie models use bundled` does")
        return f"{version} {self._space.name}"

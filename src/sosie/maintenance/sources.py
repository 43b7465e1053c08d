"""The roots that a library's pictures came by: what each holds, and how one is retired or re-pointed."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from sosie.catalogue import AddLocation, Located, Store
from sosie.catalogue.records import is_below
from sosie.errors import BadPicture, SosieError, UsageError
from sosie.sources.reading import read_uri
from sosie.sources.stamps import stamped
from sosie.sources.uris import MEMBER, path_of_uri
from sosie.types import ImageRef

__all__ = ["Moved", "Root", "Sources"]

_BLOCK = 500  # places that are looked up, and written, at once
_SAMPLE = 32  # files whose bytes are compared before a root is re-pointed


@dataclass(frozen=True, slots=True)
class Root:
    """A source that was added: its places, those of them that are gone, its last run, whether it can be reached.

    ``reachable`` is None for what is not of this machine; ``last_run`` is in seconds since 1970, None where that was
    not written down.
    """

    root: str
    places: int
    gone: int
    last_run: float | None
    reachable: bool | None

    def to_json(self) -> dict[str, Any]:
        """Return the root with plain JSON types."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Moved:
    """How many places a root was re-pointed for, how many were compared by digest, and those that stay as they were."""

    moved: int
    checked: int
    left: tuple[str, ...] = ()


class Sources:
    """The roots of a library."""

    def __init__(self, catalogue: Store) -> None:
        self._catalogue = catalogue

    def __iter__(self) -> Iterator[Root]:
        """Yield every root, in order."""
        runs = self._catalogue.record("sources") or {}
        for root, (places, gone) in self._catalogue.roots().items():
            yield Root(root, places, gone, runs.get(root), _reachable(root))

    def forget(self, root: str) -> int:
        """Forget all places that came by a root; pictures at other places stay. Return how many; raise UsageError."""
        self._known(root)
        found = [uri for uri, at in self._located(root) if at.root == root]
        self._catalogue.drop_locations(found)
        left_out = self.left_out()
        if left_out.pop(root, None) is not None:
            self._catalogue.put_record("left_out", left_out)
        return len(found)

    def left_out(self) -> dict[str, dict[str, Any]]:
        """Return what the last run over each root left out: ``at`` in seconds since 1970, ``left_out`` by kind."""
        return dict(self._catalogue.record("left_out") or {})

    def move(self, old: str, new: str, *, check_all: bool = False) -> Moved:
        """Re-point all places below ``old`` to ``new``, reading but a sample, or all, to compare their digests.

        A place stays where ``new`` has no file of that size for it. Raises UsageError where nothing is known below
        ``old``, or a file that was compared holds other bytes: then nothing is changed.
        """
        pairs = [(uri, new + uri[len(old) :], at) for uri, at in self._located(old) if uri.startswith(old)]
        if not pairs:
            raise UsageError(f"the library knows nothing below {old}; `sosie sources list` shows the roots")
        now = {target: stamped(target) for _, target, _ in pairs}
        there = [pair for pair in pairs if _fits(now[pair[1]], pair[2])]
        left = tuple(uri for uri, target, at in pairs if not _fits(now[target], at))
        sample = there if check_all else random.Random(0).sample(there, min(_SAMPLE, len(there)))  # noqa: S311 - nothing secret
        for _, target, at in sample:
            if _digest(target) != at.sha256:
                raise UsageError(f"{target} is not the picture that was below {old}: nothing was moved")
        for root, block in _by_root(there, old, new):
            changes = [AddLocation(at.sha256, now[target], gone=(uri,)) for uri, target, at in block]
            self._catalogue.apply(changes, root=root)
        return Moved(len(there), len(sample), left)

    def _known(self, root: str) -> None:
        if root not in (known := self._catalogue.roots()):
            raise UsageError(f"{root} is no root of this library; its roots: {', '.join(known) or 'none'}")

    def _located(self, root: str) -> Iterator[tuple[str, Located]]:
        uris = iter(list(self._catalogue.locations_below(root)))
        while block := list(itertools.islice(uris, _BLOCK)):
            for uri, known in self._catalogue.look_up(block).items():
                if known.located is not None:
                    yield uri, known.located


def _by_root(
    pairs: list[tuple[str, str, Located]], old: str, new: str
) -> Iterator[tuple[str, list[tuple[str, str, Located]]]]:
    """Yield blocks of places of one root; a root below the old one moves along."""
    for root, group in itertools.groupby(sorted(pairs, key=lambda pair: pair[2].root), key=lambda pair: pair[2].root):
        moved = new + root[len(old) :] if is_below(root, old) else new
        while block := list(itertools.islice(group, _BLOCK)):
            yield moved, block


def _fits(ref: ImageRef, at: Located) -> bool:
    if MEMBER in ref.uri:  # an archive says nothing of its members' sizes here
        return True
    return ref.size is not None and at.stamp[0] in (None, ref.size)


def _digest(uri: str) -> bytes:
    try:
        return hashlib.sha256(read_uri(uri)).digest()
    except (BadPicture, SosieError, OSError):
        return b""


def _reachable(root: str) -> bool | None:
    return os.path.exists(path_of_uri(root.partition(MEMBER)[0])) if root.startswith("file:///") else None  # noqa: PTH110 - bytes

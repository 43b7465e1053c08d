"""The pixels of the library's pictures, for the judge: read, decoded in a worker, the last few of them kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Protocol

from sosie.analysis.worker import ONLY_WORKING
from sosie.errors import BadPicture, NotFound
from sosie.verify.pixels import Grey, luminance

__all__ = ["JUDGED", "LibraryPixels"]

# of the shorter side, at least: what is laid over each other has 480 pixels, of a part of either
JUDGED: Mapping[str, Any] = {**ONLY_WORKING, "side": 512}
_KEPT = 48  # pictures of at most 1,024 × 1,024


class _Pool(Protocol):
    def submit(self, data: bytes, params: Mapping[str, Any] | None = None) -> Future[Mapping[str, Any]]: ...


class LibraryPixels:
    """Gives the luminance (h, w) of pictures of a library. Thread-safe.

    ``read`` gives the bytes of a picture, ``pool`` workers that run `analysis.worker.analyse_query`, ``kept`` the small
    JPEGs of pictures that may not be there any more. What was neither read nor kept is asked of ``elsewhere``.
    """

    def __init__(
        self,
        read: Callable[[int], bytes],
        pool: Callable[[], _Pool],
        kept: Callable[[Sequence[int]], Mapping[int, bytes]] = lambda _: {},
        elsewhere: Callable[[int], bytes] | None = None,
    ) -> None:
        self._read, self._pool, self._kept, self._elsewhere = read, pool, kept, elsewhere
        self._known: OrderedDict[int, Grey] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, ids: Sequence[int]) -> dict[int, Grey]:
        """Return those that can be read and decoded, all decoded side by side."""
        with self._lock:
            found = {i: self._known[i] for i in ids if i in self._known}
        coming = self._begin([i for i in ids if i not in found])
        for content_id, future in coming.items():
            grey = _result(future)
            if grey is not None:
                found[content_id] = grey
        with self._lock:
            for content_id, grey in found.items():
                self._known[content_id] = grey
                self._known.move_to_end(content_id)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return found

    def _begin(self, ids: Sequence[int]) -> dict[int, Future[Mapping[str, Any]]]:
        """Begin to decode pictures; in the place of those that are away, what was kept of them."""
        coming = self._submitted(self._read, ids)
        away = [i for i in ids if i not in coming]
        kept = self._kept(away) if away else {}
        coming |= {i: self._pool().submit(data, JUDGED) for i, data in kept.items()}
        if self._elsewhere is not None:
            coming |= self._submitted(self._elsewhere, [i for i in away if i not in kept])
        return coming

    def _submitted(self, read: Callable[[int], bytes], ids: Sequence[int]) -> dict[int, Future[Mapping[str, Any]]]:
        coming = {}
        for content_id in ids:
            with suppress(BadPicture, NotFound):
                coming[content_id] = self._pool().submit(read(content_id), JUDGED)
        return coming


def _result(future: Future[Mapping[str, Any]]) -> Grey | None:
    try:
        return luminance(future.result()["working"])
    except BadPicture:
        return None

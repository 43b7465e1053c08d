"""The pixels of the library's pictures, for the judge: read, decoded in a worker, the last few of them kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
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

    ``pool`` gives workers that run `analysis.worker.analyse_query`.
    """

    def __init__(self, read: Callable[[int], bytes], pool: Callable[[], _Pool]) -> None:
        self._read, self._pool = read, pool
        self._known: OrderedDict[int, Grey] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, ids: Sequence[int]) -> dict[int, Grey]:
        """Return those that can be read and decoded, all decoded side by side."""
        with self._lock:
            found = {i: self._known[i] for i in ids if i in self._known}
        coming = {i: self._submit(i) for i in ids if i not in found}
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

    def _submit(self, content_id: int) -> Future[Mapping[str, Any]] | None:
        try:
            return self._pool().submit(self._read(content_id), JUDGED)
        except (BadPicture, NotFound):
            return None


def _result(future: Future[Mapping[str, Any]] | None) -> Grey | None:
    try:
        return None if future is None else luminance(future.result()["working"])
    except BadPicture:
        return None

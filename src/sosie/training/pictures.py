"""A library's pictures as a network takes them, through the same readers and decoders as `sosie add`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from sosie.analysis.worker import analysis_params
from sosie.decode import DecodePool
from sosie.errors import BadPicture, NotFound
from sosie.library import Library
from sosie.types import Ids, Pixels, Preprocessing

__all__ = ["inputs_of"]

_IN_FLIGHT = 256


def inputs_of(
    library: Library, ids: Ids, preprocessing: Preprocessing, *, read: Callable[[int], bytes] | None = None
) -> Iterator[tuple[int, Pixels | str]]:
    """Yield each picture's row and the pixels that the network takes, in order, or why it cannot be used.

    ``read`` gives a picture's bytes by its id; None reads them as the library does.
    """
    read = read or library.read
    with DecodePool(
        os.cpu_count() or 1,
        analyse="sosie.analysis.worker:analyse",
        params=analysis_params(preprocessing),
        limits=library.limits,
    ) as pool:
        away: dict[int, str] = {}

        def files() -> Iterator[tuple[int, bytes]]:
            for row, content_id in enumerate(ids.tolist()):
                try:
                    yield row, read(content_id)
                except NotFound:
                    away[row] = "away"
                except BadPicture as error:
                    away[row] = error.reason

        yielded = -1
        for row, found in pool.map(files(), in_flight=_IN_FLIGHT):
            yield from ((gone, away[gone]) for gone in range(yielded + 1, row))
            yielded = row
            yield row, found.reason if isinstance(found, BadPicture) else found["input"]
        yield from ((gone, away[gone]) for gone in range(yielded + 1, len(ids)))

"""The bytes of pictures that are known by their URIs alone."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from sosie.errors import BadPicture, SosieError, UsageError
from sosie.registry import is_known
from sosie.sources.files import open_regular_file, read_regular_file
from sosie.sources.open import kind_of, open_source
from sosie.sources.uris import MEMBER, path_of_uri
from sosie.sources.web.links import is_web
from sosie.types import ImageRef

if TYPE_CHECKING:
    from sosie.sources.web.download import Download, Outcome

__all__ = ["open_verified", "read_each", "read_uri"]

_READERS = 8  # files and objects that are read at once: they may lie across a network


def read_uri(uri: str) -> bytes:
    """Return the bytes at a URI: a file, a member of an archive, an object in a store, or a picture of the public web.

    What has the scheme of a source, of ours or of an installed package, is read by that, opened by the picture's URI.
    Raises BadPicture where they cannot be read, UsageError for a scheme unknown here.
    """
    if is_web(uri):
        from sosie.sources.web.download import Download  # brings asyncio

        ((_, outcome),) = Download().stream([ImageRef(uri)])
        if isinstance(outcome, BadPicture):
            raise outcome
        return outcome or b""
    if uri.startswith("file://") and MEMBER in uri:
        archive = os.fsdecode(path_of_uri(uri.partition(MEMBER)[0]))
        return open_source(archive).read(ImageRef(uri))
    if uri.startswith("file://"):
        return read_regular_file(path_of_uri(uri))
    scheme = uri.partition("://")[0].lower()
    if "://" in uri and (kind_of(uri) == "objects" or is_known("sources", scheme)):
        return open_source(uri).read(ImageRef(uri))
    raise UsageError(f"cannot read {uri}: only files, members of archives, object stores and the web can be read again")


def open_verified(uri: str, sha256: str) -> BinaryIO | None:
    """Open a plain file of this machine at its beginning, None where it is away or holds something else."""
    if not uri.startswith("file://") or MEMBER in uri:
        return None
    try:
        file = open_regular_file(path_of_uri(uri))
    except BadPicture:
        return None
    if hashlib.file_digest(cast(Any, file), "sha256").hexdigest() != sha256:
        file.close()
        return None
    file.seek(0)
    return file


def read_each(uris: Sequence[str], download: Download) -> Iterator[tuple[str, Outcome]]:
    """Yield every URI once, as it comes, with its bytes or with why there are none; many are read at a time.

    Nothing is raised for a picture, whatever its store does. What is read ahead is bounded by ``download.window``.
    """
    once = dict.fromkeys(uris)
    yield from _read_in_threads([uri for uri in once if not is_web(uri)])
    for ref, outcome in download.stream([ImageRef(uri) for uri in once if is_web(uri)]):
        yield ref.uri, BadPicture("unchanged", "the server sent nothing") if outcome is None else outcome


def _read_in_threads(uris: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
    waiting: deque[tuple[str, Future[Outcome]]] = deque()
    with ThreadPoolExecutor(_READERS, "sosie-read") as threads:
        for uri in uris:
            waiting.append((uri, threads.submit(_outcome, uri)))
            if len(waiting) == 2 * _READERS:
                first, future = waiting.popleft()
                yield first, future.result()
        for uri, future in waiting:
            yield uri, future.result()


def _outcome(uri: str) -> Outcome:
    try:
        return read_uri(uri)
    except BadPicture as error:
        return error
    except (SosieError, OSError) as error:  # an archive that is away, a scheme that nothing reads
        return BadPicture("unreadable", str(error))
    except Exception as error:  # every store has its own errors
        return BadPicture("unreadable", f"{type(error).__name__}: {error}")

"""Keep the bytes of pictures that come from elsewhere: their servers may not be there tomorrow."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sosie import files
from sosie.contracts import Source, Streams, offered
from sosie.sources.stamps import stamped
from sosie.sources.web.links import is_web
from sosie.types import ImageRef

if TYPE_CHECKING:
    from sosie.sources.web.download import Outcome

__all__ = ["KeepingOriginals", "original_of", "originals_of", "upload_of"]


class KeepingOriginals:
    """A source whose downloads are also written to ``folder``, by their digest."""

    def __init__(self, source: Source, folder: Path) -> None:
        self.inner = source
        self._folder = folder

    @property
    def root(self) -> str:
        return self.inner.root

    def __iter__(self) -> Iterator[ImageRef]:
        return iter(self.inner)

    def read(self, ref: ImageRef) -> bytes:
        data = self.inner.read(ref)
        self._keep(ref, data)
        return data

    def stream(
        self, wanted: Callable[[ImageRef], bool], known: Callable[[ImageRef], bool] = lambda _: False
    ) -> Iterator[tuple[ImageRef, Outcome | None]]:
        """Yield what the source yields, bytes only once they are written."""
        streaming = offered(self.inner, Streams)
        if streaming is None:
            yield from ((ref, self.read(ref) if wanted(ref) else None) for ref in self.inner)
            return
        for ref, outcome in streaming.stream(wanted=wanted, known=known):
            if isinstance(outcome, bytes):
                self._keep(ref, outcome)
            yield ref, outcome

    def original(self, sha256: bytes) -> ImageRef | None:
        """Return where the bytes of a picture lie that was downloaded once; None where they were not kept."""
        path = original_of(self._folder, sha256.hex()).absolute()
        return stamped(path.as_uri()) if path.exists() else None

    def _keep(self, ref: ImageRef, data: bytes) -> None:
        path = original_of(self._folder, hashlib.sha256(data).hexdigest())
        if not is_web(ref.uri) or path.exists():
            return
        files.make_folder(path.parent)
        files.write(path, data)


def upload_of(library: Path, sha256: str, form: str) -> Path:
    """Return where a library keeps the picture with this digest that somebody uploaded."""
    return library / "uploads" / f"{sha256}.{form.lower()}"


def originals_of(library: Path, sha256: str, form: str) -> list[Path]:
    """Return where a library may keep a picture's bytes: what was uploaded, and what was downloaded."""
    return [upload_of(library, sha256, form), original_of(library / "originals", sha256)]


def original_of(folder: Path, sha256: str) -> Path:
    """Return where the original with this digest lies, if it was kept."""
    return folder / sha256[:2] / sha256

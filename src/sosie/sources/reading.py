"""The bytes of a picture that the catalogue knows by its URI alone."""

from __future__ import annotations

import os

from sosie.errors import BadPicture, UsageError
from sosie.sources.files import read_regular_file
from sosie.sources.open import open_source
from sosie.sources.uris import MEMBER, path_of_uri
from sosie.types import ImageRef

__all__ = ["read_uri"]


def read_uri(uri: str) -> bytes:
    """Return the bytes at a URI: a file, a member of an archive, or a picture of the public web.

    Raises BadPicture where they cannot be read, UsageError for a scheme unknown here.
    """
    if uri.startswith(("http://", "https://")):
        from sosie.sources.download import Download  # brings asyncio

        ((_, outcome),) = Download().stream([ImageRef(uri)])
        if isinstance(outcome, BadPicture):
            raise outcome
        return outcome or b""
    if uri.startswith("file://") and MEMBER in uri:
        archive = os.fsdecode(path_of_uri(uri.partition(MEMBER)[0]))
        return open_source(archive).read(ImageRef(uri))
    if uri.startswith("file://"):
        return read_regular_file(path_of_uri(uri))
    raise UsageError(f"cannot read {uri}: only files, members of archives and the web can be read again")

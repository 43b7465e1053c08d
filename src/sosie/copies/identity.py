"""The name by which a plan knows the library that it was made of."""

from __future__ import annotations

import secrets

from sosie.catalogue import Store

__all__ = ["identity_of"]

_KEY = "library/identity"


def identity_of(catalogue: Store) -> str:
    """Return the random name of a library, given to it at the first call; empty for a read-only one without a name."""
    known = catalogue.record(_KEY)
    if known is None and not catalogue.read_only:
        known = {"id": secrets.token_hex(16)}
        catalogue.put_record(_KEY, known)
    return str((known or {}).get("id", ""))

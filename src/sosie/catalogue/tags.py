"""Whether a library keeps tags, and what those that it has were told by."""

from __future__ import annotations

from sosie.catalogue.contract import Store
from sosie.contracts import Embedder, TellsTags

__all__ = ["TAG", "TAGS", "tags_are_told"]

TAG = "tag"  # the name of the facts
TAGS = "tags"  # the record: {"on": bool, "by": what those of all pictures were told by}


def tags_are_told(catalogue: Store, embedder: Embedder) -> bool:
    """Tell whether pictures get tags by an embedder: it knows some, and nobody has turned them off."""
    on = (catalogue.record(TAGS) or {}).get("on", True)
    return bool(on and isinstance(embedder, TellsTags) and embedder.tags_version)

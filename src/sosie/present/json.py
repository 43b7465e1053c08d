"""Search results as the JSON that tools rely on (DESIGN §5)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sosie.types import SearchResult

__all__ = ["to_json"]


def to_json(results: Sequence[SearchResult], *, indent: int | None = 1) -> str:
    """Return one document for one query, a list of them for several, with a final newline.

    ASCII only: names with control characters or bytes that are not UTF-8 come as escapes and read back unchanged.
    Raise ValueError for a number that JSON cannot hold (nan, infinity).
    """
    documents = [result.to_json() for result in results]
    whole = documents[0] if len(documents) == 1 else documents
    return json.dumps(whole, ensure_ascii=True, allow_nan=False, indent=indent) + "\n"

"""Orders in which pictures are browsed: by when they were added or taken, by size, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias
from urllib.parse import unquote

import numpy as np

from sosie.errors import UsageError
from sosie.types import TAKEN, Ids

__all__ = ["ORDERS", "OrderKey", "arrange", "check_order", "name_key", "order_sql"]

ORDERS = ("added", "taken", "size", "name")
OrderKey: TypeAlias = str | float | None
"""What a picture is ordered by; None where nothing is known of it."""

_LIVE = "EXISTS (SELECT 1 FROM locations WHERE locations.content_id = contents.id)"
_KEYS: Mapping[str, str] = {
    "added": "added_at",
    "taken": f"(SELECT min(text) FROM facts WHERE content_id = contents.id AND name = '{TAKEN}')",
    "size": "bytes",
    "name": "(SELECT uri FROM locations WHERE content_id = contents.id ORDER BY gone_at IS NOT NULL, uri LIMIT 1)",
}


def order_sql(by: str, condition: str) -> str:
    """Return the query for (key, id) of live pictures that meet an SQL condition; raise UsageError."""
    check_order(by)
    return f"SELECT {_KEYS[by]}, id FROM contents WHERE {_LIVE} AND ({condition})"


def check_order(by: str) -> None:
    """Raise UsageError for an order that there is not."""
    if by not in ORDERS:
        raise UsageError(f"pictures are not ordered by {by!r}; known: {', '.join(ORDERS)}")


def arrange(rows: Iterable[tuple[OrderKey, int]], *, descending: bool) -> Ids:
    """Return the ids of (key, id), sorted by key, then id; those without a key come last, either way."""
    known: list[tuple[Any, int]] = []
    unknown: list[int] = []
    for key, content_id in rows:
        if key is None:
            unknown.append(content_id)
        else:
            known.append((key, content_id))
    known.sort(reverse=descending)
    unknown.sort(reverse=descending)
    return np.array([content_id for _, content_id in known] + unknown, np.int64)


def name_key(uri: str) -> str:
    """Return the name of a file as names are sorted: without its folder, whatever the case."""
    name = uri.rstrip("/").rpartition("/")[2]
    return (unquote(name) if "%" in name else name).casefold()

"""Opaque cursors: where the next page of an answer starts, and of which answer."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json

from sosie.server.problems import Problem

__all__ = ["decode_cursor", "encode_cursor"]

_MOST = 1 << 53  # what JSON numbers hold exactly


def encode_cursor(at: int, *question: object) -> str:
    """Return a cursor to position ``at`` of the answer to ``question``."""
    return base64.urlsafe_b64encode(json.dumps([at, _mark(question)]).encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None, *question: object) -> int:
    """Return the position; 0 without a cursor. Raise Problem 400 for one of another question, or of nobody."""
    if not cursor:
        return 0
    try:
        raw = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        at, mark = json.loads(raw)
    except (ValueError, TypeError, binascii.Error, RecursionError):
        at, mark = None, None
    if type(at) is not int or not 0 <= at < _MOST or mark != _mark(question):
        raise Problem(400, "bad_cursor", "the cursor is not of this question: use next_cursor of the page before")
    return at


def _mark(question: tuple[object, ...]) -> str:
    return hashlib.sha256(repr(question).encode()).hexdigest()[:12]

"""Opaque cursors: where the next page of an answer starts, and of which answer."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json

from sosie.server.problems import Problem

__all__ = ["decode_cursor", "decode_place", "encode_cursor"]

_MOST = 1 << 53  # what JSON numbers hold exactly


def encode_cursor(at: int, *question: object, epoch: int = 0) -> str:
    """Return a cursor to position ``at`` of the answer to ``question``, given at an epoch of the library."""
    return base64.urlsafe_b64encode(json.dumps([at, _mark(question), epoch]).encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None, *question: object) -> int:
    """Return the position; 0 without a cursor. Raise Problem 400 for one of another question, or of nobody."""
    return decode_place(cursor, *question)[0]


def decode_place(cursor: str | None, *question: object) -> tuple[int, int]:
    """Return the position and the epoch at which the answer was given; 0 and 0 without a cursor. Raise Problem 400."""
    if not cursor:
        return 0, 0
    try:
        raw = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        at, mark, epoch = json.loads(raw)
    except (ValueError, TypeError, binascii.Error, RecursionError):
        at, mark, epoch = None, None, None
    numbers = type(at) is int and 0 <= at < _MOST and type(epoch) is int and 0 <= epoch < _MOST
    if not numbers or mark != _mark(question):
        raise Problem(400, "bad_cursor", "the cursor is not of this question: use next_cursor of the page before")
    return at, epoch


def _mark(question: tuple[object, ...]) -> str:
    return hashlib.sha256(repr(question).encode()).hexdigest()[:12]

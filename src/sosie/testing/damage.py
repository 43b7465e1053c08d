"""Damage files in the ways that disks, copies and people do, with a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

__all__ = ["DAMAGES", "damage"]

_PAGE = 4096


def _truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _flip_bit(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def _zero_page(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data)) // _PAGE * _PAGE
    end = min(at + _PAGE, len(data))
    return data[:at] + bytes(end - at) + data[end:]


def _lengthen(data: bytes, rng: random.Random) -> bytes:
    return data + rng.randbytes(rng.randrange(1, 64))


DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "truncated": _truncate,
    "bit flipped": _flip_bit,
    "page zeroed": _zero_page,
    "lengthened": _lengthen,
}


def damage(file: Path, *, how: str, seed: int) -> bytes:
    """Damage ``file`` in place in the manner ``how`` (a key of DAMAGES) and return what it held."""
    before = file.read_bytes()
    if before:
        file.write_bytes(DAMAGES[how](before, random.Random(seed)))  # noqa: S311 - seeded on purpose
    return before

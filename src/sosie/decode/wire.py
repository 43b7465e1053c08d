"""The frames between a pool and its workers.

A worker has parsed hostile bytes, so what it sends is hostile too: a length-prefixed JSON header with a cap, then raw
buffers whose sizes are checked against another cap before anything is allocated. There is nothing in it to run.

    job     <QI  lengths of the picture's bytes and of its own parameters, then these as JSON, then the bytes
    answer  <I   length of the header, then the header, then the buffers, in the order in which it lists them
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Mapping
from io import BufferedReader
from typing import Any, TypeAlias, TypeVar

import numpy as np

__all__ = [
    "JOB",
    "Parts",
    "ProtocolError",
    "pack_answer",
    "pack_refusal",
    "read_answer",
    "read_exactly",
    "read_job",
]

Parts: TypeAlias = list[bytes | memoryview]
JOB = struct.Struct("<QI")
_T = TypeVar("_T")
_HEADER = struct.Struct("<I")
_MAX_HEADER = 1 << 20
_MAX_DIMENSIONS = 8
_MAX_DETAIL = 2000
_INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
_DTYPES: dict[str, np.dtype[Any]] = {
    name: np.dtype(name) for name in ("bool", "float16", "float32", "float64", *_INTEGERS)
}


class ProtocolError(Exception):
    """The other side sent what it may not."""


def read_exactly(file: BufferedReader[Any], size: int) -> bytearray:
    """Read ``size`` bytes; raise EOFError where the other side is gone."""
    buffer = bytearray(size)
    _fill(file, memoryview(buffer))
    return buffer


def _fill(file: BufferedReader[Any], view: memoryview) -> None:
    at = 0
    while at < len(view):
        got = file.readinto(view[at:])
        if not got:
            raise EOFError
        at += got


def read_job(file: BufferedReader[Any]) -> tuple[bytes, dict[str, Any]]:
    """Read the bytes of the next picture and what its analysis is told besides; raise EOFError when there are no more.

    The pool sends this, not a picture: it is believed.
    """
    size, told = JOB.unpack(read_exactly(file, JOB.size))
    params: dict[str, Any] = json.loads(read_exactly(file, told)) if told else {}
    data = file.read(size)
    if len(data) < size:
        raise EOFError
    return data, params


def pack_answer(result: Mapping[str, Any]) -> Parts:
    """Lay out what an analysis gave: JSON values in the header, bytes and arrays behind it."""
    values: dict[str, Any] = {}
    buffers: list[tuple[str, str, tuple[int, ...]]] = []
    parts: Parts = []
    for name, value in result.items():
        if isinstance(value, (bytes, bytearray, memoryview)):
            buffers.append((name, "bytes", (len(value),)))
            parts.append(bytes(value))
        elif isinstance(value, np.ndarray):
            buffers.append((name, _dtype_name(name, value), value.shape))
            if value.size:
                parts.append(np.ascontiguousarray(value).data.cast("B"))
        else:
            values[name] = value
    return [*_pack_header({"values": values, "buffers": buffers}), *parts]


def _dtype_name(name: str, value: np.ndarray[Any, Any]) -> str:
    known = str(value.dtype.name)
    if known not in _DTYPES or not value.dtype.isnative:
        raise TypeError(f"{name!r} is an array of {value.dtype}, which has no place in an answer")
    return known


def pack_refusal(kind: str, reason: str, detail: str) -> Parts:
    """Lay out a refusal: ``bad`` for one picture, ``fatal`` for a worker that cannot work."""
    return _pack_header({kind: [reason, detail[:_MAX_DETAIL]]})


def _pack_header(header: Mapping[str, Any]) -> Parts:
    text = json.dumps(header, separators=(",", ":"), allow_nan=False, default=_plain).encode()
    if len(text) > _MAX_HEADER:
        raise ValueError(f"an answer's JSON values have {len(text):,} bytes, at most {_MAX_HEADER:,} are sent")
    return [_HEADER.pack(len(text)) + text]


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no place in an answer: JSON values, bytes and arrays do")


def read_answer(file: BufferedReader[Any], *, max_bytes: int) -> dict[str, Any]:
    """Read one answer: ``{"ok": result}``, ``{"bad": (reason, detail)}`` or ``{"fatal": (reason, detail)}``.

    Raise ProtocolError for anything else, before allocating more than ``max_bytes`` for its buffers; EOFError where
    the worker is gone.
    """
    (size,) = _HEADER.unpack(read_exactly(file, _HEADER.size))
    if size > _MAX_HEADER:
        raise ProtocolError(f"a header of {size:,} bytes")
    header = _parse(bytes(read_exactly(file, size)))
    for kind in ("bad", "fatal"):
        if kind in header:
            return {kind: _reason_and_detail(header[kind])}
    result = dict(_a(dict, header.get("values")))
    for name, dtype, shape in _checked_buffers(header.get("buffers"), max_bytes):
        result[name] = _read_buffer(file, dtype, shape)
    return {"ok": result}


def _parse(text: bytes) -> dict[str, Any]:
    try:
        return _a(dict, _DECODER.decode(text.decode()))
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {error}") from error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)  # json.loads would make one for every answer


def _a(kind: type[_T], value: Any) -> _T:
    if type(value) is not kind:
        raise ProtocolError(f"a {type(value).__name__} where there must be a {kind.__name__}")
    return value


def _reason_and_detail(value: Any) -> tuple[str, str]:
    if type(value) is not list or len(value) != 2 or not all(type(item) is str for item in value):
        raise ProtocolError("a refusal that is not two strings")
    # These are shown to people: nothing that a terminal would obey, nothing that is not Unicode.
    reason, detail = ("".join(c if c.isprintable() else " " for c in item[:_MAX_DETAIL]) for item in value)
    return reason[:64], detail


def _checked_buffers(listed: Any, max_bytes: int) -> Iterable[tuple[str, str, tuple[int, ...]]]:
    checked, total = [], 0
    for item in _a(list, listed):
        if type(item) is not list or len(item) != 3:
            raise ProtocolError("a buffer that is not name, type and shape")
        name, dtype, shape = _a(str, item[0]), _a(str, item[1]), tuple(_a(list, item[2]))
        total += _size_of(dtype, shape)
        if total > max_bytes:
            raise ProtocolError(f"buffers of more than {max_bytes:,} bytes")
        checked.append((name, dtype, shape))
    return checked


def _size_of(dtype: str, shape: tuple[Any, ...]) -> int:
    if dtype != "bytes" and dtype not in _DTYPES:
        raise ProtocolError(f"a buffer of type {dtype[:40]!r}")
    if len(shape) > _MAX_DIMENSIONS or not all(type(n) is int and 0 <= n < 1 << 40 for n in shape):
        raise ProtocolError("a buffer of impossible shape")
    if dtype == "bytes" and len(shape) != 1:
        raise ProtocolError("bytes of more than one dimension")
    items: int = math.prod(shape)
    return items * (1 if dtype == "bytes" else int(_DTYPES[dtype].itemsize))


def _read_buffer(file: BufferedReader[Any], dtype: str, shape: tuple[int, ...]) -> Any:
    if dtype == "bytes":
        return bytes(read_exactly(file, shape[0]))
    try:
        array = np.empty(shape, _DTYPES[dtype])
    except ValueError as error:  # no items, but sides whose product overflows
        raise ProtocolError(f"a buffer of impossible shape: {error}") from error
    if array.size:
        _fill(file, array.data.cast("B"))
    return array

"""Looking at an ONNX file before a runtime does: it must be one, be whole, and need nothing that is not in it.

A small reader of protobuf's wire format (https://protobuf.dev/programming-guides/encoding/) walks the messages that
can name other files or operators of foreign libraries (onnx.proto3). It reads each byte at most once, keeps no copy of
the weights, and stops at a depth that no honest network has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sosie.errors import UntrustedModel

__all__ = ["check_network", "input_size"]

_DEPTH = 24  # graphs inside the attributes of nodes (If, Loop) inside graphs …
# what ONNX Runtime itself holds; any other domain would have to come from a library
_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
_EXTERNAL = 1  # TensorProto.DataLocation

# message → field → the message in that field; other fields hold nothing that is looked at
_MESSAGES = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_NODE_DOMAIN, _FUNCTION_DOMAIN, _TENSOR_FILE, _TENSOR_LOCATION, _MODEL_GRAPH, _GRAPH_OUTPUT = 7, 10, 13, 14, 7, 12
_GRAPH_INPUT, _CHANNELS = 11, 3


class _Malformed(Exception):
    """The bytes are no protobuf message."""


def check_network(data: bytes, name: str) -> None:
    """Raise UntrustedModel unless ``data`` is a whole ONNX network of standard operators, with its weights in it."""
    head = data[:200].lstrip().lower()
    if head.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise UntrustedModel(f"{name} is a web page, not a network: download it again (a login or error page came)")
    if head.startswith(b"version https://git-lfs"):
        raise UntrustedModel(f"{name} is a Git LFS pointer, not a network: fetch the file itself (git lfs pull)")
    try:
        _check_model(memoryview(data), name)
    except _Malformed as error:
        raise UntrustedModel(f"{name} is no ONNX network, or not all of it ({error}): download it again") from error


def input_size(data: bytes, name: str) -> tuple[int, int] | None:
    """Return (height, width) of the pictures that an input of a network takes; None where it is open or not there.

    The input is (n, 3, height, width) or (n, height, width, 3).
    """
    try:
        for shape in _input_shapes(memoryview(data), name):
            if len(shape) == 4:
                high, wide = shape[2:] if shape[1] == _CHANNELS else shape[1:3]
                return (high, wide) if high > 0 and wide > 0 else None
    except _Malformed:
        return None
    return None


def _input_shapes(model: memoryview, name: str) -> Iterator[list[int]]:
    """Yield the shapes of the inputs of that name, 0 for a side that is open."""
    for about in _each(_each([model], _MODEL_GRAPH), _GRAPH_INPUT):
        if any(_text(value) == name for field, value in _fields(about) if field == 1):
            shape = _each(_each(_each([about], 2), 1), 2)  # type → tensor_type → shape
            yield [_fixed(side) for side in _each(shape, 1)]


def _each(messages: Iterable[memoryview], wanted: int) -> Iterator[memoryview]:
    """Yield the messages in one field of some messages."""
    for message in messages:
        yield from (value for field, value in _fields(message) if field == wanted and isinstance(value, memoryview))


def _fixed(side: memoryview) -> int:
    return next((value for field, value in _fields(side) if field == 1 and isinstance(value, int)), 0)


def _check_model(model: memoryview, name: str) -> None:
    own = set()  # domains of functions that the file itself defines
    graphs = 0
    for field, value in _fields(model):
        if field == 25 and isinstance(value, memoryview):
            own |= {_text(each) for at, each in _fields(value) if at == _FUNCTION_DOMAIN}
        if field == _MODEL_GRAPH and isinstance(value, memoryview):
            graphs += any(at == _GRAPH_OUTPUT for at, _ in _fields(value))
    if not graphs:
        raise _Malformed("it has no graph with an output")
    _walk(model, "model", _DOMAINS | own, name, _DEPTH)


def _walk(message: memoryview, kind: str, domains: frozenset[str], name: str, depth: int) -> None:
    if not depth:
        raise _Malformed("graphs lie too deep in one another")
    for field, value in _fields(message):
        if kind == "node" and field == _NODE_DOMAIN and _text(value) not in domains:
            raise UntrustedModel(
                f"{name} needs operators of {_text(value)!r}, which only a foreign library has: refused"
            )
        if kind == "tensor" and (field == _TENSOR_FILE or (field == _TENSOR_LOCATION and value == _EXTERNAL)):
            raise UntrustedModel(f"{name} keeps weights in other files (external data): export it as one file")
        inner = _MESSAGES[kind].get(field)
        if inner is not None:
            if not isinstance(value, memoryview):
                raise _Malformed("a message has the wrong type")
            _walk(value, inner, domains, name, depth - 1)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Yield (number, value) of each field: bytes for what has a length, a number for the rest."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        field, wire = tag >> 3, tag & 7
        if field == 0:
            raise _Malformed("a field has no number")
        if wire == 0:
            value, at = _varint(message, at)
            yield field, value
            continue
        size, at = _varint(message, at) if wire == 2 else ({1: 8, 5: 4}.get(wire, -1), at)
        if size < 0 or at + size > len(message):
            raise _Malformed("it ends early" if size >= 0 else "a field has an unknown type")
        yield field, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise _Malformed("it ends early")
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
    raise _Malformed("a number is too long")


def _text(value: memoryview | int) -> str:
    if isinstance(value, int):
        raise _Malformed("a name has the wrong type")
    return bytes(value[:200]).decode("utf-8", "replace")
